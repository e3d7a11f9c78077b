"""`crystalgnn serve`: the schedule fires, the flow runs, and nothing is left behind."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from filelock import FileLock

from crystalgnn_core.errors import ConfigError, InputError
from tests.processes import MARKER, wait_until_gone
from tests.tiny import TINY

pytestmark = pytest.mark.xdist_group("prefect")


def test_unreadable_schedule_is_refused_before_anything_starts(tiny_config):
    from deployments.schedules import make_deployments

    for update, words in (
        ({"rescreen": "0 2 * *"}, "'0 2 \\* \\*'.*cron expression"),
        ({"retrain": "now and then"}, "now and then"),
        ({"retrain": 0.0}, "positive number of seconds"),
        ({"rescreen": float("inf")}, "positive number of seconds"),
    ):
        schedule = tiny_config.schedule.model_copy(update=update)
        config = tiny_config.model_copy(update={"schedule": schedule})
        with pytest.raises(ConfigError, match=words):
            make_deployments(config)


def test_deployments_of_two_stores_have_different_names(tiny_config, tmp_path):
    from deployments.schedules import make_deployments

    other = tiny_config.model_copy(update={"store": str(tmp_path / "other")})
    ours, theirs = make_deployments(tiny_config), make_deployments(other)
    names = {deployment.name for deployment in (*ours, *theirs)}
    assert len(names) == 4
    assert ours[0].parameters["config"]["store"] == str(tiny_config.store_path)


def test_second_serve_of_a_store_is_refused(tiny_config):
    from deployments.schedules import serve_schedules

    tiny_config.store_path.mkdir(parents=True)
    with (
        FileLock(tiny_config.store_path / "crystalgnn-serve.lock"),
        pytest.raises(InputError, match="another `crystalgnn serve`"),
    ):
        serve_schedules(tiny_config)


@pytest.fixture
def _interruptible():
    """Let children hear SIGINT, which a shell's background jobs are born deaf to."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("prefect_api", "_interruptible")
def test_served_schedule_fires_and_leaves_no_process(tiny_config, tmp_path):
    from flows.pipeline import pipeline

    pipeline(tiny_config)
    changed = TINY | {
        "store": tiny_config.store,
        "sources": [TINY["sources"][0], {**TINY["sources"][1], "n_structures": 55}],
        "schedule": {"rescreen": 5, "retrain": "0 4 * * 0"},
    }
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(changed))
    environment = {k: v for k, v in os.environ.items() if k != "PREFECT_API_URL"}
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
            env=environment | {MARKER: str(tmp_path)},
            stdout=stream,
            stderr=stream,
        ) as process,
    ):
        screens = Path(tiny_config.store) / "screens"
        deadline = time.monotonic() + 120
        try:
            while len(list(screens.glob("*/report.json"))) < 2:
                assert time.monotonic() < deadline, log.read_text()
                assert process.poll() is None, log.read_text()
                time.sleep(0.5)
            process.send_signal(signal.SIGINT)
            process.wait(timeout=60)
        finally:
            process.kill()  # nothing to do once it has ended
    assert len(list(screens.glob("*/report.json"))) == 2, log.read_text()
    assert wait_until_gone(str(tmp_path), 20) == []
