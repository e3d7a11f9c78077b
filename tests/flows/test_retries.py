"""What may pass is tried again, and each further try is announced."""

import pytest
from prefect.client.schemas.objects import TaskRun
from prefect.states import Failed
from prefect.tasks import task

from crystalgnn_core.errors import InputError, TransientError
from tasks.options import N_RETRIES, OPTIONS, is_transient


@task(**OPTIONS)
def work() -> None:
    """Do nothing."""


def asked(error: Exception, run_count: int) -> bool:
    run = TaskRun(task_key="work", dynamic_key="0", name="list-oqmd", run_count=run_count)
    return is_transient(work, run, Failed(data=error))


def test_a_transient_failure_is_announced_with_reason_and_pause(caplog):
    assert isinstance(work.retry_delay_seconds, list)
    for n_done, pause in enumerate(work.retry_delay_seconds, start=1):
        caplog.clear()
        assert asked(TransientError("the host is busy; try again later"), n_done)
        again = f"try {n_done + 1} of {N_RETRIES + 1} in {pause} s"
        assert caplog.messages == [f"list-oqmd: the host is busy; {again}"]
    assert len(work.retry_delay_seconds) == N_RETRIES


@pytest.mark.parametrize("error", [InputError("no such file"), ValueError("a bug")])
def test_what_stays_is_not_tried_again(error, caplog):
    assert not asked(error, 1)
    assert caplog.messages == []
