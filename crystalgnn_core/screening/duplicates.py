"""One material under several ids is ranked once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from pymatgen.analysis.structure_matcher import StructureMatcher

from crystalgnn_core.parallel import without_warnings
from crystalgnn_core.records.crystal import structure_from_crystal
from crystalgnn_core.storage.shards import KEY
from crystalgnn_core.targets import get_target

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from crystalgnn_core.records.crystal import Crystal

# rounding on the scale of learning (eV, or decades); predictions ignore the choice of cell
SAME_PREDICTION = 1e-4
LENGTH_TOLERANCE = 0.002  # relative
SITE_TOLERANCE = 0.01  # of the cube root of the volume per atom
ANGLE_TOLERANCE = 0.1  # degrees


def find_duplicates(
    predicted: pd.DataFrame,
    targets: Collection[str],
    load: Callable[[Collection[str]], dict[str, Crystal]],
) -> list[int]:
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
        Index labels of the duplicates, all but the first of each crystal.
    """
    groups = _suspects(predicted, targets)
    labels = [label for group in groups for label in group]
    keys: dict[int, str] = dict(zip(labels, predicted.loc[labels, KEY], strict=True))
    crystals = load(set(keys.values())) if keys else {}
    duplicates = []
    for group in groups:
        kept: list[str] = []
        for label in group:
            if any(_is_same(keys[label], other, crystals) for other in kept):
                duplicates.append(label)
            else:
                kept.append(keys[label])
    return duplicates


def _suspects(predicted: pd.DataFrame, targets: Collection[str]) -> list[list[int]]:
    """Group the labels of one formula whose predictions follow each other closely.

    Returns:
        Groups of two and more labels, in the order of the frame.
    """
    group = pd.factorize(predicted["formula"])[0]
    for name in targets:
        values = predicted[name].to_numpy(dtype=float)
        target = get_target(name)
        if target.transform == "log10":
            values = np.log10(np.maximum(values, target.minimum))
        order = np.lexsort((values, group))
        is_next = np.diff(values[order]) > SAME_PREDICTION
        is_next |= np.diff(group[order]) != 0
        group[order] = np.concatenate([[0], np.cumsum(is_next)])[: len(order)]
    is_shared = np.bincount(group, minlength=1)[group] > 1
    members = predicted.index[is_shared].to_series().groupby(group[is_shared], sort=False)
    return [labels.to_list() for _, labels in members]


def _is_same(first: str, second: str, crystals: dict[str, Crystal]) -> bool:
    if first == second:
        return True
    matcher = StructureMatcher(
        LENGTH_TOLERANCE, SITE_TOLERANCE, ANGLE_TOLERANCE, scale=False
    )
    with without_warnings():  # pymatgen's remarks on electronegativities
        pair = [structure_from_crystal(crystals[digest]) for digest in (first, second)]
        return matcher.fit(pair[0], pair[1])
