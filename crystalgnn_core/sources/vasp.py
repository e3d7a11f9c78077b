"""The source of VASP runs: a folder of `vasprun.xml` files, or one of them."""

from __future__ import annotations

from collections import Counter
from functools import cached_property
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from crystalgnn_core.base import DIGEST_LENGTH, NOT_CONTENT
from crystalgnn_core.errors import RecordError, SourceError
from crystalgnn_core.records.label_schemes import SchemeName
from crystalgnn_core.records.schema import RawRecord
from crystalgnn_core.sources.base import (
    SourceConfig,
    SourcePart,
    SourcePlan,
    in_chunks,
    require_paths,
)
from crystalgnn_core.sources.energies.engine import correction_engine
from crystalgnn_core.sources.energies.formation import (
    FormationEnergy,
    check_run_type,
    formation_energy_of,
)
from crystalgnn_core.sources.formats import VASP_RUN
from crystalgnn_core.sources.formats.folders import (
    find_files,
    find_runs,
    note_name,
    noted_file,
    printable_ids,
)
from crystalgnn_core.sources.formats.parsing import reading_file, refused_row
from crystalgnn_core.sources.formats.structures import existing, unchanged
from crystalgnn_core.sources.formats.vasprun import VaspRun, read_vasp_run
from crystalgnn_core.sources.ingest.origins import (
    CHANGED,
    origin_of,
    plan_by_file,
    readers_digest,
)
from crystalgnn_core.storage.digests import sha256_of_files

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from crystalgnn_core.sources.ingest.stored import StoredSource

FORMATION = "formation_energy_per_atom"
RunTarget = Literal["band_gap", "fermi_energy", "is_metal"]


class VaspSource(SourceConfig):
    """Runs of VASP, one record for each `vasprun.xml`.

    Attributes:
        path: A folder, searched with the folders in it, or a file.
        pattern: File names that count as runs, any letter case; by default also the last
            step of those in steps, as `vasprun.xml.relax2`.
        formation_energy: How the energy becomes a formation energy; None leaves it out.
        label_schemes: Label schemes of what else is read: `band_gap` of the eigenvalues,
            `fermi_energy`, `is_metal` where the gap is zero.
        run_types: Functionals that are accepted, others are rejected; None takes those of
            `formation_energy`, or GGA and GGA+U without one.
        source_version: Release of the data; None takes the digest of each file.
    """

    reading_version: ClassVar[int] = 1  # gaps are those of the occupations

    kind: Literal["vasp"] = "vasp"
    path: Annotated[
        str, Field(description="a folder of runs, or a vasprun.xml"), NOT_CONTENT
    ]
    pattern: Annotated[tuple[str, ...], NOT_CONTENT] = VASP_RUN.patterns
    formation_energy: FormationEnergy | None = FormationEnergy()
    label_schemes: dict[RunTarget, SchemeName] = Field(default_factory=dict)
    run_types: tuple[str, ...] | None = None
    part_size: Annotated[int, Field(ge=1)] = 100
    source_version: str | None = None

    @model_validator(mode="after")
    def _run_types_are_named(self) -> VaspSource:
        if self.run_types is not None and not self.run_types:
            raise ValueError("run_types is empty; name those that may share a label scheme")
        return self

    def target_names(self) -> tuple[str, ...]:
        """Name the formation energy, if it is read, and the targets with a label scheme."""
        formation = () if self.formation_energy is None else (FORMATION,)
        return (*formation, *self.label_schemes)

    def label_engine(self) -> dict[str, str]:
        """Name what computes corrections, and the version of the reader of bands."""
        reader = {"reader of runs": str(self.reading_version)}
        return reader | correction_engine(self.formation_energy)

    def check_ready(self) -> None:
        """Check that the path exists."""
        require_paths(self.name, self.path)

    def unsupported_files(self) -> list[tuple[str, str]]:
        """Name what looks like a run and is not read, unless patterns are set."""
        return self._files(existing(self.path))[1]

    def plan(self, stored: StoredSource) -> SourcePlan:
        """List groups of runs that are new or changed; references are read here."""
        path = existing(self.path)
        folder = path if path.is_dir() else path.parent
        files, others = self._files(path)
        if not files:
            found = f"; {others[0][1]}" if others else ""
            raise SourceError(
                f"no VASP runs in {path}, expected names like {', '.join(self.pattern)}"
                f"{found}"
            )
        ids = run_ids([file.relative_to(folder).as_posix() for file in files])
        names = (note_name(file, folder) for file in files)
        digests = sha256_of_files(files, stored.folder / "digests.json")
        entries = map(list, zip(names, ids, digests, strict=True))
        shared = {
            "references": self._references(stored.folder),
            "engine": self.label_engine(),
        }
        payloads = [
            shared | {"runs": group} for group in in_chunks(entries, self.part_size)
        ]
        return plan_by_file(self, stored, payloads, "runs")

    def read(self, part: SourcePart) -> Iterator[RawRecord]:
        """Yield a record for every run of a part, unreadable ones included."""
        path = existing(self.path)
        folder = path if path.is_dir() else path.parent
        references = part.payload["references"]
        readers = readers_digest(references, part.payload["engine"])
        for entry in part.payload["runs"]:
            name, material_id, sha256 = entry
            path, state = noted_file(folder, name), sha256 and CHANGED
            try:
                path = unchanged(path, sha256)
                state = sha256
                with reading_file():
                    run = read_vasp_run(path)
                record = self._record(material_id, run, sha256, references)
            except RecordError as error:
                record = refused_row(material_id, name, error)
            origin = origin_of([name, material_id, state], readers)
            yield record._replace(origin=(origin, ""))

    def _files(self, path: Path) -> tuple[list[Path], list[tuple[str, str]]]:
        """List the runs, and with the reason what else looks like one."""
        if not path.is_dir():
            return [path], []
        if self.pattern != VASP_RUN.patterns:
            return find_files(path, self.pattern), []
        return find_runs(path, self.pattern)

    def _references(self, folder: Path) -> dict[str, float]:
        if self.formation_energy is None:
            return {}
        from crystalgnn_core.sources.energies.references import reference_energies

        return reference_energies(self.formation_energy, folder)

    def _record(
        self, material_id: str, run: VaspRun, sha256: str, references: Mapping[str, float]
    ) -> RawRecord:
        calculation = run.calculation
        check_run_type(calculation.run_type, self._accepted, calculation.remark)
        gap = run.band_gap
        values = {
            "band_gap": gap,
            "fermi_energy": run.fermi_energy,
            "is_metal": None if gap is None else float(gap == 0.0),
        }
        labels = {name: values[name] for name in map(str, self.label_schemes)}
        if self.formation_energy is not None:
            labels[FORMATION] = formation_energy_of(
                calculation, self.formation_energy, references
            )
        n_found = sum(value is not None for value in labels.values())
        n_needed = {"all": len(labels), "any": 1, "none": 0}[self.require_labels]
        if run.no_gap and n_found < n_needed:
            raise RecordError("missing_label", run.no_gap)
        return RawRecord(
            material_id,
            calculation.crystal,
            labels=labels,
            label_schemes=self._schemes,
            run_type=calculation.run_type,
            source_version=self.source_version or sha256[:DIGEST_LENGTH],
            license=self.license,
        )

    @cached_property
    def _schemes(self) -> dict[str, str]:
        schemes = {str(name): scheme for name, scheme in self.label_schemes.items()}
        if self.formation_energy is not None:
            schemes[FORMATION] = self.formation_energy.scheme
        return schemes

    @cached_property
    def _accepted(self) -> tuple[str, ...]:
        if self.run_types is not None:
            return self.run_types
        if self.formation_energy is not None:
            return self.formation_energy.run_types
        return ("GGA", "GGA+U")


def run_ids(names: Sequence[str]) -> list[str]:
    """Turn the names of runs into ids: the folder of each, unless it holds several.

    Args:
        names: Names relative to one folder, such as `NaCl/vasprun.xml.gz`.
    """
    paths = [PurePosixPath(name) for name in names]
    counts = Counter(path.parent for path in paths)
    ids = [
        str(path.parent)
        if counts[path.parent] == 1 and path.parent.name
        else str(path.parent / path.name.partition(".xml")[0])
        for path in paths
    ]
    return printable_ids(ids)
