"""What a user should be told about a fine-tuned model: where it falls short, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crystalgnn_core.targets import get_target, is_class

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

    from crystalgnn_core.learning.cards import ModelCard
    from crystalgnn_core.learning.metrics import Metrics

FLOOR = "trees that see the composition alone"


def shortcomings(card: ModelCard, history: pd.DataFrame) -> tuple[str, ...]:
    """Name what a fine-tuned model is worse than, and whether it was still learning.

    Args:
        card: Its card, with test errors.
        history: One row an epoch, with the number of the member if there are several.

    Returns:
        Sentences, none for a model that did not start from another.
    """
    if card.base is None:
        return ()
    test = card.metrics.get("test", {})
    found = []
    for name, before in rivals(card).items():
        found += [
            f"{target}: test {describe(target, test[target])} is worse than "
            f"{describe(target, errors)} of {name}"
            for target, errors in before.items()
            if _is_worse(test.get(target), errors)
        ]
    if found and card.training["epochs"] > 1:
        found.append("to improve it: more labels, more epochs, or finetuning.freeze: none")
    return (*found, *_still_improving(card, history))


def rivals(card: ModelCard) -> dict[str, Mapping[str, Metrics]]:
    """Return the test errors that stand beside those of a fine-tuned model, by name."""
    if card.base is None:
        return {}
    given = {
        f"{card.base.model_id} as it was": card.base.metrics.get("test", {}),
        f"{card.base.model_id} recalibrated": card.base.recalibrated.get("test", {}),
        FLOOR: card.baseline,
    }
    return {name: errors for name, errors in given.items() if errors}


def describe(target: str, metrics: Metrics) -> str:
    """Put the error by which models are compared into words."""
    if metrics.error is None:
        return "no label"
    shown = f"{metrics.error:.4f}"
    shown = shown if is_class(target) else get_target(target).with_unit(shown)
    return f"{metrics.error_name} {shown}"


def _is_worse(after: Metrics | None, before: Metrics) -> bool:
    if after is None or after.error is None or before.error is None:
        return False
    return after.error > before.error


def _still_improving(card: ModelCard, history: pd.DataFrame) -> tuple[str, ...]:
    """Say so when the last planned epoch of any member was its best."""
    if history.empty or "val_error" not in history:
        return ()
    groups = history.groupby("member") if "member" in history else [(1, history)]
    planned = int(card.training["epochs"])
    for _, epochs in groups:
        errors = epochs["val_error"].to_numpy()
        if len(errors) == planned and errors.argmin() == planned - 1:
            said = f"still improving: the best epoch is the last, {planned} of {planned}"
            return (f"{said}; train longer with finetuning.epochs",)
    return ()
