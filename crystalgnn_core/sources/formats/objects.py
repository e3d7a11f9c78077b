"""Turn structure objects of several packages, and texts of them, into crystals."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from crystalgnn_core.errors import InputError, RecordError
from crystalgnn_core.records.crystal import (
    OCCUPANCY_TOLERANCE,
    Crystal,
    check_periodic,
    crystal_from_structure,
)
from crystalgnn_core.sources.formats.json_text import DuplicateKeyError, load_structure
from crystalgnn_core.sources.formats.parsing import (
    atomic_number_of,
    describe_cause,
    parsing,
    unreadable,
)

if TYPE_CHECKING:
    from ase import Atoms
    from numpy.typing import NDArray

_OF_ASE = {"numbers", "positions", "cell"}  # keys of what `Atoms.todict` returns
_SINGULAR_CELL = 1e-8  # cubic angstrom


def crystal_from_any(obj: object) -> Crystal:
    """Convert a structure object of any supported package.

    Args:
        obj: A `Crystal`, a pymatgen `Structure` or its dictionary, a periodic ASE `Atoms`,
            a jarvis-tools `Atoms`, the dictionary of either, or a JARVIS record with an
            `atoms` key.

    Raises:
        InputError: The object is of another type.
        RecordError: The object holds no usable structure.
    """
    if isinstance(obj, Crystal):
        return obj
    if isinstance(obj, Mapping):
        return _crystal_from_mapping(obj)
    if hasattr(obj, "lattice_mat") and hasattr(obj, "to_dict"):
        return _crystal_from_jarvis(obj.to_dict())
    if hasattr(obj, "positions") and hasattr(obj, "pbc"):
        return _crystal_from_ase(cast("Atoms", obj))
    from pymatgen.core.structure import Structure

    if isinstance(obj, Structure):
        return crystal_from_structure(obj)
    raise InputError(
        f"cannot read a crystal from {type(obj).__name__}; "
        "expected a pymatgen Structure, ASE Atoms, JARVIS atoms or a Crystal"
    )


def is_json(text: str) -> bool:
    """Say whether a table cell holds JSON; otherwise it is a CIF."""
    return text.lstrip().startswith("{")


def crystal_from_json(text: str) -> Crystal:
    """Read the JSON of a pymatgen structure or of JARVIS atoms.

    Raises:
        RecordError: The text holds no usable structure.
    """
    try:
        value = load_structure(text)
    except DuplicateKeyError as error:
        raise unreadable(str(error)) from error
    except (ValueError, RecursionError) as error:
        written = "a Python dictionary, expected JSON; write it with json.dumps"
        is_python = text.lstrip().startswith("{'")
        cause = written if is_python else f"not valid JSON ({describe_cause(error)})"
        raise unreadable(cause) from error
    return _crystal_from_mapping(value)


def is_structure(value: object) -> bool:
    """Return whether this is the dictionary of a structure of pymatgen, JARVIS or ASE."""
    if not isinstance(value, Mapping):
        return False
    if "lattice_mat" in value or ("sites" in value and "lattice" in value):
        return True
    return _is_of_ase(value)


def _is_of_ase(value: Mapping[str, Any]) -> bool:
    return value.keys() >= _OF_ASE or "atoms_json" in value


def _crystal_from_mapping(value: Mapping[str, Any]) -> Crystal:
    if "sites" in value and "lattice" in value:
        return crystal_from_pymatgen_dict(value)
    if "lattice_mat" in value:
        return _crystal_from_jarvis(value)
    if _is_of_ase(value):
        return _crystal_from_ase_dict(value)
    for key in ("structure", "atoms"):
        if isinstance(value.get(key), Mapping):
            return _crystal_from_mapping(value[key])
    keys = ", ".join(str(key) for key in list(value)[:6]) or "none"
    raise unreadable(
        f"keys {keys} describe no structure; expected those of a pymatgen Structure "
        "(lattice, sites) or of JARVIS atoms (lattice_mat, coords, elements)"
    )


def crystal_from_pymatgen_dict(value: Mapping[str, Any]) -> Crystal:
    """Read the dictionary of a pymatgen structure, as pymatgen does but 8 times faster.

    What is not written as pymatgen writes it today is left to pymatgen.

    Raises:
        RecordError: The dictionary holds no usable structure.
    """
    try:
        lattice = np.array(value["lattice"]["matrix"], dtype=np.float64)
        lattice = lattice.reshape(3, 3) if lattice.shape == (9,) else lattice
        check_periodic(value["lattice"].get("pbc"))
        sites = value["sites"]
        coords = np.array([site["abc"] for site in sites], dtype=np.float64)
        species = [site["species"] for site in sites]
        elements = [
            [(str(kind["element"]), float(kind["occu"])) for kind in site]
            for site in species
        ]
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError):
        from pymatgen.core.structure import Structure

        with parsing("a pymatgen structure"):
            return crystal_from_structure(Structure.from_dict(dict(value)))
    numbers = [_sole_element(index, site) for index, site in enumerate(elements)]
    # other shapes are for the checks to name
    return Crystal(np.array(numbers, dtype=np.int16), lattice, coords)


def _sole_element(index: int, species: list[tuple[str, float]]) -> int:
    total = species[0][1] if len(species) == 1 else math.nan
    symbols = {symbol for symbol, share in species if share}
    if len(symbols) == 1 < len(species):  # others have no share, or an element two valences
        total = sum(share for _, share in species)
        species = [(symbols.pop(), total)]
    if not abs(total - 1.0) <= OCCUPANCY_TOLERANCE:
        shares = " ".join(f"{symbol}{share:g}" for symbol, share in species)
        raise RecordError(
            "disordered_site",
            f"site {index} is occupied by {shares or 'nothing'}; "
            "order the structure (one full species a site) first",
        )
    return atomic_number_of(species[0][0])


def _crystal_from_jarvis(atoms: Mapping[str, Any]) -> Crystal:
    try:
        lattice = _vectors_in(atoms, "lattice_mat")
        coords = _vectors_in(atoms, "coords")
        symbols = [str(symbol) for symbol in atoms["elements"]]
        is_cartesian = atoms.get("cartesian", False)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise unreadable(f"not JARVIS atoms ({describe_cause(error)})") from error
    if not isinstance(is_cartesian, int) or is_cartesian not in (0, 1):
        raise unreadable(f"cartesian is {is_cartesian!r}, expected true or false")
    if len(symbols) != len(coords):
        raise unreadable(f"{len(symbols)} elements but {len(coords)} coordinates")
    numbers = np.array([atomic_number_of(symbol) for symbol in symbols], dtype=np.int16)
    return Crystal(
        numbers, lattice, fractional_coords(lattice, coords) if is_cartesian else coords
    )


def _vectors_in(atoms: Mapping[str, Any], key: str) -> NDArray[np.float64]:
    """Return vectors of three numbers, which may be written one after another."""
    found = np.array(atoms[key], dtype=np.float64)
    vectors = found.reshape(-1, 3) if found.ndim == 1 else found
    n_needed = 3 if key == "lattice_mat" else len(vectors)
    if vectors.shape != (n_needed, 3):
        shape = " x ".join(map(str, found.shape))
        raise unreadable(f"{key} has the shape {shape}, expected vectors of three numbers")
    return vectors


def _crystal_from_ase_dict(value: Mapping[str, Any]) -> Crystal:
    from ase import Atoms
    from ase.io import jsonio

    decode: Any = jsonio.decode  # neither is typed
    encode: Any = jsonio.encode
    with parsing("atoms of ASE"):
        found = decode(value["atoms_json"] if "atoms_json" in value else encode(value))
        if isinstance(found, dict):
            keys = ("numbers", "positions", "cell", "pbc", "info")
            found = Atoms(
                **{"pbc": True} | {key: found[key] for key in keys if key in found}
            )
    return _crystal_from_ase(found)


def _crystal_from_ase(atoms: Atoms) -> Crystal:
    check_periodic(atoms.pbc.tolist())
    lattice = np.array(atoms.cell.array, dtype=np.float64)
    coords = fractional_coords(lattice, np.array(atoms.positions, dtype=np.float64))
    for site, species in atoms.info.get("occupancy", {}).items():
        if len(species) > 1 or any(abs(share - 1.0) > 1e-6 for share in species.values()):
            raise RecordError(
                "disordered_site",
                f"site kind {site} is occupied by {species}; order the structure first",
            )
    numbers = np.array(atoms.numbers, dtype=np.int16)
    return Crystal(numbers, lattice, coords)


def fractional_coords(
    lattice: NDArray[np.float64], positions: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Convert Cartesian coordinates.

    Args:
        lattice: Row vectors in angstrom, shape (3, 3).
        positions: In angstrom, shape (n_atoms, 3).

    Returns:
        Fractional coordinates, shape (n_atoms, 3).

    Raises:
        RecordError: `degenerate_cell`, or `unreadable_structure` for what is no number.
    """
    if not (np.isfinite(lattice).all() and np.isfinite(positions).all()):
        raise unreadable(
            "lattice or coordinates hold NaN or infinity, expected numbers; fix the source"
        )
    volume = abs(float(np.linalg.det(lattice)))
    if not volume > _SINGULAR_CELL:
        raise RecordError(
            "degenerate_cell",
            f"the cell volume is {volume:.3g} cubic angstrom; give a cell",
        )
    return np.asarray(positions @ np.linalg.inv(lattice), dtype=np.float64)
