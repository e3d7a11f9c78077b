"""Formation energies from total energies, corrections and energies of the elements."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, field_validator, model_validator

from crystalgnn_core.base import NOT_CONTENT, FrozenModel
from crystalgnn_core.errors import RecordError
from crystalgnn_core.records.checks.structure import checked_structures
from crystalgnn_core.records.elements import NUMBER_OF_SYMBOL, SYMBOLS
from crystalgnn_core.records.label_schemes import MP_2020, SchemeName

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from crystalgnn_core.records.crystal import Crystal
    from crystalgnn_core.sources.formats.calculation import Calculation

Corrections = Literal["MP2020", "stored", "none"]
FiniteFloat = Annotated[float, Field(allow_inf_nan=False)]
_NO_CELL = frozenset({"no_atoms", "unknown_element", "unreadable_structure"})
_AGREEMENT = 1e-3  # eV/atom; corrections are tabulated to this digit


class ElementalReferences(FrozenModel):
    """Energies of the elements against which formation energies are taken.

    Attributes:
        energies: Element to energy in eV/atom.
        path: File or folder of calculations of the elements, in place of `energies`:
            VASP runs or entries; the lowest of each element counts.
        label_scheme: Label scheme to which these energies belong.
    """

    energies: dict[str, FiniteFloat] = Field(default_factory=dict)
    path: Annotated[str | None, NOT_CONTENT] = None
    label_scheme: SchemeName | None = None

    @field_validator("energies")
    @classmethod
    def _are_elements(cls, energies: dict[str, float]) -> dict[str, float]:
        for symbol in energies:
            if symbol not in NUMBER_OF_SYMBOL:
                raise ValueError(f"{symbol!r} is no element symbol")
        return energies

    @model_validator(mode="after")
    def _are_given_once(self) -> ElementalReferences:
        if self.energies and self.path is not None:
            raise ValueError("give energies or path of the references, not both")
        if (self.energies or self.path is not None) and not self.label_scheme:
            raise ValueError("state the label_scheme to which the references belong")
        return self


class FormationEnergy(FrozenModel):
    """How a total energy becomes a formation energy.

    Corrected and uncorrected energies are never mixed: labels are of the scheme
    `MP GGA/GGA+U MP2020` only where these corrections were applied, or were checked to be
    the stored ones, and the references are said to be of that scheme.

    Attributes:
        corrections: `MP2020` computes those of the Materials Project, Wang et al., Sci.
            Rep. 11, 15496 (2021), and refuses what was calculated in another way; `stored`
            takes those that came with the energy; `none` takes the energy as it is.
        references: Energies of the elements.
        label_scheme: Label scheme of the result; None takes that of the references.
        run_types: Functionals that are accepted; none accepts all, known or not.
    """

    corrections: Corrections = "MP2020"
    references: ElementalReferences = ElementalReferences()
    label_scheme: SchemeName | None = None
    run_types: tuple[str, ...] = ("GGA", "GGA+U")

    @model_validator(mode="after")
    def _is_one_scheme(self) -> FormationEnergy:
        of_references = self.references.label_scheme
        if self.corrections == "none":
            if MP_2020 in (of_references, self.label_scheme):
                raise ValueError(
                    f"uncorrected energies are not of the scheme {MP_2020}; set "
                    "corrections to MP2020, or give references and label_scheme of your own"
                )
            if len(self.run_types) > 1:
                raise ValueError(
                    "uncorrected energies of several functionals, GGA and GGA+U included, "
                    "cannot be compared; name the only one in run_types, or leave it empty "
                    "where you know that there is one"
                )
        if self.label_scheme == MP_2020 != of_references:
            raise ValueError(
                f"label_scheme is {MP_2020}, but the references are of "
                f"{of_references or 'no scheme'}; state what the references are"
            )
        if self.corrections == "MP2020":
            if not self.run_types or not {"GGA", "GGA+U"}.issuperset(self.run_types):
                raise ValueError("MP2020 corrects run_types GGA and GGA+U only")
            if of_references not in (None, MP_2020) and self.label_scheme is None:
                raise ValueError(
                    f"MP2020 corrections with references of {of_references}: state the "
                    "label_scheme of what comes of them"
                )
        return self

    @property
    def scheme(self) -> str:
        """Label scheme of the formation energies; empty while there are no references."""
        return self.label_scheme or self.references.label_scheme or ""


def formation_energy_of(
    calculation: Calculation, config: FormationEnergy, references: Mapping[str, float]
) -> float:
    """Return the formation energy of a calculation in eV/atom, as its references are.

    Raises:
        RecordError: `missing_reference`, or a reason of `correction_of`.
    """
    check_run_type(calculation.run_type, config.run_types, calculation.remark)
    corrected = calculation.energy + correction_of(calculation, config)
    return formation_energy_per_atom(calculation.crystal, corrected, references)


def formation_energy_per_atom(
    crystal: Crystal, energy: float, references: Mapping[str, float]
) -> float:
    """Return the energy of a cell above that of its elements, in eV/atom.

    Args:
        crystal: The cell.
        energy: Its energy in eV, corrected if the references ask for it.
        references: Element to energy in eV/atom.

    Raises:
        RecordError: `missing_reference`, naming the elements.
    """
    counts = Counter(SYMBOLS[number - 1] for number in crystal.atomic_numbers.tolist())
    missing = sorted(counts.keys() - references.keys())
    if missing:
        raise RecordError(
            "missing_reference",
            f"no energy of {', '.join(missing)} to take a formation energy against; give "
            "it in formation_energy.references, or set formation_energy to null",
        )
    elements = sum(count * references[symbol] for symbol, count in counts.items())
    return (energy - elements) / counts.total()


def correction_of(calculation: Calculation, config: FormationEnergy) -> float:
    """Return the correction of a cell in eV.

    Raises:
        RecordError: `incompatible_settings`, `no_atoms`, `unknown_element` or
            `unreadable_structure`.
    """
    [checked] = checked_structures([calculation.crystal])
    if isinstance(checked, RecordError) and checked.reason in _NO_CELL:
        raise checked  # a coordinate that is no number would end the process in spglib
    if config.corrections == "none":
        return 0.0
    if config.corrections == "stored":
        return _stored_correction(calculation, config)
    from crystalgnn_core.sources.energies.mp2020 import mp2020_correction

    return mp2020_correction(calculation)


def check_run_type(run_type: str | None, accepted: Iterable[str], remark: str = "") -> None:
    """Check that a functional is among those accepted; none accepts all.

    A remark says why the functional is taken for that.

    Raises:
        RecordError: `incompatible_settings`.
    """
    names = list(accepted)
    if names and run_type not in names:
        found = f"{run_type or 'not stated'}{remark and f' ({remark})'}"
        raise RecordError(
            "incompatible_settings",
            f"the run type is {found}, expected {' or '.join(names)}; give such "
            "calculations a source of their own, with their run_types",
        )


def _stored_correction(calculation: Calculation, config: FormationEnergy) -> float:
    """Return what came with the energy; under the MP2020 scheme it must be that."""
    stored = calculation.correction
    if stored is None:
        raise RecordError(
            "incompatible_settings",
            "no correction came with the energy; set corrections to MP2020 or none",
        )
    if config.scheme == MP_2020:
        from crystalgnn_core.sources.energies.mp2020 import mp2020_correction

        expected = mp2020_correction(calculation)
        if abs(stored - expected) > _AGREEMENT * len(calculation.crystal.atomic_numbers):
            raise RecordError(
                "incompatible_settings",
                f"the stored correction is {stored:.4f} eV, but that of MP2020 is "
                f"{expected:.4f}; set corrections to MP2020, or state another scheme",
            )
    return stored
