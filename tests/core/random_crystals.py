"""Crystals for tests: random ones of one density, and one with a lonely atom."""

from collections.abc import Iterable

import numpy as np

from crystalgnn_core.records.crystal import Crystal


def draw_crystals(sizes: Iterable[int], seed: int) -> list[Crystal]:
    """Draw elements from Li to Bi, skewed cells, and positions."""
    generator = np.random.default_rng(seed)
    made = []
    for size in sizes:
        lattice = np.eye(3) * 3.4 * np.cbrt(size) + generator.normal(size=(3, 3)) * 0.3
        numbers = generator.integers(3, 84, size).astype(np.int16)
        made.append(Crystal(numbers, lattice, generator.random((size, 3))))
    return made


def with_lonely_atom(number: int) -> Crystal:
    """Put a block of 27 atoms and one that has no neighbour within 17 angstrom in a box.

    A box of one atom that is as lonely holds too little to be a crystal.

    Args:
        number: Atomic number of all atoms.
    """
    block = 3.0 * np.stack(np.meshgrid(*[range(3)] * 3), axis=-1).reshape(-1, 3)
    positions = np.concatenate([block, [[16.0] * 3]])
    numbers = np.full(len(positions), number, np.int16)
    return Crystal(numbers, 26.0 * np.eye(3), positions / 26.0)
