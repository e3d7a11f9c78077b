"""Name compositions as pymatgen does, 20 times faster."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING

from crystalgnn_core.records.elements import ELECTRONEGATIVITY, PLACE_OF_SYMBOL, SYMBOLS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_POLYANION_LIMIT = 1.65  # difference of electronegativity below which two form an anion
_NOT_REDUCED = {
    **{f"{symbol}O": f"{symbol}2O2" for symbol in ("H", "Li", "Na", "K", "Rb", "Cs")},
    **{symbol: f"{symbol}2" for symbol in ("H", "N", "O", "F", "Cl")},
}


@lru_cache(maxsize=50_000)
def name_composition(counts: tuple[tuple[int, int], ...]) -> tuple[str, str]:
    """Return the reduced formula and the chemical system, such as SrTiO3 and O-Sr-Ti.

    Args:
        counts: Atomic number and number of atoms of each element.
    """
    amounts = {SYMBOLS[number - 1]: count for number, count in counts}
    formula, _ = _reduce(sorted(amounts, key=PLACE_OF_SYMBOL.__getitem__), amounts)
    return _NOT_REDUCED.get(formula, formula), "-".join(sorted(amounts))


def _reduce(symbols: Sequence[str], amounts: Mapping[str, int]) -> tuple[str, int]:
    """Return the formula of the smallest unit and how many units there are.

    The two most electronegative of three or more elements are written as an anion when
    they share a divisor, as in Ca(NO3)2.
    """
    factor = math.gcd(*[amounts[symbol] for symbol in symbols])
    anion = ""
    if len(symbols) > 2 and _is_anion(*symbols[-2:]):
        inner, n_anions = _reduce(
            symbols[-2:], {symbol: amounts[symbol] // factor for symbol in symbols[-2:]}
        )
        if n_anions > 1:
            symbols, anion = symbols[:-2], f"({inner}){n_anions}"
    words = [
        symbol if amounts[symbol] == factor else f"{symbol}{amounts[symbol] // factor}"
        for symbol in symbols
    ]
    return "".join(words) + anion, factor


def _is_anion(first: str, second: str) -> bool:
    return ELECTRONEGATIVITY[second] - ELECTRONEGATIVITY[first] < _POLYANION_LIMIT
