"""One crystal for every (seed, batch, index): prototype, elements, volume, strain."""

from __future__ import annotations

from bisect import bisect_right
from functools import cache
from itertools import accumulate
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from crystalgnn_core.records.crystal import Crystal
from crystalgnn_core.sources.synthetic.model.decorations import PROTOTYPES, decorations
from crystalgnn_core.sources.synthetic.model.relaxation import (
    relax_isotropically,
    scale_cell,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from crystalgnn_core.sources.synthetic.model.prototypes import Prototype

Treatment = Literal["relaxed", "strained", "displaced"]

METALLIC_SHARE = 0.25
STRAINED_SHARE = 0.25
DISPLACED_SHARE = 0.2
# half widths of uniform distributions
RELAXED_SCATTER = 0.002  # of the length, keeps two relaxed crystals of one kind apart
VOLUME_STRAIN = 0.02  # of the length
SHEAR_STRAIN = 0.025
DISPLACEMENT = 0.06  # angstrom
MOST_FREE_NUMBERS = 2


class Specimen(NamedTuple):
    """A crystal of the model and how it came about.

    Attributes:
        crystal: The structure, a primitive cell of 1 to 14 atoms.
        prototype: Key of `PROTOTYPES`.
        treatment: `relaxed` to the best volume within 0.6 %, `strained` from there
            homogeneously, or `displaced`, which is strained with moved atoms.
    """

    crystal: Crystal
    prototype: str
    treatment: Treatment


def make_specimen(seed: int, batch: int, index: int) -> Specimen:
    """Make a crystal; equal arguments give equal crystals, in any order and process."""
    entropy = np.random.SeedSequence([seed, batch, index])
    # only plain doubles are drawn, whose stream numpy keeps stable between releases
    generator = np.random.Generator(np.random.PCG64(entropy))
    name = _choose_prototype(*generator.random(2))
    prototype = PROTOTYPES[name]
    choices = decorations(name)
    choice = choices[int(generator.random() * len(choices))]
    numbers = generator.random(1 + MOST_FREE_NUMBERS)
    crystal = relax_isotropically(dress(prototype, dict(choice), numbers))
    treatment = _choose_treatment(generator.random())
    if treatment == "relaxed":
        scatter = RELAXED_SCATTER * (2.0 * generator.random() - 1.0)
        return Specimen(scale_cell(crystal, 1.0 + scatter), name, treatment)
    crystal = _strain(crystal, generator)
    if treatment == "displaced":
        crystal = _displace(crystal, generator)
    return Specimen(crystal, name, treatment)


def dress(
    prototype: Prototype, elements: dict[str, int], numbers: NDArray[np.float64]
) -> Crystal:
    """Put elements on a prototype.

    Args:
        prototype: The structure type.
        elements: Role to atomic number.
        numbers: Where in their ranges the axial ratio and the free coordinates lie, each
            from 0 to 1; surplus numbers are not used.

    Returns:
        A crystal with a conventional a of 1 angstrom, to be relaxed.
    """
    ranges = (prototype.c_over_a, *prototype.free)
    pairs = zip(ranges, numbers.tolist(), strict=False)
    values = [low + (high - low) * number for (low, high), number in pairs]
    lattice, frac_coords, roles = prototype.build(values[0], values[1:])
    atomic_numbers = np.array([elements[role] for role in roles], dtype=np.int16)
    return Crystal(atomic_numbers, lattice, frac_coords)


@cache
def _cumulative_weights(*, is_metallic: bool) -> tuple[tuple[str, ...], tuple[float, ...]]:
    family = [p for p in PROTOTYPES.values() if p.is_metallic == is_metallic]
    return tuple(p.name for p in family), tuple(accumulate(p.weight for p in family))


def _choose_prototype(family: float, member: float) -> str:
    names, sums = _cumulative_weights(is_metallic=family < METALLIC_SHARE)
    return names[bisect_right(sums, member * sums[-1])]


def _choose_treatment(number: float) -> Treatment:
    if number < STRAINED_SHARE:
        return "strained"
    return "displaced" if number < STRAINED_SHARE + DISPLACED_SHARE else "relaxed"


def _strain(crystal: Crystal, generator: np.random.Generator) -> Crystal:
    numbers = 2.0 * generator.random(7) - 1.0
    strain = np.zeros((3, 3))
    strain[np.triu_indices(3)] = SHEAR_STRAIN * numbers[:6]
    strain = 0.5 * (strain + strain.T)
    strain += (VOLUME_STRAIN * numbers[6] - np.trace(strain) / 3.0) * np.eye(3)
    lattice = crystal.lattice @ (np.eye(3) + strain)
    return Crystal(crystal.atomic_numbers, lattice, crystal.frac_coords)


def _displace(crystal: Crystal, generator: np.random.Generator) -> Crystal:
    moves = DISPLACEMENT * (2.0 * generator.random(crystal.frac_coords.shape) - 1.0)
    frac_coords = crystal.frac_coords + moves @ np.linalg.inv(crystal.lattice)
    return Crystal(crystal.atomic_numbers, crystal.lattice, frac_coords % 1.0)
