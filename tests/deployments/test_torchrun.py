"""Processes that train together: ended by the end of one, and continued by torchrun."""

import os
import subprocess
import sys
import time

import pyarrow.parquet as pq
import pytest
import yaml

from tests.core.learning.test_distributed import free_port
from tests.processes import MARKER, wait_until_gone
from tests.tiny import TINY

TORCHRUN = ("torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m")


def environment(folder, **changes):
    own = {MARKER: str(folder), "PREFECT_HOME": str(folder / "prefect")}
    return os.environ | own | {"OMP_NUM_THREADS": "1"} | changes


def command(folder, *words, launcher=()):
    config = ["--config", str(folder / "c.yaml")]
    return [sys.executable, "-m", *launcher, "deployments.cli", *words, *config]


@pytest.fixture
def folder(tmp_path):
    training = TINY["training"] | {"epochs": 40, "patience": 40}
    settings = TINY | {"training": training, "store": str(tmp_path / "store")}
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(settings))
    ingest = command(tmp_path, "ingest")
    subprocess.run(ingest, env=environment(tmp_path), capture_output=True, check=True)
    return tmp_path


def start(folder, rank, port):
    """Start a process as launchers other than torchrun do."""
    variables = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": "2"}
    return subprocess.Popen(
        command(folder, "train"),
        env=environment(folder, RANK=str(rank), LOCAL_RANK=str(rank), **variables),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="finds processes in /proc")
def test_a_killed_process_ends_the_other_with_one_line_and_the_next_run_goes_on(folder):
    port = free_port()
    first, second = (start(folder, rank, port) for rank in (0, 1))
    deadline = time.monotonic() + 300
    while not list(folder.glob("store/models/*/checkpoints/pointers.json")):
        assert first.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    second.kill()
    second.communicate()
    said = first.communicate(timeout=120)[0]
    assert first.returncode == 1
    assert said.count("another process of this training has ended") == 1
    assert said.strip().count("\n") == 0, said
    assert wait_until_gone(str(folder), 60) == []

    again = command(folder, "train", "-v", launcher=TORCHRUN)
    done = subprocess.run(
        again, env=environment(folder), capture_output=True, text=True, check=True
    )
    assert done.stderr.count("training continues after epoch") == 1
    assert done.stdout.count("bundle ") == 1
    [history] = folder.glob("store/models/*/history.parquet")
    assert pq.read_table(history)["epoch"].to_pylist() == list(range(1, 41))
    assert wait_until_gone(str(folder), 60) == []
