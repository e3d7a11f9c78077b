"""Packages of the tests, made known to Python as an installer would, but nowhere kept."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]


def install(project: Path, target: Path) -> Path:
    """Write what `pip install` writes about a package, so that its entry points are found.

    Args:
        project: Folder with a `pyproject.toml`.
        target: Folder to be put on the path.
    """
    settings = tomllib.loads((project / "pyproject.toml").read_text(encoding="utf-8"))
    name, version = settings["project"]["name"], settings["project"]["version"]
    folder = target / f"{name.replace('-', '_')}-{version}.dist-info"
    folder.mkdir(parents=True)
    (folder / "METADATA").write_text(f"Name: {name}\nVersion: {version}\n")
    lines = []
    for group, entries in settings["project"]["entry-points"].items():
        lines += [f"[{group}]", *(f"{key} = {value}" for key, value in entries.items())]
    (folder / "entry_points.txt").write_text("\n".join(lines))
    return target


def run_tests(project: Path, scratch: Path) -> subprocess.CompletedProcess[str]:
    """Run the tests of a package in a process in which it is installed.

    Its temporary files are kept in `scratch / "runs"`.
    """
    path = os.pathsep.join((str(ROOT), str(install(project, scratch / "installed"))))
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(project)]
    return subprocess.run(
        [*command, f"--basetemp={scratch / 'runs'}"],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
