"""Kill the pipeline in each stage and start it again: nothing is lost or done twice."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from crystalgnn_core.records.table.store import RecordStore
from crystalgnn_core.storage.files import file_sha256
from tests.processes import MARKER, wait_until_gone

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("prefect")]

POLL_SECONDS = 0.002
SURVIVOR_SECONDS = 15.0
N_EPOCHS = 4
SOURCES = ("synthetic", "candidates")
CONFIG: dict[str, Any] = {
    "sources": [
        {"kind": "synthetic", "name": "synthetic", "n_structures": 300, "part_size": 50},
        {
            "kind": "synthetic",
            "name": "candidates",
            "n_structures": 150,
            "part_size": 50,
            "batch": 1,
        },
    ],
    "model": {"atom_width": 16, "n_convolutions": 2, "hidden_width": 16},
    "training": {
        "sources": ["synthetic"],
        "epochs": N_EPOCHS,
        "batch_size": 32,
        "device": "cpu",
    },
    # writing CIF files is what keeps the ranking busy
    "screening": {"name": "s", "sources": ["candidates"], "top_k": 100, "device": "cpu"},
    # many small shards: no stage is over before it can be killed
    "execution": {"shard_size": 8, "workers": 2},
}

COMMAND = (sys.executable, "-m", "deployments.cli")
Stamps = dict[Path, tuple[int, int]]


class Stage(NamedTuple):
    """A stage to be interrupted.

    Attributes:
        begun: Files, relative to the store, one of which shows that the stage has begun.
        ended: Files one of which shows that it is over.
        kept: Files that the second run must not write again.
    """

    begun: str
    ended: str
    kept: str


STAGES = {
    "reading": Stage(
        "staging/synthetic-*/0*.json", "ingests/synthetic.json", "staging/synthetic-*/0*"
    ),
    "commit": Stage(
        "records/_delta_log/*.json", "ingests/synthetic.json", "staging/synthetic-*/0*"
    ),
    "graphs": Stage("graphs/*/*.json", "models/*", "graphs/*/*.parquet"),
    "training": Stage(
        "models/*/checkpoints/pointers.json",
        f"models/*/checkpoints/epoch-{N_EPOCHS:05d}",
        "graphs/*/*.parquet",
    ),
    "predicting": Stage("predictions/*/*.json", "screens/*", "predictions/*/*.parquet"),
    "ranking": Stage(
        "screens/*/ranking.parquet", "screens/*/screen.json", "predictions/*/*.parquet"
    ),
}


class Job:
    """The pipeline as a process of its own on one store.

    Args:
        folder: Folder of the store, the configuration and the logs.
    """

    def __init__(self, folder: Path) -> None:
        self.store = folder / "store"
        self.marker = str(folder)
        self.config = folder / "config.yaml"
        self.log = folder / "log.txt"
        self.config.write_text(yaml.safe_dump(CONFIG | {"store": str(self.store)}))

    @contextmanager
    def start(self, *, with_own_server: bool) -> Iterator[subprocess.Popen[bytes]]:
        """Start the pipeline; it is killed at the end if it still runs."""
        environment = os.environ | {MARKER: self.marker}
        if with_own_server:
            del environment["PREFECT_API_URL"]
        with self.log.open("wb") as log:
            process = subprocess.Popen(
                [*COMMAND, "pipeline", "-v", "--config", str(self.config)],
                env=environment,
                stdout=log,
                stderr=log,
            )
            try:
                yield process
            finally:
                process.kill()
                process.wait()

    def interrupt(self, stage: Stage) -> Stamps:
        """Start, kill when the stage has begun, and return what must not be redone."""
        with self.start(with_own_server=True) as process:
            while not self.stamps(stage.begun):
                assert process.poll() is None, self.log.read_text()
                time.sleep(POLL_SECONDS)
            process.kill()
        assert not self.stamps(stage.ended), "the stage was over before it could be killed"
        assert wait_until_gone(self.marker, SURVIVOR_SECONDS) == []
        return self.stamps(stage.kept)

    def finish(self) -> str:
        """Run to the end; return the log."""
        with self.start(with_own_server=False) as process:
            code = process.wait(timeout=600)
        log = self.log.read_text()
        assert code == 0, log
        assert wait_until_gone(self.marker, SURVIVOR_SECONDS) == []
        return log

    def stamps(self, pattern: str) -> Stamps:
        """Return inode and time of the files with a pattern, temporary ones left out."""
        return {
            path: (path.stat().st_ino, path.stat().st_mtime_ns)
            for path in self.store.glob(pattern)
            if not path.name.startswith(".")
        }

    def results(self) -> dict[str, object]:
        """Return what must not depend on interruptions."""
        [weights] = self.store.glob("models/*/model.safetensors")
        [ranking] = self.store.glob("screens/*/ranking.csv")
        [rejects] = self.store.glob("screens/*/rejects.parquet")
        return {
            "model": (weights.parent.name, file_sha256(weights)),
            "ranking": (ranking.parent.name, ranking.read_bytes()),
            "rejects": file_sha256(rejects),
            "cifs": {p.name: p.read_bytes() for p in ranking.parent.glob("cif/*")},
            "records": RecordStore(self.store).read(SOURCES).to_pylist(),
        }


@contextmanager
def _watch(stamps: Stamps) -> Iterator[list[Path]]:
    """Collect the files that are written again while the block runs.

    Staged parts are removed in the end, so it does not do to look at them afterwards.
    """
    rewritten: list[Path] = []
    stop = threading.Event()

    def look() -> None:
        while not stop.wait(POLL_SECONDS):
            for path, stamp in stamps.items():
                try:
                    found = path.stat()
                except FileNotFoundError:
                    continue
                if (found.st_ino, found.st_mtime_ns) != stamp and path not in rewritten:
                    rewritten.append(path)

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield rewritten
    finally:
        stop.set()
        thread.join()


@pytest.fixture(scope="module")
def undisturbed(prefect_api, tmp_path_factory):
    """Results of a run that nobody interrupts."""
    job = Job(tmp_path_factory.mktemp("undisturbed"))
    job.finish()
    return job.results()


def _has_entry(path: Path) -> bool:
    """Tell whether a part or shard is finished: its entry is written after it."""
    return path.with_name(f"{path.name.partition('.')[0]}.json").is_file()


@pytest.mark.parametrize("name", STAGES)
def test_killed_pipeline_ends_like_one_left_alone(name, undisturbed, tmp_path):
    stage = STAGES[name]
    job = Job(tmp_path)
    finished = {
        path: stamp for path, stamp in job.interrupt(stage).items() if _has_entry(path)
    }
    assert finished, "nothing was finished when the process was killed"
    with _watch(finished) as rewritten:
        log = job.finish()
    assert rewritten == []
    assert ("training continues after epoch" in log) == (name == "training")
    assert job.results() == undisturbed
