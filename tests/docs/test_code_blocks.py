"""The code that the documentation shows works: run, parsed or loaded, block by block.

A block that cannot be run here has a comment right above it with the reason, such as
`<!-- not run: needs the network -->`.
"""

import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml

from crystalgnn_core.config import PipelineConfig, load_config
from deployments.cli import app
from deployments.ingest_command import source_entry
from deployments.options import Job
from tests.docs.pages import DOCS, PAGES, ROOT, Block, blocks_of, write_named_files

LANGUAGES = {"bash", "console", "csv", "ini", "json", "python", "text", "toml", "yaml"}
READING = (  # commands that only read a store, and end at once
    ("models", "list"),
    ("models", "pretrained"),
    ("models", "show"),
    ("records", "rejects"),
    ("records", "show"),
    ("records", "verdict"),
    ("store", "check"),
)
OPERATION = DOCS / "guides" / "schedules.md"  # run by test_operation.py, on a server
BLOCKS = [(page, block) for page in PAGES for block in blocks_of(page)]


def place(page, block=None):
    return str(page.relative_to(ROOT)) + (f":{block.line}" if block else "")


def in_language(*languages, run=True):
    found = [
        (page, block)
        for page, block in BLOCKS
        if block.language in languages and (block.skipped is None or not run)
    ]
    return pytest.mark.parametrize(
        ("page", "block"), found, ids=[place(*entry) for entry in found]
    )


def with_code(*languages):
    pages = {page: None for page, block in BLOCKS if block.language in languages}
    return pytest.mark.parametrize("page", pages, ids=place)


@pytest.fixture
def sandbox(tmp_path, monkeypatch, own_store):
    """An empty folder with a small trained store, its name that of the default store."""
    own_store.path.rename(tmp_path / "crystalgnn-store")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CRYSTALGNN_CACHE", str(tmp_path / "cache"))
    return tmp_path


def commands_of(block):
    """Return the commands of a shell block as lists of words, continued lines joined."""
    lines = block.code.replace("\\\n", " ").splitlines()
    if block.language == "console":  # what does not follow a prompt is output
        lines = [line[2:] for line in lines if line.startswith("$ ")]
    words = [shlex.split(line, comments=True) for line in lines]
    return [
        line[index:]
        for line in words
        for index in [next((i for i, word in enumerate(line) if "=" not in word), None)]
        if index is not None
    ]


def parse_command(arguments: list[str]) -> tuple[tuple[str, ...], dict[str, Any]]:
    """Parse the words behind `crystalgnn`; return the names of the command, and values."""
    command: Any = typer.main.get_command(app)
    names, words = [], list(arguments)
    while hasattr(command, "commands") and words and not words[0].startswith("-"):
        names.append(words.pop(0))
        assert names[-1] in command.commands, f"no command {' '.join(names)}"
        command = command.commands[names[-1]]
    if "--help" in words:
        return tuple(names), {}
    return tuple(names), command.make_context(names[-1], words).params


def check_settings(values: dict[str, Any]) -> None:
    """Load the configuration that the options of a command make."""
    options = None
    if values.get("source") and not isinstance(values["source"], list | tuple):
        keys = ("path", "name", "release", "provider", "url")
        given = {key: values.get(key) for key in keys} | {"filter": values.get("filter_")}
        entry = source_entry(values["source"], values.get("target") or (), **given)
        options = {"sources": [entry]}
    overrides = list(values.get("set_") or ())
    job = Job(values["config"], values["store"], values.get("recipe"), overrides)
    job.settings(options)


def test_every_block_has_a_language_and_every_exception_a_reason():
    strange = [place(*e) for e in BLOCKS if e[1].language not in LANGUAGES]
    assert not strange
    without = [place(*e) for e in BLOCKS if len((e[1].skipped or "a b c").split()) < 3]
    assert not without


@with_code("python")
def test_python_runs_from_top_to_bottom(page, sandbox, monkeypatch):
    write_named_files(page, sandbox)
    monkeypatch.syspath_prepend(sandbox)  # later blocks may import earlier ones
    names: dict[str, Any] = {"__name__": "__page__"}
    for block in blocks_of(page):
        if block.language == "python" and block.skipped is None:
            code = "\n" * block.line + block.code  # lines of a traceback are the page's
            exec(compile(code, place(page), "exec"), names)


@in_language("yaml")
def test_yaml_is_a_configuration(page, block, tmp_path):
    if page == OPERATION and block.name == "automation.yaml":
        return  # read by Prefect
    path = tmp_path / "page.yaml"
    path.write_text(block.code, encoding="utf-8")
    assert set(yaml.safe_load(block.code)) & set(PipelineConfig.model_fields)
    assert load_config(path) != PipelineConfig()


def test_toml_is_valid():
    for page, block in BLOCKS:
        if block.language == "toml":
            assert tomllib.loads(block.code), place(page, block)


@in_language("bash", "console", run=False)
def test_commands_exist_and_their_settings_fit(page, block, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_named_files(page, tmp_path)
    targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    for words in commands_of(block):
        match words:
            case ["crystalgnn", *arguments]:
                values = parse_command(arguments)[1]
                if "config" in values and block.skipped is None:
                    check_settings(values)
            case ["make", target]:
                assert target in targets
            case ["python" | ".venv/bin/python", "-m", module, *_] if "tests." in module:
                assert ROOT.joinpath(*module.split(".")).with_suffix(".py").is_file()
            case ["python" | ".venv/bin/python", script, *_] if script.endswith(".py"):
                assert (ROOT / script).is_file()


@with_code("bash", "console")
def test_commands_that_read_a_store_run(page, sandbox, run):
    blocks = [block for block in blocks_of(page) if block.language in {"bash", "console"}]
    for words in [words for block in blocks for words in commands_of(block)]:
        if words[0] != "crystalgnn":
            continue
        names, values = parse_command(words[1:])
        is_cheap = names in READING and values.get("name") is None
        if is_cheap and _is_stored(values, sandbox):
            outcome = run(*words[1:])
            assert outcome.code == 0, (place(page), words, outcome.err)


def _is_stored(values: dict[str, Any], folder: Path) -> bool:
    """Return whether what a command asks for is in the store of the tests."""
    reports = (folder / "crystalgnn-store" / "ingests").glob("*.provenance.json")
    known = {path.name.split(".")[0] for path in reports} | {"champion"}
    asked = [values[k] for k in ("source", "reference") if k in values]
    return {*asked, *values.get("sources", ())} <= known


def test_markers_and_names_are_recognised(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "<!-- not run: needs the network -->\n```python\n1 / 0\n```\n"
        "\n`a.py`\n\n```python\nx = 1\n```\n```yaml\n# b.yaml\nx: 1\n```\n"
    )
    assert blocks_of(page) == [
        Block(2, "python", "1 / 0\n", None, "needs the network"),
        Block(8, "python", "x = 1\n", "a.py", None),
        Block(11, "yaml", "# b.yaml\nx: 1\n", "b.yaml", None),
    ]
