"""Scheduled deployments of re-screening and retraining, served by one command."""

from __future__ import annotations

import os
import warnings
from datetime import timedelta
from typing import TYPE_CHECKING, Any, cast

from filelock import FileLock, Timeout
from prefect import serve
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter
from prefect.client.schemas.objects import ConcurrencyLimitConfig, ConcurrencyLimitStrategy
from prefect.schedules import Cron, Interval, Schedule
from prefect.settings import PREFECT_API_URL, PREFECT_HOME
from prefect.states import Crashed
from prefect.types.entrypoint import EntrypointType

from crystalgnn_core.errors import InputError
from deployments.server import prefect_server
from flows.learning import retrain
from flows.screening import rescreen

if TYPE_CHECKING:
    from prefect import Flow
    from prefect.deployments.runner import RunnerDeployment

    from crystalgnn_core.config import PipelineConfig, ScheduleConfig

UNFINISHED = ("PENDING", "RUNNING", "CANCELLING")


def serve_schedules(config: PipelineConfig) -> None:
    """Serve `rescreen` and `retrain` on their schedules until told to stop.

    A Prefect server named by PREFECT_API_URL is used; otherwise one with its scheduler runs
    as long as this process. One flow run at a time; a run that finds nothing to do ends at
    once, so runs missed while nothing served are harmless.

    Raises:
        InputError: Another process serves with the same PREFECT_HOME.
    """
    warnings.filterwarnings(
        "ignore", "coroutine 'Runner.astop' was never awaited", RuntimeWarning
    )
    is_private = not PREFECT_API_URL.value()
    home = PREFECT_HOME.value()
    home.mkdir(parents=True, exist_ok=True)
    lock = FileLock(home / "crystalgnn-serve.lock", timeout=0)
    try:
        lock.acquire()
    except Timeout as error:
        raise InputError(
            f"another `crystalgnn serve` runs with the Prefect home {home}; stop it first, "
            "or set PREFECT_HOME to another folder"
        ) from error
    with lock, prefect_server(with_services=True):
        if is_private:
            release_abandoned_runs()
        os.environ["PREFECT_LOGGING_LEVEL"] = "INFO"  # for the flow runs' own processes
        serve(*make_deployments(config), limit=1, query_seconds=2)


def make_deployments(config: PipelineConfig) -> list[RunnerDeployment]:
    """Name each scheduled flow with its schedule and parameters."""
    absolute = config.model_copy(update={"store": str(config.store_path)})
    parameters = {"config": absolute.model_dump(mode="json")}
    schedule = config.schedule
    return [
        _deployment(rescreen, "rescreen", _when(schedule.rescreen, schedule), parameters),
        _deployment(retrain, "retrain", _when(schedule.retrain, schedule), parameters),
    ]


def release_abandoned_runs() -> int:
    """Crash the runs that an ended `serve` left unfinished, so that their slots are free.

    Call it only while no other runner uses this database.

    Returns:
        How many runs were released.
    """
    left = FlowRunFilter.model_validate(
        {
            "state": {"type": {"any_": list(UNFINISHED)}},
            "deployment_id": {"is_null_": False},
        }
    )
    with get_client(sync_client=True) as client:
        runs = client.read_flow_runs(flow_run_filter=left)
        for run in runs:
            client.set_flow_run_state(
                run.id, Crashed(message="left by a process that ended")
            )
    return len(runs)


def _when(setting: str | float, schedule: ScheduleConfig) -> Schedule:
    if isinstance(setting, str):
        return Cron(setting, timezone=schedule.timezone)
    return Interval(timedelta(seconds=setting))


def _deployment(
    flow: Flow[..., Any], name: str, schedule: Schedule, parameters: dict[str, Any]
) -> RunnerDeployment:
    deployment = flow.to_deployment(
        name,
        schedule=schedule,
        parameters=parameters,
        concurrency_limit=ConcurrencyLimitConfig(
            limit=1, collision_strategy=ConcurrencyLimitStrategy.ENQUEUE
        ),
        entrypoint_type=EntrypointType.MODULE_PATH,
        tags=["crystalgnn"],
    )
    return cast("RunnerDeployment", deployment)  # a coroutine only inside an event loop
