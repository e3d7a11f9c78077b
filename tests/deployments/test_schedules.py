"""`crystalgnn serve`: the schedule fires, the flow runs, and nothing is left behind."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from tests.tiny import TINY

pytestmark = pytest.mark.xdist_group("prefect")


def _processes_with(marker: str) -> list[str]:
    found = []
    for environment in Path("/proc").glob("[0-9]*/environ"):
        try:
            if marker.encode() in environment.read_bytes():
                found.append((environment.parent / "cmdline").read_bytes().decode())
        except OSError:
            continue
    return found


@pytest.mark.usefixtures("prefect_api")
def test_served_schedule_fires_and_leaves_no_process(tiny_config, tmp_path):
    from flows.pipeline import pipeline

    pipeline(tiny_config)
    changed = TINY | {
        "store": tiny_config.store,
        "sources": [TINY["sources"][0], {**TINY["sources"][1], "n_structures": 55}],
        "schedule": {"rescreen": 5, "retrain": "0 4 * * 0"},
    }
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(changed))
    marker = f"CRYSTALGNN_TEST_MARKER={tmp_path}"
    environment = {k: v for k, v in os.environ.items() if k != "PREFECT_API_URL"}
    name, value = marker.split("=", 1)
    log = tmp_path / "serve.log"
    with (
        log.open("wb") as stream,
        subprocess.Popen(
            [
                sys.executable,
                "-m",
                "deployments.cli",
                "serve",
                "--config",
                str(tmp_path / "config.yaml"),
            ],
            env=environment | {name: value},
            stdout=stream,
            stderr=stream,
        ) as process,
    ):
        screens = Path(tiny_config.store) / "screens"
        deadline = time.monotonic() + 120
        while len(list(screens.glob("*/report.json"))) < 2 and time.monotonic() < deadline:
            assert process.poll() is None, log.read_text()
            time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        process.wait(timeout=60)
    assert len(list(screens.glob("*/report.json"))) == 2, log.read_text()
    deadline = time.monotonic() + 20
    while _processes_with(marker) and time.monotonic() < deadline:
        time.sleep(0.5)
    assert _processes_with(marker) == []
