"""Tasks that train, compare and promote models."""

from __future__ import annotations

from pathlib import Path

from prefect import task

from crystalgnn_core.graphs.config import GraphConfig
from crystalgnn_core.learning.cards import DataSummary, read_card
from crystalgnn_core.learning.comparison import Decision, compare_models
from crystalgnn_core.learning.config import (
    FinetuningConfig,
    RetrainingConfig,
    TrainingConfig,
)
from crystalgnn_core.learning.data import load_training_data
from crystalgnn_core.learning.finetuning import adopt_graph, finetune_model
from crystalgnn_core.learning.registry import Registry, champion_key, key_of
from crystalgnn_core.learning.training import TrainedModel, model_folder, train_model
from crystalgnn_core.models import ModelConfig
from crystalgnn_core.reporting.history import plot_history
from crystalgnn_core.storage.files import write_text
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
def refine_model(
    store: Path, base: Path, training: TrainingConfig, finetuning: FinetuningConfig
) -> TrainedModel:
    """Fine-tune a model, continue an interrupted run, or find that it is there already."""
    trained = finetune_model(store, base, training, finetuning)
    plot_history(Path(trained.folder), trained.model_id)
    return trained


@task(**OPTIONS)
def summarise_data_for(store: Path, base: Path, training: TrainingConfig) -> DataSummary:
    """Count and digest the labelled rows from which a base model would be fine-tuned."""
    card = read_card(base)
    elements = card.model.known_elements()
    return load_training_data(store, training, card.graph, elements).summary


@task(**OPTIONS)
def choose_graph(base: Path, model: ModelConfig, graph: GraphConfig) -> GraphConfig:
    """Return the graph settings of a base model; refuse others that are asked for."""
    return adopt_graph(base, model, graph)


@task(**OPTIONS)
def find_champion(
    store: Path, training: TrainingConfig, summary: DataSummary
) -> str | None:
    """Return the id of the champion for the same targets and label schemes."""
    return Registry(store).champion(key_of(training.targets, summary.label_schemes))


@task(**OPTIONS)
def judge_challenger(
    store: Path, trained: TrainedModel, training: TrainingConfig, config: RetrainingConfig
) -> Decision:
    """Compare a model with the champion of its targets; promote it if it is better.

    The first model of its targets and label schemes becomes champion unopposed.
    """
    registry = Registry(store)
    challenger = trained.model_id
    champion = registry.champion(champion_key(trained.card))
    if champion is None:
        decision = Decision(
            is_promoted=True,
            reason="promoted: the first model for these targets",
            champion=None,
            challenger=challenger,
        )
    elif champion == challenger:
        return Decision(
            is_promoted=False,
            reason="not promoted: this model is the champion already",
            champion=champion,
            challenger=challenger,
        )
    else:
        decision = compare_models(
            store, model_folder(store, champion), Path(trained.folder), training, config
        )
    write_text(
        Path(trained.folder) / "decision.json", decision.model_dump_json(indent=1) + "\n"
    )
    if decision.is_promoted:
        registry.promote(challenger, decision.reason)
    return decision


@task(**OPTIONS)
def resolve_models(store: Path, references: tuple[str, ...]) -> tuple[Path, ...]:
    """Find the bundle folders of model references; no reference means the champion."""
    registry = Registry(store)
    return tuple(registry.resolve(reference) for reference in references or ("champion",))


@task(**OPTIONS)
def read_graph_config(model: Path) -> GraphConfig:
    """Return the graph settings that a model was trained with."""
    return read_card(model).graph


@task(**OPTIONS)
def read_data_digest(store: Path, model_id: str) -> str:
    """Return the digest of the rows on which a model was trained and tested."""
    return read_card(model_folder(store, model_id)).data.data_digest
