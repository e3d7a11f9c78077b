from __future__ import annotations

import math

import numpy as np
import pytest

from crystalgnn_core.errors import RecordError
from crystalgnn_core.records.labels import label_value


def test_label_value_reads_numbers_and_text():
    assert label_value("1.5e-3") == 1.5e-3
    assert label_value(np.float32(2.0)) == 2.0
    assert str(label_value(-0.0)) == "0.0"


@pytest.mark.parametrize("value", [None, math.nan, np.float32("nan"), "N/A", " null ", ""])
def test_missing_label_value_is_none(value):
    assert label_value(value) is None


@pytest.mark.parametrize("value", ["metal", "1,5", True, [1.0], 1j])
def test_label_value_that_is_no_number_is_refused(value):
    with pytest.raises(RecordError, match="not a number"):
        label_value(value)
