"""Pages that follow from the code, and tables that must agree with it."""

import re
from importlib.metadata import version

import pytest

from crystalgnn_core.config import PipelineConfig
from crystalgnn_core.records.schema import REJECT_REASONS
from crystalgnn_core.targets import TARGETS
from tests.docs.pages import DOCS, ROOT, load_script

generate = load_script(DOCS / "generate.py")
RENEW = "is not what the code says; run: python docs/generate.py"


def first_column(page, heading):
    """Return the first names of the rows of the table below a heading."""
    below = (DOCS / page).read_text(encoding="utf-8").split(f"# {heading}\n")[1]
    return re.findall(r"^\| `(\w+)`", re.split(r"\n#+ ", below)[0], re.MULTILINE)


def test_the_page_of_settings_is_what_the_code_says():
    page = DOCS / "reference" / "configuration.md"
    assert page.read_text(encoding="utf-8") == generate.configuration(), RENEW


def test_the_page_of_commands_is_what_the_code_says():
    pinned = re.search(
        r"^typer==(.+)$", (ROOT / ".ci" / "constraints.txt").read_text(), re.MULTILINE
    )
    assert pinned is not None
    if version("typer") != pinned.group(1):
        pytest.skip("other versions of typer word the page in another way")
    page = DOCS / "reference" / "command-line.md"
    assert page.read_text(encoding="utf-8") == generate.command_line(), RENEW


def test_every_setting_has_a_meaning():
    rows = [
        line for line in generate.configuration().splitlines() if line.startswith("| `")
    ]
    assert len(rows) > 150
    assert not [row for row in rows if row.endswith("|  |")]


def test_every_top_level_key_has_a_section():
    text = generate.configuration()
    sections = set(re.findall(r"^## (\w+)$", text, re.MULTILINE))
    assert sections >= set(PipelineConfig.model_fields) - {"store"}


def test_every_reject_reason_is_explained_once():
    assert first_column("reference/reject-reasons.md", "Reject reasons") == list(
        REJECT_REASONS
    )


def test_every_target_is_in_the_table():
    page = "concepts/records-and-labels.md"
    assert first_column(page, "Targets") == list(TARGETS)
