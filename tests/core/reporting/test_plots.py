import json

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest

from crystalgnn_core.reporting.comparison import Comparison
from crystalgnn_core.reporting.density import MAX_SINGLE_POINTS, density_traces
from crystalgnn_core.reporting.parity import parity_figure
from crystalgnn_core.reporting.plots import history_figures, plane_axes, plane_figure
from crystalgnn_core.reporting.recovery import recovery_curve, recovery_figure
from crystalgnn_core.reporting.style import DARK, LIGHT, PlotSpec
from crystalgnn_core.screening.criteria import Above, Below, Window

AXES = ("formation_energy_per_atom", "band_gap")
WINDOW = Window(column="band_gap", low=1.0, high=2.0, width=0.5)


def n_shown(traces: list[PlotSpec]) -> int:
    """Number of points a reader can see or count: dots plus the counts of crowded cells."""
    total = 0
    for trace in traces:
        if trace["type"] == "heatmap":
            for levels, texts in zip(trace["z"], trace["text"], strict=True):
                total += sum(
                    int(text.replace(",", ""))
                    for level, text in zip(levels, texts, strict=True)
                    if level is not None
                )
        else:
            total += len(trace["x"])
    return total


@pytest.mark.parametrize("is_log", [False, True])
@pytest.mark.parametrize("n", [0, 1, MAX_SINGLE_POINTS, 20_000])
def test_density_shows_every_finite_point_once(n, is_log):
    rng = np.random.default_rng(3)
    x, y = rng.lognormal(size=n), rng.lognormal(size=n)
    if n > 1:
        x[0], y[1] = np.nan, np.inf
    traces = density_traces(x, y, str, noun="points", hover="", is_log=is_log)
    assert n_shown(traces) == (n - 2 if n > 1 else n)
    assert sum(len(trace["x"]) for trace in traces if trace["type"] == "scatter") < 8000


def test_density_of_identical_points_is_one_cell():
    traces = density_traces(np.ones(5000), np.zeros(5000), str, noun="points", hover="")
    assert n_shown(traces) == 5000
    assert len(traces[1]["x"]) == 0


def test_parity_errors_follow_their_definitions():
    # By hand: errors 1, 0, -2; mean 2/3 of |e|; rmse sqrt(5/3); R2 = 1 - 5 / 2.
    true, predicted = np.array([1.0, 2.0, 3.0, np.nan]), np.array([2.0, 2.0, 1.0, 5.0])
    data = Comparison("band_gap", "test", list("abcd"), true, predicted)
    assert data.metrics.n == 3
    assert data.metrics.mae == pytest.approx(1.0)
    assert data.metrics.rmse == pytest.approx(np.sqrt(5 / 3))
    assert data.metrics.r2 == pytest.approx(1 - 5 / 2)


def test_parity_without_any_finite_row_has_no_errors():
    nothing = np.array([np.nan])
    data = Comparison("band_gap", "test", ["a"], nothing, nothing)
    assert data.metrics.mae is None
    assert "n = 0" in parity_figure(data)["layout"]["annotations"][0]["text"]
    go.Figure(parity_figure(data))


def test_parity_states_errors_and_baseline(make_report):
    data = make_report(n=100, n_table=10).parity[0]
    note = parity_figure(data)["layout"]["annotations"][0]["text"]
    assert "MAE" in note
    assert "RMSE" in note
    assert "composition only 0.310 eV/atom" in note
    assert "n = 2,400" in note


def test_parity_of_a_log_target_has_log_axes():
    rng = np.random.default_rng(0)
    true = 10 ** rng.normal(2, 0.3, 2000)
    spec = parity_figure(Comparison("bulk_modulus", "test", ["m"] * 2000, true, true))
    assert spec["layout"]["xaxis"]["type"] == "log"
    low, high = spec["layout"]["xaxis"]["range"]
    assert 0 < low < 2 < high < 4  # decades
    go.Figure(spec)


def test_plane_highlights_the_leading_ranks_and_shades_the_window(make_report):
    scatter = make_report(n=4000).scatter
    spec = plane_figure(scatter, AXES, [WINDOW], n_top=50)
    top = next(
        trace for trace in spec["data"] if trace.get("name") == "ranked 1\N{EN DASH}50"
    )
    assert len(top["x"]) == 50
    assert "rank 1" in top["text"][0]
    shape = spec["layout"]["shapes"][0]
    assert (shape["y0"], shape["y1"]) == (1.0, 2.0)
    assert spec["data"][-1]["name"] == "wanted: band gap 1\N{EN DASH}2 eV"
    go.Figure(spec)


def test_plane_accepts_open_windows_and_unranked_candidates():
    scatter = pd.DataFrame(
        {
            "formation_energy_per_atom": [-1.0, np.nan],
            "band_gap": [0.0, 2.0],
            "formula": ["A", "B"],
            "candidate_id": ["<b>", "b"],
            "rank": [None, 1],
        }
    )
    above = Above(column="band_gap", midpoint=1.0, width=0.1)
    spec = plane_figure(scatter, AXES, [above], n_top=5)
    json.dumps(spec, allow_nan=False)
    assert "&lt;b&gt;" in spec["data"][0]["text"][0]


def test_every_column_has_a_map_and_windows_stand_where_they_are_shaded():
    modulus = Above(column="bulk_modulus", midpoint=100, width=20)
    energy = Below(column="formation_energy_per_atom", midpoint=-1, width=0.5)
    assert plane_axes([energy, WINDOW]) == [AXES]
    assert plane_axes([modulus, WINDOW, energy]) == [
        ("bulk_modulus", "band_gap"),
        ("bulk_modulus", "formation_energy_per_atom"),
    ]
    assert plane_axes([WINDOW, energy]) == [AXES]
    assert plane_axes([modulus, modulus]) == [("score", "bulk_modulus")]
    assert plane_axes([]) == []


def test_the_axis_of_a_map_reaches_every_value_and_into_what_is_wanted(make_report):
    scatter = make_report(n=50).scatter
    for criterion, end in (
        (WINDOW, 30.0),
        (Above(column="band_gap", midpoint=30, width=1), 30),
    ):
        moved = criterion.model_copy(update={"low": 30.0, "high": 40.0})
        spec = plane_figure(scatter, AXES, [moved], n_top=5)
        low, high = spec["layout"]["yaxis"]["range"]
        assert low < 0 < end < high
        shape = spec["layout"]["shapes"][0]
        assert (shape["y0"], shape["y1"]) == (end, high)
    below = Below(column="formation_energy_per_atom", midpoint=-90, width=0.5)
    spec = plane_figure(scatter, AXES[::-1], [below], n_top=5)
    low, high = spec["layout"]["yaxis"]["range"]
    assert low < -90 < scatter["formation_energy_per_atom"].max() < high
    assert "formation energy" in spec["data"][0]["hovertemplate"]


def test_recovery_counts_hits_by_hand():
    # Order by score: items 0 1 2 3; truly best two: items 1 and 3.
    curve = recovery_curve(
        np.array([4.0, 3.0, 2.0, 1.0]), np.array([0.0, 9.0, np.nan, 8.0]), n_best=2
    )
    assert curve.n_screened.tolist() == [1, 2, 3, 4]
    assert curve.fraction_found.tolist() == [0.0, 0.5, 0.5, 1.0]
    go.Figure(recovery_figure(curve))


def test_recovery_of_nothing_is_empty():
    curve = recovery_curve(np.array([]), np.array([]), n_best=5)
    assert curve.n_total == 0
    go.Figure(recovery_figure(curve))


def test_every_figure_is_valid_plotly_and_plain_json(make_report):
    report = make_report(n=3000)
    figures = [parity_figure(data) for data in report.parity]
    figures += [plane_figure(report.scatter, AXES, report.criteria, n_top=50)]
    figures += [spec for _, spec in history_figures(report.history)]
    for spec in figures:
        assert json.loads(json.dumps(spec, allow_nan=False))["data"]
        assert len(go.Figure(spec).data) == len(spec["data"])


def test_both_schemes_name_the_same_colors_and_light_ones_differ():
    assert LIGHT.keys() == DARK.keys()
    assert len(set(LIGHT.values())) == len(LIGHT)


@pytest.mark.parametrize("scheme", [LIGHT, DARK])
@pytest.mark.parametrize(
    ("text", "ground"),
    [
        ("ink", "page"),
        ("muted", "page"),
        ("muted", "surface"),
        ("muted", "raised"),
        ("accent", "surface"),
        ("accent", "accent-soft"),
        ("warn", "warn-soft"),
        ("window-ink", "surface"),
    ],
)
def test_text_has_the_contrast_that_wcag_asks_for(scheme, text, ground):
    # WCAG 2.2, success criterion 1.4.3: at least 4.5 to 1.
    def luminance(color: str) -> float:
        channels = np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)]) / 255
        linear = np.where(
            channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4
        )
        return float(linear @ [0.2126, 0.7152, 0.0722])

    low, high = sorted(luminance(scheme[name]) for name in (text, ground))
    assert (high + 0.05) / (low + 0.05) >= 4.5
