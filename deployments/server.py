"""Run the Prefect API on 127.0.0.1 as a child process that cannot outlive its parent."""

from __future__ import annotations

import argparse
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from crystalgnn_core.errors import ServerError
from deployments.server_errors import check_server, check_surroundings, server_errors
from deployments.tables import show_error

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MARK = "CRYSTALGNN_SERVER"  # set to the URL of an own server, for processes that need it


@contextmanager
def prefect_server(
    *,
    with_services: bool = False,
    timeout: float = 120.0,
    on_death: Callable[[str], None] | None = None,
) -> Iterator[str]:
    """Start a Prefect API server, point this process at it, stop it at the end.

    A server named by PREFECT_API_URL (environment or profile) is used as it is. Otherwise a
    child starts on a free port, with its SQLite database in PREFECT_HOME; it dies with this
    process even after SIGKILL, because it watches its parent's process id. Prefect's own
    embedded server is orphaned by SIGKILL and SIGTERM.

    Args:
        with_services: Run the scheduler and the other services that schedules need.
        timeout: Seconds to wait for the server; a fresh home migrates its database first.
        on_death: Called with the API URL, in a thread, when the child ends too early.

    Yields:
        The API URL.

    Raises:
        ServerError: The server ended, refuses, or did not answer in time.
    """
    from filelock import FileLock
    from prefect.settings import PREFECT_API_URL, PREFECT_HOME

    if url := PREFECT_API_URL.value():
        check_server()
        with server_errors():
            yield url
        return
    check_surroundings()
    _make_home(PREFECT_HOME.value())
    # Two first starts in one home would migrate the database at the same time, and fail.
    lock = FileLock(PREFECT_HOME.value() / "start.lock", timeout=timeout)
    with lock, socket.create_server(("127.0.0.1", 0), backlog=128) as listener:
        url = _api_url(listener)
        child = _start(listener, with_services=with_services)
        try:
            listener.close()
            _wait_until_healthy(child, url, timeout)
        except BaseException:
            _stop(child)
            raise
    is_over = threading.Event()  # set before the last logs are sent, which takes a while
    if on_death is not None:
        arguments = (child, url, is_over, on_death)
        threading.Thread(target=_watch, args=arguments, daemon=True).start()
    try:
        with _pointed_at(url), server_errors(f"see {log_file()}"):
            try:
                yield url
            finally:
                is_over.set()
    finally:
        _stop(child)


def _make_home(home: Path) -> None:
    """Make the folder of the server's database, of which the address is not quoted.

    Raises:
        ServerError: The address would be that of another file.
    """
    found = re.search("[\x00-\x1f?\ud800-\udfff]", str(home))
    if found is not None:
        raise ServerError(
            f"PREFECT_HOME {home}: the path of the Prefect server's database must not hold "
            f"{found[0]!r}; set another one"
        )
    home.mkdir(parents=True, exist_ok=True)


@contextmanager
def _pointed_at(url: str) -> Iterator[None]:
    """Let this process and its children use a server."""
    from prefect.settings import PREFECT_API_URL, temporary_settings

    before = {name: os.environ.get(name) for name in ("PREFECT_API_URL", MARK)}
    os.environ |= dict.fromkeys(before, url)  # for flow runs in child processes
    try:
        with temporary_settings({PREFECT_API_URL: url}):
            try:
                yield
            finally:
                _drain()  # the last logs and events, while somebody still listens
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _watch(
    child: subprocess.Popen[bytes],
    url: str,
    is_over: threading.Event,
    on_death: Callable[[str], None],
) -> None:
    child.wait()
    if not is_over.is_set():
        on_death(url)


def main() -> None:
    """Serve the API on an inherited socket until it is stopped or the parent is gone."""
    parser = argparse.ArgumentParser()
    parser.add_argument("descriptor", type=int)
    parser.add_argument("parent", type=int)
    parser.add_argument("--with-services", action="store_true")
    arguments = parser.parse_args()
    listener = socket.socket(fileno=arguments.descriptor)
    url = _api_url(listener)
    os.environ["PREFECT_UI_ENABLED"] = "0"

    import uvicorn
    from prefect.server.api.server import create_app

    app = create_app(ephemeral=not arguments.with_services, final=True)
    server = uvicorn.Server(
        uvicorn.Config(app, log_level="error", lifespan="on", timeout_graceful_shutdown=3)
    )

    def follow_parent() -> None:
        while os.getppid() == arguments.parent:
            time.sleep(0.5)
        # flow runs of a killed `serve` can still report their crash, freeing their slot
        signal_clients(url, signal.SIGTERM)
        time.sleep(4.0)
        signal_clients(url, signal.SIGKILL)
        server.should_exit = True
        time.sleep(5.0)
        os._exit(1)

    threading.Thread(target=follow_parent, daemon=True).start()
    server.run(sockets=[listener])


def signal_clients(url: str, number: signal.Signals) -> None:
    """Signal the processes that the owner of a server started (on Linux, with /proc)."""
    wanted = f"{MARK}={url}".encode()
    for environment in Path("/proc").glob("[0-9]*/environ"):
        pid = int(environment.parent.name)
        try:
            if pid != os.getpid() and wanted in environment.read_bytes().split(b"\0"):
                os.kill(pid, number)
        except OSError:  # another user's process, or one that has just ended
            continue


def _api_url(listener: socket.socket) -> str:
    return f"http://127.0.0.1:{listener.getsockname()[1]}/api"


def _start(listener: socket.socket, *, with_services: bool) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", __name__, str(listener.fileno()), str(os.getpid())]
    if Path.cwd() != Path(__file__).parents[1]:
        command.insert(1, "-P")  # a user's own folder `deployments` here is not ours
    if with_services:
        command.append("--with-services")
    # A session of its own: Ctrl-C reaches this process first, which still has logs to send.
    with log_file().open("ab") as log:
        return subprocess.Popen(
            command,
            pass_fds=[listener.fileno()],
            start_new_session=True,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )


def log_file() -> Path:
    """Return the file for what the server itself has to say."""
    from prefect.settings import PREFECT_HOME

    return PREFECT_HOME.value() / "server.log"


def end_without_server(url: str) -> None:
    """End this process and its children, which cannot go on without their server.

    Clients would ask for minutes whether it is there again. Flows can be killed at any
    time; the next start goes on from what is stored.
    """
    show_error(
        f"{url}: the Prefect server of this command ended; see {log_file()}, then run the "
        "command again: what is done is skipped [ServerError]"
    )
    signal_clients(url, signal.SIGKILL)
    os._exit(1)


def _wait_until_healthy(child: subprocess.Popen[bytes], url: str, timeout: float) -> None:
    import httpx

    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline and child.poll() is None:
        try:
            # The socket listens already: this call waits for the first answer.
            if httpx.get(f"{url}/health", timeout=5.0).status_code == httpx.codes.OK:
                return
        except httpx.TransportError:
            time.sleep(0.1)
    status = child.poll()
    raise ServerError(
        f"the Prefect server did not answer within {timeout:.0f} s"
        if status is None
        else f"the Prefect server ended with status {status}; see {log_file()}"
    )


def _drain() -> None:
    from prefect.events.worker import EventsWorker
    from prefect.logging.handlers import APILogWorker

    APILogWorker.drain_all(timeout=5)
    EventsWorker.drain_all(timeout=5)


def _stop(child: subprocess.Popen[bytes]) -> None:
    child.terminate()
    try:
        child.wait(timeout=8)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


if __name__ == "__main__":
    main()
