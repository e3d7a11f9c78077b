"""Tasks that predict and rank candidates."""

from __future__ import annotations

from pathlib import Path

from prefect import task

from crystalgnn_core.reporting.report import StageNote
from crystalgnn_core.reporting.screen import ReportState, report_screen
from crystalgnn_core.screening.candidates import read_candidates
from crystalgnn_core.screening.config import ScreeningConfig
from crystalgnn_core.screening.prediction import plan_prediction_shards, predict_shard
from crystalgnn_core.screening.prescreening import (
    Prescreened,
    kept_digests,
    prescreen,
)
from crystalgnn_core.screening.result import ScreenResult
from crystalgnn_core.screening.screen import rank_screen
from crystalgnn_core.storage.shards import KEY, ShardJob, ShardState
from tasks.graphs import ShardPlan
from tasks.options import OPTIONS


@task(**OPTIONS)
def plan_predictions(
    store: Path,
    model: Path,
    sources: tuple[str, ...],
    shard_size: int,
    prescreened: Prescreened | None = None,
) -> ShardPlan:
    """List the prediction shards of a model that are missing for the candidates.

    After a pre-screen only those that it kept are predicted.
    """
    if prescreened is None:
        digests = read_candidates(store, sources)[KEY].to_list()
    else:
        digests = kept_digests(prescreened).to_pylist()
    jobs, n_known = plan_prediction_shards(store, model, digests, shard_size=shard_size)
    return ShardPlan(jobs=tuple(jobs), n_known=n_known)


@task(**OPTIONS, task_run_name="predict-{job.name}")
def predict_candidates(
    job: ShardJob, store: Path, model: Path, screening: ScreeningConfig
) -> ShardState:
    """Predict one shard of candidates."""
    return predict_shard(
        job, store, model, batch_size=screening.batch_size, device=screening.device
    )


@task(**OPTIONS)
def prescreen_candidates(
    store: Path, screening: ScreeningConfig, models: tuple[Path, ...]
) -> Prescreened:
    """Choose the candidates that go on, by the predictions of the fast models."""
    return prescreen(store, screening, models)


@task(**OPTIONS)
def rank(
    store: Path,
    screening: ScreeningConfig,
    models: tuple[Path, ...],
    prescreened: Prescreened | None = None,
) -> ScreenResult:
    """Rank all candidates and write the screen's folder."""
    return rank_screen(store, screening, models, prescreened)


@task(**OPTIONS)
def write_screen_report(
    store: Path,
    screening: ScreeningConfig,
    result: ScreenResult,
    stages: tuple[StageNote, ...],
) -> ReportState:
    """Write the page of a screen."""
    return report_screen(store, screening, result, stages)
