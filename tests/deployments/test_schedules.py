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
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import DeploymentFilter, FlowRunFilter, LogFilter
from prefect.client.schemas.sorting import FlowRunSort, LogSort

import deployments
from crystalgnn_core.config import PipelineConfig
from crystalgnn_core.errors import ConfigError, InputError
from crystalgnn_core.records.table.store import RecordStore
from tests.deployments.test_predict_command import SALT
from tests.processes import MARKER, wait_until_gone
from tests.tiny import TINY

pytestmark = pytest.mark.xdist_group("prefect")
FILES = {"kind": "files", "name": "mine"}
OFTEN = {"rescreen": 5, "retrain": "0 4 * * 0"}  # seconds
# of other tests, which want it silent, or set by a command that ran in this process
UNSET = ("PREFECT_API_URL", "PREFECT_LOGGING_LEVEL", "PREFECT_LOGGING_TO_API_ENABLED")


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
        deadline = time.monotonic() + 900  # a busy machine takes minutes to start
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


def all_of(logs):
    """Return the text of all logs in a folder."""
    return "".join(path.read_text() for path in sorted(logs.glob("*.log")))


def scheduled_runs(config):
    """Return the ended runs that were scheduled for a store, the oldest first."""
    from deployments.schedules import SERVED, deployment_name

    names = [deployment_name(flow, config.store_path) for flow in SERVED]
    ended = {"state": {"type": {"any_": ["COMPLETED", "FAILED", "CRASHED"]}}}
    with get_client(sync_client=True) as client:
        return client.read_flow_runs(
            flow_run_filter=FlowRunFilter.model_validate(ended),
            deployment_filter=DeploymentFilter.model_validate({"name": {"any_": names}}),
            sort=FlowRunSort.START_TIME_ASC,
        )


def log_of(run):
    """Return the log of a flow run as its page shows it."""
    wanted = LogFilter.model_validate({"flow_run_id": {"any_": [run.id]}})
    with get_client(sync_client=True) as client:
        lines = client.read_logs(log_filter=wanted, sort=LogSort.TIMESTAMP_ASC)
    return "\n".join(f"{line.name}: {line.message}" for line in lines)


@pytest.mark.slow
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
    logs = Path(tiny_config.store) / "logs"
    serve_until(lambda: "screen: " in all_of(logs), changed, tmp_path)
    assert len(list(screens.glob("*/report.json"))) == 2
    # its server ended with it; another one of the same home still knows the run
    first, *_ = scheduled_runs(tiny_config)
    for log in (log_of(first), all_of(logs)):
        assert "ingest: synthetic: unchanged, 120 records (skipped); candidates: 55" in log
    # the last lines may not have reached the server when it is stopped
    assert "screen: 55 candidates = " in all_of(logs)


@pytest.mark.slow
@pytest.mark.usefixtures("prefect_api", "_interruptible")
def test_folders_named_like_our_packages_in_the_working_directory_do_no_harm(
    own_store, tmp_path
):
    """As of a user with folders of these names; the script is as pip installs it."""
    here = tmp_path / "here"
    for name in ("crystalgnn_core", "tasks", "flows", "deployments"):
        (here / name).mkdir(parents=True)
        (here / name / "__init__.py").write_text("raise RuntimeError(__file__)")
    script = tmp_path / "bin" / "crystalgnn"
    script.parent.mkdir()
    script.write_text("from deployments.cli import main\n\nmain()\n")
    config = {
        "store": str(own_store.path),
        "sources": [{"kind": "synthetic", "name": "fresh", "n_structures": 5}],
        "screening": {"sources": ["fresh"]},
        "schedule": OFTEN,
    }
    serve_until(
        lambda: "fresh" in RecordStore(own_store.path).source_counts(),
        config,
        tmp_path,
        script=(str(script),),
        cwd=here,
        env={"PYTHONPATH": str(Path(deployments.__file__).parents[1])},
    )


def test_python_m_takes_our_packages_and_not_those_of_the_working_directory(tmp_path):
    for name in ("tasks", "flows"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise RuntimeError(__file__)")
    root = Path(deployments.__file__).parents[1]
    subprocess.run(
        [sys.executable, "-m", "deployments.cli", "rescreen", "--help"],
        cwd=tmp_path,
        env=dict(os.environ) | {"PYTHONPATH": str(root)},
        stdout=subprocess.DEVNULL,
        check=True,
    )


@pytest.mark.slow
@pytest.mark.usefixtures("prefect_api", "_interruptible")
def test_three_nights_can_be_read_afterwards_the_failed_one_included(own_store, tmp_path):
    """Through Prefect's client, and in the store where nobody keeps a server."""
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "salt.cif").write_text(SALT.to(fmt="cif"))
    config = PipelineConfig.model_validate(
        TINY
        | {"store": str(own_store.path), "schedule": OFTEN}
        | {"sources": [*TINY["sources"], FILES | {"path": str(mine)}]}
    )
    logs = own_store.path / "logs"

    def three_nights():
        if all_of(logs).count("screen: ") == 2 and mine.exists():
            mine.rename(tmp_path / "moved away")
        return len(list(logs.glob("*.log"))) > 3  # the third has ended when another starts

    serve_until(three_nights, config.model_dump(mode="json"), tmp_path)
    runs = scheduled_runs(config)
    assert [run.state.type.value for run in runs[:3]] == [
        "COMPLETED",
        "COMPLETED",
        "FAILED",
    ]
    first, second, third = map(log_of, runs[:3])
    assert "mine: 1 rows = 1 kept + 0 rejected (1 new, 0 changed)" in first
    assert "screen: 50 candidates = " in first
    assert "mine: unchanged, 1 records (skipped)" in second
    assert "nothing changed" in second
    assert "source mine failed: " not in second
    assert str(mine) in third
    assert "SourceError" in third
    files = [path.read_text() for path in sorted(logs.glob("*-rescreen.log"))]
    assert "1 rows = 1 kept" in files[0]
    assert "SourceError" in files[2]
