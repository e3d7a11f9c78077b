"""Worker processes come and go with their parent."""

import gc
import os
import random
import signal
import subprocess
import sys
import textwrap
import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor

import pytest

from crystalgnn_core.errors import TransientError
from crystalgnn_core.parallel import (
    close_pool,
    garbage_kept,
    map_in_processes,
    n_cores,
    prefetch,
    run_in_process,
    without_warnings,
)
from tests.paths import ROOT


@pytest.fixture(autouse=True)
def _closed_pool():
    yield
    close_pool()


def test_work_runs_in_another_process_and_errors_come_back():
    assert run_in_process(os.getpid) != os.getpid()
    with pytest.raises(ValueError, match="invalid literal"):
        run_in_process(int, "x")


def test_a_worker_process_starts_no_workers_of_its_own():
    assert run_in_process(run_in_process, os.getppid) == os.getpid()


def test_results_come_in_the_order_of_the_jobs_whose_reading_is_bounded():
    read = []

    def jobs():
        for number in range(50):
            read.append(number)
            yield (number, 2)

    results = map_in_processes(pow, jobs())
    assert next(results) == 0
    assert len(read) <= 2 * n_cores() + 2
    assert list(results) == [number**2 for number in range(1, 50)]


def test_dead_worker_is_transient_and_the_next_call_works():
    with pytest.raises(TransientError, match="worker process died"):
        run_in_process(os._exit, 3)
    assert run_in_process(len, [1, 2]) == 2


LATE_WORKER = """
    import multiprocessing, os, signal, sys, threading, time
    from multiprocessing.context import SpawnProcess

    from crystalgnn_core import parallel
    from crystalgnn_core.errors import TransientError

    parallel.n_cores = lambda: 2
    start = SpawnProcess.start

    def start_late(worker):
        others = multiprocessing.active_children()
        if sys.argv[1] == "after":
            start(worker)
        for other in others:
            os.kill(other.pid, signal.SIGKILL)
            time.sleep(2)  # meanwhile the executor ends its workers
        if sys.argv[1] == "before":
            start(worker)

    def work():
        try:
            parallel.run_in_process(time.sleep, 30)
        except TransientError as error:
            print(error, flush=True)

    if __name__ == "__main__":
        SpawnProcess.start = start_late
        threads = [threading.Thread(target=work) for _ in range(2)]
        for thread in threads:
            thread.start()
            time.sleep(2)
        for thread in threads:
            thread.join()
"""


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_worker_that_starts_while_another_dies_is_not_waited_for(tmp_path, moment):
    """It was, at exit and for ever, after a kill at that moment."""
    script = tmp_path / "late.py"
    script.write_text(textwrap.dedent(LATE_WORKER))
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, script, moment],
        capture_output=True, text=True, timeout=60, check=True, env=environment,
    )  # fmt: skip
    assert "a worker process died during sleep" in done.stdout
    assert len(done.stdout.splitlines()) == 2  # both are errors that a retry may mend


def test_worker_ends_when_its_parent_is_killed():
    script = """
        import os, time
        from crystalgnn_core.parallel import run_in_process
        print(run_in_process(os.getpid), flush=True)
        time.sleep(60)
    """
    parent = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script)], stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    assert int(parent.stdout.readline()) != parent.pid
    parent.send_signal(signal.SIGKILL)
    # the worker shares the pipe, which ends only when the worker has ended too
    assert parent.communicate(timeout=15)[0] == ""


def test_there_is_a_core_to_work_on():
    assert 1 <= n_cores() <= (os.cpu_count() or 1)


def test_items_come_in_order_from_another_thread_one_ahead():
    made = []

    def items():
        for number in range(5):
            made.append(threading.get_ident())
            yield number

    ahead = prefetch(items())
    assert next(ahead) == 0
    assert len(made) <= 2
    assert list(ahead) == [1, 2, 3, 4]
    assert set(made) != {threading.get_ident()}
    assert list(prefetch([])) == []


def test_an_error_comes_in_the_place_of_its_item():
    def items():
        yield 1
        raise ValueError("second")

    ahead = prefetch(items())
    assert next(ahead) == 1
    with pytest.raises(ValueError, match="second"):
        next(ahead)


def test_a_consumer_that_stops_early_leaves_no_thread_behind():
    before = threading.active_count()
    ahead = prefetch(iter(range(100)))
    next(ahead)
    ahead.close()
    assert threading.active_count() == before


def test_garbage_is_kept_only_for_a_while():
    with garbage_kept():
        assert not gc.isenabled()
        with garbage_kept():
            pass
        assert not gc.isenabled()
    assert gc.isenabled()
    with pytest.raises(ValueError, match="stop"), garbage_kept():
        raise ValueError("stop")
    assert gc.isenabled()


def test_filters_of_warnings_are_as_before_after_blocks_that_overlap():
    before = list(warnings.filters)
    first_is_open, second_is_open, first_is_closed = (threading.Event() for _ in range(3))

    def first():
        with without_warnings():
            first_is_open.set()
            assert second_is_open.wait(10)
            warnings.warn("of the first", stacklevel=1)
        first_is_closed.set()

    def second():
        assert first_is_open.wait(10)
        with without_warnings():
            second_is_open.set()
            assert first_is_closed.wait(10)
            warnings.warn("of the second", stacklevel=1)

    with ThreadPoolExecutor(2) as threads:
        for done in [threads.submit(first), threads.submit(second)]:
            done.result()
    assert warnings.filters == before
    with pytest.warns(UserWarning, match="afterwards"):
        warnings.warn("afterwards", stacklevel=1)


def test_many_threads_leave_the_filters_as_they_were():
    before = list(warnings.filters)

    def work(seed):
        chance = random.Random(seed)
        for _ in range(50):
            with without_warnings():
                time.sleep(chance.random() * 1e-4)
                warnings.warn("unheard", stacklevel=1)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(work, range(8)))
    assert warnings.filters == before


def test_warnings_of_another_thread_are_heard():
    with ThreadPoolExecutor(1) as threads, without_warnings():
        with pytest.raises(UserWarning, match="from elsewhere"):
            threads.submit(warnings.warn, "from elsewhere").result()
        warnings.warn("from here", stacklevel=1)


def test_blocks_without_warnings_nest_and_end_with_an_error():
    before = list(warnings.filters)
    with pytest.raises(KeyError), without_warnings(), without_warnings():
        raise KeyError
    assert warnings.filters == before
    with without_warnings():
        with without_warnings():
            pass
        warnings.warn("still unheard", stacklevel=1)


def test_a_copy_of_the_filters_that_outlives_the_block_is_cleaned():
    caught = warnings.catch_warnings()
    before = list(warnings.filters)
    with without_warnings():
        caught.__enter__()
    assert warnings.filters == before
    caught.__exit__(None, None, None)
    assert warnings.filters == before


def test_the_package_swaps_no_filters():
    source = [path.read_text() for path in (ROOT / "crystalgnn_core").rglob("*.py")]
    assert len(source) > 100
    assert not [text for text in source if "warnings.catch_warnings(" in text]
