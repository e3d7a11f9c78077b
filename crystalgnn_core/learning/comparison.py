"""Champion against challenger on the frozen test split."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import pyarrow.parquet as pq
from pydantic import Field

from crystalgnn_core.base import FrozenModel
from crystalgnn_core.errors import ModelError
from crystalgnn_core.graphs.batches import GraphDataset
from crystalgnn_core.graphs.shards import graph_folder
from crystalgnn_core.learning.checkpoints import choose_device, load_bundle
from crystalgnn_core.learning.data import load_training_data
from crystalgnn_core.learning.fitting import evaluate
from crystalgnn_core.learning.metrics import Metrics, scaled_error
from crystalgnn_core.learning.registry import champion_key
from crystalgnn_core.shardset import KEY

if TYPE_CHECKING:
    from crystalgnn_core.learning.config import TrainingConfig


class RetrainingConfig(FrozenModel):
    """When a challenger replaces the champion.

    Attributes:
        min_improvement: Relative decrease of the scaled test error (mean over targets of
            MAE / MAD) that is needed.
        max_target_loss: Largest relative increase of the MAE of any one target.
    """

    min_improvement: Annotated[float, Field(ge=0, lt=1)] = 0.0
    max_target_loss: Annotated[float, Field(ge=0)] = 0.05


class Decision(FrozenModel):
    """The outcome of a comparison.

    Attributes:
        is_promoted: Whether the challenger wins.
        reason: Why, in one sentence.
        champion: Id of the champion; None when there was none.
        challenger: Id of the challenger.
        n_test: Rows of the frozen test split on which both were judged.
        champion_metrics: Target to errors of the champion.
        challenger_metrics: Target to errors of the challenger.
    """

    is_promoted: bool
    reason: str
    champion: str | None
    challenger: str
    n_test: int = 0
    champion_metrics: dict[str, Metrics] = {}
    challenger_metrics: dict[str, Metrics] = {}


def compare_models(
    store: Path,
    champion: Path,
    challenger: Path,
    training: TrainingConfig,
    config: RetrainingConfig,
) -> Decision:
    """Judge two models on the rows on which the champion was tested.

    Those rows are frozen: the champion has not trained on them, and neither may the
    challenger; rows that are gone from the records or that the challenger trained on do
    not count. Present labels are used.

    Raises:
        ModelError: The models have other targets or label schemes, or share no test row.
    """
    first, first_card = load_bundle(champion, choose_device(training.device))
    second, second_card = load_bundle(challenger, choose_device(training.device))
    if champion_key(first_card) != champion_key(second_card):
        raise ModelError(
            f"{first_card.model_id} and {second_card.model_id} cannot be compared: "
            f"{champion_key(first_card)} against {champion_key(second_card)}"
        )
    data = load_training_data(store, training, second_card.graph)
    frozen = pq.read_table(
        champion / "test_predictions.parquet", columns=["source", "material_id"]
    )
    frozen_ids = set(
        zip(*(frozen[name].to_pylist() for name in frozen.column_names), strict=True)
    )
    ids = zip(
        data.rows["source"].to_pylist(), data.rows["material_id"].to_pylist(), strict=True
    )
    is_frozen = np.array([key in frozen_ids for key in ids])
    rows = np.flatnonzero(is_frozen & (data.splits == "test"))
    if not len(rows):
        raise ModelError(
            f"no row of the test split of {first_card.model_id} can judge "
            f"{second_card.model_id}; promote one of them by hand"
        )
    digests = [data.rows[KEY][int(row)].as_py() for row in rows]
    metrics = []
    for network, card in ((first, first_card), (second, second_card)):
        dataset = GraphDataset.from_shards(graph_folder(store, card.graph), digests)
        order = [training.targets.index(name) for name in card.scaler.targets]
        labels = data.labels[rows][:, order]
        metrics.append(
            evaluate(network, dataset, labels, np.arange(len(rows)), card.scaler)
        )
    is_better, reason = decide(metrics[0], metrics[1], config)
    return Decision(
        is_promoted=is_better,
        reason=reason,
        champion=first_card.model_id,
        challenger=second_card.model_id,
        n_test=len(rows),
        champion_metrics=metrics[0],
        challenger_metrics=metrics[1],
    )


def decide(
    champion: dict[str, Metrics], challenger: dict[str, Metrics], config: RetrainingConfig
) -> tuple[bool, str]:
    """Decide by the scaled test errors, and say why in one sentence."""
    before = scaled_error(list(champion.values()))
    after = scaled_error(list(challenger.values()))
    numbers = f"scaled test error {after:.4f} against the champion's {before:.4f}"
    for name, metrics in challenger.items():
        old, new = champion[name].mae, metrics.mae
        if old is not None and new is not None and new > old * (1 + config.max_target_loss):
            return False, (
                f"not promoted: MAE of {name} rose from {old:.4f} to {new:.4f}, more than "
                f"{config.max_target_loss:.0%} ({numbers})"
            )
    if after < before * (1 - config.min_improvement):
        return True, f"promoted: {numbers}"
    needed = (
        f"; {config.min_improvement:.1%} less is needed" if config.min_improvement else ""
    )
    return False, f"not promoted: {numbers}{needed}"
