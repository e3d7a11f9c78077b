"""`crystalgnn records`: what is stored, what changed, and what was accepted."""

import pandas as pd
import pytest

from crystalgnn_core.records.gate.log import Ledger
from crystalgnn_core.records.table.store import RecordStore
from tests.core.records.made_rows import ENERGY, ingest, rows, slipped, with_columns

OLD = rows(100)


@pytest.fixture
def store(tmp_path):
    """Version 1 is sound; in version 2 the signs of all energies are turned."""
    ingest(tmp_path / "store", OLD)
    ingest(tmp_path / "store", slipped(OLD, -1.0), 3)
    return tmp_path / "store"


def test_sources_are_shown_with_labels_and_verdict(run, store):
    outcome = run("records", "show", "--store", store)
    assert outcome.code == 0, outcome.err
    for words in (
        "100",
        "2026.1",
        "CC-BY-4.0 100",
        "suspicious",
        "MP GGA/GGA+U MP2020 100",
    ):
        assert words in outcome.out


def test_names_stay_whole_in_a_narrow_terminal(run, tmp_path, monkeypatch):
    from crystalgnn_core.sources.ingest.run import ingest_source
    from crystalgnn_core.sources.synthetic.source import SyntheticSource

    monkeypatch.setattr("deployments.tables.PIPED_WIDTH", 80)
    source = SyntheticSource(name="materials-project-legacy", n_structures=5)
    ingest_source(tmp_path / "store", source)
    outcome = run("records", "show", "--store", tmp_path / "store")
    assert outcome.out.count("materials-project-legacy") == 4
    assert "formation_energy_per_atom" in outcome.out
    assert max(len(line) for line in outcome.out.splitlines()[1:]) <= 80
    for words in ("synthetic-1", "CC0-1.0 5", "large update", "rows refused", "verdict"):
        assert words in outcome.out


def test_the_citation_of_a_source_is_shown(run, tmp_path):
    from crystalgnn_core.sources.ingest.run import ingest_source
    from crystalgnn_core.sources.synthetic.source import SyntheticSource

    source = SyntheticSource(n_structures=5, citation="Doe et al. 2026")
    ingest_source(tmp_path / "store", source)
    outcome = run("records", "show", "--store", tmp_path / "store")
    assert "synthetic: Doe et al. 2026" in outcome.out


@pytest.mark.parametrize("suffix", ["parquet", "csv"])
def test_changes_are_counted_and_written(run, store, tmp_path, suffix):
    kept = OLD.slice(2)
    energies = kept[ENERGY].to_pylist()
    energies[0] = 0.25
    ingest(store, with_columns(kept, **{ENERGY: energies}))
    path = tmp_path / f"changes.{suffix}"
    outcome = run(
        "records", "changes", "s", "--since", 1, "--output", path, "--store", store
    )
    assert outcome.code == 0, outcome.err
    assert "s: version 1 -> 3" in outcome.out
    table = pd.read_csv(path) if suffix == "csv" else pd.read_parquet(path)
    assert table["material_id"].tolist() == ["0-0", "0-1", "0-2"]
    assert table["change"].tolist() == ["removed", "removed", "changed"]
    named = table["columns"].tolist()[2]
    assert (named if suffix == "csv" else list(named)) in (ENERGY, [ENERGY])


def test_a_verdict_is_printed_and_accepted(run, store):
    outcome = run("records", "verdict", "s", "--store", store)
    assert outcome.code == 0, outcome.err
    assert "s, version 2: suspicious" in outcome.out
    assert "sign turned: new/old = -1 in 100 of 100 changed labels" in outcome.out
    outcome = run("records", "accept", "s", "--reason", "a new sign", "--store", store)
    assert "s: version 2 is accepted" in outcome.out
    last = Ledger(store, "s").history().last
    assert last is not None
    assert last.is_trusted
    assert "a new sign" in run("records", "verdict", "s", "--store", store).out
    outcome = run("records", "accept", "s", "--store", store)
    assert outcome.code == 2
    assert "nothing to accept" in outcome.err


def test_training_on_a_suspicious_source_is_one_clear_line(run, store):
    from crystalgnn_core.errors import SuspiciousDataError
    from crystalgnn_core.records.gate.acceptance import require_trusted

    with pytest.raises(SuspiciousDataError) as caught:
        require_trusted(store, ["s"])
    assert f"crystalgnn records verdict s --store {store}" in str(caught.value)


def test_rejects_are_counted_and_written(run, store, tmp_path):
    path = tmp_path / "rejects.csv"
    outcome = run("records", "rejects", "s", "--output", path, "--store", store)
    assert outcome.code == 0, outcome.err
    assert "implausible_label" in outcome.out
    assert pd.read_csv(path)["material_id"].tolist() == ["r0", "r1", "r2"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("changes nobody --since 1", "holds no source 'nobody' (stored: s)"),
        ("changes s --since 99", "version 99 is not before the newest, 2"),
        ("changes s --since 1 --output rows.xlsx", ".parquet or .csv"),
        ("verdict nobody", "holds no source 'nobody'"),
        ("accept nobody", "holds no source 'nobody'"),
        ("accept s nobody", "holds no source 'nobody'"),
        ("rejects nobody", "holds no source 'nobody'"),
    ],
)
def test_user_errors_are_one_line(run, store, arguments, words):
    outcome = run("records", *arguments.split(), "--store", store)
    assert outcome.code == 2
    assert words in outcome.err


def test_an_empty_store_has_no_sources(run, tmp_path):
    outcome = run("records", "show", "--store", tmp_path)
    assert outcome.code == 0, outcome.err
    assert RecordStore(tmp_path).source_counts() == {}
