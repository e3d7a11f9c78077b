from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crystalgnn_core.sources.formats.cif.decimals import read_decimals

plain = st.from_regex(r"[+-]?[0-9]{0,20}\.?[0-9]{0,25}", fullmatch=True)
written = st.one_of(
    plain.filter(lambda word: any(sign.isdigit() for sign in word)),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.floats(-1e4, 1e4).map("{:.8f}".format),
)


@given(st.lists(written, min_size=1, max_size=8))
def test_decimals_have_the_bits_of_float(words):
    read = read_decimals(words)
    assert read is not None
    assert read.tobytes() == np.array([float(word) for word in words]).tobytes()


@given(st.from_regex(r"-?[0-9]{1,3}\.[0-9]{1,6}", fullmatch=True), st.integers(0, 99))
def test_uncertainties_are_left_out(word, uncertainty):
    read = read_decimals([f"{word}({uncertainty})", "1"])
    assert read is not None
    assert read.tolist() == [float(word), 1.0]


@pytest.mark.parametrize(
    "word", ["", ".", "-", "?", "1.2.3", "--1", "1(2", "1()", "1(2)3", "(2)", "nan", "inf"]
)
def test_what_is_no_finite_number_is_refused(word):
    assert read_decimals(["1.5", word, "2"]) is None
    assert read_decimals([word]) is None
