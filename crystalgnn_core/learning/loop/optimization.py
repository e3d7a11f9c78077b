"""Loss, optimiser and learning-rate schedule of a training run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn import functional
from torch.optim import SGD, AdamW
from torch.optim.lr_scheduler import LambdaLR, OneCycleLR

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor, nn
    from torch.optim import Optimizer
    from torch.optim.lr_scheduler import LRScheduler

    from crystalgnn_core.learning.config import OptimizerConfig, TrainingConfig
    from crystalgnn_core.learning.scaling import TargetScaler

STEP_AT, STEP_FACTOR = 0.8, 0.1
LINEAR_FROM, LINEAR_TO = 0.125, 0.02


def make_optimizer(network: nn.Module, config: OptimizerConfig) -> Optimizer:
    """Create the configured optimiser for all parameters."""
    parameters = network.parameters()
    if config.kind == "sgd":
        return SGD(
            parameters,
            lr=config.learning_rate,
            momentum=config.momentum,
            weight_decay=config.weight_decay,
        )
    return AdamW(parameters, lr=config.learning_rate, weight_decay=config.weight_decay)


def make_scheduler(
    optimizer: Optimizer, config: TrainingConfig, n_steps: int
) -> LRScheduler:
    """Create the configured schedule, stepped once a batch, `n_steps` times in all.

    The state of each schedule survives JSON, in which checkpoints keep it (that of torch's
    MultiStepLR does not: its integer keys become text).
    """
    if config.optimizer.schedule == "one_cycle":
        return OneCycleLR(
            optimizer, max_lr=config.optimizer.learning_rate, total_steps=n_steps
        )

    def factor(step: int) -> float:
        if config.optimizer.schedule == "step":
            return STEP_FACTOR if step >= int(STEP_AT * n_steps) else 1.0
        if config.optimizer.schedule == "linear":
            start = LINEAR_FROM * n_steps
            passed = min(max(step - start, 0.0) / (n_steps - start), 1.0)
            return 1.0 - (1.0 - LINEAR_TO) * passed
        return 1.0

    return LambdaLR(optimizer, factor)


def loss_columns(
    scaler: TargetScaler, device: torch.device, of_targets: Mapping[str, float]
) -> tuple[Tensor | None, Tensor | None]:
    """Return which output columns are logits, and their weights, for `masked_loss`.

    None stands for no logit, and for equal weights.

    Args:
        scaler: Of the model.
        device: Where the loss is computed.
        of_targets: Weights of targets; 1 where none is given.
    """
    classes = torch.tensor(scaler.output_classes, device=device)
    pairs = zip(scaler.output_targets, scaler.output_weights, strict=True)
    each = [of_targets.get(name, 1.0) * weight for name, weight in pairs]
    weights = torch.tensor(each, device=device)
    return classes if classes.any() else None, weights if len(set(each)) > 1 else None


def masked_loss(
    outputs: Tensor,
    labels: Tensor,
    kind: str,
    is_class: Tensor | None = None,
    weights: Tensor | None = None,
    *,
    counts: Tensor | None = None,
) -> Tensor:
    """Average the loss over the labels that are there, then over columns.

    Args:
        outputs: Scaled predictions, and logits, shape (n_graphs, n_outputs).
        labels: Scaled labels, NaN missing, same shape.
        kind: `l1`, `huber` or `mse`, for columns that are numbers.
        is_class: Columns whose loss is the cross-entropy, shape (n_outputs,); by default
            there is none.
        weights: Weights of the columns in the mean, shape (n_outputs,); by default all are
            equal.
        counts: Labels of each column in a batch of which the rows are a piece, shape
            (n_outputs,): the losses of its pieces sum up to its loss. By default the rows
            are the batch.

    Returns:
        A scalar; a column without a label in the batch does not count.
    """
    is_known = ~labels.isnan()
    filled = torch.where(is_known, labels, outputs.detach())
    function = {
        "l1": functional.l1_loss,
        "huber": functional.smooth_l1_loss,
        "mse": functional.mse_loss,
    }[kind]
    losses = function(outputs, filled, reduction="none")
    if is_class is not None:
        entropy = functional.binary_cross_entropy_with_logits(
            outputs, filled, reduction="none"
        )
        losses = torch.where(is_class, torch.where(is_known, entropy, 0.0), losses)
    n_known = is_known.sum(0) if counts is None else counts
    per_column, is_there = losses.sum(0) / n_known.clamp(1), n_known > 0
    if weights is None:
        return per_column.sum() / is_there.sum().clamp(1)
    return (weights * per_column).sum() / (weights * is_there).sum().clamp(weights.min())
