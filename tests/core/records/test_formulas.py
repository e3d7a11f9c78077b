from __future__ import annotations

import math
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymatgen.core.composition import Composition
from pymatgen.core.periodic_table import Element

from crystalgnn_core.records.crystal import Crystal, composition_of
from crystalgnn_core.records.elements import (
    ELECTRONEGATIVITY,
    NUMBER_OF_SYMBOL,
    SORTED_SYMBOLS,
    SYMBOLS,
)
from crystalgnn_core.records.formulas import MOST_CHARACTERS, name_composition, read_formula

COMMON = [1, 3, 6, 7, 8, 9, 11, 15, 16, 17, 20, 26]


def crystal(numbers):
    return Crystal(np.array(numbers, np.int16), np.eye(3), np.zeros((len(numbers), 3)))


def test_table_of_elements_is_that_of_pymatgen():
    composition_of(crystal([2]))  # silences pymatgen
    for element in Element:
        assert NUMBER_OF_SYMBOL[element.symbol] == element.Z
        assert SYMBOLS[element.Z - 1] == element.symbol
        value = ELECTRONEGATIVITY[element.symbol]
        assert value == element.X or (math.isnan(value) and math.isnan(element.X))
    assert sorted(SORTED_SYMBOLS) == sorted(SYMBOLS)


amounts = st.sampled_from([1, 1, 2, 2, 3, 4, 6, 12])
elements = st.one_of(st.sampled_from(COMMON), st.integers(1, 118))


@given(st.dictionaries(elements, amounts, min_size=1, max_size=6), st.integers(1, 4))
def test_names_are_those_of_pymatgen(counts, n_units):
    numbers = [z for z, count in counts.items() for _ in range(count * n_units)]
    composition = composition_of(crystal(numbers))
    pairs = tuple(sorted((z, count * n_units) for z, count in counts.items()))
    expected = (composition.reduced_formula, composition.chemical_system)
    assert name_composition(pairs) == expected


words = st.builds(
    lambda symbol, count: f"{symbol}{count}",
    st.sampled_from(["H", "O", "Na", "Cl", "Fe", "Ca", "N", "D"]),
    st.sampled_from(["", "1", "2", "12", "0.5", "2.0", " 3"]),
)
groups = st.recursive(
    words,
    lambda inner: st.builds(
        lambda parts, brackets, count: (
            f"{brackets[0]}{' '.join(parts)}{brackets[1]}{count}"
        ),
        st.lists(inner, min_size=1, max_size=3),
        st.sampled_from(["()", "[]", "{}"]),
        st.sampled_from(["", "2", "3"]),
    ),
    max_leaves=6,
)


@given(st.lists(groups, min_size=1, max_size=4), st.sampled_from(["", " "]))
def test_formulas_are_read_as_by_pymatgen(parts, between):
    text = between.join(parts)
    expected = Composition(text).get_el_amt_dict()
    assert read_formula(text) == pytest.approx(expected)


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "?", "Xx2", "cs", "Cs*Cl", "Cs-1", "Csnan", "Cs1e309", "(Cs", "Cs)"),
        *("(Cs]", "Cs2.5.5", "Cs\u00b2", "(2Cs)", "2Cs", ".", "Cs+", "CuSO4\u00b75H2O"),
    ],
)
def test_a_text_that_is_no_formula_is_none(text):
    assert read_formula(text) == {}


@pytest.mark.parametrize(
    "text",
    [
        "(" * 10**6,
        "(" * 500_000 + "CsCl" + ")" * 500_000,
        "(CsCl)" * 300_000,
        "Cs" * 10**6,
        "Na1" + "0" * 10**6,
        "Na " + " " * 10**6 + "Cl",
    ],
)
def test_a_formula_of_any_length_does_not_hang(text):
    """pymatgen takes minutes, or ends in an error of the interpreter."""
    start = time.process_time()
    assert read_formula(text) == read_formula(f"{text}?") == {}
    longest = text[: MOST_CHARACTERS // 2] + "?"
    assert read_formula(longest) == {}
    assert time.process_time() - start < 30.0  # it takes 0.03


def test_amounts_that_no_cell_holds_are_bounded():
    assert read_formula("Na1" + "0" * 31) == {"Na": 1e9}
    assert read_formula("((Na9999999999)9999999999)" + "9" * 400 + " Cl") == {
        "Na": 1e9,
        "Cl": 1.0,
    }
    assert read_formula("(" * 1000 + "Na2" + ")2" * 10 + ")" * 990) == {"Na": 2048.0}
