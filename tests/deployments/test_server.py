"""The private Prefect server: there while needed, gone afterwards, whatever happens."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.processes import children_of

pytestmark = pytest.mark.xdist_group("prefect")

HOLD = """
import sys, time
from deployments.server import prefect_server
with prefect_server() as url:
    print(url, flush=True)
    time.sleep(float(sys.argv[1]))
"""


def _is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return False
    return state != "Z"


@pytest.mark.usefixtures("prefect_api")  # migrates the home's database first
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_server_is_gone_after_its_parent(number):
    environment = {k: v for k, v in os.environ.items() if k != "PREFECT_API_URL"}
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, "60"],
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("http://127.0.0.1:")
        servers = children_of(process.pid)
        assert len(servers) == 1
        process.send_signal(number)
        process.wait(timeout=30)
    deadline = time.monotonic() + 30
    while _is_running(servers[0]) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert not _is_running(servers[0])


@pytest.mark.usefixtures("prefect_api")
def test_configured_server_is_used_as_it_is(prefect_api):
    from deployments.server import prefect_server

    with prefect_server() as url:
        assert url == prefect_api
