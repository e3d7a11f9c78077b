import numpy as np
import pytest
from pymatgen.analysis.ewald import EwaldSummation

from crystalgnn_core.records.crystal import Crystal, structure_from_crystal
from crystalgnn_core.sources.synthetic.model.decorations import PROTOTYPES
from crystalgnn_core.sources.synthetic.model.ewald import COULOMB_CONSTANT, coulomb_energy
from crystalgnn_core.sources.synthetic.model.pairs import find_pairs

# Madelung constants for the nearest distance of ions, energy per formula unit
# -M k / r: NaCl Crandall, Exp. Math. 8, 367 (1999); the others Johnson and Templeton,
# J. Chem. Phys. 34, 2004 (1961), whose constant for CaF2 has the charges 2 and 1 in it
MADELUNG = [
    ("rocksalt", [1.0, -1.0], 1.747565),
    ("caesium_chloride", [1.0, -1.0], 1.762675),
    ("zincblende", [1.0, -1.0], 1.638055),
    ("fluorite", [2.0, -1.0, -1.0], 5.03879),
]


@pytest.mark.parametrize(("name", "charges", "constant"), MADELUNG)
def test_madelung_constants_agree_with_the_literature(name, charges, constant):
    lattice, frac_coords, roles = PROTOTYPES[name].build(1.0, ())
    crystal = Crystal(np.ones(len(roles), np.int16), 5.0 * lattice, frac_coords)
    nearest = find_pairs(crystal, 6.0).distance.min()
    energy = coulomb_energy(crystal, np.array(charges))
    # the last digit of the published constants
    assert -energy * nearest / COULOMB_CONSTANT == pytest.approx(constant, abs=1e-5)


@pytest.mark.parametrize("seed", range(3))
def test_energy_of_skewed_cells_agrees_with_pymatgen(seed):
    generator = np.random.default_rng(seed)
    lattice = np.diag([4.0, 5.0, 9.0]) + generator.normal(0.0, 1.0, (3, 3))
    frac_coords = generator.random((4, 3))
    charges = np.array([1.5, -0.5, 2.0, -3.0])
    crystal = Crystal(np.array([11, 17, 12, 8], np.int16), lattice, frac_coords)
    structure = structure_from_crystal(crystal)
    structure.add_oxidation_state_by_site(list(charges))
    reference = EwaldSummation(structure, acc_factor=16.0).total_energy
    # pymatgen's Coulomb constant has fewer digits
    assert coulomb_energy(crystal, charges) == pytest.approx(reference, rel=2e-6)
