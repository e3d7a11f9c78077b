"""What dead processes left is removed; what another process is writing stays."""

import os
import shutil
import signal
import subprocess
import sys
import textwrap

import pytest

from crystalgnn_core.storage import usage
from crystalgnn_core.storage.files import atomic_path, write_text
from crystalgnn_core.storage.usage import use_store
from tests.paths import ROOT

# writes to a store until its standard input is closed
WRITER = textwrap.dedent("""
    import sys
    from pathlib import Path
    from crystalgnn_core.storage.files import atomic_directory, atomic_path
    from crystalgnn_core.storage.usage import use_store

    store = Path(sys.argv[1])
    use_store(store)
    target = store / "models" / "m" / "card.json"
    with atomic_path(target) as path, atomic_directory(store / "screens" / "cif") as cifs:
        path.write_text("half")
        (cifs / "1.cif").write_text("half")
        (store / "graphs" / "g" / "jobs").mkdir(parents=True)
        (store / "graphs" / "g" / "jobs" / "s.arrow").write_text("rows")
        print("ready", flush=True)
        sys.stdin.read()
""")


def start(script, store):
    """Start a process and wait until it is in the middle of writing to a store."""
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(store)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.fixture
def writer(tmp_path):
    """A second process in the middle of writing to the store `s`."""
    process = start(WRITER, tmp_path / "s")
    yield process
    process.kill()
    process.communicate()


@pytest.fixture
def no_waiting(monkeypatch):
    monkeypatch.setattr(usage, "WAIT_SECONDS", 0.0)


def leftovers(store):
    return sorted(
        str(path.relative_to(store))
        for path in store.rglob("*")
        if path.name.startswith(".tmp-") or path.suffix == ".arrow"
    )


def test_temporary_files_of_a_killed_process_are_removed(writer, tmp_path):
    store = tmp_path / "s"
    assert len(leftovers(store)) == 3
    os.kill(writer.pid, signal.SIGKILL)
    writer.wait()
    assert len(leftovers(store)) == 3
    use_store(store)
    assert leftovers(store) == []


@pytest.mark.usefixtures("no_waiting")
def test_what_a_running_process_writes_stays(writer, tmp_path):
    store = tmp_path / "s"
    use_store(store)
    write_text(store / "models" / "m" / "decision.json", "{}")
    assert len(leftovers(store)) == 3
    writer.communicate("")
    assert writer.returncode == 0
    assert (store / "models" / "m" / "card.json").read_text() == "half"
    assert (store / "screens" / "cif" / "1.cif").read_text() == "half"


def test_a_process_that_only_writes_is_known_too(tmp_path):
    """Such as a notebook that trains, beside a nightly run that begins."""
    store = tmp_path / "s"
    store.mkdir()
    (store / usage.IN_USE).touch()
    process = start(WRITER.replace("use_store(store)\n", ""), store)
    use_store(store)
    assert len(leftovers(store)) == 3
    process.communicate("")
    assert process.returncode == 0


def test_own_temporary_files_survive_a_second_start_in_the_process(tmp_path):
    use_store(tmp_path)
    with atomic_path(tmp_path / "models" / "a.json") as path:
        path.write_text("1")
        use_store(tmp_path)
        assert path.is_file()


def test_nothing_is_removed_beside_the_folders_of_a_store(tmp_path):
    """A store may be the folder in which somebody works."""
    own = (
        tmp_path / ".tmp-mine",
        tmp_path / "jobs" / "mine.arrow",
        tmp_path / "x.parquet#1",
    )
    for path in own:
        path.parent.mkdir(exist_ok=True)
        path.touch()
    use_store(tmp_path)
    assert all(path.is_file() for path in own)


def test_a_store_that_was_deleted_and_made_again_is_used_anew(tmp_path):
    store = tmp_path / "s"
    use_store(store)
    shutil.rmtree(store)
    (store / "models").mkdir(parents=True)
    (store / "models" / ".tmp-old").touch()
    use_store(store)
    assert not (store / "models" / ".tmp-old").exists()
