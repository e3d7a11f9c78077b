"""When a new model becomes the champion of its targets and label schemes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crystalgnn_core.learning.cards import read_card
from crystalgnn_core.learning.comparison import Decision, compare_models
from crystalgnn_core.learning.registry import Registry, champion_key
from crystalgnn_core.learning.training import model_folder
from crystalgnn_core.storage.files import write_text

if TYPE_CHECKING:
    from pathlib import Path

    from crystalgnn_core.learning.config import RetrainingConfig, TrainingConfig

DECISION = "decision.json"


def promote_if_better(
    store: Path, challenger: Path, training: TrainingConfig, config: RetrainingConfig
) -> Decision:
    """Compare a model with the champion of its targets; promote it if it is better.

    The first model of its targets and label schemes becomes champion unopposed. The
    decision is kept beside the challenger; that a champion is compared with itself is none.

    Args:
        store: Store folder.
        challenger: Bundle folder of a model of the store.
        training: Sources of the labels, and the device.
        config: By how much the challenger must be better.

    Raises:
        ModelError: The models cannot be compared (see `compare_models`).
        LabelSchemeError: The labels follow several schemes, or others than the models'.
        TransientError: Another process holds the registry for too long.
    """
    registry, card = Registry(store), read_card(challenger)
    champion = registry.champion(champion_key(card))
    if champion == card.model_id:
        return Decision(
            is_promoted=False,
            reason="not promoted: this model is the champion already",
            champion=champion,
            challenger=card.model_id,
        )
    if champion is None:
        decision = Decision(
            is_promoted=True,
            reason="promoted: the first model for these targets",
            champion=None,
            challenger=card.model_id,
        )
    else:
        base = model_folder(store, champion)
        decision = compare_models(store, base, challenger, training, config)
    write_text(challenger / DECISION, decision.model_dump_json(indent=1) + "\n")
    if decision.is_promoted:
        registry.promote(card.model_id, decision.reason)
    return decision
