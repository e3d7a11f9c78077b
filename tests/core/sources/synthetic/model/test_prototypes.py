import numpy as np
import pytest
import spglib

from crystalgnn_core.sources.synthetic.model.decorations import PROTOTYPES, decorations
from crystalgnn_core.sources.synthetic.model.pairs import find_pairs
from crystalgnn_core.sources.synthetic.model.relaxation import relax_isotropically
from crystalgnn_core.sources.synthetic.model.specimens import dress


def dressed(name):
    generic = np.array([0.31, 0.62, 0.27])
    return dress(PROTOTYPES[name], dict(decorations(name)[0]), generic)


# spglib warns about its own default way of handling errors
@pytest.mark.filterwarnings("ignore:Set OLD_ERROR_HANDLING:DeprecationWarning")
@pytest.mark.parametrize("name", PROTOTYPES)
def test_cell_is_primitive_with_the_space_group_of_the_prototype(name):
    crystal = dressed(name)
    cell = (crystal.lattice, crystal.frac_coords, crystal.atomic_numbers)
    dataset = spglib.get_symmetry_dataset(cell, symprec=1e-4)
    assert dataset is not None
    assert dataset.number == PROTOTYPES[name].space_group
    assert len(set(dataset.mapping_to_primitive)) == len(crystal.atomic_numbers)


# anions around a cation: Wells, Structural Inorganic Chemistry (1984)
@pytest.mark.parametrize(
    ("name", "role_number", "expected"),
    [
        ("rocksalt", 0, 6),
        ("caesium_chloride", 0, 8),
        ("zincblende", 0, 4),
        ("wurtzite", 0, 4),
        ("nickel_arsenide", 0, 6),
        ("fluorite", 0, 8),
        ("rutile", 0, 6),
        ("cadmium_iodide", 0, 6),
        ("cuprite", 0, 2),
        ("corundum", 0, 6),
        ("ilmenite", 0, 6),
        ("ilmenite", 1, 6),
        ("perovskite", 0, 12),
        ("perovskite", 1, 6),
        ("spinel", 0, 4),
        ("spinel", 1, 6),
        ("chalcopyrite", 0, 4),
        ("chalcopyrite", 1, 4),
        ("sodium_ferrite", 1, 6),
        ("potassium_nickel_fluoride", 1, 6),
        ("antifluorite_hexahalide", 1, 6),
        ("elpasolite", 1, 6),
    ],
)
def test_cations_have_the_known_coordination_number(name, role_number, expected):
    crystal = relax_isotropically(dressed(name))
    role, number = decorations(name)[0][role_number]
    assert role == list(PROTOTYPES[name].roles())[role_number]
    anions = {z for r, z in decorations(name)[0] if r in PROTOTYPES[name].anions}
    atom = int(np.flatnonzero(crystal.atomic_numbers == number)[0])
    pairs = find_pairs(crystal, 8.0)
    is_bond = (pairs.first == atom) & np.isin(
        crystal.atomic_numbers[pairs.second], list(anions)
    )
    distances = np.sort(pairs.distance[is_bond])
    assert distances[expected] > 1.12 * distances[expected - 1]
