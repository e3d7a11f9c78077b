"""Champion against challenger on the frozen test split, and which is kept."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from pydantic import Field

from crystalgnn_core.base import FrozenModel
from crystalgnn_core.errors import ModelError
from crystalgnn_core.graphs.batches import GraphDataset
from crystalgnn_core.graphs.shards import graph_folder
from crystalgnn_core.learning.cards import TEST_PREDICTIONS, read_card
from crystalgnn_core.learning.checkpoints import choose_device, load_bundle
from crystalgnn_core.learning.data import load_training_data
from crystalgnn_core.learning.evaluation import refuse_other_schemes
from crystalgnn_core.learning.fitting import evaluate
from crystalgnn_core.learning.metrics import Metrics, scaled_error
from crystalgnn_core.learning.registry import Registry, champion_key
from crystalgnn_core.storage.files import read_table, write_text
from crystalgnn_core.storage.shards import KEY, ShardSet

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from crystalgnn_core.learning.cards import ModelCard
    from crystalgnn_core.learning.config import RetrainingConfig, TrainingConfig
    from crystalgnn_core.learning.data import TrainingData

logger = logging.getLogger(__name__)
IDS = ("source", "material_id")
DECISION = "decision.json"
FLOOR_SLACK = 0.01  # trees as a model round otherwise than trees as the floor


class Decision(FrozenModel):
    """The outcome of a comparison.

    Attributes:
        is_promoted: Whether the challenger wins.
        reason: Why, in one sentence.
        champion: Id of the champion; None when there was none.
        challenger: Id of the challenger.
        n_test: Rows of the champion's frozen test split on which both were judged.
        champion_metrics: Target to errors of the champion.
        challenger_metrics: Target to errors of the challenger.
    """

    is_promoted: bool
    reason: str
    champion: str | None
    challenger: str
    n_test: int = 0
    champion_metrics: dict[str, Metrics] = Field(default_factory=dict)
    challenger_metrics: dict[str, Metrics] = Field(default_factory=dict)


def promote_if_better(
    store: Path, challenger: Path, training: TrainingConfig, config: RetrainingConfig
) -> Decision:
    """Compare a model with the champion of its targets; promote it if it is better.

    The first model of its targets and label schemes becomes champion unopposed. One that is
    worse than its floor does not (see `below_floor`). The decision is kept beside the
    challenger; that a champion is compared with itself is none.

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
        base = registry.folder / champion
        decision = compare_models(store, base, challenger, training, config)
    worse = below_floor(card, config) if decision.is_promoted else ""
    if worse:
        decision = decision.model_copy(update={"is_promoted": False, "reason": worse})
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
    """Judge two models on the rows on which both were tested.

    The champion's test rows are frozen: neither it nor the challenger may have learned from
    them. Rows that are gone from the records, have lost the graph that either model needs,
    or on which the challenger was trained or validated do not count. Present labels are
    used. Without a labelled row left the champion stays.

    Raises:
        ModelError: The models have other targets or label schemes.
        LabelSchemeError: The labels follow several schemes, or others than the models'.
    """
    device = choose_device(training.device)
    models = [load_bundle(folder, device) for folder in (champion, challenger)]
    (_, first), (_, second) = models
    _check_comparable(first, second, training)
    # rows that the first cannot take are not among its test rows
    elements = second.model.known_elements()
    data = load_training_data(store, training, second.graph, elements)
    if not training.allow_mixed_schemes:
        refuse_other_schemes(first, data.summary)
    rows = _shared_test_rows(data, champion, challenger)
    folders = [graph_folder(store, card.graph) for _, card in models]
    rows = _rows_with_graphs(data, rows, folders)
    columns = [training.targets.index(name) for name in second.scaler.targets]
    if not np.isfinite(data.labels[rows][:, columns]).any():
        return Decision(
            is_promoted=False,
            reason=f"not promoted: no row of the test split of {first.model_id} can judge "
            f"{second.model_id}; to replace the champion, compare both by `crystalgnn "
            f"evaluate` and use `crystalgnn models promote {second.model_id}`",
            champion=first.model_id,
            challenger=second.model_id,
        )
    digests = data.rows[KEY].take(pa.array(rows)).to_pylist()
    metrics = []
    for (network, card), folder in zip(models, folders, strict=True):
        dataset = GraphDataset.from_shards(folder, digests)
        order = [training.targets.index(name) for name in card.scaler.targets]
        labels = data.labels[rows][:, order]
        everything = np.arange(len(rows))
        metrics.append(evaluate(network, dataset, labels, everything, card.scaler))
    is_better, reason = decide(metrics[0], metrics[1], config)
    return Decision(
        is_promoted=is_better,
        reason=reason,
        champion=first.model_id,
        challenger=second.model_id,
        n_test=len(rows),
        champion_metrics=metrics[0],
        challenger_metrics=metrics[1],
    )


def _check_comparable(
    first: ModelCard, second: ModelCard, training: TrainingConfig
) -> None:
    keys = champion_key(first), champion_key(second)
    if keys[0] != keys[1]:
        raise ModelError(
            f"{first.model_id} and {second.model_id} cannot be compared: {keys[0]} against "
            f"{keys[1]}"
        )
    missing = sorted(set(second.scaler.targets) - set(training.targets))
    if missing:
        raise ModelError(
            f"{', '.join(missing)} cannot be judged; add it to training.targets "
            f"({', '.join(training.targets)})"
        )


def _shared_test_rows(
    data: TrainingData, champion: Path, challenger: Path
) -> NDArray[np.int64]:
    """Return the positions of the rows that belong to the test splits of both models."""
    frozen = _test_ids(champion) & _test_ids(challenger)
    columns = (data.rows[name].to_pylist() for name in IDS)
    return np.flatnonzero([key in frozen for key in zip(*columns, strict=True)])


def _test_ids(model: Path) -> set[tuple[str, str]]:
    path = model / TEST_PREDICTIONS
    if not path.is_file():
        raise ModelError(f"{path} is missing; without it the test rows are not known")
    table = read_table(path, list(IDS))
    return set(zip(*(table[name].to_pylist() for name in IDS), strict=True))


def _rows_with_graphs(
    data: TrainingData, rows: NDArray[np.int64], folders: list[Path]
) -> NDArray[np.int64]:
    digests = data.rows[KEY].take(pa.array(rows)).to_pylist()
    places = [ShardSet(folder).locate(digests) for folder in folders]
    has_graphs = [all(digest in place for place in places) for digest in digests]
    if not all(has_graphs):
        logger.warning("%d test rows lack a graph", len(rows) - sum(has_graphs))
    return rows[np.array(has_graphs, dtype=bool)]


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


def decide(
    champion: dict[str, Metrics], challenger: dict[str, Metrics], config: RetrainingConfig
) -> tuple[bool, str]:
    """Decide by the scaled test errors, and say why in one sentence."""
    before = scaled_error(list(champion.values()))
    after = scaled_error(list(challenger.values()))
    numbers = f"scaled test error {after:.4f} against the champion's {before:.4f}"
    for name, metrics in challenger.items():
        old, new = champion[name].error, metrics.error
        if old is not None and new is not None and new > old * (1 + config.max_target_loss):
            return False, (
                f"not promoted: {metrics.error_name} of {name} rose from {old:.4f} to "
                f"{new:.4f}, more than {config.max_target_loss:.0%} ({numbers})"
            )
    if after < before * (1 - config.min_improvement):
        return True, f"promoted: {numbers}"
    needed = (
        f"; {config.min_improvement:.1%} less is needed" if config.min_improvement else ""
    )
    return False, f"not promoted: {numbers}{needed}"
