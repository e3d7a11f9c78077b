"""Commands that run flows."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deployments.errors import show_decision, show_errors, show_finetuned
from deployments.ingest_command import candidates_name, ingest, source_entry
from deployments.options import (
    Base,
    Job,
    Set,
    Store,
    Verbose,
    require_names,
    require_ready,
    require_sources,
    require_stored,
    takes_job,
)
from deployments.session import prefect_session
from deployments.tables import (
    show_left_out,
    show_line,
    show_rejects,
    show_screen,
    show_stages,
)

if TYPE_CHECKING:
    from crystalgnn_core.config import PipelineConfig
    from flows.pipeline import PipelineSummary
    from flows.screening import ScreenSummary

N_SHOWN = 10


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    learning = (train, finetune, retrain)
    for command in (demo, pipeline, ingest, build, *learning, screen, rescreen, serve):
        app.command()(command)


def demo(store: Store = None, set_: Set = None, verbose: Verbose = False) -> None:
    """Run the whole loop on embedded synthetic data, offline, on the CPU."""
    config = Job(config="demo", store=store, set_=set_).settings()
    show_line("Synthetic data: crystals and labels are made by a model, not by DFT.")
    _run_pipeline(config, verbose=verbose, label=" (synthetic)")


@takes_job
def pipeline(job: Job) -> None:
    """Ingest, build graphs, train, screen and report; skip what is done already."""
    settings = job.settings()
    require_sources(settings)
    _run_pipeline(settings, verbose=job.verbose, label="")


@takes_job
def build(job: Job) -> None:
    """Build the graphs of training data and candidates."""
    settings = job.settings()
    training, candidates = settings.training.sources, settings.screening.sources
    require_names(training or candidates, "training.sources or screening.sources")
    if training:
        require_stored(settings, training, "training.sources")
    if candidates:
        require_stored(settings, candidates, "screening.sources")
    with prefect_session(verbose=job.verbose):
        from flows.graphs import build_graphs
        from flows.stages import with_runner

        summary = with_runner(build_graphs, settings.execution)(settings)
    show_line(summary.note)


@takes_job
def train(job: Job) -> None:
    """Train a model on the records of the training sources."""
    settings = job.settings()
    require_stored(settings, settings.training.sources, "training.sources")
    require_ready(settings, trains=True, screens=False)
    with prefect_session(verbose=job.verbose):
        from flows.learning import describe_training
        from flows.learning import train as flow

        trained = flow(settings)
    show_line(describe_training(trained))
    show_line(f"bundle   {trained.folder}")


@takes_job
def finetune(*, model: Base = "champion", job: Job) -> None:
    """Go on training a model on the records of the training sources."""
    from crystalgnn_core.learning.registry import Registry

    settings = job.settings()
    require_names(settings.training.sources, "training.sources")
    Registry(settings.store_path).resolve(model)
    require_stored(settings, settings.training.sources, "training.sources")
    require_ready(settings, trains=True, screens=False)
    with prefect_session(verbose=job.verbose):
        from flows.learning import describe_training
        from flows.learning import finetune as flow

        trained = flow(settings, model)
    show_line(describe_training(trained))
    show_finetuned(trained.card)
    show_line(f"bundle   {trained.folder}")


@takes_job
def screen(
    *,
    candidates: Annotated[
        str | None, typer.Argument(help="Folder, structure file or table of candidates.")
    ] = None,
    model: Annotated[
        list[str] | None, typer.Option("--model", help="Model reference; repeatable.")
    ] = None,
    name: Annotated[
        str | None, typer.Option("--name", help="Name of the candidates.")
    ] = None,
    job: Job,
) -> None:
    """Predict and rank candidates: those of a path, or the configured sources."""
    options: dict[str, Any] | None = None
    if candidates is not None:
        entry = source_entry(
            "files", path=candidates, name=name or candidates_name(candidates)
        )
        options = {
            "sources": [entry],
            "screening": {"sources": [entry["name"]], "name": entry["name"]},
        }
    settings = job.settings(options)
    require_names(settings.screening.sources, "screening.sources, or CANDIDATES")
    if candidates is not None:
        require_sources(settings)
    require_ready(settings, model or ())
    if candidates is None:
        require_stored(settings, settings.screening.sources, "screening.sources")
    with prefect_session(verbose=job.verbose):
        from flows.records import ingest as ingest_flow
        from flows.screening import screen as flow
        from flows.stages import with_runner

        if candidates is not None:
            with_runner(ingest_flow, settings.execution)(settings)
        summary = with_runner(flow, settings.execution)(settings, models=tuple(model or ()))
    _show_screened(summary, settings)


@takes_job
def rescreen(job: Job) -> None:
    """Screen again with the champion; score only what changed since the last screen."""
    settings = job.settings()
    require_names(settings.screening.sources, "screening.sources")
    require_ready(settings)
    with prefect_session(verbose=job.verbose):
        from flows.screening import rescreen as flow

        summary = flow(settings)
    _show_screened(summary, settings)


@takes_job
def retrain(job: Job) -> None:
    """Train a challenger on new labelled records; promote it only if it is better."""
    settings = job.settings()
    require_names(settings.training.sources, "training.sources")
    require_ready(settings, trains=True, screens=bool(settings.screening.sources))
    with prefect_session(verbose=job.verbose):
        from flows.learning import retrain as flow

        summary = flow(settings)
    show_line(summary.reason)
    if summary.decision is not None and summary.decision.champion_metrics:
        show_decision(summary.decision)
    if summary.screened is not None:
        _show_screened(summary.screened, settings)


@takes_job
def serve(job: Job) -> None:
    """Run rescreen and retrain on their schedules until stopped."""
    from deployments.session import prepare_environment

    settings = job.settings()
    require_sources(settings)
    prepare_environment(verbose=job.verbose, prefect_level="INFO")
    from deployments.schedules import serve_schedules

    schedule = settings.schedule
    show_line(
        f"serving {settings.store_path}: rescreen at {schedule.rescreen}, retrain at "
        f"{schedule.retrain} ({schedule.timezone}); Ctrl-C stops"
    )
    serve_schedules(settings)


def _run_pipeline(config: PipelineConfig, *, verbose: bool, label: str) -> None:
    for stage, names in (
        ("training", config.training.sources),
        ("screening", config.screening.sources),
    ):
        require_names(names, f"{stage}.sources")
    require_ready(config, trains=True)
    with prefect_session(verbose=verbose):
        from flows.pipeline import pipeline as flow

        summary = flow(config)
    show_stages(f"Pipeline{label}", summary.stages)
    card = summary.trained.card
    show_errors(f"Test split{label}", card.metrics["test"], card.units, card.baseline)
    show_rejects(_all_rejects(summary, config))
    if (screened := summary.screened) is not None:
        targets = config.screening.score.targets
        show_screen(screened.result, screened.report, targets, n_top=N_SHOWN, label=label)


def _all_rejects(
    summary: PipelineSummary, config: PipelineConfig
) -> dict[tuple[str, str], int]:
    """Count the rejects of the screen, and those of sources that are not screened."""
    from crystalgnn_core.screening.candidates import read_unread
    from crystalgnn_core.screening.outcome import count_rejects

    counts, others = Counter[tuple[str, str]](), []
    if summary.screened is not None:
        counts.update(count_rejects(Path(summary.screened.result.folder)))
        others = list(config.screening.sources)
    names = [one.source for one in summary.ingested.reports if one.source not in others]
    counts.update((one.stage, one.reason) for one in read_unread(config.store_path, names))
    return dict(sorted(counts.items()))


def _show_screened(summary: ScreenSummary, config: PipelineConfig) -> None:
    from crystalgnn_core.screening.outcome import count_rejects, files_left_out
    from flows.screening import describe_changes

    show_line(summary.note)
    if summary.result.changes is not None:
        show_line(describe_changes(summary.result))
    folder = Path(summary.result.folder)
    show_rejects(count_rejects(folder))
    show_left_out(files_left_out(folder))
    targets = config.screening.score.targets
    show_screen(summary.result, summary.report, targets, n_top=N_SHOWN, label="")
