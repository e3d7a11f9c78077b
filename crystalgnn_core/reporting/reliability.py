"""Predicted probabilities of a class against how often it was true."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from crystalgnn_core.learning.metrics import ClassMetrics, Metrics, compare
from crystalgnn_core.reporting.style import (
    LIGHT,
    PlotSpec,
    axis,
    corner_note,
    figure,
    json_numbers,
    line_trace,
)
from crystalgnn_core.reporting.text import format_number
from crystalgnn_core.targets import get_target

if TYPE_CHECKING:
    from numpy.typing import NDArray

N_BINS = 10


@dataclass(frozen=True)
class ReliabilityData:
    """Classes and predicted probabilities of one target on one split.

    Attributes:
        target: Name in the table of targets.
        split: Split or set the rows belong to, such as `test`.
        true: Classes, 1 or 0, NaN where not known, shape (n,).
        predicted: Probabilities of 1, shape (n,).
        metrics: Errors over the rows where both are finite.
        baseline: Errors of a composition-only model on the same rows, if one was fitted.
    """

    target: str
    split: str
    true: NDArray[np.float64]
    predicted: NDArray[np.float64]
    metrics: Metrics
    baseline: Metrics | None = None

    @classmethod
    def of(
        cls,
        target: str,
        split: str,
        true: NDArray[np.float64],
        predicted: NDArray[np.float64],
        *,
        baseline: Metrics | None = None,
    ) -> ReliabilityData:
        """Keep the rows where both values are finite, and compute the errors."""
        usable = np.isfinite(true) & np.isfinite(predicted)
        true, predicted = true[usable], predicted[usable]
        metrics = compare(true, predicted, are_classes=True)
        return cls(target, split, true, predicted, metrics, baseline)

    @property
    def scores(self) -> ClassMetrics:
        """Errors of the classes; empty without rows."""
        return self.metrics.classes or ClassMetrics()

    @property
    def baseline_scores(self) -> ClassMetrics:
        """The same of the composition-only model."""
        found = None if self.baseline is None else self.baseline.classes
        return found or ClassMetrics()


def reliability_figure(data: ReliabilityData) -> PlotSpec:
    """Draw the share of rows of the class against the probability, in bins of 0.1.

    The larger a point, the more rows; on the diagonal probabilities are calibrated.
    """
    place = np.minimum((data.predicted * N_BINS).astype(np.int64), N_BINS - 1)
    counts = np.bincount(place, minlength=N_BINS)
    filled = counts > 0
    n_rows = counts[filled]
    stated, found = (
        np.bincount(place, weights=values, minlength=N_BINS)[filled] / n_rows
        for values in (data.predicted, data.true)
    )
    title = get_target(data.target).title
    sizes = 6 + 26 * np.sqrt(n_rows / max(n_rows.max(initial=1), 1))
    points = {
        "type": "scatter",
        "mode": "lines+markers",
        "name": "rows",
        "x": json_numbers(stated),
        "y": json_numbers(found),
        "text": [f"{count:,}" for count in n_rows.tolist()],
        "hovertemplate": "<b>%{text}</b> rows<br>mean probability %{x:.3f}<br>"
        "true share %{y:.3f}<extra></extra>",
        "line": {"color": LIGHT["accent"], "width": 1.2},
        "marker": {"size": json_numbers(sizes), "color": LIGHT["accent"], "opacity": 0.8},
        "cliponaxis": False,
    }
    ideal = line_trace([0.0, 1.0], [0.0, 1.0], LIGHT["axis"], "calibrated")
    spec = figure(
        [ideal, points],
        x_axis=axis(f"predicted probability: {title}", range=[-0.04, 1.04]),
        y_axis=axis(f"share that is true: {title}", range=[-0.04, 1.04]),
    )
    spec["layout"]["annotations"] = [_score_box(data)]
    return spec


def reliability_caption(data: ReliabilityData) -> str:
    """Say in words how well the classes are separated."""
    scores, others = data.scores, data.baseline_scores
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


def _score_box(data: ReliabilityData) -> PlotSpec:
    scores, others = data.scores, data.baseline_scores
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
