"""A challenger that has won and waits until a person promotes it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crystalgnn_core.learning.promotion.decision import DECISION, Decision
from crystalgnn_core.learning.registry import champion_key
from crystalgnn_core.storage.files import read_model

if TYPE_CHECKING:
    from crystalgnn_core.learning.cards import ModelCard
    from crystalgnn_core.learning.registry import Registry


def await_approval(decision: Decision) -> Decision:
    """Return a decision that promotes, as one that a person has to approve."""
    won = decision.reason.removeprefix("promoted: ")
    reason = (
        f"awaits approval: it has won ({won}); `crystalgnn models promote "
        f"{decision.challenger}` makes it the champion"
    )
    update = {"is_promoted": False, "awaits_approval": True, "reason": reason}
    return decision.model_copy(update=update)


def is_waiting(registry: Registry, card: ModelCard) -> bool:
    """Return whether a model has won against the present champion and awaits approval."""
    decision = read_model(registry.folder / card.model_id / DECISION, Decision)
    if decision is None or not decision.awaits_approval:
        return False
    return decision.champion == registry.champion(champion_key(card))
