"""Work in processes and threads: a pool, a thread ahead, no garbage search, no warnings."""

from __future__ import annotations

import atexit
import gc
import multiprocessing
import os
import threading
import warnings
from collections import deque
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, cast

from crystalgnn_core.errors import TransientError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")


class _Pool:
    """The one pool of this interpreter, started on first use."""

    def __init__(self) -> None:
        self.executor: ProcessPoolExecutor | None = None
        self.lock = threading.Lock()

    def get(self) -> ProcessPoolExecutor:
        with self.lock:
            if self.executor is None:
                self.executor = ProcessPoolExecutor(
                    max_workers=n_cores(),
                    # a forked child would inherit the locks of numba's and torch's threads
                    mp_context=multiprocessing.get_context("spawn"),
                    initializer=exit_with_parent,
                )
            return self.executor

    def discard(self, broken: ProcessPoolExecutor) -> None:
        """Forget a broken executor; another thread may have replaced it already.

        It ended its workers, but not one that the present thread started meanwhile; Python
        would wait for that at exit, for ever.
        """
        with self.lock:
            if self.executor is broken:
                self.executor = None
        for worker in list(broken._processes.values()):
            worker.terminate()

    def close(self) -> None:
        with self.lock:
            if self.executor is not None:
                self.executor.shutdown(cancel_futures=True)
                self.executor = None


_pool = _Pool()
atexit.register(_pool.close)


def n_cores() -> int:
    """Return the number of cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def run_in_process(function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Call a module-level function in a worker process and wait for its result.

    A worker process of another kind, such as one of Dask, calls it itself.

    Raises:
        TransientError: The worker died, or could not be started, for example for want of
            memory.
    """
    if multiprocessing.parent_process() is not None:
        return function(*args, **kwargs)
    executor = _pool.get()
    try:
        future = executor.submit(function, *args, **kwargs)
    except OSError as error:  # also while another worker dies
        _pool.discard(executor)
        raise TransientError(
            f"no worker process could be started for {function.__name__} ({error})"
        ) from error
    except BrokenProcessPool as error:
        _pool.discard(executor)
        raise TransientError(f"a worker process died before {function.__name__}") from error
    try:
        return future.result()
    except BrokenProcessPool as error:
        _pool.discard(executor)
        raise TransientError(f"a worker process died during {function.__name__}") from error


def map_in_processes(
    function: Callable[..., R], jobs: Iterable[tuple[Any, ...]]
) -> Generator[R]:
    """Call a module-level function for every tuple of arguments, in worker processes.

    Results come in the order of the jobs, of which a few are prepared ahead.

    Raises:
        TransientError: A worker died, for example for want of memory.
    """
    ahead = 2 * n_cores()
    waiting: deque[Future[R]] = deque()
    # each thread waits for one worker
    with ThreadPoolExecutor(n_cores(), thread_name_prefix="worker") as threads:
        for job in jobs:
            waiting.append(threads.submit(run_in_process, function, *job))
            if len(waiting) > ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def prefetch(items: Iterable[T]) -> Generator[T]:
    """Yield the items of an iterable while a thread prepares the next one.

    An error of the iterable is raised where its item would have come.
    """
    iterator, end = iter(items), object()
    with ThreadPoolExecutor(1, thread_name_prefix="prefetch") as thread:
        ahead = thread.submit(next, iterator, end)
        while (item := ahead.result()) is not end:
            ahead = thread.submit(next, iterator, end)
            yield cast("T", item)


@contextmanager
def garbage_kept() -> Iterator[None]:
    """Put off the search for cyclic garbage.

    Making very many small objects sets it off again and again; in a process that has
    imported torch and pymatgen it takes a seventh of the time of reading CIFs.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


class _Quiet(threading.local):
    """How many blocks without warnings the present thread is in."""

    depth = 0


_quiet = _Quiet()


class _InQuietThreads(type):
    """Let a filter of warnings apply where its thread asks for quiet."""

    def __subclasscheck__(cls, category: type) -> bool:
        return _quiet.depth > 0


class _QuietWarning(Warning, metaclass=_InQuietThreads):
    """Stands for every category, in a thread that asks for quiet."""


_FILTER = ("ignore", None, _QuietWarning, None, 0)
_filter_lock = threading.Lock()


@contextmanager
def without_warnings() -> Iterator[None]:
    """Discard warnings of this thread; those of others, and all filters, stay.

    `warnings.catch_warnings` swaps filters that all threads share: where blocks of two
    threads overlap, what one of them ignores may be ignored ever after.
    """
    filters = cast("list[Any]", warnings.filters)
    with _filter_lock:
        filters.insert(0, _FILTER)
    _quiet.depth += 1
    try:
        yield
    finally:
        _quiet.depth -= 1
        with _filter_lock:
            # a block of `catch_warnings` that began inside goes on with a copy
            lists = {id(each): each for each in (filters, warnings.filters)}
            for each in lists.values():
                with suppress(ValueError):  # somebody reset the filters
                    cast("list[Any]", each).remove(_FILTER)


def close_pool() -> None:
    """Stop the worker processes; the next call starts new ones."""
    _pool.close()


def exit_with_parent() -> None:
    """End this worker when its parent is gone, even after kill -9."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def wait() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=wait, daemon=True, name="exit-with-parent").start()
