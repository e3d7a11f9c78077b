"""The order in which pymatgen sorts sites, and the plain names and formulas of CIFs."""

from __future__ import annotations

import math
import re
from functools import lru_cache

import numpy as np

from crystalgnn_core.records.elements import (
    ELECTRONEGATIVITY,
    NUMBER_OF_SYMBOL,
    PLACE_OF_SYMBOL,
    SORTED_SYMBOLS,
)

NUMBER_OF_RANK = np.array([NUMBER_OF_SYMBOL[name] for name in SORTED_SYMBOLS], np.int16)
UNRANKED = 255  # ranks fit a byte

_AMOUNT = re.compile(r"([A-Z][a-z]?)([1-9][0-9]*)?")
_FORMULA = re.compile(rf"(?:{_AMOUNT.pattern} ?)+")
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


@lru_cache(maxsize=10_000)
def whole_formula(text: str) -> dict[int, int] | None:
    """Count the atoms of a formula such as `Ga4 Te4`, or None if it is not that plain."""
    if not _FORMULA.fullmatch(text):
        return None
    counts: dict[int, int] = {}
    for symbol, amount in _AMOUNT.findall(text):
        number = NUMBER_OF_SYMBOL.get(symbol)
        if number is None:
            return None
        counts[number] = counts.get(number, 0) + int(amount or 1)
    return counts
