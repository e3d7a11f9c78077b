"""How early a ranking meets the candidates that are truly best."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from crystalgnn_core.reporting.style import (
    LIGHT,
    PlotSpec,
    axis,
    figure,
    legend,
    line_trace,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAX_CURVE_POINTS = 300


@dataclass(frozen=True)
class RecoveryCurve:
    """How early a ranking meets the candidates that are truly best.

    Attributes:
        n_best: Number of candidates that count as truly best.
        n_total: Number of ranked candidates.
        n_screened: Ranks, ascending, shape (n_points,).
        fraction_found: Share of the truly best among the first ranks, shape (n_points,).
    """

    n_best: int
    n_total: int
    n_screened: NDArray[np.int64]
    fraction_found: NDArray[np.float64]


def recovery_curve(
    score: NDArray[np.float64], true_score: NDArray[np.float64], *, n_best: int
) -> RecoveryCurve:
    """Count how many of the truly best candidates the first ranks contain.

    Args:
        score: Predicted scores, larger is better, shape (n,); NaN ranks last.
        true_score: The same score from true values, shape (n,); NaN is never best.
        n_best: Number of candidates that count as truly best; cut to the finite scores.
    """
    best = np.argsort(-true_score, kind="stable")[
        : min(n_best, int(np.isfinite(true_score).sum()))
    ]
    is_best = np.zeros(len(score), dtype=bool)
    is_best[best] = True
    found = np.cumsum(is_best[np.argsort(-score, kind="stable")])
    points = np.geomspace(1, max(len(score), 1), MAX_CURVE_POINTS).round()
    ranks = np.unique(points.astype(np.int64))[: len(score)]
    fractions = found[ranks - 1] / max(len(best), 1)
    return RecoveryCurve(len(best), len(score), ranks, fractions)


def recovery_figure(curve: RecoveryCurve) -> PlotSpec:
    """Draw the share of the truly best found against the share screened, log scale."""
    screened = curve.n_screened / max(curve.n_total, 1)
    found = line_trace(screened, curve.fraction_found, LIGHT["accent"], "this ranking")
    found["line"] |= {"width": 2.5, "dash": "solid"}
    found["hovertemplate"] = "first %{x:.2%}: %{y:.1%} found<extra></extra>"
    random = line_trace(screened, screened, LIGHT["axis"], "random order")
    ideal = np.minimum(curve.n_screened / max(curve.n_best, 1), 1.0)
    perfect = line_trace(screened, ideal, LIGHT["window-ink"], "perfect order")
    spec = figure(
        [perfect, random, found],
        x_axis=axis("share of candidates screened", type="log", tickformat="~%", dtick=1),
        y_axis=axis(
            f"share of the true best {curve.n_best:,} found",
            range=[0, 1.04],
            tickformat=".0%",
        ),
        **legend(traceorder="reversed"),
    )
    spec["layout"]["margin"] |= {"t": 36}
    return spec
