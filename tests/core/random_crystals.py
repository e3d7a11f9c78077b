"""Random crystals of given sizes, of about one density, without symmetry."""

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
