"""Count false alarms of the limits on distances and volume, and mistakes that they catch.

Real structures are those of the shared data sets (MP-20, WBM, AFLOW, perov-5, JARVIS), of
the files in the folders that are named, and of the prototypes and minerals that pymatgen
and emmet ship. Broken ones are made of MP-20 as readers and people break them: cut to the
asymmetric unit, read in another unit, with swapped axes, expanded from another origin, and
with operations of hexagonal axes in a rhombohedral cell.

    python -m tests.benchmarks.physics_limits [FOLDER ...]
"""

import argparse
import gzip
import importlib.util
import json
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import spglib
from pymatgen.core.structure import Structure

from crystalgnn_core.errors import CrystalGNNError, RecordError
from crystalgnn_core.records.checks.fast import find_flags
from crystalgnn_core.records.checks.structure import checked_structures
from crystalgnn_core.records.crystal import Crystal, crystal_from_structure, lay_out
from crystalgnn_core.sources.formats.cif.reader import crystals_from_cifs
from crystalgnn_core.sources.formats.structures import iter_structure_file
from deployments.tables import show_line, show_rows
from tests.benchmarks.scan_readers import files_of
from tests.paths import DATA

TABLES = ("mp20", "wbm_candidates", "aflow_elastic", "perov5_val")
PROTOTYPES = {  # JSON of structures in installed packages
    "pymatgen": "analysis/prototypes/aflow_prototypes.json.gz",
    "emmet.core": "featurization/robocrys/condense/mineral_db.json.gz",
}
N_BROKEN, BOHR = 1500, 0.529177
TRIGONAL_R = (146, 148, 155, 160, 161, 166, 167)
SHIFT = np.full(3, 0.125)
MERGED = 0.1  # angstrom; images of one site


def run() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", nargs="*", type=Path, metavar="FOLDER")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    sets = {name: of_table(name) for name in TABLES if (DATA / f"{name}.parquet").exists()}
    rows = {name: list(named.values()) for name, named in sets.items()}
    real = sets | {"JARVIS-DFT": of_file(DATA / "jarvis_dft3d_subset.json.gz")}
    real |= {f"{name}: prototypes": of_package(name) for name in PROTOTYPES}
    real |= {f"files in {folder}": of_folder(folder) for folder in options.folders}
    columns: tuple[str, ...] = (
        "structures",
        "#n",
        "#refused",
        "#flagged",
        "#per 1,000",
        "which",
    )
    show_rows(
        "Real structures", columns, [count(*each) for each in real.items() if each[1]]
    )
    if "mp20" in rows:
        columns = (
            "MP-20, broken",
            "#n",
            "#refused",
            "#of these by 0.5 A alone",
            "#flagged",
        )
        show_rows("Broken structures", columns, count_broken(rows["mp20"]))


def count(name: str, named: dict[str, Crystal]) -> tuple[str, ...]:
    """Return a row of the table of false alarms."""
    verdicts = judge(list(named.values()))
    refused = [key for key, verdict in zip(named, verdicts, strict=True) if verdict == "no"]
    flagged = [
        key for key, verdict in zip(named, verdicts, strict=True) if verdict == "flag"
    ]
    for key in refused:
        show_line(f"refused in {name}: {key}: {checked_structures([named[key]])[0]}")
    rate = 1000 * (len(refused) + len(flagged)) / len(named)
    shown = ", ".join(flagged[:6])
    n, n_refused, n_flagged = len(named), len(refused), len(flagged)
    return name, f"{n:,}", str(n_refused), str(n_flagged), f"{rate:.2f}", shown


def judge(crystals: list[Crystal]) -> list[str]:
    """Return for each crystal `no`, `flag` or `ok`."""
    checked = checked_structures(crystals)
    kept = [one for one in checked if isinstance(one, Crystal)]
    flags = iter(find_flags(lay_out(kept)))
    return [
        "no" if isinstance(one, RecordError) else "flag" if next(flags) else "ok"
        for one in checked
    ]


def count_broken(crystals: list[Crystal]) -> Iterator[tuple[str, ...]]:
    """Yield the rows of the table of broken structures."""
    random = np.random.default_rng(0)
    chosen = [crystals[i] for i in random.permutation(len(crystals))[:N_BROKEN]]
    for name, spoil in BROKEN.items():
        broken = [one for crystal in chosen if (one := spoil(crystal)) is not None]
        counts = Counter(judge(broken))
        n_old = sum(map(was_refused, broken))
        shares = (counts["no"], n_old, counts["flag"])
        yield name, str(len(broken)), *(f"{100 * n / len(broken):.0f} %" for n in shares)


def was_refused(crystal: Crystal) -> bool:
    """Return whether the limits without elements refuse: 0.5 A, 1 and 1000 A^3 an atom."""
    volume = abs(np.linalg.det(crystal.lattice)) / len(crystal.atomic_numbers)
    structure = Structure(
        crystal.lattice, crystal.atomic_numbers.tolist(), crystal.frac_coords
    )
    return not 1 <= volume <= 1000 or not structure.is_valid(tol=0.5)


def standard_cell(crystal: Crystal) -> tuple[Crystal, Any] | None:
    """Return the conventional cell and its symmetry."""
    found = symmetry_of(crystal)
    if found is None:
        return None
    numbers = np.asarray(found.std_types, np.int16)
    standard = Crystal(numbers, found.std_lattice, found.std_positions)
    symmetry = symmetry_of(standard)
    return None if symmetry is None else (standard, symmetry)


def symmetry_of(crystal: Crystal) -> Any:
    """Return what spglib finds."""
    cell: Any = (crystal.lattice, crystal.frac_coords, crystal.atomic_numbers)
    return spglib.get_symmetry_dataset(cell, symprec=0.01)


def asymmetric_unit(crystal: Crystal) -> Crystal | None:
    """Keep one atom of each orbit of the conventional cell, as without operations."""
    if (found := standard_cell(crystal)) is None:
        return None
    standard, symmetry = found
    first = np.unique(symmetry.equivalent_atoms)
    if len(first) == len(standard.atomic_numbers):
        return None
    return Crystal(
        standard.atomic_numbers[first], standard.lattice, standard.frac_coords[first]
    )


def other_origin(crystal: Crystal) -> Crystal | None:
    """Expand the asymmetric unit from an origin that is an eighth off along each axis."""
    found, unit = standard_cell(crystal), asymmetric_unit(crystal)
    if found is None or unit is None:
        return None
    moved = expand(unit._replace(frac_coords=unit.frac_coords + SHIFT), found[1])
    return moved if len(moved.atomic_numbers) != len(found[0].atomic_numbers) else None


def hexagonal_in_rhombohedral(crystal: Crystal) -> Crystal | None:
    """Apply operations of hexagonal axes to the atoms of a rhombohedral cell."""
    found = standard_cell(crystal)
    if found is None or found[1].number not in TRIGONAL_R:
        return None
    standard, symmetry = found
    cell: Any = (standard.lattice, standard.frac_coords, standard.atomic_numbers)
    primitive: Any = spglib.find_primitive(cell)
    if primitive is None:
        return None
    lattice, coords, numbers = primitive
    return expand(Crystal(np.asarray(numbers, np.int16), lattice, coords), symmetry)


def expand(crystal: Crystal, symmetry: Any) -> Crystal:
    """Apply operations, and merge what falls on one place."""
    operations = zip(symmetry.rotations, symmetry.translations, strict=True)
    images = [crystal.frac_coords @ rotation.T + shift for rotation, shift in operations]
    numbers = np.tile(crystal.atomic_numbers, len(images))
    coords = np.concatenate(images) % 1
    kept: list[int] = []
    for index in range(len(coords)):
        offset = coords[kept] - coords[index]
        near = np.linalg.norm((offset - np.rint(offset)) @ crystal.lattice, axis=1) < MERGED
        if not near.any():
            kept.append(index)
    return Crystal(numbers[kept], crystal.lattice, coords[kept])


def swapped_axes(crystal: Crystal) -> Crystal | None:
    """Exchange the lengths of the second and third axis, and keep the coordinates."""
    if (found := standard_cell(crystal)) is None:
        return None
    lengths = np.linalg.norm(found[0].lattice, axis=1)
    if abs(lengths[1] - lengths[2]) < 0.3:
        return None
    return found[0]._replace(
        lattice=found[0].lattice * (lengths[[0, 2, 1]] / lengths)[:, None]
    )


def scaled(factor: float) -> Callable[[Crystal], Crystal]:
    """Return what multiplies all lengths."""
    return lambda crystal: crystal._replace(lattice=crystal.lattice * factor)


BROKEN: dict[str, Callable[[Crystal], Crystal | None]] = {
    "cut to the asymmetric unit": asymmetric_unit,
    "operations from another origin": other_origin,
    "hexagonal operations in a rhombohedral cell": hexagonal_in_rhombohedral,
    "axes b and c swapped": swapped_axes,
    "angstrom read as nanometres": scaled(10.0),
    "nanometres read as angstrom": scaled(0.1),
    "angstrom read as bohr": scaled(BOHR),
    "bohr read as angstrom": scaled(1 / BOHR),
    "Cartesian coordinates read as fractions": lambda crystal: crystal._replace(
        frac_coords=crystal.frac_coords @ crystal.lattice
    ),
    "fractions read as Cartesian coordinates": lambda crystal: crystal._replace(
        frac_coords=crystal.frac_coords @ np.linalg.inv(crystal.lattice)
    ),
}


def of_table(name: str) -> dict[str, Crystal]:
    """Read the CIFs of a shared table."""
    texts = pq.read_table(DATA / f"{name}.parquet", columns=["cif"])["cif"].to_pylist()
    return kept_of((f"row {n}", one) for n, one in enumerate(crystals_from_cifs(texts)))


def of_file(path: Path) -> dict[str, Crystal]:
    """Read a structure file, if it is there."""
    if not path.exists():
        return {}
    try:
        return kept_of((raw.material_id, raw.crystal) for raw in iter_structure_file(path))
    except CrystalGNNError:
        return {}


def of_folder(folder: Path) -> dict[str, Crystal]:
    """Read every CIF, POSCAR and vasprun of a folder."""
    return {
        f"{name} {key}": crystal
        for name, path in files_of(folder, 1)
        for key, crystal in of_file(path).items()
    }


def of_package(package: str) -> dict[str, Crystal]:
    """Read the structures in a JSON file of an installed package."""
    spec = importlib.util.find_spec(package)
    folders = [] if spec is None else spec.submodule_search_locations or []
    found: dict[str, Crystal] = {}
    for path in (Path(folder, PROTOTYPES[package]) for folder in folders):
        if path.exists():
            tree = json.loads(gzip.decompress(path.read_bytes()))
            structures = map(Structure.from_dict, structures_in(tree))
            found |= kept_of(
                (f"{n} {one.formula}", crystal_from_structure(one))
                for n, one in enumerate(structures)
                if one.is_ordered and all(hasattr(s.specie, "Z") for s in one)
            )
    return found


def structures_in(tree: Any) -> Iterator[dict[str, Any]]:
    """Yield every pymatgen structure of a JSON tree."""
    members = tree.values() if isinstance(tree, dict) else tree
    if isinstance(tree, dict) and "lattice" in tree and "sites" in tree:
        yield tree
    elif isinstance(tree, dict | list):
        for member in members:
            yield from structures_in(member)


def kept_of(pairs: Iterable[tuple[str, Any]]) -> dict[str, Crystal]:
    """Return the crystals among what was read."""
    return {key: one for key, one in pairs if isinstance(one, Crystal)}


if __name__ == "__main__":
    run()
