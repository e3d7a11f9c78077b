"""The page on adding a criterion, followed for real by another package."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PLUGIN = Path(__file__).parent / "near_value_criterion"
PAGE = ROOT / "docs" / "contributing" / "criterion.md"


def run(*arguments, path=PLUGIN):
    """Run Python with the package installed, as far as Python can see, or without it."""
    folders = [str(ROOT), *([] if path is None else [str(path)])]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(folders)}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("name", ["near_value.py", "contract_of_near_value.py"])
def test_the_page_shows_the_files_as_they_are(name):
    assert f"```python\n{(PLUGIN / name).read_text()}```" in PAGE.read_text()


def test_the_page_shows_the_entry_point():
    entries = PLUGIN / "near_value_criterion-1.0.dist-info" / "entry_points.txt"
    section, entry = entries.read_text().splitlines()
    key, value = entry.split(" = ")
    assert section == "[crystalgnn.criteria]"
    shown = f'[project.entry-points."crystalgnn.criteria"]\n{key} = "{value}"\n'
    assert shown in PAGE.read_text()


def test_the_contract_suite_is_green_and_a_small_screen_is_ranked():
    files = (
        PLUGIN / name for name in ("contract_of_near_value.py", "screen_by_near_value.py")
    )
    done = run("-m", "pytest", "-q", "-p", "no:cacheprovider", *map(str, files))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "7 passed" in done.stdout


def test_without_its_entry_point_the_contract_suite_says_what_is_known():
    script = (
        "import sys, crystalgnn_core.screening.config\n"
        "sys.path.append(sys.argv[1])\n"
        "from contract_of_near_value import TestNearValue\n"
        "TestNearValue().test_settings_survive_yaml_and_keep_their_digest()"
    )
    done = run("-c", script, str(PLUGIN), path=None)
    assert done.returncode != 0
    assert "'above', 'below', 'window'" in done.stderr
