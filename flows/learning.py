"""Train a model, and retrain when new labelled records have arrived."""

from __future__ import annotations

from prefect import flow

from crystalgnn_core.base import FrozenModel
from crystalgnn_core.config import PipelineConfig
from crystalgnn_core.learning.comparison import Decision
from crystalgnn_core.learning.metrics import describe_errors
from crystalgnn_core.learning.training import TrainedModel
from flows.graphs import build_graphs
from flows.records import ingest
from flows.screening import ScreenSummary, screen
from flows.stages import Stopwatch, with_runner
from tasks.artifacts import publish_summary
from tasks.learning import (
    find_champion,
    fit_model,
    judge_challenger,
    read_data_digest,
    summarise_training_data,
)


class RetrainSummary(FrozenModel):
    """What a retraining did.

    Attributes:
        reason: Why there is a new champion, or why not.
        trained: The challenger; None when the data had not changed.
        decision: The comparison; None when there was nothing to compare.
        screened: The re-screen that followed.
    """

    reason: str
    trained: TrainedModel | None
    decision: Decision | None
    screened: ScreenSummary | None


@flow
def train(config: PipelineConfig) -> TrainedModel:
    """Train the configured model on the records of the training sources.

    1. Build the graphs that are missing.
    2. Train, continuing an interrupted run; an equal finished model is reused.
    """
    with_runner(build_graphs, config.execution)(config, sources=config.training.sources)
    return fit_model(config.store_path, config.model, config.training, config.graph)


@flow
def retrain(config: PipelineConfig) -> RetrainSummary:
    """Train a challenger when labelled records changed; keep the better model.

    1. Ingest all sources; unchanged ones are skipped.
    2. Build the graphs that are missing.
    3. Stop when the champion was trained on exactly these rows.
    4. Train a challenger.
    5. Compare both on the champion's frozen test split; promote only a better challenger.
    6. Screen again with the champion.
    """
    store, watch = config.store_path, Stopwatch()
    ingested = with_runner(ingest, config.execution)(config)
    watch.note("ingest", ingested.note)
    built = with_runner(build_graphs, config.execution)(
        config, sources=config.training.sources
    )
    watch.note("graphs", built.note)
    summary = summarise_training_data(store, config.model, config.training, config.graph)
    champion = find_champion(store, config.training, summary)
    if champion is not None and read_data_digest(store, champion) == summary.data_digest:
        reason = f"champion {champion} is trained on these rows already (skipped)"
        watch.note("train", reason)
        publish_summary("retrain", tuple(watch.notes), reason)
        return RetrainSummary(reason=reason, trained=None, decision=None, screened=None)
    trained = fit_model(store, config.model, config.training, config.graph)
    watch.note("train", describe_training(trained))
    decision = judge_challenger(store, trained, config.training, config.retraining)
    watch.note("compare", decision.reason)
    screened = None
    if config.screening.sources:
        screened = with_runner(screen, config.execution)(config, notes=tuple(watch.notes))
        watch.note("screen", screened.note)
    publish_summary(
        "retrain", tuple(watch.notes), f"**{trained.model_id}** {decision.reason}"
    )
    return RetrainSummary(
        reason=decision.reason, trained=trained, decision=decision, screened=screened
    )


def describe_training(trained: TrainedModel) -> str:
    """Put a training into one line: model, rows, test errors."""
    card = trained.card
    errors = describe_errors(card.metrics["test"])
    done = (
        f"{trained.epochs} epochs" if trained.was_trained else "trained already (skipped)"
    )
    return f"{trained.model_id}: {done}, test {errors}"
