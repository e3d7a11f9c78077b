"""What is learned from which records, and how."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, FiniteFloat, field_validator

from crystalgnn_core.base import ADDED_LATER, FrozenModel
from crystalgnn_core.learning.splits import SplitConfig
from crystalgnn_core.targets import TARGETS, TargetName

RATES = (1e-4, 3e-4, 1e-3, 3e-3)  # of fine-tuning, among which short runs choose
N_STEPS = 3000  # of a fine-tuning, unless its epochs are given
EMA_DECAY = 0.99  # of a fine-tuning, unless `training.ema_decay` is given
HOW_IT_RUNS = ("device", "loading", "memory_gib", "compile")  # and not what is learned
LossWeight = Annotated[FiniteFloat, Field(gt=0)]


class OptimizerConfig(FrozenModel):
    """Optimiser and learning-rate schedule.

    Attributes:
        kind: `adamw` (Loshchilov & Hutter 2019) or `sgd` with momentum.
        learning_rate: Peak rate of `one_cycle`, first rate of `step`, or constant rate.
        weight_decay: Decoupled for AdamW.
        momentum: Of SGD.
        schedule: `one_cycle` (Smith & Topin 2019), `step` (times 0.1 at 80 % of the epochs,
            as in the CGCNN code), `linear` (down to 2 % from an eighth of the epochs on) or
            `constant`.
        clip_norm: Largest gradient norm; larger gradients are scaled down.
    """

    kind: Literal["adamw", "sgd"] = "adamw"
    learning_rate: Annotated[float, Field(gt=0)] = 5e-3
    weight_decay: Annotated[float, Field(ge=0)] = 1e-2
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    schedule: Literal["one_cycle", "step", "linear", "constant"] = "one_cycle"
    clip_norm: Annotated[float, Field(gt=0)] = 1.0


class TrainingConfig(FrozenModel):
    """Data, loss and duration of a training run.

    Attributes:
        sources: Record sources that are trained on.
        targets: Targets; a row may lack some of them.
        hurdle: Those of the targets that are learned in two parts (a hurdle model): the
            probability that the value is not zero, and the value if it is not. For targets
            of which many labels are exactly zero: `band_gap`. A prediction is never
            negative, and 0 where that probability is below 0.5. Labels that are all zero,
            or all not, are learned as one number. A name that is not among `targets` is
            ignored.
        allow_mixed_schemes: Train on labels of several schemes of one target as if they
            were one; off by default because their zero points differ.
        split: How rows are divided.
        epochs: Passes over the training split.
        batch_size: Graphs an optimiser step.
        max_edges: Most edges an optimiser step, in place of the batch size: it bounds
            memory when cells differ much in size.
        bucket_size: Graphs that are sorted by their edges and cut into batches of like
            size, in random order; 0 mixes all sizes.
        loss: On the scaled targets: `l1`, `huber` or `mse`; classes have the cross-entropy.
        loss_weights: Weights of targets in the loss, 1 where none is given. Labels have a
            spread of 1 there, so that a target which is learned to a small part of its
            spread counts less and less. Targets that are not learned are ignored.
        optimizer: Optimiser and schedule.
        patience: Epochs without a better validation error before training stops. The error
            of `one_cycle` falls at its end: with few rows take as many as there are epochs.
        calibration_fraction: Share of the validation split that is set aside, by `seed`,
            and chooses no epoch: its errors give the 90 % intervals of predictions. With 1
            the whole split does both. None gives no intervals.
        seed: Initial weights and order of the rows.
        members: Networks that are trained one after the other, from `seed`, `seed` + 1 and
            so on; the model predicts their mean, and their spread beside it.
        device: `auto` takes a CUDA device when there is one.
        loading: `memory` reads all training graphs into memory. For more graphs than it
            holds, `mapped` lays them out in files beside the shards and maps these; `auto`
            does if need be, and reads the files a window of coming batches at a time. The
            results are the same.
        memory_gib: GiB that `auto` may take for graphs. None takes half of what machine,
            limits (`ulimit`) and control group leave this process.
        ema_decay: Share that the running average of the weights keeps at each step, such as
            0.998; the average is then what is validated and kept. None keeps the weights of
            the best epoch themselves.
        precision: `bfloat16` multiplies matrices in half precision (autocast; weights and
            sums stay in single precision), for GPUs.
        compile: Compile the network with `torch.compile` for training, for GPUs; where that
            fails, the network is trained as it is. On the CPU its own kernels are faster.
    """

    sources: tuple[str, ...] = ()
    targets: tuple[TargetName, ...] = ("formation_energy_per_atom", "band_gap")
    hurdle: Annotated[tuple[TargetName, ...], ADDED_LATER] = ()
    allow_mixed_schemes: bool = False
    split: SplitConfig = SplitConfig()
    epochs: Annotated[int, Field(ge=1)] = 50
    batch_size: Annotated[int, Field(ge=2)] = 128
    max_edges: Annotated[Annotated[int, Field(ge=1)] | None, ADDED_LATER] = None
    bucket_size: Annotated[int, Field(ge=0), ADDED_LATER] = 0
    loss: Literal["l1", "huber", "mse"] = "l1"
    loss_weights: Annotated[dict[TargetName, LossWeight], ADDED_LATER] = {}  # noqa: RUF012  pydantic copies it
    optimizer: OptimizerConfig = OptimizerConfig()
    patience: Annotated[int, Field(ge=1)] = 30
    calibration_fraction: Annotated[
        Annotated[float, Field(gt=0, le=1)] | None, ADDED_LATER
    ] = None
    seed: Annotated[int, Field(ge=0)] = 0
    members: Annotated[int, Field(ge=1, le=100), ADDED_LATER] = 1
    device: Literal["auto", "cpu", "cuda"] = "auto"
    loading: Literal["auto", "memory", "mapped"] = "auto"
    memory_gib: Annotated[Annotated[float, Field(gt=0)] | None, ADDED_LATER] = None
    ema_decay: Annotated[Annotated[float, Field(gt=0, lt=1)] | None, ADDED_LATER] = None
    precision: Annotated[Literal["float32", "bfloat16"], ADDED_LATER] = "float32"
    compile: bool = False

    def result_digest(self) -> str:
        """Return a digest of the settings that decide what is learned."""
        return self.settings_digest(exclude=set(HOW_IT_RUNS))

    @field_validator("targets")
    @classmethod
    def _targets_are_named_once(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if not names:
            raise ValueError("no target is named; name at least one")
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"{name} is named twice; name it once")
        return names

    @field_validator("hurdle")
    @classmethod
    def _hurdles_have_many_zeros(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        known = [name for name, target in TARGETS.items() if target.is_zero_inflated]
        for name in names:
            if name not in known:
                raise ValueError(
                    f"{name} cannot be learned in two parts, {' and '.join(known)} can; "
                    "leave it out"
                )
        return names


class FinetuningOptimizerConfig(OptimizerConfig):
    """An optimiser for weights that have learned already.

    Attributes:
        learning_rate: As for `OptimizerConfig`. None takes the one of 1e-4, 3e-4, 1e-3 and
            3e-3 whose short run has the lowest validation error: labels near those of the
            base model need a lower rate than others.
    """

    learning_rate: Annotated[float, Field(gt=0)] | None = None  # type: ignore[assignment]  # None is replaced before it is used


class FinetuningConfig(FrozenModel):
    """How a trained network goes on learning; data, loss and seed are those of training.

    Attributes:
        freeze: What stays as it is: `none`, the `embedding` of the elements, the
            `convolutions` (all layers up to the pooling over the atoms), or `all_but_head`,
            everything but the last linear layer.
        scaler: `refit` to the new labels, with the output layer changed so that the
            predictions are the same, or `keep` that of the base model for the targets that
            it has.
        recalibrate: Start from an output layer that is fitted to the training labels in
            closed form; else from the predictions of the base model, and from random
            weights for new targets.
        epochs: Passes over the training split. None takes as many as make 3,000 steps, but
            at least 20 and at most 300.
        batch_size: Graphs an optimiser step; few, because labels are few.
        optimizer: Optimiser and schedule.
        patience: Epochs without a better validation error before it stops.
    """

    freeze: Literal["none", "embedding", "convolutions", "all_but_head"] = "none"
    scaler: Literal["refit", "keep"] = "refit"
    recalibrate: Annotated[bool, ADDED_LATER] = True
    epochs: Annotated[int, Field(ge=1)] | None = None
    batch_size: Annotated[int, Field(ge=2)] = 32
    optimizer: FinetuningOptimizerConfig = FinetuningOptimizerConfig()
    patience: Annotated[int, Field(ge=1)] = 100

    @property
    def rates(self) -> tuple[float, ...]:
        """Learning rates among which short runs choose, or the one that is given."""
        given = self.optimizer.learning_rate
        return RATES if given is None else (given,)

    def applied_to(self, training: TrainingConfig, n_rows: int) -> TrainingConfig:
        """Return training settings with duration and optimiser of fine-tuning.

        Args:
            training: Training settings.
            n_rows: Training rows.

        Returns:
            Settings with the first of `rates`.
        """
        steps = -(-n_rows // self.batch_size)
        optimizer = self.optimizer.model_dump() | {"learning_rate": self.rates[0]}
        return training.model_copy(
            update={
                "epochs": self.epochs or min(max(N_STEPS // steps, 20), 300),
                "batch_size": self.batch_size,
                "optimizer": OptimizerConfig(**optimizer),
                "patience": self.patience,
                "ema_decay": training.ema_decay or EMA_DECAY,
            }
        )


class RetrainingConfig(FrozenModel):
    """Where a challenger starts from, and when it replaces the champion.

    Attributes:
        start: `fresh` weights, or those of the `champion`, which is fine-tuned.
        level: Share of challengers no better than the champion that may be promoted by
            chance. It is divided by one more than the number of earlier comparisons on the
            same test rows. With 0.5 the smaller error wins.
        retraining_noise: Relative standard deviation of the scaled test error of trainings
            on equal data from other seeds; that of a model of several members is smaller
            by the square root of their number. Where the store holds at least three such
            trainings that scatter more, their scatter counts.
        min_improvement: Relative decrease of the scaled test error (see `scaled_error`)
            that is needed, beside being beyond chance.
        max_target_loss: Largest relative increase of the MAE, or Brier score of a class,
            of any one target.
        max_slice_loss: Largest relative increase of it on the rows of one element, size or
            kind of gap, where it is beyond chance.
        require_floor: Do not promote a model that is worse than its floor, the trees that
            see the composition alone: by its scaled test error, or in any one target by
            more than `max_target_loss`.
        approval: Let a challenger that has won wait until a person promotes it with
            `crystalgnn models promote`.
    """

    start: Literal["fresh", "champion"] = "fresh"
    level: Annotated[float, Field(gt=0, le=0.5), ADDED_LATER] = 0.05
    retraining_noise: Annotated[float, Field(ge=0, lt=1), ADDED_LATER] = 0.02
    min_improvement: Annotated[float, Field(ge=0, lt=1)] = 0.0
    max_target_loss: Annotated[float, Field(ge=0)] = 0.05
    max_slice_loss: Annotated[float, Field(ge=0), ADDED_LATER] = 0.25
    require_floor: Annotated[bool, ADDED_LATER] = True
    approval: Annotated[bool, ADDED_LATER] = False
