from __future__ import annotations

import re

import numpy as np
import pytest
from pymatgen.core.structure import Structure

from crystalgnn_core.sources.formats.poscar import crystal_from_poscar

SALT = Structure.from_spacegroup(
    "Fm-3m", np.eye(3) * 5.64, ["Na", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]]
)
SALT_POSCAR = SALT.to(fmt="poscar")


def test_poscar_is_read():
    crystal = crystal_from_poscar(SALT_POSCAR)
    assert crystal.atomic_numbers.tolist() == list(SALT.atomic_numbers)
    np.testing.assert_allclose(crystal.lattice, SALT.lattice.matrix, atol=1e-12)
    np.testing.assert_allclose(crystal.frac_coords, SALT.frac_coords, atol=1e-12)
    cadmium = Structure(
        np.eye(3) * 5, ["Cd", "Co", "K"], [[0.0] * 3, [0.5] * 3, [0.5, 0, 0]]
    )
    text = cadmium.to(fmt="poscar").replace("direct", "Selective dynamics\nDirect")
    assert crystal_from_poscar(text).atomic_numbers.tolist() == [48, 27, 19]


POSCAR_FAULTS = {
    "empty": "",
    "one line": "NaCl",
    "more counted than listed": SALT_POSCAR.replace("\n4 4\n", "\n4 5\n"),
    "counts that fill the memory": SALT_POSCAR.replace("\n4 4\n", "\n4 99999999999\n"),
    "more listed than counted": SALT_POSCAR.replace("\n4 4\n", "\n4 3\n"),
    "no elements": re.sub(" ?(Na|Cl)", "", SALT_POSCAR).replace("\n\n", "\n"),
    "two numbers in a lattice row": re.sub(
        r"^ +(\S+ +\S+).*", r"\1", SALT_POSCAR, flags=re.M
    ),
    "binary junk": bytes(range(256)).decode("latin-1") * 20,
}


@pytest.mark.parametrize("name", POSCAR_FAULTS)
def test_faulty_poscar_is_refused(name, refused):
    text = POSCAR_FAULTS[name]
    assert text != SALT_POSCAR
    assert refused(crystal_from_poscar, text)[0] == "unreadable_structure"
