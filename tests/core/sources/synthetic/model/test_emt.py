import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT

from crystalgnn_core.records.crystal import Crystal
from crystalgnn_core.sources.synthetic.model.emt import (
    ELEMENT_ENERGIES,
    EMT_METALS,
    emt_energy,
)
from crystalgnn_core.sources.synthetic.model.labels import compute_labels


def as_crystal(atoms):
    numbers = np.asarray(atoms.numbers, dtype=np.int16)
    return Crystal(numbers, np.array(atoms.cell), atoms.get_scaled_positions())


@pytest.mark.parametrize("seed", range(4))
def test_energy_of_random_alloys_agrees_with_ase(seed):
    generator = np.random.default_rng(seed)
    numbers = generator.choice(list(EMT_METALS), 5)
    cell = 4.3 * np.eye(3) + generator.normal(0.0, 0.4, (3, 3))
    atoms = Atoms(numbers, scaled_positions=generator.random((5, 3)), cell=cell, pbc=True)
    atoms.calc = EMT()
    assert emt_energy(as_crystal(atoms)) == pytest.approx(
        atoms.get_potential_energy(), rel=1e-10
    )


@pytest.mark.parametrize(("number", "symbol"), EMT_METALS.items())
def test_element_energies_are_the_minima_of_ase(number, symbol):
    guess = 2.0 * bulk(symbol, "fcc").cell[0, 1]  # the measured lattice constant
    energies = {}
    for a in np.linspace(0.98 * guess, 1.02 * guess, 41):
        atoms = bulk(symbol, "fcc", a=a)
        atoms.calc = EMT()
        energies[a] = atoms.get_potential_energy()
    best = min(energies, key=lambda a: energies[a])
    # a grid of 0.1 % of the length misses the minimum by less than 0.1 meV
    assert ELEMENT_ENERGIES[number] == pytest.approx(energies[best], abs=1e-4)
    formation = compute_labels(as_crystal(bulk(symbol, "fcc", a=best)))
    assert formation.formation_energy_per_atom == pytest.approx(0.0, abs=1e-4)
    assert formation.band_gap == 0.0
