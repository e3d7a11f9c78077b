"""The embedded source: crystals and labels of a computable model, made at run time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import pyarrow as pa
from pydantic import Field, model_validator

from crystalgnn_core.base import ADDED_LATER, digest_of
from crystalgnn_core.errors import ConfigError
from crystalgnn_core.records.crystal import composition_of
from crystalgnn_core.records.schema import RawRecord
from crystalgnn_core.sources.base import SourceConfig, SourceName, SourcePart, SourcePlan

if TYPE_CHECKING:
    from collections.abc import Iterator

    from crystalgnn_core.records.crystal import Crystal
    from crystalgnn_core.sources.ingest.stored import StoredSource

TARGET_NAMES = ("formation_energy_per_atom", "band_gap")
LICENSE: Literal["CC0-1.0"] = "CC0-1.0"
WORD_LIMIT = 2**32  # a larger seed would be split and could meet another one


class SyntheticSource(SourceConfig):
    """Crystals of a documented model world; see `synthetic.model`.

    Crystal number i depends on seed, batch and i alone: parts can be read in any order, and
    more structures leave the first ones as they are.

    Attributes:
        n_structures: Number of crystals.
        seed: Seed of all random choices.
        batch: Another batch has other ids and other crystals, like new calculations.
        with_labels: Whether the records carry the labels; without them they are candidates,
            labels are no longer required, and `truth` still knows them.
        prefix: First part of every material id.
    """

    synthetic: ClassVar[bool] = True
    kind: Literal["synthetic"] = "synthetic"
    name: SourceName = "synthetic"
    n_structures: Annotated[int, Field(ge=1)] = 3000
    seed: Annotated[int, Field(ge=0, lt=WORD_LIMIT)] = 0
    batch: Annotated[int, Field(ge=0, lt=WORD_LIMIT)] = 0
    with_labels: bool = True
    prefix: Annotated[str, Field(min_length=1, pattern=r"^[A-Za-z0-9._]+$")] = "syn"
    license: Annotated[Literal["CC0-1.0"], ADDED_LATER] = LICENSE

    @model_validator(mode="before")
    @classmethod
    def _require_no_withheld_labels(cls, data: Any) -> Any:  # noqa: ANN401  pydantic's hook
        """Let candidates pass without labels unless the configuration says otherwise."""
        if isinstance(data, dict) and data.get("with_labels", True) is False:
            return {"require_labels": "none", **data}
        return data

    def plan(self, stored: StoredSource) -> SourcePlan:  # noqa: ARG002  it is read whole
        """List ranges of `part_size` crystals."""
        starts = range(0, self.n_structures, self.part_size)
        parts = tuple(self._part(index, start) for index, start in enumerate(starts))
        return SourcePlan(parts=parts)

    def read(self, part: SourcePart) -> Iterator[RawRecord]:
        """Make the crystals of a part, and their labels unless these are withheld."""
        from crystalgnn_core.sources.synthetic.model.emt import is_metallic
        from crystalgnn_core.sources.synthetic.model.labels import (
            LABEL_SCHEME,
            MODEL_VERSION,
            compute_labels,
        )

        for index in range(part.payload["start"], part.payload["stop"]):
            crystal = self.crystal(index)
            labels = compute_labels(crystal)._asdict() if self.with_labels else {}
            yield RawRecord(
                material_id=self.material_id(index),
                crystal=crystal,
                labels=labels,
                label_schemes=dict.fromkeys(labels, LABEL_SCHEME),
                run_type="EMT" if is_metallic(crystal.atomic_numbers) else "Born-Mayer",
                source_version=MODEL_VERSION,
                license=LICENSE,
            )

    def target_names(self) -> tuple[str, ...]:
        """Name formation energy and band gap, whether or not they are withheld."""
        return TARGET_NAMES

    def material_id(self, index: int) -> str:
        """Return the id of a crystal, such as `syn-0-0-00012`."""
        return f"{self.prefix}-{self.seed}-{self.batch}-{index:05d}"

    def crystal(self, index: int) -> Crystal:
        """Make the crystal with this number."""
        from crystalgnn_core.sources.synthetic.model.specimens import make_specimen

        return make_specimen(self.seed, self.batch, index).crystal

    def _part(self, index: int, start: int) -> SourcePart:
        from crystalgnn_core.sources.synthetic.model.labels import MODEL_VERSION

        stop = min(start + self.part_size, self.n_structures)
        payload = {"start": start, "stop": stop}
        decisive = {
            "model": MODEL_VERSION,
            "prefix": self.prefix,
            "seed": self.seed,
            "batch": self.batch,
            "with_labels": self.with_labels,
            **payload,
        }
        return SourcePart(index=index, digest=digest_of(decisive), payload=payload)


def truth(*sources: SyntheticSource) -> pa.Table:
    """Compute the true labels and hull distances of all crystals, withheld or not.

    The hull is that of all given crystals together and of the elements, so give the
    training source beside the candidates if both compete.

    Args:
        sources: One or more sources with distinct material ids.

    Returns:
        Columns material_id, formula, formation_energy_per_atom (eV/atom), band_gap (eV) and
        energy_above_hull (eV/atom), in the order of the sources and their crystals.

    Raises:
        ConfigError: Two sources share material ids.
    """
    from crystalgnn_core.records.hull import energies_above_hull
    from crystalgnn_core.sources.synthetic.model.labels import compute_labels

    ids, compositions, energies, gaps = [], [], [], []
    for source in sources:
        for index in range(source.n_structures):
            crystal = source.crystal(index)
            labels = compute_labels(crystal)
            ids.append(source.material_id(index))
            compositions.append(composition_of(crystal))
            energies.append(labels.formation_energy_per_atom)
            gaps.append(labels.band_gap)
    if len(set(ids)) < len(ids):
        raise ConfigError(
            f"{len(ids) - len(set(ids))} material ids occur twice; give every synthetic "
            "source its own seed, batch or prefix"
        )
    amounts = [composition.get_el_amt_dict() for composition in compositions]
    return pa.table(
        {
            "material_id": ids,
            "formula": [composition.reduced_formula for composition in compositions],
            "formation_energy_per_atom": energies,
            "band_gap": gaps,
            "energy_above_hull": energies_above_hull(amounts, energies),
        }
    )
