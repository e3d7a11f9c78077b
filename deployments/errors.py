"""Tables of errors for the terminal: numbers in one, classes in another."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deployments.tables import show_line, show_rows

if TYPE_CHECKING:
    from collections.abc import Mapping

    from crystalgnn_core.learning.cards import ModelCard
    from crystalgnn_core.learning.metrics import Metrics
    from crystalgnn_core.learning.promotion.decision import Decision
    from crystalgnn_core.learning.scores import ClassMetrics, ZeroMetrics

SCORES = {
    "#accuracy": "accuracy",
    "#balanced": "balanced_accuracy",
    "#AUC": "auc",
    "#F1": "f1",
    "#log loss": "log_loss",
}
ZEROS = {
    "MAE at 0": "mae_zero",
    "MAE elsewhere": "mae_nonzero",
    "#AUC": "auc",
    "#balanced": "balanced_accuracy",
    "#Brier": "brier",
}
OF_BASELINE = {"#accuracy of trees": "accuracy", "#AUC of trees": "auc"}


def show_errors(
    title: str,
    metrics: Mapping[str, Metrics],
    units: Mapping[str, str],
    baseline: Mapping[str, Metrics] | None = None,
) -> None:
    """Print the errors of each target.

    Args:
        title: Heading.
        metrics: Target to errors.
        units: Target to unit.
        baseline: Errors of trees that see the composition alone; with them the table of
            numbers shows these in place of further errors.
    """
    numbers = {name: m for name, m in metrics.items() if m.classes is None}
    if numbers and baseline is not None:
        show_rows(
            title,
            ("target", "unit", "MAE", "MAE of composition-only trees", "rows"),
            [
                (name, units[name], number(m.mae), number(_mae(baseline, name)), m.n)
                for name, m in numbers.items()
            ],
        )
    elif numbers:
        show_rows(
            title,
            ("target", "unit", "rows", "MAE", "#RMSE", "#R²"),
            [
                (name, units[name], m.n, number(m.mae), number(m.rmse), number(m.r2))
                for name, m in numbers.items()
            ],
        )
    intervals = {name: m.intervals for name, m in metrics.items() if m.intervals}
    if intervals:
        show_rows(
            f"{title}, 90 % intervals",
            ("target", "unit", "hold", "mean width", "MAE of the narrower half"),
            [
                (
                    *(name, units[name], f"{one.coverage:.1%}"),
                    *(number(one.width), number(one.mae_narrow)),
                )
                for name, one in intervals.items()
            ],
        )
    zeros = {name: m for name, m in metrics.items() if m.zeros and m.zeros.n_zero}
    if zeros:
        _show_zeros(f"{title}, at zero and elsewhere", zeros, units, baseline)
    classes = {name: m for name, m in metrics.items() if m.classes is not None}
    if classes:
        _show_classes(f"{title}, classes", classes, baseline)


def show_finetuned(card: ModelCard) -> None:
    """Print the test errors of a fine-tuned model beside those of its base and the floor.

    What it is worse than stands below.
    """
    from crystalgnn_core.learning.adaptation.verdict import describe, rivals

    targets = card.scaler.targets
    named = {**rivals(card), f"{card.model_id} fine-tuned": card.metrics["test"]}
    rows = [
        (name, *(describe(t, found[t]) if t in found else "" for t in targets))
        for name, found in named.items()
    ]
    show_rows("Test errors", ("model", *targets), rows)
    for sentence in card.remarks:
        show_line(sentence)


def show_decision(decision: Decision) -> None:
    """Print the errors of champion and challenger side by side, and the evidence."""
    from crystalgnn_core.learning.promotion.rule import (
        EVIDENCE,
        describe_use,
        evidence_rows,
    )

    challenger = decision.challenger_metrics
    show_rows(
        f"Frozen test split, {decision.n_test:,} rows",
        ("target", "error", f"#{decision.champion}", f"#{decision.challenger}"),
        [
            (name, m.error_name, number(m.error), number(challenger[name].error))
            for name, m in decision.champion_metrics.items()
        ],
    )
    if rows := evidence_rows(decision):
        show_rows("Evidence, scaled errors", EVIDENCE, rows)
    for line in describe_use(decision):
        show_line(f"note     {line}")


def number(value: float | None) -> str:
    """Write a number with four decimals; nothing for one that is missing or NaN."""
    return "" if value is None or value != value else f"{value:.4f}"  # noqa: PLR0124  NaN


def _mae(metrics: Mapping[str, Metrics], name: str) -> float | None:
    return metrics[name].mae if name in metrics else None


def _show_zeros(
    title: str,
    metrics: Mapping[str, Metrics],
    units: Mapping[str, str],
    baseline: Mapping[str, Metrics] | None,
) -> None:
    """Print the errors where labels are zero and elsewhere; what is not known is empty."""
    columns = ["target", "unit", "rows at 0", *ZEROS]
    rows = []
    for name, found in metrics.items():
        if found.zeros is not None:
            row = [name, units[name], f"{found.zeros.n_zero} of {found.n}"]
            rows.append([*row, *_scores(found.zeros, ZEROS)])
            if baseline is not None and name in baseline:
                of_trees = _scores(baseline[name].zeros, ZEROS)
                rows.append(["of composition-only trees", units[name], "", *of_trees])
    show_rows(title, columns, rows)


def _show_classes(
    title: str, metrics: Mapping[str, Metrics], baseline: Mapping[str, Metrics] | None
) -> None:
    columns = ["target", "rows", *SCORES, *(OF_BASELINE if baseline is not None else ())]
    rows = []
    for name, found in metrics.items():
        row = [name, str(found.n), *_scores(found.classes, SCORES)]
        if baseline is not None:
            row += _scores(
                baseline[name].classes if name in baseline else None, OF_BASELINE
            )
        rows.append(row)
    show_rows(title, columns, rows)


def _scores(
    found: ClassMetrics | ZeroMetrics | None, names: Mapping[str, str]
) -> list[str]:
    return [number(getattr(found, field, None)) for field in names.values()]
