"""Options that tasks share: retries for transient errors only, and no Prefect cache.

The stages' own manifests with file digests decide what is done already; Prefect's cache
would report a result as there although its files are gone.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, TypedDict

from prefect.cache_policies import NO_CACHE, CachePolicy
from prefect.tasks import RetryConditionCallable, Task, exponential_backoff

from crystalgnn_core.errors import TransientError

if TYPE_CHECKING:
    from prefect.client.schemas.objects import State, TaskRun

logger = logging.getLogger(__name__)
N_RETRIES = 3
BACKOFF_SECONDS = 2


class TaskOptions(TypedDict):
    """Keyword arguments of `prefect.task`."""

    cache_policy: CachePolicy
    persist_result: bool
    retries: int
    retry_delay_seconds: Any
    retry_condition_fn: RetryConditionCallable


def is_transient(_: Task[..., Any], run: TaskRun, state: State[Any]) -> bool:
    """Return whether a failed task may succeed on a second try, which is then announced.

    Prefect asks while there are tries left.
    """
    error = state.result(raise_on_failure=False)
    if not isinstance(error, TransientError):
        return False
    n_done = max(run.run_count, 1)
    pause = BACKOFF_SECONDS * 2 ** (n_done - 1)
    again = f"try {n_done + 1} of {N_RETRIES + 1} in {pause} s"
    reason = str(error).removesuffix("; try again later")
    logger.warning("%s: %s; %s", run.name, reason, again)
    return True


OPTIONS = TaskOptions(
    cache_policy=NO_CACHE,
    persist_result=False,
    retries=N_RETRIES,
    retry_delay_seconds=exponential_backoff(backoff_factor=BACKOFF_SECONDS),
    retry_condition_fn=is_transient,
)
