"""Turn objects and texts into crystals: pymatgen, ASE, JARVIS, CIF, POSCAR, JSON."""

from __future__ import annotations

import json
import re
import threading
import warnings
from collections import Counter
from collections.abc import Mapping
from itertools import takewhile
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from pymatgen.core.composition import Composition
from pymatgen.core.periodic_table import Element
from pymatgen.core.structure import Structure
from pymatgen.io.cif import CifParser
from pymatgen.io.vasp.inputs import BadPoscarWarning, Poscar

from crystalgnn_core.errors import InputError, RecordError
from crystalgnn_core.records.crystal import Crystal, composition_of, crystal_from_structure

if TYPE_CHECKING:
    from ase import Atoms
    from numpy.typing import NDArray

# pymatgen indexes and converts as it reads, so damaged text surfaces as any of these;
# its POSCAR reader also raises a warning class. OSError and MemoryError pass through.
PARSER_ERRORS = (
    ArithmeticError,
    AttributeError,
    LookupError,
    RuntimeError,
    TypeError,
    ValueError,
    BadPoscarWarning,
)
_CIF_COORDINATES = tuple(f"_atom_site_fract_{axis}" for axis in "xyz")
_SINGULAR_CELL = 1e-8  # cubic angstrom
_parse_lock = threading.Lock()  # catch_warnings swaps state that all threads share


def crystal_from_any(obj: object) -> Crystal:
    """Convert a structure object of any supported package.

    Args:
        obj: A `Crystal`, a pymatgen `Structure` or its dictionary, a periodic ASE `Atoms`,
            a jarvis-tools `Atoms`, its dictionary, or a JARVIS record with an `atoms` key.

    Raises:
        InputError: The object is of another type.
        RecordError: The object holds no usable structure.
    """
    if isinstance(obj, Crystal):
        return obj
    if isinstance(obj, Structure):
        return crystal_from_structure(obj)
    if isinstance(obj, Mapping):
        return _crystal_from_mapping(obj)
    if hasattr(obj, "lattice_mat") and hasattr(obj, "to_dict"):
        return _crystal_from_jarvis(obj.to_dict())
    if hasattr(obj, "positions") and hasattr(obj, "pbc"):
        return _crystal_from_ase(cast("Atoms", obj))
    raise InputError(
        f"cannot read a crystal from {type(obj).__name__}; "
        "expected a pymatgen Structure, ASE Atoms, JARVIS atoms or a Crystal"
    )


def cif_blocks(text: str) -> list[str]:
    """Split a CIF into its data blocks that describe a cell; mere texts are left out."""
    blocks = re.split(r"^\s*data_", f"\n{text}", flags=re.MULTILINE | re.IGNORECASE)[1:]
    has_cell = re.compile(r"^\s*_(cell|atom_site)_", re.MULTILINE | re.IGNORECASE)
    return [f"data_{block}" for block in blocks if has_cell.search(block)]


def crystal_from_cif(text: str) -> Crystal:
    """Read a CIF that describes one crystal, the cell as given.

    Raises:
        RecordError: The text is damaged, holds no or several structures, or its sites do
            not add up to the formula it states.
    """
    blocks = cif_blocks(text)
    if len(blocks) != 1:
        raise _unreadable(f"{len(blocks)} CIF data blocks describe a cell, expected one")
    try:
        with _parse_lock, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            parser = CifParser.from_str(blocks[0], check_cif=False)
            data: Mapping[str, Any] = next(iter(parser.as_dict().values()), {})
            _check_cif_sites(data)
            structure = parser.parse_structures(primitive=False, on_error="raise")[0]
    except PARSER_ERRORS as error:
        raise _unreadable(f"not a readable CIF ({_cause(error)})") from error
    crystal = crystal_from_structure(structure)
    _check_cif_formula(data.get("_chemical_formula_sum"), crystal)
    return crystal


def crystal_from_poscar(text: str) -> Crystal:
    """Read a POSCAR or CONTCAR.

    Raises:
        RecordError: The text is damaged, names no elements, or lists more or fewer
            coordinates than it counts.
    """
    try:
        with _parse_lock, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            poscar = Poscar.from_str(text, read_velocities=False)
    except PARSER_ERRORS as error:
        raise _unreadable(f"not a readable POSCAR ({_cause(error)})") from error
    if not poscar.true_names:
        raise _unreadable("the POSCAR names no elements; add the line of element symbols")
    n_atoms, n_lines = len(poscar.structure), _count_coordinate_lines(text)
    if n_lines is not None and n_lines != n_atoms:
        raise _unreadable(
            f"the POSCAR counts {n_atoms} atoms but lists {n_lines} coordinates; correct it"
        )
    return crystal_from_structure(poscar.structure)


def crystal_from_text(text: str) -> Crystal:
    """Read a table cell: JSON of a structure if it starts with a brace, otherwise CIF.

    Raises:
        RecordError: The text holds no usable structure.
    """
    if not text.lstrip().startswith("{"):
        return crystal_from_cif(text)
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _unreadable(f"not valid JSON ({_cause(error)})") from error
    return _crystal_from_mapping(value)


def _crystal_from_mapping(value: Mapping[str, Any]) -> Crystal:
    if isinstance(value.get("atoms"), Mapping):
        return _crystal_from_mapping(value["atoms"])
    if "lattice_mat" in value:
        return _crystal_from_jarvis(value)
    if "sites" in value and "lattice" in value:
        try:
            return crystal_from_structure(Structure.from_dict(dict(value)))
        except PARSER_ERRORS as error:
            raise _unreadable(f"not a pymatgen structure ({_cause(error)})") from error
    keys = ", ".join(str(key) for key in list(value)[:6]) or "none"
    raise _unreadable(
        f"keys {keys} describe no structure; expected those of a pymatgen Structure "
        "(lattice, sites) or of JARVIS atoms (lattice_mat, coords, elements)"
    )


def _crystal_from_jarvis(atoms: Mapping[str, Any]) -> Crystal:
    try:
        lattice: NDArray[np.float64] = np.array(atoms["lattice_mat"], dtype=np.float64)
        lattice = lattice.reshape(3, 3)
        coords: NDArray[np.float64] = np.array(atoms["coords"], dtype=np.float64)
        coords = coords.reshape(-1, 3)
        symbols = [str(symbol) for symbol in atoms["elements"]]
        is_cartesian = bool(atoms.get("cartesian", False))
    except (KeyError, TypeError, ValueError) as error:
        raise _unreadable(f"not JARVIS atoms ({_cause(error)})") from error
    if len(symbols) != len(coords):
        raise _unreadable(f"{len(symbols)} elements but {len(coords)} coordinates")
    numbers = np.array([_number_of(symbol) for symbol in symbols], dtype=np.int16)
    return Crystal(
        numbers, lattice, _fractional(lattice, coords) if is_cartesian else coords
    )


def _crystal_from_ase(atoms: Atoms) -> Crystal:
    if not all(atoms.pbc):
        raise _unreadable(
            f"pbc is {atoms.pbc.tolist()}, expected a cell that is periodic along all axes"
        )
    lattice = np.array(atoms.cell.array, dtype=np.float64)
    coords = _fractional(lattice, np.array(atoms.positions, dtype=np.float64))
    for site, species in atoms.info.get("occupancy", {}).items():
        if len(species) > 1 or any(abs(share - 1.0) > 1e-6 for share in species.values()):
            raise RecordError(
                "disordered_site",
                f"site kind {site} is occupied by {species}; order the structure first",
            )
    numbers = np.array(atoms.numbers, dtype=np.int16)
    return Crystal(numbers, lattice, coords)


def _fractional(
    lattice: NDArray[np.float64], positions: NDArray[np.float64]
) -> NDArray[np.float64]:
    volume = abs(float(np.linalg.det(lattice)))
    if not volume > _SINGULAR_CELL:
        raise RecordError(
            "degenerate_cell",
            f"the cell volume is {volume:.3g} cubic angstrom; give a cell",
        )
    return np.asarray(positions @ np.linalg.inv(lattice), dtype=np.float64)


def _number_of(symbol: str) -> int:
    if not Element.is_valid_symbol(symbol):
        raise RecordError("unknown_element", f"{symbol!r} is no element symbol")
    return int(Element(symbol).Z)


def _check_cif_sites(data: Mapping[str, Any]) -> None:
    """Refuse what pymatgen misreads: a dot as zero, a lone site letter by letter."""
    if isinstance(data.get("_atom_site_label"), str):
        raise ValueError("the atom site stands outside a loop")
    for key in (*_CIF_COORDINATES, "_atom_site_occupancy"):
        if "." in data.get(key, ()):
            raise ValueError(f"a site has no {key.removeprefix('_atom_site_')}")


def _check_cif_formula(stated: object, crystal: Crystal) -> None:
    """Refuse sites that are no whole multiple of the stated formula: some got lost.

    A file that was cut between two lines parses well, as does one without its hydrogens.
    """
    formula = _whole_formula(str(stated))
    if not formula:
        return
    found = Counter(crystal.atomic_numbers.tolist())
    units, rest = divmod(found.total(), formula.total())
    is_whole = units > 0 and rest == 0
    if not is_whole or any(found[z] != units * count for z, count in formula.items()):
        raise _unreadable(
            f"the sites add up to {composition_of(crystal).formula}, but the CIF states "
            f"{stated}; restore the missing sites or correct _chemical_formula_sum"
        )


def _whole_formula(text: str) -> Counter[int]:
    """Read a formula as counts by atomic number; empty unless all are whole numbers."""
    counts: Counter[int] = Counter()
    try:
        amounts = Composition(text).get_el_amt_dict()
        for symbol, amount in amounts.items():  # deuterium and hydrogen add up
            counts[_number_of(symbol)] += round(amount)
    except (ValueError, RecordError):
        return Counter()
    return (
        counts if all(amount == round(amount) for amount in amounts.values()) else Counter()
    )


def _count_coordinate_lines(text: str) -> int | None:
    """Count the coordinate lines of a POSCAR; None if its mode line cannot be found."""
    lines = [line.split() for line in text.splitlines()]
    for index in range(6, len(lines)):
        mode, before = lines[index], lines[index - 1]
        if not mode or not before or mode[0][0] not in "cCkKdD":
            continue
        if all(word.isdigit() for word in before) or before[0][0] in "sS":
            return sum(1 for _ in takewhile(_is_coordinates, lines[index + 1 :]))
    return None


def _is_coordinates(words: list[str]) -> bool:
    try:
        return len([float(word) for word in words[:3]]) == 3
    except ValueError:
        return False


def _unreadable(message: str) -> RecordError:
    return RecordError("unreadable_structure", message)


def _cause(error: BaseException) -> str:
    """Describe an error in one line, pymatgen's wrappers removed."""
    error = error.__cause__ or error
    first = (str(error).splitlines() or [""])[0][:200]
    return f"{type(error).__name__}: {first}"
