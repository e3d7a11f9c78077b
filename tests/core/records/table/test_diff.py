import pytest

from crystalgnn_core.errors import InputError
from crystalgnn_core.records.table.diff import changes_since, compare_versions
from crystalgnn_core.records.table.store import RecordStore
from tests.core.records.made_rows import ENERGY, GAP, commit, rows, with_columns

OLD = rows(6)


@pytest.fixture
def records(tmp_path):
    """Version 1 holds six rows; then one is gone, one is new and two differ."""
    commit(tmp_path, OLD)
    gaps, energies, licenses = (OLD[n].to_pylist() for n in (GAP, ENERGY, "license"))
    gaps[1], energies[1], licenses[2] = None, -3.0, None
    ids = [*OLD["material_id"].to_pylist()[:5], "new"]
    changes = {"material_id": ids, GAP: gaps, ENERGY: energies, "license": licenses}
    commit(tmp_path, with_columns(OLD, **changes))
    return RecordStore(tmp_path)


def test_changes_name_rows_and_columns(records):
    assert changes_since(records, "s", 1).to_pylist() == [
        {"material_id": "0-1", "change": "changed", "columns": [ENERGY, GAP]},
        {"material_id": "0-2", "change": "changed", "columns": ["license"]},
        {"material_id": "0-5", "change": "removed", "columns": []},
        {"material_id": "new", "change": "new", "columns": []},
    ]


def test_nothing_changed_since_the_newest_version(records):
    assert changes_since(records, "s", records.version()).num_rows == 0
    assert changes_since(records, "another", 0).num_rows == 0


def test_changes_end_at_a_version_that_is_asked_for(records, tmp_path):
    newest = records.version()
    commit(tmp_path, OLD)
    assert changes_since(records, "s", 1, newest).num_rows == 4
    assert changes_since(records, "s", 1).num_rows == 0


def test_rows_before_and_after_stand_side_by_side(records):
    rows = compare_versions(records, "s", 1)
    assert rows.before["material_id"] == rows.after["material_id"]
    assert rows.before[ENERGY][0].as_py() == OLD[ENERGY][1].as_py()
    assert rows.after[ENERGY][0].as_py() == -3.0
    assert (rows.n_touched, rows.n_same) == (4, 3)


@pytest.mark.parametrize("version", [-1, 99])
def test_a_version_that_is_not_there_is_refused(records, version):
    with pytest.raises(InputError, match=f"version {version} is not before the newest"):
        changes_since(records, "s", version)


def test_a_store_without_records_is_named(tmp_path):
    with pytest.raises(InputError, match="no record table"):
        changes_since(RecordStore(tmp_path), "s", 0)
