from __future__ import annotations

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from pymatgen.core.periodic_table import Element

from crystalgnn_core.records.crystal import Crystal, composition_of
from crystalgnn_core.records.elements import (
    ELECTRONEGATIVITY,
    NUMBER_OF_SYMBOL,
    SORTED_SYMBOLS,
    SYMBOLS,
)
from crystalgnn_core.records.formulas import name_composition

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
