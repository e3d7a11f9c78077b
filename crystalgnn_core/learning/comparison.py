"""Champion against challenger on rows that neither learned from, and which is kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crystalgnn_core.learning.cards import read_card
from crystalgnn_core.learning.checkpoints import choose_device
from crystalgnn_core.learning.metrics import scaled_error
from crystalgnn_core.learning.promotion.approval import await_approval
from crystalgnn_core.learning.promotion.decision import DECISION, Decision
from crystalgnn_core.learning.promotion.measuring import measure
from crystalgnn_core.learning.promotion.rows import count_earlier, find_rows
from crystalgnn_core.learning.promotion.rule import decide
from crystalgnn_core.learning.registry import Registry, champion_key
from crystalgnn_core.storage.files import read_model, write_text

if TYPE_CHECKING:
    from pathlib import Path

    from crystalgnn_core.learning.cards import ModelCard
    from crystalgnn_core.learning.config import RetrainingConfig, TrainingConfig
    from crystalgnn_core.learning.promotion.rows import JudgedRows

FLOOR_SLACK = 0.01  # trees as a model round otherwise than trees as the floor


def promote_if_better(
    store: Path, challenger: Path, training: TrainingConfig, config: RetrainingConfig
) -> Decision:
    """Compare a model with the champion of its targets; promote it if it is better.

    The first model of its targets and label schemes becomes champion unopposed. One that is
    worse than its floor does not (see `below_floor`), and one that has won waits if a
    person has to approve it. The decision is kept beside the challenger, and stands while
    models, rows, labels and rule are the same: judging again counts as no other comparison.
    That a champion is compared with itself is no decision.

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
        rows = find_rows(store, registry.folder / champion, challenger, training)
        kept = read_model(challenger / DECISION, Decision)
        if kept is None or kept.judged_digest != rows.digest(config):
            kept = _judge(store, rows, training, config)
        decision = kept
    worse = below_floor(card, config) if decision.is_promoted else ""
    if worse:
        decision = decision.model_copy(update={"is_promoted": False, "reason": worse})
    if decision.is_promoted and config.approval and champion is not None:
        decision = await_approval(decision)
    write_text(challenger / DECISION, decision.model_dump_json(indent=1) + "\n")
    if decision.is_promoted:
        registry.promote(card.model_id, decision.reason)
    return decision


def compare_models(
    store: Path,
    champion: Path,
    challenger: Path,
    training: TrainingConfig,
    config: RetrainingConfig,
) -> Decision:
    """Judge two models on the rows that neither has learned from, with present labels.

    These are the champion's test rows, which are frozen: neither it nor the challenger may
    have learned from them; and further test rows of the challenger that came later. Without
    a frozen row the champion stays.

    Raises:
        ModelError: The models have other targets or label schemes.
        LabelSchemeError: The labels follow several schemes, or others than the models'.
    """
    rows = find_rows(store, champion, challenger, training)
    return _judge(store, rows, training, config)


def _judge(
    store: Path, rows: JudgedRows, training: TrainingConfig, config: RetrainingConfig
) -> Decision:
    first, second = rows.cards
    if not len(rows.frozen):
        return Decision(
            is_promoted=False,
            reason=f"not promoted: no row of the test split of {first.model_id} can judge "
            f"{second.model_id}; to replace the champion, compare both by `crystalgnn "
            f"evaluate` and use `crystalgnn models promote {second.model_id}`",
            champion=first.model_id,
            challenger=second.model_id,
            judged_digest=rows.digest(config),
        )
    n_earlier, device = count_earlier(store, rows), choose_device(training.device)
    measured = measure(store, rows, config, n_earlier=n_earlier, device=device)
    return decide(measured, config)


def below_floor(card: ModelCard, config: RetrainingConfig) -> str:
    """Say why a model that is worse than its floor is not promoted; empty if it is not.

    The floor are the trees on the composition that its card holds the test errors of. Worse
    is a larger scaled error, or in one target an error larger by more than
    `max_target_loss`.
    """
    model, floor = card.metrics.get("test", {}), card.baseline
    shared = [name for name in model if name in floor]
    if not shared or not config.require_floor:
        return ""
    worse = [
        f"{model[name].error_name} of {name} {mine:.4f} against {other:.4f}"
        for name in shared
        if (mine := model[name].error) is not None
        and (other := floor[name].error) is not None
        and not mine <= other * (1 + config.max_target_loss)  # NaN is worse, too
    ]
    mine, other = (scaled_error([one[name] for name in shared]) for one in (model, floor))
    if not worse and mine <= other * (1 + FLOOR_SLACK):
        return ""
    return (
        f"not promoted: {card.model_id} is worse than trees that see the composition alone "
        f"({', '.join(worse) or f'scaled test error {mine:.4f} against {other:.4f}'}); "
        "check the units of the labels, add rows or train longer, or promote it by "
        f"`crystalgnn models promote {card.model_id}` or retraining.require_floor: false"
    )
