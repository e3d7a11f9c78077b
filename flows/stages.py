"""What flows share: the task runner, waiting for tasks, and the notes on what was done."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, cast

from prefect.task_runners import ThreadPoolTaskRunner

from crystalgnn_core.reporting.screen import StageNote

if TYPE_CHECKING:
    from collections.abc import Iterable

    from prefect import Flow
    from prefect.futures import PrefectFuture
    from prefect.task_runners import TaskRunner

    from crystalgnn_core.config import ExecutionConfig

logger = logging.getLogger(__name__)
P = ParamSpec("P")
R = TypeVar("R")


def in_threads(flow: Flow[P, R], execution: ExecutionConfig) -> Flow[P, R]:
    """Return the flow with as many task threads as configured.

    Threads are the fastest runner on one machine: the kernels release the GIL, and what
    holds it runs in core's process pool.
    """
    runner: ThreadPoolTaskRunner[Any] = ThreadPoolTaskRunner(max_workers=execution.workers)
    # mypy rejects the subclass, because TaskRunner is invariant
    return flow.with_options(task_runner=cast("TaskRunner[PrefectFuture[Any]]", runner))


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
