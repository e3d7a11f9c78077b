"""Predicted probabilities of a class against how often it was true."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from crystalgnn_core.learning.scores import ClassMetrics
from crystalgnn_core.reporting.style import (
    LIGHT,
    PlotSpec,
    axis,
    corner_note,
    figure,
    json_numbers,
    line_trace,
    make_trace,
)
from crystalgnn_core.reporting.text import format_number
from crystalgnn_core.targets import get_target

if TYPE_CHECKING:
    from crystalgnn_core.reporting.comparison import Comparison

N_BINS = 10


def reliability_figure(data: Comparison) -> PlotSpec:
    """Draw the share of rows of the class against the probability, in bins of 0.1.

    The larger a point, the more rows; on the diagonal probabilities are calibrated.
    """
    true, predicted = data.true[data.is_usable], data.predicted[data.is_usable]
    place = np.minimum((predicted * N_BINS).astype(np.int64), N_BINS - 1)
    counts = np.bincount(place, minlength=N_BINS)
    filled = counts > 0
    n_rows = counts[filled]
    stated, found = (
        np.bincount(place, weights=values, minlength=N_BINS)[filled] / n_rows
        for values in (predicted, true)
    )
    title = get_target(data.target).title
    sizes = 6 + 26 * np.sqrt(n_rows / max(n_rows.max(initial=1), 1))
    points = make_trace(
        stated,
        found,
        mode="lines+markers",
        name="rows",
        text=[f"{count:,}" for count in n_rows.tolist()],
        hovertemplate="<b>%{text}</b> rows<br>mean probability %{x:.3f}<br>"
        "true share %{y:.3f}<extra></extra>",
        line={"color": LIGHT["accent"], "width": 1.2},
        marker={"size": json_numbers(sizes), "color": LIGHT["accent"], "opacity": 0.8},
        cliponaxis=False,
    )
    return figure(
        [line_trace([0.0, 1.0], [0.0, 1.0], LIGHT["axis"], "calibrated"), points],
        x_axis=axis(f"predicted probability: {title}", range=[-0.04, 1.04]),
        y_axis=axis(f"share that is true: {title}", range=[-0.04, 1.04]),
        annotations=[_score_box(data)],
    )


def reliability_caption(data: Comparison) -> str:
    """Say in words how well the classes are separated."""
    scores, others = class_scores(data)
    caption = (
        f"Area under the ROC curve {format_number(scores.auc)}, accuracy "
        f"{format_number(scores.accuracy)} on {data.metrics.n:,} rows"
    )
    if others.auc is not None:
        caption += (
            "; of a model that sees the composition only "
            f"{format_number(others.auc)} and {format_number(others.accuracy)}"
        )
    return f"{caption}. Dashed: calibrated probabilities; larger points hold more rows."


def class_scores(data: Comparison) -> tuple[ClassMetrics, ClassMetrics]:
    """Return the errors of the classes and those of the baseline; empty without rows."""
    baseline = data.baseline.classes if data.baseline else None
    return data.metrics.classes or ClassMetrics(), baseline or ClassMetrics()


def _score_box(data: Comparison) -> PlotSpec:
    scores, others = class_scores(data)
    lines = [
        f"<b>AUC {format_number(scores.auc)}</b>",
        f"accuracy {format_number(scores.accuracy)}",
        f"balanced {format_number(scores.balanced_accuracy)}",
        f"log loss {format_number(scores.log_loss)}",
        f"n = {data.metrics.n:,}",
    ]
    if others.auc is not None:
        lines.insert(1, f"composition only {format_number(others.auc)}")
    return corner_note(lines)
