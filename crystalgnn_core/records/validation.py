"""Turn what a source read into a row of the record table, or a reject with a reason."""

from __future__ import annotations

import math
import warnings
from collections import Counter
from dataclasses import asdict
from functools import lru_cache
from numbers import Real
from typing import TYPE_CHECKING, Literal, cast

import numpy as np
import pyarrow as pa
from pymatgen.core.composition import Composition
from pymatgen.core.lattice import Lattice
from pymatgen.core.periodic_table import Element
from pymatgen.optimization.neighbors import find_points_in_spheres

from crystalgnn_core.base import digest_of
from crystalgnn_core.errors import RecordError
from crystalgnn_core.records.crystal import structure_digest
from crystalgnn_core.records.schema import (
    SPLITS,
    RejectedRecord,
    RejectReason,
    record_schema,
    reject_schema,
)
from crystalgnn_core.targets import TARGETS, get_target, scheme_column

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

    from crystalgnn_core.records.crystal import Crystal
    from crystalgnn_core.records.schema import RawRecord

MIN_DISTANCE = 0.5  # angstrom; the shortest bond, H2, is 0.74
MIN_VOLUME_PER_ATOM = 1.0  # cubic angstrom; diamond, the densest in atoms, has 5.7
MAX_LATTICE_ENTRY = 1e4  # angstrom; beyond, rounding swamps the cell volume
_DENSE_PAIR_LIMIT = 64  # atoms; up to here the pair matrix is 3 times faster than a search
MISSING_WORDS = frozenset({"", "-", "na", "n/a", "<na>", "nan", "none", "null"})

# pymatgen warns when it first looks up an electronegativity that does not exist (He, Ar),
# which naming a formula does; it remembers the answer, so ask once and discard the warning
with warnings.catch_warnings():
    warnings.simplefilter("ignore", UserWarning)
    for _element in Element:
        _ = _element.X


def validate(
    raw: RawRecord,
    *,
    source: str,
    targets: tuple[str, ...],
    require_labels: Literal["all", "any", "none"],
) -> dict[str, object] | RejectedRecord:
    """Check one record.

    Args:
        raw: What the source read.
        source: Name under which the record is stored.
        targets: Targets for which the source can hold labels; none lifts the requirement.
        require_labels: Whether all, any or none of `targets` must carry a label.

    Returns:
        A row of `record_schema()`, or the reject of the first check that failed.

    Raises:
        ConfigError: The source gave a label of an unknown target.
    """
    try:
        crystal = _checked_crystal(raw)
        labels = _checked_labels(raw)
        _check_requirement(labels, targets, require_labels)
        _check_split(raw.split)
    except RecordError as error:
        return _rejected(raw, source, error)
    return _row(raw, source, crystal, labels)


def records_table(rows: Iterable[Mapping[str, object]]) -> pa.Table:
    """Collect validated rows into a table with `record_schema()`."""
    return pa.Table.from_pylist(list(rows), schema=record_schema())


def rejects_table(rejects: Iterable[RejectedRecord]) -> pa.Table:
    """Collect rejected rows into a table with `reject_schema()`."""
    return pa.Table.from_pylist(
        [asdict(reject) for reject in rejects], schema=reject_schema()
    )


def content_digest(row: Mapping[str, object]) -> str:
    """Name what a row says: structure, labels, schemes, split, run type and licence.

    `last_updated` and `source_version` are left out, so that a new release of a database
    touches only the rows that differ. Missing labels are left out, so that a new target
    in the table of targets leaves old digests as they are.
    """
    names = ["structure_digest", "split", "run_type", "license"]
    for target in TARGETS:
        if row.get(target) is not None:
            names += [target, scheme_column(target)]
    return digest_of({name: row.get(name) for name in names})


def label_value(value: object) -> float | None:
    """Read a label as a source gives it: a number, text that is one, or a missing value.

    Returns:
        The number, possibly infinite, or None for None, NaN and words such as `na`.

    Raises:
        RecordError: `invalid_label`, the value is neither a number nor missing.
    """
    if value is None:
        return None
    if isinstance(value, str):
        value = None if value.strip().lower() in MISSING_WORDS else _number_in(value)
        if value is None:
            return None
    if isinstance(value, bool) or not isinstance(value, Real):
        raise RecordError(
            "invalid_label", f"label {value!r} is not a number; mend the source"
        )
    number = float(value) + 0.0  # -0.0 and 0.0 are the same label
    return None if math.isnan(number) else number


def find_overlap(crystal: Crystal, minimum: float) -> tuple[int, int, float] | None:
    """Find two atoms, periodic images included, that are closer than a distance.

    Exact for any cell with a finite inverse, also with one atom or very skewed.

    Args:
        crystal: The structure.
        minimum: Smallest allowed distance in angstrom.

    Returns:
        Two atom indices (equal for an atom and its own image) and their distance in
        angstrom, the closest pair where several overlap; None if no pair does.
    """
    lattice = crystal.lattice
    coords = crystal.frac_coords - np.floor(crystal.frac_coords)
    inverse = np.linalg.inv(lattice)
    heights = 1.0 / np.linalg.norm(inverse, axis=0)  # between opposite faces
    if heights.min() < 2 * minimum:
        # in a skewed cell near images have large offsets; the reduced cell has small ones
        reduced = np.array(Lattice(lattice).get_lll_reduced_lattice().matrix)
        coords = coords @ lattice @ np.linalg.inv(reduced)
        lattice, coords = reduced, coords - np.floor(coords)
        shortest = float(np.linalg.norm(lattice, axis=1).min())
        if shortest < minimum:
            return 0, 0, shortest
    elif len(coords) <= _DENSE_PAIR_LIMIT:
        return _closest_in_matrix(coords, lattice, minimum)
    return _closest_pair(coords, lattice, minimum)


def _closest_in_matrix(
    coords: NDArray[np.float64], lattice: NDArray[np.float64], minimum: float
) -> tuple[int, int, float] | None:
    """Search all pairs of a cell whose heights are at least twice the minimum.

    There the offset of a pair that overlaps is below one half along each axis, so rounding
    finds its image, and no atom overlaps its own image.
    """
    offset = coords[:, None] - coords[None]
    vector = (offset - np.rint(offset)) @ lattice
    squared = np.einsum("ijk,ijk->ij", vector, vector)
    np.fill_diagonal(squared, np.inf)
    first, second = divmod(int(squared.argmin()), len(coords))
    distance = math.sqrt(squared[first, second])
    return (first, second, distance) if distance < minimum else None


def _closest_pair(
    coords: NDArray[np.float64], lattice: NDArray[np.float64], minimum: float
) -> tuple[int, int, float] | None:
    positions = np.ascontiguousarray(coords @ lattice)
    first, second, image, distance = find_points_in_spheres(
        positions,
        positions,
        r=minimum,
        pbc=np.ones(3, dtype=np.int64),
        lattice=np.ascontiguousarray(lattice),
        tol=1e-8,
    )
    is_pair = (first != second) | (image != 0).any(axis=1)
    is_pair &= distance < minimum
    if not is_pair.any():
        return None
    best = int(np.flatnonzero(is_pair)[distance[is_pair].argmin()])
    return int(first[best]), int(second[best]), float(distance[best])


def _checked_crystal(raw: RawRecord) -> Crystal:
    if raw.error is not None:
        raise RecordError(*raw.error)
    if not raw.material_id.strip():
        raise RecordError("missing_id", "the row has no id; give every row its own id")
    if raw.crystal is None:
        raise RecordError(
            "unreadable_structure", "there is no structure; mend the source row"
        )
    _check_arrays(raw.crystal)
    _check_cell(raw.crystal)
    overlap = find_overlap(raw.crystal, MIN_DISTANCE)
    if overlap is not None:
        first, second, distance = overlap
        whom = f"atom {second}" if first != second else "its own periodic image"
        raise RecordError(
            "overlapping_atoms",
            f"atom {first} is {distance:.3f} angstrom from {whom}, expected at least "
            f"{MIN_DISTANCE}; remove the duplicate or correct the cell",
        )
    return raw.crystal


def _check_arrays(crystal: Crystal) -> None:
    numbers, lattice, coords = crystal
    if numbers.size == 0:
        raise RecordError("no_atoms", "the cell holds no atoms; give at least one site")
    if lattice.shape != (3, 3) or coords.shape != (len(numbers), 3):
        raise RecordError(
            "unreadable_structure",
            f"{len(numbers)} atoms with lattice {lattice.shape} and coordinates "
            f"{coords.shape}, expected (3, 3) and ({len(numbers)}, 3); mend the source row",
        )
    if numbers.min() < 1 or numbers.max() > 118:
        bad = int(np.flatnonzero((numbers < 1) | (numbers > 118))[0])
        raise RecordError(
            "unknown_element",
            f"site {bad} has atomic number {numbers[bad]}, expected 1 to 118; "
            "give every site an element",
        )
    if not (np.isfinite(lattice).all() and np.isfinite(coords).all()):
        raise RecordError(
            "unreadable_structure",
            "lattice or coordinates hold NaN or infinity, expected numbers; mend the file",
        )


def _check_cell(crystal: Crystal) -> None:
    longest = float(np.abs(crystal.lattice).max())
    if longest > MAX_LATTICE_ENTRY:
        raise RecordError(
            "degenerate_cell",
            f"a lattice vector is {longest:.3g} angstrom long, expected at most "
            f"{MAX_LATTICE_ENTRY:g}; check the units of the cell",
        )
    volume = abs(float(np.linalg.det(crystal.lattice))) / len(crystal.atomic_numbers)
    if volume < MIN_VOLUME_PER_ATOM:
        raise RecordError(
            "degenerate_cell",
            f"the cell has {volume:.3g} cubic angstrom an atom, expected at least "
            f"{MIN_VOLUME_PER_ATOM:g}; check the lattice vectors and their units",
        )


def _checked_labels(raw: RawRecord) -> dict[str, float]:
    labels = {}
    for name, given in raw.labels.items():
        target = get_target(name)
        value = label_value(given)
        if value is None:
            continue
        if math.isinf(value):
            raise RecordError(
                "invalid_label",
                f"{name} is {value}, expected a finite number; mend the source",
            )
        if not target.minimum <= value <= target.maximum:
            raise RecordError(
                "implausible_label",
                f"{name} is {value:g} {target.unit}, expected {target.minimum:g} to "
                f"{target.maximum:g}; check the unit",
            )
        if not raw.label_schemes.get(name):
            raise RecordError(
                "invalid_label",
                f"{name} has no label scheme; state how the labels were computed",
            )
        labels[name] = value
    return labels


def _check_requirement(
    labels: Mapping[str, float], targets: tuple[str, ...], require_labels: str
) -> None:
    missing = [name for name in targets if name not in labels]
    if not missing or require_labels == "none":
        return
    if require_labels == "any" and len(missing) < len(targets):
        return
    raise RecordError(
        "missing_label",
        f"no label for {', '.join(missing)}, expected {require_labels} of "
        f"{', '.join(targets)}; supply it or relax require_labels",
    )


def _check_split(split: str | None) -> None:
    if split is not None and split not in SPLITS:
        raise RecordError(
            "invalid_label",
            f"split is {split!r}, expected one of {', '.join(SPLITS)} or none",
        )


def _number_in(text: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise RecordError(
            "invalid_label",
            f"label {text[:40]!r} is not a number; give a number or leave the field empty",
        ) from error


def _rejected(raw: RawRecord, source: str, error: RecordError) -> RejectedRecord:
    name = raw.material_id or "(no id)"
    message = str(error)
    return RejectedRecord(
        source=source,
        material_id=raw.material_id,
        stage="ingest",
        reason=cast("RejectReason", error.reason),
        message=message if message.startswith(name) else f"{name}: {message}",
    )


def _row(
    raw: RawRecord, source: str, crystal: Crystal, labels: Mapping[str, float]
) -> dict[str, object]:
    numbers = crystal.atomic_numbers.tolist()
    formula, chemsys = _names_of(tuple(sorted(Counter(numbers).items())))
    row: dict[str, object] = {
        "source": source,
        "material_id": raw.material_id,
        "formula": formula,
        "chemsys": chemsys,
        "n_sites": len(numbers),
        "atomic_numbers": numbers,
        "lattice": crystal.lattice.ravel().tolist(),
        "frac_coords": crystal.frac_coords.ravel().tolist(),
        "split": raw.split,
        "run_type": raw.run_type,
        "source_version": raw.source_version,
        "last_updated": raw.last_updated,
        "license": raw.license,
        "structure_digest": structure_digest(crystal),
    }
    for name, value in labels.items():
        row[name] = value
        row[scheme_column(name)] = raw.label_schemes[name]
    return row | {"content_digest": content_digest(row)}


@lru_cache(maxsize=50_000)  # naming a composition costs more than all the other checks
def _names_of(counts: tuple[tuple[int, int], ...]) -> tuple[str, str]:
    composition = Composition({Element.from_Z(number): count for number, count in counts})
    return composition.reduced_formula, composition.chemical_system
