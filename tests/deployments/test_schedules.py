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

import deployments
from crystalgnn_core.errors import ConfigError, InputError
from crystalgnn_core.records.table.store import RecordStore
from tests.processes import MARKER, wait_until_gone
from tests.tiny import TINY

pytestmark = pytest.mark.xdist_group("prefect")
OFTEN = {"rescreen": 5, "retrain": "0 4 * * 0"}  # seconds
UNSET = ("PREFECT_API_URL", "PYTHONSAFEPATH")  # an earlier test may have set these


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


def serve_until(is_done, config, folder, script=("-m", "deployments.cli"), **options):
    """Serve a configuration until something is there; no process may be left behind."""
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    inherited = {k: v for k, v in os.environ.items() if k not in UNSET}
    environment = inherited | options.pop("env", {}) | {MARKER: str(folder)}
    command = [sys.executable, *script, "serve", "--config", str(folder / "config.yaml")]
    log = folder / "serve.log"
    with (
        log.open("wb") as stream,
        subprocess.Popen(
            command, env=environment, stdout=stream, stderr=stream, **options
        ) as process,
    ):
        deadline = time.monotonic() + 300  # a busy machine takes a minute to start
        try:
            while not is_done():
                assert time.monotonic() < deadline, log.read_text()
                assert process.poll() is None, log.read_text()
                time.sleep(0.5)
            process.send_signal(signal.SIGINT)
            process.wait(timeout=60)
        finally:
            process.kill()  # nothing to do once it has ended
    assert wait_until_gone(str(folder), 20) == []


@pytest.mark.usefixtures("prefect_api", "_interruptible")
def test_served_schedule_fires_and_leaves_no_process(tiny_config, tmp_path):
    from flows.pipeline import pipeline

    pipeline(tiny_config)
    changed = TINY | {
        "store": tiny_config.store,
        "sources": [TINY["sources"][0], {**TINY["sources"][1], "n_structures": 55}],
        "schedule": OFTEN,
    }
    screens = Path(tiny_config.store) / "screens"
    serve_until(lambda: len(list(screens.glob("*/report.json"))) >= 2, changed, tmp_path)
    assert len(list(screens.glob("*/report.json"))) == 2


@pytest.mark.usefixtures("prefect_api", "_interruptible")
def test_folders_named_like_our_packages_in_the_working_directory_do_no_harm(tmp_path):
    """As of a user with folders of these names; the script is as pip installs it."""
    here = tmp_path / "here"
    for name in ("crystalgnn_core", "tasks", "flows", "deployments"):
        (here / name).mkdir(parents=True)
        (here / name / "__init__.py").write_text("raise RuntimeError(__file__)")
    script = tmp_path / "bin" / "crystalgnn"
    script.parent.mkdir()
    script.write_text("from deployments.cli import main\n\nmain()\n")
    store = tmp_path / "store"
    config = {
        "store": str(store),
        "sources": [{"kind": "synthetic", "name": "synthetic", "n_structures": 5}],
        "schedule": OFTEN,
    }
    serve_until(
        lambda: RecordStore(store).source_counts() == {"synthetic": 5},
        config,
        tmp_path,
        script=(str(script),),
        cwd=here,
        env={"PYTHONPATH": str(Path(deployments.__file__).parents[1])},
    )
