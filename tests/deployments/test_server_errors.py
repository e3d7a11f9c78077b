"""A Prefect server that is down, dies, refuses or is none: one line, exit code 1."""

import os
import signal
import socket
import socketserver
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest
import yaml
from prefect.events.worker import EventsWorker
from prefect.settings import (
    PREFECT_API_URL,
    PREFECT_CLIENT_MAX_RETRIES,
    temporary_settings,
)

import tasks.records
from crystalgnn_core.errors import ServerError, SourceError
from crystalgnn_core.records.table.store import RecordStore
from crystalgnn_core.sources.ingest.commit import commit_ingest
from deployments.server_errors import check_server, server_errors
from tests.paths import ROOT
from tests.processes import server_of
from tests.tiny import TINY

pytestmark = pytest.mark.xdist_group("prefect")
HOLD = """
from time import sleep
from deployments.server import prefect_server
with prefect_server() as url:
    print(url, flush=True)
    sleep(600)
"""


@contextmanager
def answering(status: int, kind: str, body: str) -> Iterator[str]:
    """Answer every request in one way; yield the address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, format, *args):  # noqa: A002  name of the base class
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/api"
        finally:
            server.shutdown()
            thread.join()


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


@pytest.mark.parametrize(
    ("status", "kind", "body", "words"),
    [
        (401, "application/json", "{}", r"401 Unauthorized.*set PREFECT_API_AUTH_STRING"),
        (403, "text/html", "no", r"403 Forbidden.*set PREFECT_API_AUTH_STRING"),
        (500, "text/plain", "oops", "fails .500 Internal Server Error.*see its log"),
        (302, "text/html", "", "not a Prefect server .302 Found"),
        (404, "text/html", "no", "not a Prefect server .404 Not Found.*4200/api"),
        (200, "text/html", "<html></html>", "not a Prefect server"),
        (200, "application/json", '{"status": "ok"}', "not a Prefect server"),
        (200, "application/json", '"hello"', "not a Prefect server"),
        (200, "application/json", "[1]", "not a Prefect server"),
        (200, "application/json", '"2.20.1"', "Prefect 2.20.1.*same major version"),
    ],
)
def test_what_answers_in_place_of_a_server_is_named(status, kind, body, words):
    with (
        answering(status, kind, body) as url,
        temporary_settings({PREFECT_API_URL: url}),
        pytest.raises(ServerError, match=f"^{url}: .*{words}") as caught,
    ):
        check_server()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        (
            "http://127.0.0.1:{}/api",
            "^http://127.0.0.1:.*no Prefect server answers .*start",
        ),
        ("http://LOCALHOST:{}/api", "no Prefect server answers"),
        ("127.0.0.1:{}/api", "missing an 'http://'"),
        ("http://127.0.0.1:port/api", "Invalid port"),
        ("http://someone:secret@127.0.0.1:{}/api", "^http://127.0.0.1:"),  # no password
    ],
)
def test_an_address_without_a_server_is_named(url, words):
    with (
        temporary_settings({PREFECT_API_URL: url.format(free_port())}),
        pytest.raises(ServerError, match=words),
    ):
        check_server()


def test_errors_from_elsewhere_pass_unchanged():
    """A source may fail with the same client library, and says so itself."""
    request = httpx.Request("GET", "https://materials.example/api")
    theirs = httpx.ConnectError("down", request=request)
    refused = SourceError("the provider refuses")
    refused.__cause__ = theirs
    for error in (theirs, refused, ValueError("a bug")):
        with (
            temporary_settings({PREFECT_API_URL: "http://127.0.0.1:4200/api"}),
            pytest.raises(type(error)) as caught,
            server_errors(),
        ):
            raise error
        assert caught.value is error


def test_a_command_without_its_server_ends_in_one_line_and_with_code_1(run, tmp_path):
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(TINY))
    url = f"http://127.0.0.1:{free_port()}/api"
    with temporary_settings({PREFECT_API_URL: url}):
        for command in ("ingest", "retrain", "serve"):
            outcome = run(command, "--config", "config.yaml", "--store", tmp_path / "s")
            assert outcome.code == 1
            assert len(outcome.err.splitlines()) == 1
            assert outcome.err.startswith(f"crystalgnn: {url}: no Prefect server answers")


def test_doctor_asks_the_server(run, prefect_api):
    assert "PROBLEM" not in run("doctor").out
    with (
        answering(401, "application/json", "{}") as url,
        temporary_settings({PREFECT_API_URL: url}),
    ):
        outcome = run("doctor")
    assert outcome.code == 1
    assert "PREFECT_API_AUTH_STRING" in " ".join(outcome.out.split())


class Relay(socketserver.ThreadingTCPServer):
    """Passes connections on to a server until it dies, as that server might."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, url):
        self.target = httpx.URL(url)
        self.open_sockets: list[socket.socket] = []
        super().__init__(("127.0.0.1", 0), RelayHandler)
        self.thread = threading.Thread(target=self.serve_forever)
        self.thread.start()
        self.url = f"http://127.0.0.1:{self.server_address[1]}/api"

    def die(self):
        self.shutdown()
        self.server_close()
        self.thread.join()
        for end in self.open_sockets:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


class RelayHandler(socketserver.BaseRequestHandler):
    server: "Relay"

    def handle(self):
        target = self.server.target
        with socket.create_connection((target.host, target.port)) as other:
            self.server.open_sockets += [self.request, other]
            back = threading.Thread(target=pump, args=(other, self.request), daemon=True)
            back.start()
            pump(self.request, other)
            back.join()


def pump(source, sink):
    with suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)


def test_a_command_whose_server_dies_ends_in_one_line_and_goes_on_later(
    run, prefect_api, tmp_path, monkeypatch
):
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(TINY | {"store": "store"}))
    commit = commit_ingest
    relay = Relay(prefect_api)

    def commit_and_lose_the_server(*arguments):
        relay.die()
        return commit(*arguments)

    monkeypatch.setattr(tasks.records, "commit_ingest", commit_and_lose_the_server)
    settings = {PREFECT_API_URL: relay.url, PREFECT_CLIENT_MAX_RETRIES: 0}
    with temporary_settings(settings):
        outcome = run("ingest", "--config", "config.yaml")
    assert outcome.code == 1
    assert outcome.err.startswith(f"crystalgnn: {relay.url}: no Prefect server answers")
    assert "run the command again" in outcome.err
    assert len(outcome.err.splitlines()) == 1
    assert RecordStore(tmp_path / "store").source_counts() == {"synthetic": 120}
    worker: Any = EventsWorker
    assert not worker._instances  # later events go to the server of then
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    assert run("ingest", "--config", "config.yaml").code == 0
    assert RecordStore(tmp_path / "store").source_counts()["candidates"] == 50


@pytest.mark.slow
@pytest.mark.usefixtures("prefect_api")
@pytest.mark.parametrize("is_given", [False, True])
def test_a_killed_server_ends_the_command_which_goes_on_at_the_next_start(
    is_given, tmp_path
):
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(TINY | {"store": "store"}))
    environment = dict(os.environ) | {"PYTHONPATH": str(ROOT)}
    environment.pop("PREFECT_API_URL", None)
    command = (sys.executable, "-m", "deployments.cli", "pipeline", "--config")
    hold = (sys.executable, "-c", HOLD)
    started = {"text": True, "cwd": tmp_path, "env": environment}
    piped = started | {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with ExitStack() as held:
        parent = None
        if is_given:
            parent = held.enter_context(subprocess.Popen(hold, **piped))
            held.callback(parent.kill)
            assert parent.stdout is not None
            environment["PREFECT_API_URL"] = parent.stdout.readline().strip()
        process = held.enter_context(subprocess.Popen((*command, "config.yaml"), **piped))
        held.callback(process.kill)
        assert process.stderr is not None
        first = process.stderr.readline()
        os.kill(server_of((parent or process).pid), signal.SIGKILL)
        # without our help clients would ask for minutes whether the server is there again
        _, err = process.communicate(timeout=120)
    assert "ingest: synthetic: 120 rows" in first
    assert process.returncode == 1
    said = "no Prefect server answers" if is_given else "server of this command ended"
    assert said in err.splitlines()[-1]
    assert "Traceback" not in err
    environment.pop("PREFECT_API_URL", None)
    done = subprocess.run(
        (*command, "config.yaml"), check=False, capture_output=True, **started
    )
    assert done.returncode == 0, done.stderr
    assert "unchanged, 120 records (skipped)" in done.stderr
    assert list((tmp_path / "store" / "screens").glob("*/ranking.csv"))
