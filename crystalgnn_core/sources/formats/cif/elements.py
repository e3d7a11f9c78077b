"""The order in which pymatgen sorts sites, and the plain names and formulas of CIFs."""

from __future__ import annotations

import math
import re
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from crystalgnn_core.records.elements import (
    ELECTRONEGATIVITY,
    NUMBER_OF_SYMBOL,
    PLACE_OF_SYMBOL,
    SORTED_SYMBOLS,
)
from crystalgnn_core.records.formulas import MOST_CHARACTERS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

NUMBER_OF_RANK = np.array([NUMBER_OF_SYMBOL[name] for name in SORTED_SYMBOLS], np.int16)
UNRANKED = 255  # ranks fit a byte

_AMOUNT = re.compile(r"([A-Z][a-z]?)([1-9][0-9]{0,8})?")
_WORD = re.compile(rf"(?:{_AMOUNT.pattern})+")
_ION = re.compile(r"([A-Z][a-z]?)(?:[0-9]*[+-]|[+-][0-9]+|[0-9]+)?")


@lru_cache(maxsize=10_000)
def rank_of(name: str) -> int:
    """Return the rank of the element that a site is named after, such as Fe3+ or Fe12.

    Returns:
        Index into `NUMBER_OF_RANK`, or `UNRANKED` for a name that needs an interpretation
        (deuterium, water, a vacancy) and for elements without electronegativity.
    """
    match = _ION.fullmatch(name)
    # comparing NaN, pymatgen sorts noble gases as the algorithm happens to meet them
    if match is None or math.isnan(ELECTRONEGATIVITY.get(match[1], math.nan)):
        return UNRANKED
    return PLACE_OF_SYMBOL[match[1]]


def whole_formula(text: str) -> dict[int, int] | None:
    """Count the atoms of a formula such as `Ga4 Te4`, or None if it is not that plain."""
    if len(text) > MOST_CHARACTERS:
        return None
    counts: dict[int, int] = {}
    for word in text.split(" "):
        terms = _terms_of(word)
        if terms is None:
            return None
        for number, amount in terms:
            counts[number] = counts.get(number, 0) + amount
    return counts


def n_formula_units(numbers: Sequence[int], formula: Mapping[int, int]) -> int:
    """Return how many formulas atoms make, 0 if no whole number; counts by element."""
    n_atoms = sum(formula.values())
    units = len(numbers) // n_atoms
    if units * n_atoms != len(numbers):
        return 0
    for number, n in formula.items():
        if numbers.count(number) != units * n:
            return 0
    return units


@lru_cache(maxsize=10_000)
def _terms_of(word: str) -> tuple[tuple[int, int], ...] | None:
    """Read a word such as `Te4` or `GaTe`; formulas are made of few different ones."""
    if not _WORD.fullmatch(word):
        return None
    terms = [
        (NUMBER_OF_SYMBOL.get(symbol, 0), int(amount or 1))
        for symbol, amount in _AMOUNT.findall(word)
    ]
    return None if any(number == 0 for number, _ in terms) else tuple(terms)
