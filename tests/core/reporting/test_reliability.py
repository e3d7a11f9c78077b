import json

import numpy as np
import plotly.graph_objects as go
import pytest

from crystalgnn_core.learning.metrics import compare
from crystalgnn_core.reporting.comparison import Comparison
from crystalgnn_core.reporting.page import render_report
from crystalgnn_core.reporting.panels import draw_panels
from crystalgnn_core.reporting.reliability import (
    reliability_caption,
    reliability_figure,
)


def data_of(true, predicted, baseline=None):
    true, predicted = np.array(true, dtype=float), np.array(predicted, dtype=float)
    return Comparison("is_metal", "test", ["m"] * len(true), true, predicted, baseline)


def test_points_are_bins_with_their_mean_probability_and_true_share():
    data = data_of([0, 1, 1, 1, np.nan], [0.12, 0.18, 0.95, 1.0, 0.5])
    spec = reliability_figure(data)
    points = spec["data"][1]
    assert points["x"] == pytest.approx([0.15, 0.975])
    assert points["y"] == pytest.approx([0.5, 1.0])
    assert points["text"] == ["2", "2"]
    assert json.dumps(spec, allow_nan=False)
    assert len(go.Figure(spec).data) == 2


def test_box_and_caption_tell_the_scores_and_those_of_the_baseline():
    true, said = [0, 1, 1, 0], [0.1, 0.9, 0.8, 0.3]
    others = compare(np.array(true), np.array([0.6, 0.5, 0.9, 0.2]), are_classes=True)
    data = data_of(true, said, others)
    note = reliability_figure(data)["layout"]["annotations"][0]["text"]
    assert "AUC 1.000" in note
    assert "composition only 0.750" in note
    assert "n = 4" in note
    assert "accuracy 1.000 on 4 rows" in reliability_caption(data)
    assert "0.750 and 0.750" in reliability_caption(data)


def test_no_rows_make_an_empty_figure():
    data = data_of([np.nan], [0.5])
    assert reliability_figure(data)["data"][1]["x"] == []
    assert "None" not in reliability_caption(data)
    go.Figure(reliability_figure(data))


def test_known_classes_of_candidates_are_compared_on_the_page(make_report):
    ranking = make_report(n=60, n_table=40).ranking
    said = np.linspace(0, 1, len(ranking))
    data = data_of((said > 0.4).astype(float), said)
    report = make_report(
        n=60,
        n_table=40,
        ranking=ranking.assign(is_metal=said, is_metal_true=(said > 0.4).astype(float)),
        parity=[data],
    )
    panels = draw_panels(report)
    [panel] = [panel for panel in panels.quality if panel.key == "truth-is_metal"]
    assert panel.title == "Metal of ranked candidates"
    assert panel.caption.startswith("Area under the ROC curve 1.000")
    assert [panel.title for panel in panels.parity] == ["Metal, test split"]
    page = render_report(report)
    assert "test AUC, metal" in page
    assert ">Metal<" in page  # a column of the table
    assert "None" not in page.partition("<script")[0]
