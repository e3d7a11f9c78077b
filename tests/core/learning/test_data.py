import json

import numpy as np
import pyarrow as pa
import pytest

from crystalgnn_core.errors import InputError, IntegrityError, LabelSchemeError
from crystalgnn_core.graphs.config import GraphConfig
from crystalgnn_core.graphs.shards import graph_folder
from crystalgnn_core.learning.data import load_training_data
from crystalgnn_core.models.cgcnn.config import CGCNNConfig
from crystalgnn_core.models.megnet.config import MEGNetConfig
from crystalgnn_core.models.schnet.config import SchNetConfig
from crystalgnn_core.records.label_schemes import MP_2020
from crystalgnn_core.records.provenance import Provenance, provenance_path
from crystalgnn_core.records.schema import record_schema
from crystalgnn_core.records.table.rows import content_digest
from crystalgnn_core.records.table.store import RecordStore
from crystalgnn_core.storage.files import write_text
from tests.core.worlds import GRAPH, TRAINING, copy, in_memory

GAP, ENERGY = "band_gap", "formation_energy_per_atom"


def edit(store, change, n=10, source="synthetic"):
    """Change the first rows of a source in the record table."""
    records = RecordStore(store)
    rows = records.read([source]).to_pylist()
    for index, row in enumerate(rows[:n]):
        change(index, row)
        row["content_digest"] = content_digest(row)
    table = pa.Table.from_pylist(rows, record_schema())
    records.replace_records(source, in_memory(table))


@pytest.fixture
def own_store(built_store, tmp_path):
    return copy(built_store, tmp_path / "store")


def test_all_rows_are_used_in_the_order_of_the_record_table(built_store):
    data = load_training_data(built_store, TRAINING, GRAPH)
    assert sum(data.summary.n_rows.values()) == 80
    assert data.rows["material_id"].to_pylist() == [f"syn-0-0-{i:05d}" for i in range(80)]
    assert data.summary.n_labels == {ENERGY: 80, GAP: 80}
    assert data.summary.label_schemes == {ENERGY: "synthetic-1", GAP: "synthetic-1"}
    assert data.labels.shape == (80, 2)
    assert [len(data.select(s)) for s in ("train", "val", "test")] == list(
        data.summary.n_rows.values()
    )


def test_label_schemes_are_not_mixed_unless_asked_for(own_store):
    edit(own_store, lambda _, row: row.update(band_gap_scheme="PBE"))
    with pytest.raises(LabelSchemeError, match=r"band_gap.*PBE, synthetic-1"):
        load_training_data(own_store, TRAINING, GRAPH)
    energy_alone = TRAINING.model_copy(update={"targets": (ENERGY,)})
    assert load_training_data(own_store, energy_alone, GRAPH).summary.n_labels[ENERGY] == 80
    mixed = TRAINING.model_copy(update={"allow_mixed_schemes": True})
    schemes = load_training_data(own_store, mixed, GRAPH).summary.label_schemes
    assert schemes == {ENERGY: "synthetic-1", GAP: "PBE + synthetic-1"}


def test_a_mixture_is_told_by_source_scheme_and_setting(own_store):
    edit(own_store, lambda _, row: row.update(band_gap_scheme="MBJ"), source="candidates")
    both = TRAINING.model_copy(update={"sources": ("synthetic", "candidates")})
    with pytest.raises(LabelSchemeError) as caught:
        load_training_data(own_store, both, GRAPH)
    message = str(caught.value)
    assert "'MBJ' (gaps of the modified Becke-Johnson potential" in message
    assert "10 rows of candidates" in message
    assert "30 rows of candidates, 80 rows of synthetic" in message
    assert "set training.allow_mixed_schemes: true" in message


def test_run_types_of_one_scheme_are_one_set(own_store):
    def corrected(index, row):
        row["band_gap_scheme"] = row[f"{ENERGY}_scheme"] = MP_2020
        row["run_type"] = ("GGA", "GGA+U")[index % 2]

    edit(own_store, corrected, n=80)
    run_types = RecordStore(own_store).read(["synthetic"], ["run_type"])["run_type"]
    assert set(run_types.to_pylist()) == {"GGA", "GGA+U"}
    summary = load_training_data(own_store, TRAINING, GRAPH).summary
    assert summary.label_schemes == {ENERGY: MP_2020, GAP: MP_2020}
    assert sum(summary.n_rows.values()) == 80


def test_sources_licences_and_citations_are_told(own_store):
    path = provenance_path(own_store, "synthetic")
    known = Provenance.model_validate_json(path.read_text())
    write_text(path, known.model_copy(update={"citation": "me"}).model_dump_json())
    edit(own_store, lambda _, row: row.update(license="CC BY-NC 4.0"), n=3)
    [facts] = load_training_data(own_store, TRAINING, GRAPH).summary.data_sources
    assert (facts.source, facts.kind, facts.n_rows) == ("synthetic", "synthetic", 80)
    assert facts.licenses == {"CC0-1.0": 77, "CC BY-NC 4.0": 3}
    assert facts.noncommercial == ("CC BY-NC 4.0",)
    assert (facts.citation, facts.source_version) == ("me", "synthetic-1")


def test_a_scheme_of_a_missing_label_does_not_count(own_store):
    edit(own_store, lambda _, row: row.update(band_gap=None, band_gap_scheme="PBE"))
    data = load_training_data(own_store, TRAINING, GRAPH)
    assert data.summary.label_schemes[GAP] == "synthetic-1"


def test_a_missing_label_is_nan_and_a_row_without_any_is_counted_out(own_store):
    def remove(index, row):
        row[GAP] = None
        row[ENERGY] = None if index < 4 else row[ENERGY]

    edit(own_store, remove)
    data = load_training_data(own_store, TRAINING, GRAPH)
    assert data.summary.n_unlabelled == 4
    assert data.summary.n_labels == {ENERGY: 76, GAP: 70}
    assert np.isnan(data.labels[:6, 1]).all()
    assert np.isfinite(data.labels[:6, 0]).all()
    assert data.rows["material_id"][0].as_py() == "syn-0-0-00004"


def test_refused_structures_are_counted_by_reason(own_store):
    shard = next(graph_folder(own_store, GRAPH).glob("*.json"))
    entry = json.loads(shard.read_text())
    digests = RecordStore(own_store).read(["synthetic"], ["structure_digest"])
    entry["refusals"] = [
        {"structure_digest": key, "reason": "isolated_atom", "message": "alone"}
        for key in digests["structure_digest"].to_pylist()[:3]
    ]
    write_text(shard, json.dumps(entry))
    bare = {GAP: None, ENERGY: None}
    edit(own_store, lambda _, row: row.update(bare), n=1)
    summary = load_training_data(own_store, TRAINING, GRAPH).summary
    assert summary.refused == {"isolated_atom": 2}  # the first row has no label either
    assert summary.n_unlabelled == 1
    assert sum(summary.n_rows.values()) == 77


def test_elements_without_features_are_refused(own_store):
    def make_heavy(index, row):
        row["atomic_numbers"] = [*row["atomic_numbers"][:-1], 118]
        row["structure_digest"] = f"heavy-{index}"

    edit(own_store, make_heavy, n=2)
    assert load_training_data(own_store, TRAINING, GRAPH).summary.refused == {
        "unseen_element": 2
    }


def test_the_network_decides_which_elements_are_refused(own_store, caplog):
    def make_heavy(index, row):  # U, Am, Fm, Og
        row["atomic_numbers"] = [*row["atomic_numbers"][:-1], (92, 95, 100, 118)[index]]
        row["structure_digest"] = f"heavy-{index}"

    edit(own_store, make_heavy, n=4)
    by_electronegativity = CGCNNConfig(node_features=("electronegativity",))
    for model, symbols in (
        (MEGNetConfig(), "3 rows hold Am, Fm, Og"),
        (SchNetConfig(), "2 rows hold Fm, Og"),
        (CGCNNConfig(), "1 rows hold Og"),
        (MEGNetConfig(node_features="table"), "1 rows hold Og"),
        (by_electronegativity, "1 rows hold Og"),
        (CGCNNConfig(node_features="embedding"), ""),
        (SchNetConfig(node_features=("row",)), ""),
    ):
        caplog.clear()
        elements = model.known_elements()
        summary = load_training_data(own_store, TRAINING, GRAPH, elements).summary
        n_refused = int(symbols[:1] or 0)
        assert summary.refused == ({"unseen_element": n_refused} if n_refused else {})
        assert sum(summary.n_rows.values()) == 80 - n_refused
        messages = [record.getMessage() for record in caplog.records]
        assert [text.split(", which")[0] for text in messages] == (
            [symbols] if symbols else []
        )


def test_the_data_digest_follows_labels_and_nothing_else(own_store):
    before = load_training_data(own_store, TRAINING, GRAPH).summary
    edit(own_store, lambda _, row: row.update(band_gap=0.5), n=1, source="candidates")
    same = load_training_data(own_store, TRAINING, GRAPH).summary
    assert same.record_version > before.record_version
    assert same.data_digest == before.data_digest
    edit(own_store, lambda _, row: row.update(band_gap=row[GAP] + 0.5), n=1)
    after = load_training_data(own_store, TRAINING, GRAPH).summary
    assert after.data_digest != before.data_digest
    assert after.split_digest == before.split_digest


def test_a_split_without_rows_or_labels_is_an_error(own_store):
    edit(own_store, lambda _, row: row.update(split="train"), n=80)
    with pytest.raises(InputError, match="no labelled rows in the val split"):
        load_training_data(own_store, TRAINING, GRAPH)

    def only_train_has_gaps(index, row):
        row["split"] = ("train", "val", "test")[index % 3]
        row[GAP] = row[GAP] if row["split"] == "train" else None

    edit(own_store, only_train_has_gaps, n=80)
    with pytest.raises(InputError, match="no label of band_gap in the val split"):
        load_training_data(own_store, TRAINING, GRAPH)


def test_no_source_and_an_unknown_source_are_named(built_store):
    with pytest.raises(InputError, match=r"training\.sources"):
        load_training_data(built_store, TRAINING.model_copy(update={"sources": ()}), GRAPH)
    missing = TRAINING.model_copy(update={"sources": ("synthetic", "jarvis")})
    with pytest.raises(InputError, match="'jarvis'"):
        load_training_data(built_store, missing, GRAPH)


def test_graphs_that_were_not_built_are_an_error(built_store):
    other = GraphConfig(cutoff=4.0)
    data = load_training_data(built_store, TRAINING, other)
    with pytest.raises(IntegrityError, match="no sound shard"):
        data.dataset(graph_folder(built_store, other))
