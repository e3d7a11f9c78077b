"""Train or fine-tune a model, and retrain when new labelled records have arrived."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prefect import flow

from crystalgnn_core.base import FrozenModel
from crystalgnn_core.config import PipelineConfig
from crystalgnn_core.learning.cards import read_card
from crystalgnn_core.learning.finetuning import base_graph
from crystalgnn_core.learning.metrics import describe_errors
from crystalgnn_core.learning.promotion.decision import Decision
from crystalgnn_core.learning.promotion.rule import describe_evidence
from crystalgnn_core.learning.registry import Registry, key_of
from crystalgnn_core.learning.training import TrainedModel, model_folder
from crystalgnn_core.records.gate.acceptance import require_accepted
from flows.graphs import build_graphs
from flows.readiness import absent_champion, check_screening, check_training
from flows.records import ingest
from flows.screening import ScreenSummary, screen
from flows.stages import Stopwatch, with_runner
from tasks.artifacts import publish_summary
from tasks.learning import (
    finetune_model,
    fit_model,
    judge_challenger,
    summarise_training_data,
)

if TYPE_CHECKING:
    from pathlib import Path

    from crystalgnn_core.learning.cards import DataSummary


class RetrainSummary(FrozenModel):
    """What a retraining did.

    Attributes:
        reason: Why there is a new champion, or why not.
        trained: The challenger; None when the data had not changed.
        decision: The comparison; None when there was nothing to compare.
        screened: The screen that followed; None when no candidates are configured.
    """

    reason: str
    trained: TrainedModel | None
    decision: Decision | None
    screened: ScreenSummary | None


@flow
def train(config: PipelineConfig) -> TrainedModel:
    """Train the configured model on the records of the training sources.

    1. Check that sources, labels and device are there, and stop if the newest version of a
       source is suspicious and was not accepted.
    2. Build the graphs that are missing.
    3. Train, continuing an interrupted run; an equal finished model is reused.
    """
    check_training(config)
    require_accepted(config.store_path, config.training.sources, config.gate)
    with_runner(build_graphs, config.execution)(config, sources=config.training.sources)
    return fit_model(config.store_path, config.model, config.training, config.graph)


@flow
def finetune(config: PipelineConfig, model: str) -> TrainedModel:
    """Fine-tune a model on the records of the training sources.

    1. Check that sources, labels and device are there, and stop if the newest version of a
       source is suspicious and was not accepted.
    2. Find the base model; a published checkpoint is converted.
    3. Build the graphs that are missing, as the base model expects them.
    4. Fine-tune, continuing an interrupted run; an equal finished model is reused.
    """
    store = config.store_path
    check_training(config)
    require_accepted(store, config.training.sources, config.gate)
    base = Registry(store).resolve(model)
    _build_as_expected(config, base)
    return finetune_model(store, base, config.training, config.finetuning)


@flow
def retrain(config: PipelineConfig) -> RetrainSummary:
    """Train a challenger when labelled records changed; keep the better model.

    1. Check that sources, labels, models and devices are there for every stage; then
       ingest all sources; unchanged ones are skipped.
    2. Stop if the newest version of a source is suspicious and was not accepted.
    3. Build the graphs that are missing.
    4. Unless the champion was trained on exactly these rows, train a challenger, from
       fresh weights or from those of the champion, and compare both on the champion's
       frozen test split; promote only a better challenger.
    5. Screen with the champion of the training targets, or the configured models. It is
       done in any case: an earlier run may have been stopped after the promotion, and a
       screen that is there already is reused. Without a champion there is no screen.
    """
    store, watch = config.store_path, Stopwatch()
    check_training(config)
    if config.screening.sources:
        check_screening(config, trains=True)
    ingested = with_runner(ingest, config.execution)(config)
    watch.note("ingest", ingested.note)
    require_accepted(store, config.training.sources, config.gate)
    built = with_runner(build_graphs, config.execution)(
        config, sources=config.training.sources
    )
    watch.note("graphs", built.note)
    key, reason, trained, decision = _challenge(config, watch)
    screened = _screen_with_champion(config, key, watch)
    who = "" if trained is None else f"**{trained.model_id}** "
    details = "" if decision is None else describe_evidence(decision)
    publish_summary("retrain", tuple(watch.notes), f"{who}{reason}{details}")
    return RetrainSummary(
        reason=reason, trained=trained, decision=decision, screened=screened
    )


def _challenge(
    config: PipelineConfig, watch: Stopwatch
) -> tuple[str, str, TrainedModel | None, Decision | None]:
    """Train and judge a challenger, unless the champion knows these rows; say what came.

    The first string is the key of the champion of these targets, the second the outcome.
    """
    store = config.store_path
    summary = summarise_training_data(store, config.model, config.training, config.graph)
    key = key_of(config.training.targets, summary.label_schemes)
    champion = Registry(store).champion(key)
    base = None
    if champion is not None and config.retraining.start == "champion":
        base = model_folder(store, champion)
        _build_as_expected(config, base)
        card = read_card(base)
        summary = summarise_training_data(store, card.model, config.training, card.graph)
    if champion is not None and _is_trained_on(store, champion, summary):
        reason = f"champion {champion} is trained on these rows already (skipped)"
        watch.note("train", reason)
        return key, reason, None, None
    if base is not None:
        trained = finetune_model(store, base, config.training, config.finetuning)
    else:
        trained = fit_model(store, config.model, config.training, config.graph)
    watch.note("train", describe_training(trained))
    decision = judge_challenger(store, trained, config.training, config.retraining)
    watch.note("compare", decision.reason)
    return key, decision.reason, trained, decision


def _screen_with_champion(
    config: PipelineConfig, key: str, watch: Stopwatch
) -> ScreenSummary | None:
    """Screen with the configured models or the champion of a key, if these are there."""
    if not config.screening.sources:
        return None
    models = config.screening.models or (f"champion:{key}",)
    if absent := absent_champion(config, models):
        watch.note("screen", f"{absent}; nothing is screened (skipped)")
        return None
    screened = with_runner(screen, config.execution)(
        config, models=models, notes=tuple(watch.notes)
    )
    watch.note("screen", screened.note)
    return screened


def describe_training(trained: TrainedModel) -> str:
    """Put a training into one line: model, rows, test errors and those of its base."""
    card = trained.card
    errors = describe_errors(card.metrics["test"])
    epochs = f"{trained.epochs} epochs" if trained.epochs > 1 else "1 epoch"
    members = card.training.get("members", 1)
    epochs += f" of {members} members" if members > 1 else ""
    done = epochs if trained.was_trained else "trained already (skipped)"
    line = f"{trained.model_id}: {done}, test {errors}"
    if card.base is None:
        return line
    before = describe_errors(card.base.metrics["test"]) or "of other targets"
    return f"{line}; before, {card.base.model_id}: {before}"


def _is_trained_on(store: Path, model_id: str, summary: DataSummary) -> bool:
    known = read_card(model_folder(store, model_id)).data.data_digest
    return known == summary.data_digest


def _build_as_expected(config: PipelineConfig, base: Path) -> None:
    """Build the training graphs that a base model expects."""
    graph = base_graph(base, config.model, config.graph)
    with_runner(build_graphs, config.execution)(
        config.model_copy(update={"graph": graph}), sources=config.training.sources
    )
