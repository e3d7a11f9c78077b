"""CIFs as other programs read them, and texts of CIFs, for the tests of our reader."""

from __future__ import annotations

from typing import Any, NamedTuple

import gemmi
import numpy as np
from pymatgen.io.cif import CifParser

from crystalgnn_core.errors import RecordError
from crystalgnn_core.records.crystal import Crystal, crystal_from_structure
from crystalgnn_core.sources.formats.cif.reader import crystals_from_cifs
from crystalgnn_core.sources.formats.parsing import parsing

ANGLES = ("alpha", "beta", "gamma")
COLUMNS = ("label", "type_symbol", "fract_x", "fract_y", "fract_z")
SALT = ("Na1 Na 0 0 0", "Cl1 Cl 0.5 0.5 0.5")
CUBE = (5.6402, 5.6402, 5.6402, 90, 90, 90)


class Case(NamedTuple):
    """A text, and the atoms of its cell by atomic number or the reason of its refusal."""

    origin: str
    text: str
    expected: dict[int, int] | str


def check_case(case: Case) -> None:
    """Compare what is read with what is expected."""
    [found] = crystals_from_cifs([case.text])
    if isinstance(found, RecordError):
        assert found.reason == case.expected, f"{case.origin}: {found}"
        assert "\n" not in str(found)
    else:
        assert counts_of(found) == case.expected, case.origin


def listed(symbol: str) -> list[str]:
    """Write the operations of a group."""
    return [op.triplet() for op in gemmi.SpaceGroup(symbol).operations()]


def rows(element: str, *places: str) -> list[str]:
    """Write sites of one element."""
    return [f"{element}{i} {element} {place}" for i, place in enumerate(places, start=1)]


def crystal_with_pymatgen(text: str) -> Crystal:
    """Read a CIF with pymatgen, which checks nothing."""
    with parsing("a readable CIF"):
        parser = CifParser.from_str(text, check_cif=False)
        [structure] = parser.parse_structures(primitive=False, on_error="raise")
    return crystal_from_structure(structure)


def cif_text(
    *sites: str,
    cell: Any = CUBE,
    columns: Any = COLUMNS,
    operations: Any = None,
    **entries: Any,
) -> str:
    """Write a CIF: entries `symbol`, `hall`, `number`, `formula`, `z`, `density`.

    Args:
        sites: Rows, values between spaces; NaCl without any.
        cell: Lengths and angles.
        columns: Names behind `_atom_site_`.
        operations: Such as `-x,y,z`; none are listed without.
        entries: What else is stated, None for nothing.
    """
    names = {
        "symbol": "_symmetry_space_group_name_H-M",
        "hall": "_symmetry_space_group_name_Hall",
        "number": "_symmetry_Int_Tables_number",
        "formula": "_chemical_formula_sum",
        "z": "_cell_formula_units_Z",
        "density": "_exptl_crystal_density_diffrn",
    }
    lines = ["data_x"]
    pairs = zip((*"abc", *ANGLES), cell, strict=True)
    lines += [
        f"_cell_{'length' if name in 'abc' else 'angle'}_{name} {value}"
        for name, value in pairs
    ]
    for name, value in entries.items():
        if value is not None:
            quote = '"' if "'" in str(value) else "'"
            lines.append(f"{names.get(name, f'_{name}')} {quote}{value}{quote}")
    if operations is not None:
        lines += ["loop_", "_symmetry_equiv_pos_as_xyz", *(f"'{op}'" for op in operations)]
    lines += ["loop_", *(f"_atom_site_{name}" for name in columns), *(sites or SALT)]
    return "\n".join([*lines, ""])


def counts_of(crystal: Crystal) -> dict[int, int]:
    """Count the atoms by atomic number."""
    numbers, counts = np.unique(crystal.atomic_numbers, return_counts=True)
    return dict(zip(numbers.tolist(), counts.tolist(), strict=True))


def are_same_atoms(crystal: Crystal, numbers: list[int], places: np.ndarray) -> bool:
    """Return whether a crystal has exactly these atoms, in any order."""
    if len(crystal.atomic_numbers) != len(numbers):
        return False
    offsets = crystal.frac_coords[:, None] - places
    offsets -= np.rint(offsets)
    is_near = np.abs(offsets).max(axis=2) < 1e-5
    is_near &= crystal.atomic_numbers[:, None] == np.array(numbers)
    return bool((is_near.sum(axis=0) == 1).all() and (is_near.sum(axis=1) == 1).all())
