"""The whole job in one flow: ingest, graphs, training, screening, report."""

from __future__ import annotations

from prefect import flow

from crystalgnn_core.base import FrozenModel
from crystalgnn_core.config import PipelineConfig
from crystalgnn_core.learning.promotion.decision import Decision
from crystalgnn_core.learning.promotion.rule import describe_evidence
from crystalgnn_core.learning.training import TrainedModel
from crystalgnn_core.records.gate.acceptance import require_accepted
from crystalgnn_core.reporting.report import StageNote
from flows.graphs import BuildSummary, build_graphs
from flows.learning import describe_training
from flows.readiness import absent_champion, check_screening, check_training
from flows.records import IngestSummary, ingest
from flows.screening import ScreenSummary, describe_screen, screen
from flows.stages import Stopwatch, with_runner
from tasks.artifacts import publish_summary
from tasks.learning import fit_model, judge_challenger


class PipelineSummary(FrozenModel):
    """What every stage of a pipeline run did; `screened` is None without the champion."""

    ingested: IngestSummary
    built: BuildSummary
    trained: TrainedModel
    decision: Decision
    screened: ScreenSummary | None
    stages: tuple[StageNote, ...]


@flow
def pipeline(config: PipelineConfig) -> PipelineSummary:
    """Go from sources to a ranked report; every stage skips what is done already.

    1. Check that sources, labels, models and devices are there for every stage.
    2. Ingest the sources into the record table.
    3. Stop if the newest version of a training source is suspicious and not accepted.
    4. Build the graphs of training data and candidates.
    5. Train the model, continuing an interrupted run.
    6. Make it the champion if it is the first or better than the present one.
    7. Screen the candidates with the model just trained, unless others are configured; a
       configured champion that nothing has been promoted to is waited for.
    """
    store, watch = config.store_path, Stopwatch()
    check_training(config)
    check_screening(config, trains=True)
    ingested = with_runner(ingest, config.execution)(config)
    watch.note("ingest", ingested.note)
    require_accepted(store, config.training.sources, config.gate)
    built = with_runner(build_graphs, config.execution)(config)
    watch.note("graphs", built.note)
    trained = fit_model(store, config.model, config.training, config.graph)
    watch.note("train", describe_training(trained))
    decision = judge_challenger(store, trained, config.training, config.retraining)
    watch.note("compare", decision.reason)
    models = config.screening.models or (trained.model_id,)
    screened = None
    if absent := absent_champion(config, models):
        watch.note("screen", f"{absent}; nothing is screened (skipped)")
    else:
        screened = with_runner(screen, config.execution)(
            config, models=models, notes=tuple(watch.notes)
        )
        watch.note("screen", screened.note)
    table = describe_screen(screened) if screened else ""
    table += describe_evidence(decision)
    publish_summary("pipeline", tuple(watch.notes), table)
    return PipelineSummary(
        ingested=ingested,
        built=built,
        trained=trained,
        decision=decision,
        screened=screened,
        stages=tuple(watch.notes),
    )
