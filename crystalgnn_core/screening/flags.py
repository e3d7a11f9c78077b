"""Warnings about single candidates: where a model has little to go by."""

from __future__ import annotations

from itertools import compress
from typing import TYPE_CHECKING

import numpy as np
from pymatgen.core.periodic_table import Element

from crystalgnn_core.records.checks.fast import find_flags
from crystalgnn_core.records.table.crystals import CRYSTAL_COLUMNS, flat_crystals
from crystalgnn_core.records.table.store import RecordStore
from crystalgnn_core.storage.shards import KEY
from crystalgnn_core.targets import NOVELTY

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import pandas as pd

    from crystalgnn_core.learning.cards import ModelCard
    from crystalgnn_core.screening.criteria import Criterion

FEW_ROWS = 5
SEPARATOR = ";"
NOVEL = "unlike_training"


def flag_candidates(
    predicted: pd.DataFrame,
    cards: Sequence[ModelCard],
    criteria: Sequence[Criterion],
    unusual: Mapping[str, Sequence[str]],
) -> list[str]:
    """Raise the flags that `ScreeningConfig` describes; the score stays as it is.

    A card that does not hold the counts or the range raises no flag.

    Args:
        predicted: Columns `chemsys` (symbols joined by `-`), `structure_digest`, what the
            criteria judge, and `novelty` where the models give it.
        cards: The models.
        criteria: The criteria of the score.
        unusual: Further flags by digest, see `find_unusual`.

    Returns:
        Flags of each row joined by `;`, empty where there is none.
    """
    rare = {
        Element.from_Z(number).symbol
        for card in cards
        for number, count in card.element_counts.items()
        if count < FEW_ROWS
    }
    is_rare = [not rare.isdisjoint(name.split("-")) for name in predicted["chemsys"]]
    is_outside = np.zeros(len(predicted), dtype=bool)
    for name in {one.column for one in criteria if not one.is_window}:
        values = predicted[name].to_numpy(dtype=float)
        for card in cards:
            low, high = card.label_range.get(name, (-np.inf, np.inf))
            is_outside |= (values < low) | (values > high)
    is_novel = np.zeros(len(predicted), dtype=bool)
    if NOVELTY in predicted:
        is_novel = predicted[NOVELTY].to_numpy() > 1
    names = ("rare_element", "extrapolation", NOVEL)
    is_set = zip(is_rare, is_outside, is_novel, strict=True)
    return [
        SEPARATOR.join([*compress(names, row), *unusual.get(digest, ())])
        for row, digest in zip(is_set, predicted[KEY], strict=True)
    ]


def find_unusual(store: Path, sources: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Return the flags of the candidates whose geometry is unusual, by structure digest."""
    found: dict[str, tuple[str, ...]] = {}
    for table in RecordStore(store).scan(sources, CRYSTAL_COLUMNS):
        flags = zip(table[KEY].to_pylist(), find_flags(flat_crystals(table)), strict=True)
        found.update((digest, names) for digest, names in flags if names)
    return found
