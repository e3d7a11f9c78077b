"""Every bad configuration ends in one line that names it, exit code 2, nothing written."""

import os
import re
import shlex
import subprocess
import sys

import pytest

from deployments.cli import USER_ERROR
from tests.deployments.bad_settings import BAD, Bad
from tests.processes import Outcome

# what only those who know the libraries or Python can read
FOREIGN = re.compile(
    r"Input should|input_type|pydantic|errors\.|https://errors|Traceback|Config\b|Source\b"
    r"|\bNone\b|\bTrue\b|\bFalse\b|\(['\d][^()]*, ?['\d)][^()]*\)|<[a-z_. ]+>|discriminator"
    r"|dictionary|\btuple\b|valid (string|integer|number)|\bstr\b|\bint\b|\{'"
)


def listed(folder):
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*")}


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with a structure, a folder of structures and no store."""
    (tmp_path / "folder").mkdir()
    for path in (tmp_path / "x.cif", tmp_path / "folder" / "x.cif"):
        path.write_text("data_x\n")
    for name in ("MP_API_KEY", "CRYSTALGNN_CACHE"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def prepare(bad, place, store):
    """Write the file of a case; return its arguments and what it suggests."""
    if bad.file is not None:
        content = bad.file if isinstance(bad.file, bytes) else bad.file.encode()
        (place / "job.yaml").write_bytes(content)
    stands_for = {"{store}": str(store.path), "{model}": store.other}
    call, meant = bad.call, bad.meant
    for name, value in stands_for.items():
        call, meant = call.replace(name, value), meant.replace(name, value)
    return shlex.split(call), meant


def check(bad: Bad, outcome: Outcome, meant: str) -> None:
    assert outcome.code == USER_ERROR, outcome
    assert outcome.out == ""
    assert outcome.err.startswith("crystalgnn: ")
    assert outcome.err.count("\n") == 1, outcome.err
    assert re.search(bad.line, outcome.err), outcome.err
    suggestion = outcome.err.partition("did you mean ")[2]
    assert suggestion.startswith(meant), outcome.err
    assert bool(suggestion) == bool(meant), outcome.err
    assert not FOREIGN.search(outcome.err), outcome.err


@pytest.mark.parametrize("bad", BAD, ids=[f"{n}-{bad.call}" for n, bad in enumerate(BAD)])
def test_a_bad_setting_ends_in_one_line(run, place, trained_store, monkeypatch, bad):
    for name, value in bad.environment:
        monkeypatch.setenv(name, value)
    arguments, meant = prepare(bad, place, trained_store)
    before = [listed(place), listed(trained_store.path)]
    check(bad, run(*arguments), meant)
    assert [listed(place), listed(trained_store.path)] == before


def test_there_are_many_and_a_third_of_them_have_a_near_name():
    assert len(BAD) >= 180
    assert sum(bool(bad.meant) for bad in BAD) >= 65


@pytest.mark.slow
@pytest.mark.parametrize("bad", BAD[::15], ids=[bad.call for bad in BAD[::15]])
def test_a_process_ends_in_the_same_line(place, trained_store, bad):
    arguments, meant = prepare(bad, place, trained_store)
    done = subprocess.run(
        [sys.executable, "-m", "deployments.cli", *arguments],
        cwd=place,
        env={**os.environ, **dict(bad.environment)},
        capture_output=True,
        text=True,
        check=False,
    )
    check(bad, Outcome(done.returncode, done.stdout, done.stderr), meant)
