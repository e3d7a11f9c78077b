"""Call functions in a child process that may be killed: limits of time and of memory.

Linux alone: the memory is limited and measured as `/proc` and `resource` offer it.
"""

import contextlib
import multiprocessing
import os
import resource
import time
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple, Self

MEGABYTE = 2**20
STARTING_SECONDS = 300.0  # imports on a busy machine
POLL_SECONDS, PATIENCE = 1.0, 10.0


class Answer(NamedTuple):
    """What came of a call.

    Attributes:
        value: What the function returned.
        failure: How it ended else: `timeout`, `memory`, `died`, or the traceback.
        seconds: How much processor time it took.
        megabytes: How far the resident memory rose above that at the start of the call.
    """

    value: Any
    failure: str
    seconds: float
    megabytes: float


class GuardedChild:
    """A child process that is started again after one that was killed.

    Args:
        prepare: Function of a module, called once in each child; imports what calls need.
        seconds: Longest processor time of a call, which other programs do not lengthen; so
            many times `PATIENCE` by the clock.
        megabytes: Address space that a call may take beyond that of a prepared child.
    """

    def __init__(
        self, prepare: Callable[[], object], *, seconds: float, megabytes: float
    ) -> None:
        self._prepare, self._seconds, self._megabytes = prepare, seconds, megabytes
        self._longest = PATIENCE * seconds
        self._process: multiprocessing.process.BaseProcess | None = None
        self._pipe: Connection

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    def call(self, function: Callable[..., Any], *arguments: Any) -> Answer:
        """Call a function of a module."""
        if self._process is None:
            self._start()
        self._pipe.send((function, arguments))
        before, start = self._processor_time(), time.monotonic()
        spent, failure = 0.0, "timeout"
        try:
            while spent < self._seconds and time.monotonic() - start < self._longest:
                if self._pipe.poll(POLL_SECONDS):
                    return Answer(*self._pipe.recv())
                spent = self._processor_time() - before
        except EOFError:
            failure = "died"
        self._stop()
        return Answer(None, failure, spent, 0.0)

    def _processor_time(self) -> float:
        assert self._process is not None
        stat = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2]
        user, system = stat.split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")  # torch and numba dislike forks
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(
            target=_serve, args=(theirs, self._prepare, self._megabytes), daemon=True
        )
        self._process.start()
        theirs.close()
        if not self._pipe.poll(STARTING_SECONDS):
            self._stop()
            raise RuntimeError("a child did not start")
        self._pipe.recv()

    def _stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._pipe.close()
            self._process = None


def _serve(pipe: Connection, prepare: Callable[[], object], megabytes: float) -> None:
    prepare()
    limit = int((_memory("VmSize") + megabytes) * MEGABYTE)
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    pipe.send("ready")
    with contextlib.suppress(EOFError):  # the parent has gone
        while True:
            function, arguments = pipe.recv()
            Path("/proc/self/clear_refs").write_text("5")  # begin a new peak
            before, start = _memory("VmRSS"), time.process_time()
            value, failure = _try(function, arguments)
            seconds = time.process_time() - start
            pipe.send((value, failure, seconds, max(0.0, _memory("VmHWM") - before)))


def _try(function: Callable[..., Any], arguments: tuple[Any, ...]) -> tuple[Any, str]:
    try:
        return function(*arguments), ""
    except MemoryError:
        return None, "memory"
    except BaseException:  # noqa: BLE001  whatever it is, the parent reports it
        return None, traceback.format_exc()


def _memory(name: str) -> float:
    """Return a figure of this process in megabytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) / 1024
    raise LookupError(name)
