"""Tasks that train, compare and promote models."""

from __future__ import annotations

from pathlib import Path

from prefect import task

from crystalgnn_core.graphs.config import GraphConfig
from crystalgnn_core.learning.cards import DataSummary
from crystalgnn_core.learning.comparison import promote_if_better
from crystalgnn_core.learning.config import (
    FinetuningConfig,
    RetrainingConfig,
    TrainingConfig,
)
from crystalgnn_core.learning.data import load_training_data
from crystalgnn_core.learning.finetuning import finetune_model as finetune
from crystalgnn_core.learning.promotion.decision import Decision
from crystalgnn_core.learning.training import TrainedModel, train_model
from crystalgnn_core.models import ModelConfig
from crystalgnn_core.reporting.history import plot_history
from tasks.options import OPTIONS


@task(**OPTIONS)
def summarise_training_data(
    store: Path, model: ModelConfig, training: TrainingConfig, graph: GraphConfig
) -> DataSummary:
    """Count and digest the labelled rows that the network can take, as they are now."""
    elements = model.known_elements()
    return load_training_data(store, training, graph, elements).summary


@task(**OPTIONS, tags=["train"])
def fit_model(
    store: Path, model: ModelConfig, training: TrainingConfig, graph: GraphConfig
) -> TrainedModel:
    """Train a model, continue an interrupted run, or find that it is there already."""
    trained = train_model(store, model, training, graph)
    plot_history(Path(trained.folder), trained.model_id)
    return trained


@task(**OPTIONS, tags=["train"])
def finetune_model(
    store: Path, base: Path, training: TrainingConfig, finetuning: FinetuningConfig
) -> TrainedModel:
    """Fine-tune a model, continue an interrupted run, or find that it is there already."""
    trained = finetune(store, base, training, finetuning)
    plot_history(Path(trained.folder), trained.model_id)
    return trained


@task(**OPTIONS)
def judge_challenger(
    store: Path, trained: TrainedModel, training: TrainingConfig, config: RetrainingConfig
) -> Decision:
    """Compare a model with the champion of its targets; promote it if it is better."""
    return promote_if_better(store, Path(trained.folder), training, config)
