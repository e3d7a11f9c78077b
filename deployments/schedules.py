"""Scheduled deployments of re-screening and retraining, served by one command."""

from __future__ import annotations

import logging
import os
import warnings
from contextlib import ExitStack
from datetime import timedelta
from typing import TYPE_CHECKING, Any, cast

from filelock import FileLock, Timeout
from prefect import serve
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import DeploymentFilter, FlowRunFilter
from prefect.client.schemas.objects import ConcurrencyLimitConfig, ConcurrencyLimitStrategy
from prefect.client.schemas.schedules import CronSchedule, IntervalSchedule
from prefect.schedules import Cron, Interval, Schedule
from prefect.settings import PREFECT_API_URL, PREFECT_HOME
from prefect.states import Crashed

from crystalgnn_core.base import digest_of_strings
from crystalgnn_core.errors import ConfigError, InputError
from deployments import served
from deployments.run_logs import FOLDER, run_log_folder
from deployments.server import end_without_server, prefect_server
from deployments.tables import show_line

if TYPE_CHECKING:
    from pathlib import Path

    from prefect import Flow
    from prefect.deployments.runner import RunnerDeployment

    from crystalgnn_core.config import PipelineConfig, ScheduleConfig

UNFINISHED = ("PENDING", "RUNNING", "CANCELLING")
SERVED: tuple[Flow[..., Any], ...] = (served.rescreen, served.retrain)


def serve_schedules(config: PipelineConfig) -> None:
    """Serve `rescreen` and `retrain` on their schedules until stopped.

    A Prefect server named by PREFECT_API_URL is used; otherwise one with its scheduler runs
    as long as this process. One flow run at a time; a run that finds nothing to do ends at
    once, so runs missed while nothing served are harmless.

    Raises:
        ConfigError: A schedule cannot be read.
        InputError: Another process serves this store, or with the same PREFECT_HOME.
    """
    warnings.filterwarnings(
        "ignore", "coroutine 'Runner.astop' was never awaited", RuntimeWarning
    )
    deployments = make_deployments(config)
    with ExitStack() as held:
        store = config.store_path
        _take(held, store, f"another `crystalgnn serve` serves {store}; stop it first")
        if not PREFECT_API_URL.value():
            home = PREFECT_HOME.value()
            advice = "stop it first, or set PREFECT_HOME to another folder"
            _take(held, home, f"another `crystalgnn serve` runs in {home}; {advice}")
        server = prefect_server(with_services=True, on_death=end_without_server)
        url = held.enter_context(server)
        release_abandoned_runs(config)
        logs = run_log_folder(store)
        logs.mkdir(exist_ok=True)
        show_line(f"runs     PREFECT_API_URL={url} prefect flow-run ls")
        show_line(f"logs     {logs}, one file per run")
        os.environ[FOLDER] = str(logs)
        # not a line per poll while a run waits; the runs' own processes log more
        logging.getLogger("prefect").setLevel(logging.WARNING)
        serve(*deployments, limit=1, query_seconds=2, print_starting_message=False)


def make_deployments(config: PipelineConfig) -> list[RunnerDeployment]:
    """Name each scheduled flow with its schedule and parameters.

    The flow runs start in the folder of this process, so relative paths of sources hold.

    Raises:
        ConfigError: A schedule cannot be read.
    """
    absolute = config.model_copy(update={"store": str(config.store_path)})
    parameters = {"config": absolute.model_dump(mode="json")}
    schedule = config.schedule
    times = zip(SERVED, (schedule.rescreen, schedule.retrain), strict=True)
    return [
        _deployment(flow, _when(time, schedule), parameters, config) for flow, time in times
    ]


def deployment_name(flow: Flow[..., Any], store: Path) -> str:
    """Name the deployment of a flow for one store: a server may know several stores."""
    return f"{flow.name}-{digest_of_strings([str(store)])[:8]}"


def release_abandoned_runs(config: PipelineConfig) -> int:
    """Crash the runs that an ended `serve` of this store left: they hold slots.

    Call it only while no other process serves the store.

    Returns:
        How many runs were released.
    """
    names = [deployment_name(flow, config.store_path) for flow in SERVED]
    left = FlowRunFilter.model_validate({"state": {"type": {"any_": list(UNFINISHED)}}})
    own = DeploymentFilter.model_validate({"name": {"any_": names}})
    with get_client(sync_client=True) as client:
        runs = client.read_flow_runs(flow_run_filter=left, deployment_filter=own)
        for run in runs:
            client.set_flow_run_state(
                run.id, Crashed(message="left by a process that ended")
            )
    return len(runs)


def _take(held: ExitStack, folder: Path, otherwise: str) -> None:
    """Hold the lock of a folder for as long as the stack."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        held.enter_context(FileLock(folder / "crystalgnn-serve.lock", timeout=0))
    except Timeout as error:
        raise InputError(otherwise) from error


def _when(setting: str | float, schedule: ScheduleConfig) -> Schedule:
    try:
        if isinstance(setting, str):
            CronSchedule(cron=setting)
            return Cron(setting, timezone=schedule.timezone)
        IntervalSchedule(interval=timedelta(seconds=setting))
        return Interval(timedelta(seconds=setting))
    except (ValueError, OverflowError) as error:
        raise ConfigError(
            f"schedule {setting!r}: give a cron expression such as '0 2 * * *', or a "
            "positive number of seconds"
        ) from error


def _deployment(
    flow: Flow[..., Any],
    schedule: Schedule,
    parameters: dict[str, Any],
    config: PipelineConfig,
) -> RunnerDeployment:
    deployment = flow.to_deployment(
        deployment_name(flow, config.store_path),
        description=f"Store {config.store_path}",
        schedule=schedule,
        parameters=parameters,
        concurrency_limit=ConcurrencyLimitConfig(
            limit=1, collision_strategy=ConcurrencyLimitStrategy.ENQUEUE
        ),
        tags=["crystalgnn"],
    )
    made = cast("RunnerDeployment", deployment)  # a coroutine only inside an event loop
    made.entrypoint = f"{served.__file__}:{flow.name}"
    return made
