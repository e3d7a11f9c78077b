"""One material under several ids is ranked once."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

from pymatgen.analysis.structure_matcher import StructureMatcher

from crystalgnn_core.records.crystal import structure_from_crystal
from crystalgnn_core.shardset import KEY

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    import pandas as pd

    from crystalgnn_core.records.crystal import Crystal

SAME_PREDICTION = (
    1e-4  # eV/atom, eV: predictions do not depend on cell choice, up to rounding
)


def find_duplicates(
    predicted: pd.DataFrame,
    targets: Collection[str],
    load: Callable[[Collection[str]], dict[str, Crystal]],
) -> dict[int, int]:
    """Find candidates that are the same crystal as an earlier one.

    A prediction does not depend on lattice choice, supercell, atom order or orientation, so
    only candidates of one formula with equal predictions can be the same crystal; those
    few are compared by pymatgen's StructureMatcher with tight tolerances.

    Args:
        predicted: Columns `formula`, `structure_digest` and the predicted targets, in the
            order in which the first of several is kept.
        targets: Predicted columns that must agree.
        load: Reads the structures with the given digests.

    Returns:
        Index label of each duplicate to the index label of the candidate that is kept.
    """
    groups = list(_suspects(predicted, sorted(targets)))
    digests = {
        predicted.at[label, KEY]
        for group in groups
        for label in group  # noqa: PD008  scalar access in a loop
    }
    crystals = load(digests) if digests else {}
    duplicates: dict[int, int] = {}
    for group in groups:
        kept: list[int] = []
        for label in sorted(group):
            twin = next(
                (other for other in kept if _is_same(predicted, crystals, label, other)),
                None,
            )
            if twin is None:
                kept.append(label)
            else:
                duplicates[label] = twin
    return duplicates


def _suspects(predicted: pd.DataFrame, targets: list[str]) -> Iterator[list[int]]:
    """Yield groups of one formula whose predictions follow each other closely."""
    ordered = predicted.sort_values(["formula", *targets], kind="stable")
    formulas = ordered["formula"].to_numpy()
    energies = ordered[targets[0]].to_numpy()
    labels = ordered.index.to_numpy()
    group = [int(labels[0])] if len(labels) else []
    for position in range(1, len(labels)):
        is_close = (
            formulas[position] == formulas[position - 1]
            and energies[position] - energies[position - 1] <= SAME_PREDICTION
        )
        if is_close:
            group.append(int(labels[position]))
            continue
        if len(group) > 1:
            yield group
        group = [int(labels[position])]
    if len(group) > 1:
        yield group


def _is_same(
    predicted: pd.DataFrame, crystals: dict[str, Crystal], label: int, other: int
) -> bool:
    first, second = predicted.at[label, KEY], predicted.at[other, KEY]  # noqa: PD008  scalar access
    if first == second:
        return True
    matcher = StructureMatcher(ltol=0.02, stol=0.02, angle_tol=0.5, scale=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pymatgen's remarks on electronegativities
        return bool(
            matcher.fit(
                structure_from_crystal(crystals[first]),
                structure_from_crystal(crystals[second]),
            )
        )
