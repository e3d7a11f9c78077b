"""Read a CIF, POSCAR or vasprun as we, pymatgen, ASE and gemmi do, block by block.

Each reader returns for each data block that describes a cell its atoms, or why it has none.
They run in a child process, since any of them may hang, and are handed a plain copy of a
packed file, apart from ours, which unpacks itself.
"""

import logging
import warnings
from collections.abc import Callable, Iterable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from crystalgnn_core.errors import CrystalGNNError, RecordError
from crystalgnn_core.records.checks.structure import checked_structures
from crystalgnn_core.sources.formats.structures import iter_structure_file

CIF, POSCAR, VASPRUN = "CIF", "POSCAR", "vasprun"
_CELL_ENTRIES = ("_cell", "_atom_site")
_FULL = 1e-3  # shares within this of 1 are full


class Atoms(NamedTuple):
    """A crystal: atomic numbers (n,), row vectors (3, 3) and fractions (n, 3)."""

    numbers: Any
    lattice: Any
    coords: Any


Found = Atoms | str  # the atoms, or why there are none


def prepare() -> None:
    """Import all four, and keep them quiet."""
    warnings.simplefilter("ignore")
    logging.disable()
    for name in (
        "ase.io.cif",
        "ase.io.vasp",
        "gemmi",
        "pymatgen.io.cif",
        "pymatgen.io.vasp",
    ):
        import_module(name)


def read_with(reader: str, kind: str, path: str) -> list[Found]:
    """Read a file with one of `READERS`."""
    return READERS[reader](kind, Path(path))


def _ours(kind: str, path: Path) -> list[Found]:
    try:
        records = list(iter_structure_file(path, path.name))
    except CrystalGNNError as error:
        return [f"{type(error).__name__}: {error}"]
    crystals = [record.crystal for record in records]
    found: list[Found] = []
    for record, checked in zip(records, checked_structures(crystals), strict=True):
        if record.error is not None:
            found.append(": ".join(record.error))
        elif isinstance(checked, RecordError):
            found.append(f"{checked.reason}: {checked}")
        else:
            found.append(
                Atoms(checked.atomic_numbers, checked.lattice, checked.frac_coords)
            )
    return found


def _with_pymatgen(kind: str, path: Path) -> list[Found]:
    from pymatgen.io.cif import CifParser
    from pymatgen.io.vasp.inputs import Poscar
    from pymatgen.io.vasp.outputs import Vasprun

    if kind == POSCAR:
        return [_each(lambda: _of_structure(Poscar.from_file(path).structure))]
    if kind == VASPRUN:
        return [_each(lambda: _of_structure(_final_structure(Vasprun, path)))]
    parser: Any = CifParser(path)
    blocks = [data for data in parser._cif.data.values() if _has_cell(data.data)]
    return [_each(lambda: _of_structure(_structure(parser, data))) for data in blocks]  # noqa: B023  called at once


def _structure(parser: Any, data: Any) -> Any:
    structure = parser._get_structure(data, primitive=False, symmetrized=False)
    if structure is None:
        raise ValueError("no structure")
    return structure


def _final_structure(reader: Any, path: Path) -> Any:
    return reader(path, parse_dos=False, parse_potcar_file=False).final_structure


def _of_structure(structure: Any) -> Atoms:
    numbers = []
    for site in structure:
        [(species, share)] = site.species.items()  # more of them are disorder
        if abs(share - 1) > _FULL:
            raise ValueError(f"disordered: {site.species}")
        numbers.append(int(species.Z))
    return Atoms(np.array(numbers), structure.lattice.matrix, structure.frac_coords)


def _with_ase(kind: str, path: Path) -> list[Found]:
    from ase.io import read
    from ase.io.cif import parse_cif

    if kind != CIF:
        name = "vasp" if kind == POSCAR else "vasp-xml"
        return [_each(lambda: _of_atoms(read(path, format=name, index=-1)))]
    with path.open("rb") as file:
        blocks = [block for block in parse_cif(file, reader="ase") if _has_cell(block)]
    return [_each(lambda: _of_atoms(_atoms_of_block(block))) for block in blocks]  # noqa: B023  called at once


def _atoms_of_block(block: Any) -> Any:
    atoms = block.get_atoms(fractional_occupancies=True)
    for shares in atoms.info.get("occupancy", {}).values():
        if len(shares) != 1 or abs(sum(shares.values()) - 1) > _FULL:
            raise ValueError(f"disordered: {shares}")
    return atoms


def _of_atoms(atoms: Any) -> Atoms:
    if not atoms.numbers.all():
        raise ValueError("a site is no element")
    return Atoms(atoms.numbers, np.array(atoms.cell), atoms.get_scaled_positions())


def _with_gemmi(kind: str, path: Path) -> list[Found]:
    if kind != CIF:
        return ["reads no such file"]
    from gemmi import cif

    blocks = [block for block in cif.read(str(path)) if _has_cell(_names_of(block))]
    return [_each(lambda: _of_block(block)) for block in blocks]  # noqa: B023  called at once


def _names_of(block: Any) -> Iterator[str]:
    for item in block:
        if item.pair is not None:
            yield item.pair[0]
        elif item.loop is not None:
            yield item.loop.tags[0]


def _of_block(block: Any) -> Atoms:
    import gemmi

    small = gemmi.make_small_structure_from_block(block)
    sites = small.get_all_unit_cell_sites()
    if not sites:
        raise ValueError("no sites")
    for site in sites:
        if site.element.atomic_number == 0:
            raise ValueError(f"{site.label} is no element")
        if abs(site.occ - 1) > _FULL:
            raise ValueError(f"disordered: {site.label} {site.occ}")
    lattice = np.array(small.cell.orth.mat.tolist()).T
    coords = np.array([site.fract.tolist() for site in sites])
    return Atoms(np.array([s.element.atomic_number for s in sites]), lattice, coords)


def _has_cell(names: Iterable[str]) -> bool:
    return any(name.lower().startswith(_CELL_ENTRIES) for name in names)


def _each(read: Callable[[], Atoms]) -> Found:
    try:
        found = read()
    except MemoryError:
        raise
    except Exception as error:  # noqa: BLE001  readers of others raise anything
        return " ".join(f"{type(error).__name__}: {error}".split())[:200]
    if not np.isfinite(np.r_[np.ravel(found.lattice), np.ravel(found.coords)]).all():
        return "values that are not finite"
    return Atoms(*(np.asarray(array) for array in found))


READERS: dict[str, Callable[[str, Path], list[Found]]] = {
    "ours": _ours,
    "pymatgen": _with_pymatgen,
    "ase": _with_ase,
    "gemmi": _with_gemmi,
}
