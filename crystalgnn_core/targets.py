"""The table of targets: one row each; adding a target is adding a row."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator

from crystalgnn_core.base import FrozenModel
from crystalgnn_core.errors import ConfigError
from crystalgnn_core.wording import did_you_mean

TargetKind = Literal["regression", "classification"]


class Target(FrozenModel):
    """A property that is stored as a label and can be learned.

    A class is stored as 1 or 0; its prediction is the probability of 1.

    Attributes:
        name: Column name in records, predictions and rankings.
        unit: Unit of the stored value; empty for a number without one, and for classes.
        title: Name for axes and tables.
        minimum: Smallest plausible stored value; a smaller one is rejected.
        maximum: Largest plausible stored value; a larger one is rejected.
        transform: Scale on which the model learns; predictions are mapped back.
        kind: A number, or one of two classes.
        is_zero_inflated: Whether many values are exactly 0, the minimum, such as the gaps
            of metals. It can be learned in two parts, see `TrainingConfig.hurdle`.
    """

    name: str
    unit: str
    title: str
    minimum: float
    maximum: float
    transform: Literal["identity", "log10"] = "identity"
    kind: TargetKind = "regression"
    is_zero_inflated: bool = False

    @property
    def is_class(self) -> bool:
        """Whether labels are classes and predictions probabilities."""
        return self.kind == "classification"

    @property
    def predicted_unit(self) -> str:
        """Unit of a prediction as it is shown: of a class, that it is a probability."""
        return "probability" if self.is_class else self.unit

    @property
    def heading(self) -> str:
        """Title of a prediction with its unit, for axes and tables."""
        unit = self.predicted_unit
        return f"{self.title} ({unit})" if unit else self.title

    def with_unit(self, number: str) -> str:
        """Write the unit behind a number, if there is one."""
        return f"{number} {self.unit}" if self.unit else number


def _target(
    name: str,
    unit: str,
    title: str,
    minimum: float,
    maximum: float,
    **more: Any,  # noqa: ANN401  further fields
) -> Target:
    bounds = {"minimum": minimum, "maximum": maximum}
    return Target(name=name, unit=unit, title=title, **bounds, **more)


_TABLE = (
    _target("formation_energy_per_atom", "eV/atom", "formation energy", -10.0, 10.0),
    _target("band_gap", "eV", "band gap", 0.0, 25.0, is_zero_inflated=True),
    _target("bulk_modulus", "GPa", "bulk modulus", 0.1, 1000.0, transform="log10"),
    _target("shear_modulus", "GPa", "shear modulus", 0.1, 1000.0, transform="log10"),
    _target("fermi_energy", "eV", "Fermi energy", -30.0, 30.0),
    # thermodynamic bounds of an isotropic solid
    _target("poisson_ratio", "", "Poisson ratio", -1.0, 0.5),
    _target("is_metal", "", "metal", 0.0, 1.0, kind="classification"),
    # by the hull that the source built; below zero against the hull of others
    _target("energy_above_hull", "eV/atom", "energy above hull", -5.0, 10.0),
)
TARGETS: dict[str, Target] = {target.name: target for target in _TABLE}


def get_target(name: str) -> Target:
    """Look a target up by name.

    Raises:
        ConfigError: No target has this name.
    """
    try:
        return TARGETS[_known(name)]
    except ValueError as error:
        raise ConfigError(str(error)) from error


def _known(name: str) -> str:
    if name not in TARGETS:
        known = ", ".join(TARGETS)
        raise ValueError(
            f"unknown target {name!r}; known targets: {known}{did_you_mean(name, TARGETS)}"
        )
    return name


TargetName = Annotated[str, AfterValidator(_known)]
# what the names of the columns end in that a target learned in two parts has beside its own
NONZERO, IF_NONZERO = "_nonzero_probability", "_if_nonzero"
STD = "_std"  # spread over the members of a model
LOW, HIGH = "_low", "_high"  # ends of the interval that holds nine of ten true values
NOVELTY = "novelty"  # how unlike the training rows a row is; above 1 it is unlike them


def is_class(name: str) -> bool:
    """Return whether a target is a class.

    Raises:
        ConfigError: No target has this name.
    """
    return get_target(name).is_class


def scheme_column(target: str) -> str:
    """Name the record column that holds the label scheme of a target."""
    return f"{target}_scheme"
