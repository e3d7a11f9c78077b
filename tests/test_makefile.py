"""`make install` takes a Python that is new enough, or says so and leaves nothing."""

import os
import shutil
import subprocess

import pytest

from tests.paths import ROOT

TOOLS = ("make", "sh", "rm", "cp", "mkdir", "touch", "test")
PYTHON = """#!/bin/sh
echo "{version} $@" >> log
case "$1" in
    -V) echo "Python {version}";;
    -c) exit {is_old};;
    -m) test "$2" != venv || {{
        mkdir -p .venv/bin; cp bin/python{version} .venv/bin/python;
    }};;
esac
"""

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="there is no make")


@pytest.fixture
def project(tmp_path):
    """The Makefile with what it depends on, and tools but no Python."""
    (tmp_path / ".ci").mkdir()
    for name in ("Makefile", "pyproject.toml", ".ci/constraints.txt"):
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / "bin").mkdir()
    for name in TOOLS:
        (tmp_path / "bin" / name).symlink_to(shutil.which(name) or name)
    return tmp_path


def add_python(project, name, version):
    for path in (project / "bin" / name, project / "bin" / f"python{version}"):
        is_old = int(version.split(".")[1]) < 11
        path.write_text(PYTHON.format(version=version, is_old=int(is_old)))
        path.chmod(0o755)


def outside_make():
    """The environment without what a `make test` around this one hands on."""
    ours = ("PYTHON", "MAKE", "MFLAGS")
    return {k: v for k, v in os.environ.items() if not k.startswith(ours)}


def make(project, *arguments):
    return subprocess.run(
        [project / "bin" / "make", "install", *arguments],
        cwd=project,
        env=outside_make() | {"PATH": "bin"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_an_old_python_is_refused_in_one_line_and_leaves_no_environment(project):
    add_python(project, "python3", "3.10.12")
    done = make(project)
    assert done.returncode
    said, *rest = done.stderr.splitlines()
    assert "needs Python 3.11 or newer; found Python 3.10.12; install one" in said
    assert all(line.startswith("make: ") for line in rest)
    assert not (project / ".venv").exists()
    assert "pip" not in (project / "log").read_text()


def test_a_newer_python_on_the_path_is_taken(project):
    add_python(project, "python3", "3.10.12")
    add_python(project, "python3.12", "3.12.4")
    assert make(project).returncode == 0
    assert "3.12.4 -m venv .venv" in (project / "log").read_text()
    assert (project / ".venv" / ".installed").is_file()


def test_an_environment_of_another_python_is_made_again(project):
    add_python(project, "python3", "3.10.12")
    subprocess.run([project / "bin" / "python3", "-m", "venv"], cwd=project, check=True)
    (project / ".venv" / "of-3.10").touch()
    add_python(project, "python3.13", "3.13.1")
    assert make(project).returncode == 0
    assert not (project / ".venv" / "of-3.10").exists()
    # and kept where it fits
    (project / ".venv" / "of-3.13").touch()
    (project / ".venv" / ".installed").unlink()
    assert make(project).returncode == 0
    assert (project / ".venv" / "of-3.13").exists()


def test_a_named_python_is_checked_too(project):
    add_python(project, "python3", "3.12.4")
    add_python(project, "mine", "3.9.1")
    done = make(project, "PYTHON=mine")
    assert "found Python 3.9.1" in done.stderr
    assert not (project / ".venv").exists()
