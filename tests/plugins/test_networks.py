"""A network of another package: its tests, its page, and an error where it is absent."""

import re
from pathlib import Path

import pytest

from crystalgnn_core.errors import ModelError
from crystalgnn_core.learning.cards import read_card
from tests.plugins.installing import ROOT, run_tests

PROJECT = Path(__file__).parent / "lattice_network"
PAGE = ROOT / "docs" / "contributing" / "model.md"
FILES = ("pyproject.toml", "config.py", "network.py", "test_contract.py")


def test_a_network_of_another_package_is_tested_trained_and_used(tmp_path):
    done = run_tests(PROJECT, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    folder, *_ = (tmp_path / "runs").glob("*/models/lattice_network-*")
    with pytest.raises(ModelError) as caught:
        read_card(folder)
    message = str(caught.value)
    assert "no installed package has a network of kind 'lattice_network'" in message
    assert "\n" not in message


@pytest.mark.parametrize("name", FILES)
def test_the_page_shows_the_files_of_the_package(name):
    block = r"`([\w./]+)`:\n\n(?:<!--[^>]*-->\n)?```\w+\n(.*?)```"
    shown = re.findall(block, PAGE.read_text("utf-8"), re.S)
    stored = (PROJECT / name).read_text("utf-8").replace("tests.plugins.", "")
    assert {Path(file).name: text for file, text in shown}[name] == stored
