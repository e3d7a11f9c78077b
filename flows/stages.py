"""What flows share: the task runner, waiting for tasks, and the notes on what was done."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, cast

from prefect.task_runners import ProcessPoolTaskRunner, ThreadPoolTaskRunner

from crystalgnn_core.errors import ConfigError
from crystalgnn_core.parallel import exit_with_parent
from crystalgnn_core.reporting.report import StageNote

if TYPE_CHECKING:
    from collections.abc import Iterable

    from prefect import Flow
    from prefect.futures import PrefectFuture
    from prefect.task_runners import TaskRunner

    from crystalgnn_core.config import ExecutionConfig

logger = logging.getLogger(__name__)
P = ParamSpec("P")
R = TypeVar("R")


def with_runner(flow: Flow[P, R], execution: ExecutionConfig) -> Flow[P, R]:
    """Return the flow with the configured task runner.

    Threads are the fastest on one machine: the kernels release the GIL, and what holds it
    runs in core's process pool.

    Raises:
        ConfigError: Dask is asked for and not installed.
    """
    # mypy rejects the subclasses, because TaskRunner is invariant
    runner = cast("TaskRunner[PrefectFuture[Any]]", _make_runner(execution))
    return flow.with_options(task_runner=runner)


def _make_runner(execution: ExecutionConfig) -> object:
    if execution.runner == "threads":
        return ThreadPoolTaskRunner(max_workers=execution.workers)
    if execution.runner == "processes":
        return ProcessPoolTaskRunner(
            max_workers=execution.workers, initializer=exit_with_parent
        )
    try:
        from prefect_dask import DaskTaskRunner
    except ImportError as error:
        raise ConfigError(
            f"execution.runner is dask, which cannot be loaded ({error}); install "
            "crystalgnn[dask]"
        ) from error
    if execution.dask_scheduler is not None:
        return DaskTaskRunner(address=execution.dask_scheduler)
    local = {"n_workers": execution.workers, "threads_per_worker": 1}
    return DaskTaskRunner(cluster_kwargs=local | {"dashboard_address": None})


def gather(futures: Iterable[PrefectFuture[R]]) -> list[R]:
    """Wait for all tasks, then return their results; raise the first error."""
    running: list[PrefectFuture[Any]] = list(futures)
    for future in running:
        future.wait()
    return [future.result() for future in running]


class Stopwatch:
    """Notes on the stages of one flow run, with their durations."""

    def __init__(self) -> None:
        self.notes: list[StageNote] = []
        self._started = time.perf_counter()

    def note(self, stage: str, text: str) -> None:
        """Close the stage that began when the last one was closed."""
        now = time.perf_counter()
        logger.info("%s: %s", stage, text)
        self.notes.append(StageNote(stage=stage, seconds=now - self._started, note=text))
        self._started = now
