"""Trainings in several processes: what the first one shares, and what the others do."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from crystalgnn_core.distributed import ranks, share
from crystalgnn_core.learning.checkpoints import choose_device
from crystalgnn_core.learning.loop.loading import open_dataset
from crystalgnn_core.learning.loop.steps import start_loop, train_epoch

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from crystalgnn_core.graphs.batches import GraphDataset
    from crystalgnn_core.learning.config import TrainingConfig
    from crystalgnn_core.learning.loop.steps import TrainingState
    from crystalgnn_core.learning.scaling import TargetScaler
    from crystalgnn_core.models.network import Network


class SharedRun(NamedTuple):
    """What other processes need to take part in a training."""

    network: Network
    states: tuple[dict[str, Any], dict[str, Any]]  # of optimiser and schedule
    graphs: GraphDataset | Path  # or the folder of their shards
    digests: list[str]
    labels: Tensor  # scaled
    rows: NDArray[np.int64]
    config: TrainingConfig
    scaler: TargetScaler
    is_finetuning: bool


def follow() -> None:
    """Take part in what the first process trains, until it trains no more.

    Raises:
        RankError: Another process has ended.
    """
    while (run := share()) is not None:
        graphs = run.graphs
        if isinstance(graphs, Path):
            graphs = open_dataset(graphs, run.digests, run.config)
        loop = start_loop(
            run.network.to(choose_device(run.config.device)),
            graphs,
            run.rows,
            run.config,
            run.scaler,
            is_finetuning=run.is_finetuning,
        )
        loop.optimizer.load_state_dict(run.states[0])
        loop.scheduler.load_state_dict(run.states[1])
        while (epoch := share()) is not None:
            train_epoch(loop, run.labels, epoch, lambda _: None)


def share_run(
    loop: TrainingState, folder: Path | None, labels: Tensor, scaler: TargetScaler
) -> None:
    """Give other processes what they need; the average of the weights is kept here.

    Args:
        loop: State.
        folder: Folder of the shards of the graphs; None gives the graphs themselves.
        labels: Scaled.
        scaler: Of the model.
    """
    if ranks().size == 1:
        return
    run = SharedRun(
        loop.network,
        (loop.optimizer.state_dict(), loop.scheduler.state_dict()),
        folder or loop.dataset,
        loop.dataset.digests,
        labels,
        loop.rows,
        loop.config.model_copy(update={"ema_decay": None}),
        scaler,
        loop.is_finetuning,
    )
    share(run)
