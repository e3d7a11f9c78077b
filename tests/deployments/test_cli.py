"""The command line: what a user gets wrong is one line on stderr and exit code 2."""

import re
import subprocess
import sys
from importlib.metadata import version

import pytest
import yaml

from crystalgnn_core.storage.checksums import LIST
from deployments.cli import USER_ERROR
from tests.processes import Outcome

CIF = "data_x\n"
MATERIALS_PROJECT = "ingest --source materials-project"


@pytest.fixture
def config(tmp_path):
    """Write a configuration file; return its path."""

    def write(**content: object) -> str:
        path = tmp_path / "job.yaml"
        path.write_text(yaml.safe_dump(content))
        return str(path)

    return write


def check_user_error(outcome: Outcome, *words: str) -> None:
    assert outcome.code == USER_ERROR, outcome
    assert outcome.err.startswith("crystalgnn: ")
    assert outcome.err.count("\n") == 1, outcome.err
    assert "Traceback" not in outcome.err
    for word in words:
        assert word in outcome.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("pipeline --config missing.yaml", ["missing.yaml", "no such file", "demo"]),
        ("pipeline", ["no sources", "--config"]),
        ("train --set training.epochs", ["key=value"]),
        ("train --set training.epochs=many", ["training.epochs", "many"]),
        ("train --set training.epoch=3", ["training.epoch", "unknown key"]),
        ("train --set sources=3", ["sources", "expected a list"]),
        ("train --set training.targets=[love]", ["love", "band_gap"]),
        ("train", ["training.sources"]),
        ("build", ["training.sources"]),
        ("finetune --model champion", ["training.sources"]),
        ("finetune --set training.sources=[a]", ["champion", "train a model"]),
        ("finetune --model nobody --set training.sources=[a]", ["nobody"]),
        ("finetune --model no.pth.tar --set training.sources=[a]", ["no such file"]),
        ("finetune --model x --set finetuning.freeze=half", ["finetuning.freeze", "half"]),
        ("rescreen", ["screening.sources"]),
        ("ingest --source files", ["--path"]),
        ("ingest --path somewhere", ["--source"]),
        ("ingest --source gossip", ["gossip"]),
        ("ingest --release dft_3d_2021", ["--source"]),
        ("ingest --source jarvis --release dft_3d", ["release", "dft_3d_2021"]),
        ("ingest --source textbook --release dft_3d_2021", ["release", "unknown key"]),
        ("ingest --source jarvis --path nowhere.zip", ["nowhere.zip", "no such file"]),
        ("ingest --source optimade", ["--url", "--provider"]),
        ("ingest --url https://optimade.example.org", ["--source"]),
        ("ingest --source optimade --url example.org", ["is no address"]),
        ("ingest --source optimade --provider nobody", ["nobody", "oqmd"]),
        ("ingest --source textbook --url https://example.org", ["url"]),
        ("ingest --source files --path nowhere", ["nowhere", "no file or folder"]),
        ("ingest --source files --path . --target band_gap", ["TARGET=COLUMN@LABEL"]),
        ("ingest --source files --path . --target band_gap=gap", ["TARGET=COLUMN@LABEL"]),
        ("ingest --source files --path . --target is_metal=x<=@PBE", ["COLUMN<=VALUE@"]),
        ("ingest --source files --path . --target is_metal=x<=low@PBE", ["at_most"]),
        ("ingest --source files --path . --target love=x@PBE", ["love"]),
        (f"{MATERIALS_PROJECT} --set sources.0.thermo_type=mixed", ["GGA_GGA+U"]),
        (f"{MATERIALS_PROJECT} --set sources.0.endpoint=http://x.example", ["https"]),
        (f"{MATERIALS_PROJECT} --set sources.0.filter.nsites=[1,2]", ["nsites", "unknown"]),
        (f"{MATERIALS_PROJECT} --name mp", ["MP_API_KEY"]),
        ("screen nowhere", ["nowhere"]),
        ("screen .", ["champion", "train a model"]),
        ("rescreen --set screening.sources=[a]", ["champion", "train a model"]),
        ("predict x.cif", ["champion", "train a model"]),
        ("predict x.cif --model nobody", ["nobody"]),
        ("predict x.cif --output table.xlsx", ["table.xlsx", ".parquet", ".csv"]),
        ("evaluate --model nobody", ["nobody"]),
        ("models show nobody", ["nobody"]),
        ("models promote nobody", ["no store", "--store"]),
        ("models rollback", ["no store", "--store"]),
    ],
)
def test_user_error_is_one_line(run, monkeypatch, arguments, words):
    monkeypatch.delenv("MP_API_KEY", raising=False)
    check_user_error(run(*arguments.split()), *words)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"sauces": []}, ["sauces", "unknown key"]),
        ({"training": {"optimiser": {}}}, ["training.optimiser", "unknown key"]),
        ({"training": {"epochs": 0}}, ["training.epochs"]),
        ({"screening": {"score": {"gap_window": [3, 1]}}}, ["gap_window", "above highest"]),
        (
            {"sources": [{"kind": "synthetic", "name": "a", "n_structures": 9}] * 2},
            ["two sources are named a"],
        ),
        (
            {"sources": [{"kind": "textbook"}], "training": {"sources": ["textbook"]}},
            ["textbook", "cannot be trained on"],
        ),
    ],
)
def test_settings_that_do_not_fit_are_named(run, config, content, words):
    check_user_error(run("pipeline", "--config", config(**content)), "job.yaml", *words)


def test_file_that_is_no_yaml_is_refused(run, tmp_path):
    (tmp_path / "job.yaml").write_text("a: [")
    check_user_error(run("pipeline", "--config", "job.yaml"), "job.yaml", "not valid YAML")
    (tmp_path / "job.yaml").write_text("just text")
    check_user_error(run("pipeline", "--config", "job.yaml"), "expected keys and values")


def test_unwritable_store_is_one_line_without_traceback(run, own_store, tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "x.cif").write_text(CIF)
    (tmp_path / "taken").mkdir()
    outcome = run(
        *("predict", "folder", "--store", own_store.path, "--output", "taken/no/a.csv")
    )
    assert outcome.code == 0  # the folder of the table is made
    (tmp_path / "file").write_text("")
    outcome = run(
        *("predict", "folder", "--store", own_store.path, "--output", "file/a.csv")
    )
    check_user_error(outcome, "file/a.csv", "is a file; choose another place")


def test_exit_code_of_the_process(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "deployments.cli", "predict", "x.cif", "--store", "none"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    check_user_error(Outcome(done.returncode, done.stdout, done.stderr), "champion")


def test_the_version_is_shown(run):
    outcome = run("--version")
    assert (outcome.code, outcome.out) == (0, f"crystalgnn {version('crystalgnn')}\n")


def test_a_tilde_in_a_store_is_the_home_folder(run, own_store, monkeypatch):
    monkeypatch.setenv("HOME", str(own_store.path.parent))
    listed = run("models", "list", f"--store=~/{own_store.path.name}")
    assert own_store.champion in listed.out
    assert run("records", "show", f"--store=~/{own_store.path.name}").code == 0


def test_models_are_listed_shown_promoted_and_rolled_back(run, own_store):
    store = ("--store", own_store.path)
    listed = run("models", "list", *store)
    assert listed.code == 0
    [line] = [text for text in listed.out.splitlines() if own_store.champion in text]
    assert "champion" in line
    assert own_store.other in listed.out
    assert "band_gap" in listed.out

    shown = run("models", "show", own_store.other, *store)
    assert yaml.safe_load(shown.out)["model_id"] == own_store.other

    check_user_error(run("models", "rollback", *store), "no earlier champion")
    promoted = run("models", "promote", own_store.other, "--reason", "a try", *store)
    assert f"{own_store.other} is the champion of" in promoted.out
    shown = run("models", "show", "champion", *store)
    assert yaml.safe_load(shown.out)["model_id"] == own_store.other

    back = run("models", "rollback", *store)
    assert f"{own_store.champion} is the champion of" in back.out
    shown = run("models", "show", "champion", *store)
    assert yaml.safe_load(shown.out)["model_id"] == own_store.champion


def test_a_model_of_data_without_commercial_use_is_shown_with_a_warning(run, own_store):
    path = own_store.path / "models" / own_store.champion / "card.json"
    path.write_text(path.read_text().replace('"CC0-1.0":', '"CC BY-NC 4.0":'))
    path.with_name(LIST).unlink()  # the change is meant
    shown = run("models", "show", "champion", "--store", own_store.path)
    card = yaml.safe_load(shown.out)
    assert card["data"]["data_sources"][0]["licenses"] == {"CC BY-NC 4.0": 120}
    assert "not for commercial use" in shown.err
    assert "synthetic (CC BY-NC 4.0)" in shown.err
    other = run("models", "show", own_store.other, "--store", own_store.path)
    assert (other.code, other.err) == (0, "")


def test_empty_store_lists_no_models(run, tmp_path):
    (tmp_path / "empty").mkdir()
    assert run("models", "list", "--store", "empty").code == 0


def test_doctor_finds_nothing_wrong_with_a_sound_store(run, trained_store):
    outcome = run("doctor", "--store", trained_store.path)
    assert outcome.code == 0, outcome.out
    # two shards of graphs, each with its entry
    assert re.search(r"graphs/\w+-v1 +. 4 files sound, 0 damaged", outcome.out)
    assert "PROBLEM" not in outcome.out


@pytest.mark.parametrize("damage", ["changed", "missing", "unfinished"])
def test_doctor_names_the_damaged_shard(run, own_store, damage):
    shard = sorted(own_store.path.glob("graphs/*/*.parquet"))[0]
    if damage == "changed":
        shard.write_bytes(shard.read_bytes()[:-1] + b"\0")
    elif damage == "missing":
        shard.unlink()
    else:
        shard.with_suffix(".json").unlink()
    outcome = run("doctor", "--store", own_store.path)
    assert outcome.code == 1
    assert re.search(r"graphs/\w+-v1 +. \d files sound, [12] damaged", outcome.out)
    assert shard.stem in "".join(outcome.out.split())


def test_doctor_names_the_damaged_model(run, own_store):
    weights = own_store.path / "models" / own_store.other / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\1")
    outcome = run("doctor", "--store", own_store.path)
    assert outcome.code == 1
    assert own_store.other in outcome.out
    assert "damaged" in outcome.out


def test_doctor_says_when_there_is_no_store(run):
    outcome = run("doctor", "--store", "none")
    assert outcome.code == 1
    assert "missing" in outcome.out
