"""A user's own labels: networks trained on them, and published weights beside these."""

import csv

import pytest
import yaml

from crystalgnn_core.learning.registry import Registry
from crystalgnn_core.records.crystal import structure_from_crystal
from crystalgnn_core.screening.candidates import load_crystals, read_candidates
from crystalgnn_core.sources.ingest.run import ingest_source
from crystalgnn_core.sources.synthetic.source import SyntheticSource
from tests.published import put_in_cache
from tests.tiny import TINY

ENERGY, GAP = "formation_energy_per_atom", "band_gap"
PUBLISHED = {
    "cgcnn-mp2018-formation-energy": "formation energy",
    "cgcnn-mp2018-band-gap": "band gap",
    "cgcnn-mp2018-bulk-modulus": "",
    "cgcnn-mp2018-shear-modulus": "",
    "megnet-mp2018-formation-energy": "formation energy",
    "megnet-mp2018-band-gap": "band gap",
    "megnet-mp2018-bulk-modulus": "",
    "megnet-mp2018-shear-modulus": "",
}
NETWORKS = {
    "cgcnn": {"atom_width": 8, "n_convolutions": 1, "hidden_width": 8},
    "alignn": {"hidden_width": 8, "n_line_convolutions": 1, "n_convolutions": 1},
    "megnet": {"width": 8, "hidden_width": 8, "n_blocks": 1},
    "cogn": {"width": 8, "n_blocks": 1},
    "schnet": {"atom_width": 8, "filter_width": 8, "n_interactions": 1},
}


@pytest.fixture
def fill_cache(tmp_path, monkeypatch):
    """Give the function that puts published files into a cache of this test."""
    monkeypatch.setenv("CRYSTALGNN_CACHE", str(tmp_path / "cache"))
    return put_in_cache


@pytest.fixture
def job(tmp_path):
    """Write a table of structures and DFT values, and settings that name its columns."""
    ingest_source(tmp_path / "made", SyntheticSource(n_structures=150, part_size=150))
    rows = read_candidates(tmp_path / "made", ["synthetic"])
    digests = rows["structure_digest"].to_list()
    crystals = load_crystals(tmp_path / "made", ["synthetic"], digests)
    with (tmp_path / "mine.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["id", "cif", "e_form", "gap_pbe"])
        for row in rows.to_dict("records"):
            cif = structure_from_crystal(crystals[row["structure_digest"]]).to(fmt="cif")
            values = (row[f"{ENERGY}_true"], row[f"{GAP}_true"])
            table.writerow([row["candidate_id"], cif, *values])
    settings = {
        "sources": [
            {
                "kind": "files",
                "name": "mine",
                "path": str(tmp_path / "mine.csv"),
                "targets": {
                    ENERGY: {"column": "e_form", "label_scheme": "our PBE"},
                    GAP: {"column": "gap_pbe", "label_scheme": "our PBE"},
                },
            }
        ],
        "training": TINY["training"] | {"sources": ["mine"], "epochs": 1},
        "store": str(tmp_path / "store"),
    }
    (tmp_path / "job.yaml").write_text(yaml.safe_dump(settings))
    return tmp_path / "job.yaml"


def ok(outcome):
    assert outcome.code == 0, outcome.err
    return outcome.out


def with_model(job, kind, path):
    settings = yaml.safe_load(job.read_text())
    settings["model"] = {"kind": kind, **NETWORKS[kind]}
    path.write_text(yaml.safe_dump(settings))
    return path


def test_published_weights_are_judged_by_own_labels_beside_the_champion(
    run, own_store, fill_cache
):
    fill_cache("cgcnn-mp2018-formation-energy")
    fill_cache("cgcnn-mp2018-bulk-modulus")
    where = ("--store", own_store.path)
    shown = ok(run("evaluate", "--model", "cgcnn-mp2018-formation-energy", *where))
    assert "cgcnn-mp2018-formation-energy on labels of synthetic-1" in shown
    assert f"{own_store.champion} (champion) on labels of synthetic-1" in shown
    assert "learned from labels of MP legacy: the difference of the schemes" in shown
    assert GAP not in shown
    assert "rows     120 of synthetic carry a label = " in shown
    refused = run("evaluate", "--model", "cgcnn-mp2018-bulk-modulus", *where)
    assert refused.code == 2
    assert "none of the 120 rows of synthetic has a label of bulk_modulus" in refused.err
    refused = run(
        *("evaluate", "--model", "cgcnn-mp2018-formation-energy", "--split", "test"), *where
    )
    assert (refused.code, refused.err.count("\n")) == (2, 1)
    assert "--split is for" in refused.err


def test_a_model_of_the_store_is_judged_by_its_split_or_by_a_source(run, own_store):
    where = ("--store", own_store.path)
    assert f"{own_store.champion}, test split" in ok(run("evaluate", *where))
    shown = ok(run("evaluate", "--source", "synthetic", *where))
    assert f"{own_store.champion} on labels of synthetic-1" in shown
    assert "that one of the models learned from" in shown
    refused = run("evaluate", "--source", "synthetics", *where)
    assert (refused.code, refused.err.count("\n")) == (2, 1)
    assert "did you mean synthetic?" in refused.err


@pytest.mark.slow  # five trainings through the command line
@pytest.mark.xdist_group("prefect")
def test_five_networks_learn_from_own_labels_with_published_weights_beside_them(
    run, job, fill_cache, tmp_path
):
    for name in PUBLISHED:
        fill_cache(name)
    store = tmp_path / "store"
    where = ("--store", store)
    ok(run("ingest", "--config", job))
    for kind in NETWORKS:
        config = with_model(job, kind, tmp_path / f"{kind}.yaml")
        ok(run("train", "--config", config))
        [model] = [
            card.model_id for card in Registry(store).models() if kind in card.model_id
        ]
        shown = ok(run("evaluate", "--model", model, *where))
        assert f"{model}, test split" in shown
        for target in (ENERGY, GAP):
            assert target in shown
    ok(run("models", "promote", model, *where))
    for name, title in PUBLISHED.items():
        outcome = run("evaluate", "--model", name, "--source", "mine", *where)
        if title:
            assert f"{name} on labels of our PBE" in ok(outcome)
            assert f"{model} (champion) on labels of our PBE" in outcome.out
            assert "learned from labels of MP legacy" in outcome.out
        else:
            assert outcome.code == 2
            assert "none of the 150 rows of mine has a label" in outcome.err
