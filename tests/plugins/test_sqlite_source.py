"""The page on adding a source, followed for real by another package."""

import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
PLUGIN = Path(__file__).parent / "sqlite_source"
PAGE = ROOT / "docs" / "contributing" / "source.md"


def run(folder, *arguments, is_installed=True):
    """Run Python with the package installed, as far as Python can see, or without it."""
    folders = [ROOT, *([PLUGIN] if is_installed else [])]
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(map(str, folders)),
        "PREFECT_HOME": str(folder / "prefect"),
    }
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def job(tmp_path, monkeypatch):
    """Write the example and a configuration that reads it."""
    monkeypatch.syspath_prepend(str(PLUGIN))
    write_example = runpy.run_path(str(PLUGIN / "contract_of_sqlite.py"))["write_example"]
    write_example(tmp_path / "crystals.db")
    settings = {"path": "crystals.db", "label_scheme": "PBE", "part_size": 2}
    source = {"kind": "sqlite", "name": "mine", **settings}
    content = {"store": "store", "sources": [source]}
    (tmp_path / "job.yaml").write_text(yaml.safe_dump(content))
    return tmp_path


def counts_of(printed):
    """Return the numbers in the row of the source."""
    [row] = [line for line in printed.splitlines() if " mine " in line]
    return [int(cell) for cell in row.split("│") if cell.strip().isdecimal()]


@pytest.mark.parametrize("name", ["sqlite_source.py", "contract_of_sqlite.py"])
def test_the_page_shows_the_files_as_they_are(name):
    assert f"```python\n{(PLUGIN / name).read_text()}```" in PAGE.read_text()


def test_the_page_shows_the_entry_point():
    entries = PLUGIN / "sqlite_source-1.0.dist-info" / "entry_points.txt"
    section, entry = entries.read_text().splitlines()
    key, value = entry.split(" = ")
    assert section == "[crystalgnn.sources]"
    shown = f'[project.entry-points."crystalgnn.sources"]\n{key} = "{value}"\n'
    assert shown in PAGE.read_text()


def test_the_contract_suite_is_green(tmp_path):
    suite = PLUGIN / "contract_of_sqlite.py"
    done = run(tmp_path, "-m", "pytest", "-q", "-p", "no:cacheprovider", suite)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "13 passed" in done.stdout


@pytest.mark.xdist_group("prefect")
def test_the_command_line_ingests_it_page_by_page_and_skips_it_the_second_time(job):
    command = ("-m", "deployments.cli", "ingest", "--config", "job.yaml")
    first = run(job, *command)
    assert first.returncode == 0, first.stderr
    n_in, n_kept, n_rejected, n_new = counts_of(first.stdout)[:4]
    assert (n_in, n_kept, n_rejected, n_new) == (5, 3, 2, 3)
    assert "missing_label" in first.stdout
    assert "unreadable_structure" in first.stdout
    again = run(job, *command)
    n_new, n_changed, n_unchanged, n_removed = counts_of(again.stdout)[3:]
    assert (n_new, n_changed, n_unchanged, n_removed) == (0, 0, 3, 0)


def test_options_describe_it_and_name_what_is_missing(job):
    command = ("-m", "deployments.cli", "ingest", "--source", "sqlite")
    done = run(job, *command)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "--source sqlite needs --path: an SQLite file" in done.stderr
    missing = ("--path", "nowhere.db", "--set", "sources.0.label_scheme=PBE")
    done = run(job, *command, *missing)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "source nowhere: no file or folder nowhere.db" in done.stderr


def test_where_the_package_is_not_installed_one_line_says_so(job):
    command = ("-m", "deployments.cli", "ingest", "--config", "job.yaml")
    done = run(job, *command, is_installed=False)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "sources.0: no kind 'sqlite', expected files" in done.stderr
    assert "install the package that offers another" in done.stderr
