from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import numpy as np
import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake
from filelock import FileLock

from crystalgnn_core.errors import InputError, TransientError
from crystalgnn_core.records.checks.validation import rejects_table, validate
from crystalgnn_core.records.crystal import Crystal
from crystalgnn_core.records.schema import RawRecord, RejectedRecord, record_schema
from crystalgnn_core.records.table import store
from crystalgnn_core.records.table.store import RecordStore
from tests.core.worlds import in_memory


def rows(source, **gaps):
    crystal = Crystal(np.array([14], np.int16), 2.5 * np.eye(3), np.zeros((1, 3)))
    raws = [
        RawRecord(name, crystal, {"band_gap": gap}, {"band_gap": "test"})
        for name, gap in gaps.items()
    ]
    checked = validate(raws, source=source, targets=("band_gap",), require_labels="any")
    return in_memory(checked.records)


def rejects(source, *names, stage="ingest"):
    return rejects_table(
        RejectedRecord(source, name, stage, "no_atoms", "empty") for name in names
    )


def counts(result):
    return result.n_new, result.n_changed, result.n_unchanged, result.n_removed


@pytest.fixture
def records(tmp_path):
    return RecordStore(tmp_path)


def test_a_table_takes_the_place_of_the_rows_of_its_source(records):
    records.replace_records("t", rows("t", a=3.0, c=3.0))
    first = records.replace_records("s", rows("s", a=1.0, b=1.0, c=1.0))
    assert counts(first) == (3, 0, 0, 0)
    second = records.replace_records("s", rows("s", a=1.0, b=2.0, d=1.0))
    assert counts(second) == (1, 1, 1, 1)
    assert second.version == first.version + 1  # one commit: no reader sees half of it
    stored = records.read(["s"], ["band_gap"])
    assert dict(zip(*stored.select(["material_id", "band_gap"]), strict=True)) == {
        pa.scalar("a"): pa.scalar(1.0),
        pa.scalar("b"): pa.scalar(2.0),
        pa.scalar("d"): pa.scalar(1.0),
    }
    assert records.source_counts() == {"s": 3, "t": 2}
    assert records.read(["s"], version=first.version)["material_id"].to_pylist() == [*"abc"]


def test_rows_can_be_removed_without_any_that_are_new(records):
    records.replace_records("s", rows("s", a=1.0, b=1.0))
    assert counts(records.replace_records("s", rows("s", b=1.0))) == (0, 0, 1, 1)
    assert counts(records.replace_records("s", rows("s"))) == (0, 0, 0, 1)
    assert records.source_counts() == {}
    assert counts(records.replace_records("s", rows("s", a=1.0))) == (1, 0, 0, 0)


def test_writers_of_one_source_take_turns(records, tmp_path):
    records.replace_records("s", rows("s", a=1.0, b=1.0))
    contents = [{"a": 1.0, "c": 2.0}, {"b": 3.0}] * 3
    barrier = Barrier(len(contents))

    def write(content):
        barrier.wait(10)
        return RecordStore(tmp_path).replace_records("s", rows("s", **content))

    with ThreadPoolExecutor(len(contents)) as pool:
        done = list(pool.map(write, contents))
    last = max(done, key=lambda counts: (counts.version, -counts.n_unchanged))
    stored = records.read(["s"], ["band_gap"])
    found = dict(
        zip(stored["material_id"].to_pylist(), stored["band_gap"].to_pylist(), strict=True)
    )
    assert found in contents  # one of them, whole
    assert last.version == records.version()


def test_a_held_lock_is_transient(records, tmp_path, monkeypatch):
    monkeypatch.setattr(store, "LOCK_SECONDS", 0.1)
    with (
        FileLock(tmp_path / ".records.lock"),
        pytest.raises(TransientError, match="held by another process"),
    ):
        records.replace_records("s", rows("s", a=1.0))


def test_equal_rows_make_no_new_version(records):
    first = records.replace_records("s", rows("s", a=1.0, b=1.0)).version
    assert records.replace_records("s", rows("s", b=1.0, a=1.0)).version == first
    assert records.version() == first
    assert records.replace_records("s", rows("s", a=1.5)).version > first


def test_the_same_id_in_another_source_is_another_material(records):
    records.replace_records("s", rows("s", a=1.0))
    assert counts(records.replace_records("t", rows("t", a=2.0))) == (1, 0, 0, 0)
    assert records.source_counts() == {"s": 1, "t": 1}
    assert records.read(["s"], ["band_gap"])["band_gap"].to_pylist() == [1.0]


def test_scanned_rows_tell_their_version(records):
    records.replace_records("s", rows("s", a=1.0))
    version = records.replace_records("s", rows("s", a=2.0)).version
    for wanted in (version - 1, version):
        [table] = records.scan(["s"], ["material_id"], version=wanted)
        assert table.schema.metadata[b"record_version"] == str(wanted).encode()


def test_an_old_version_can_be_read_back(records):
    old = records.replace_records("s", rows("s", a=1.0)).version
    records.replace_records("s", rows("s", a=2.0, b=1.0))
    assert records.read(["s"], ["band_gap"], version=old)["band_gap"].to_pylist() == [1.0]
    with pytest.raises(InputError, match="no version 99"):
        records.read(["s"], version=99)


def test_rows_are_read_in_order_of_source_and_id(records):
    records.replace_records("t", rows("t", b=1.0, a=1.0, aa=1.0))
    records.replace_records("s", rows("s", d=1.0, c=1.0))
    table = records.read(["t", "s"], [])
    pairs = list(
        zip(*(table[name].to_pylist() for name in table.column_names), strict=True)
    )
    assert pairs == [("s", "c"), ("s", "d"), ("t", "a"), ("t", "aa"), ("t", "b")]


def test_a_source_without_records_is_named(records):
    with pytest.raises(InputError, match=r"'s'.*stored: nothing"):
        records.read(["s"])
    records.replace_records("s", rows("s", a=1.0))
    with pytest.raises(InputError, match=r"'t' in .*stored: s\)"):
        records.read(["s", "t"])
    with pytest.raises(InputError, match="none named"):
        records.read([])


def test_rejects_of_one_source_and_stage_are_replaced(records):
    records.replace_rejects("s", "ingest", rejects("s", "a", "b"))
    records.replace_rejects("t", "ingest", rejects("t", "a"))
    records.replace_rejects("s", "screen", rejects("s", "x", stage="screen"))
    records.replace_rejects("s", "ingest", rejects("s", "c"))
    stored = {(row["source"], row["stage"], row["material_id"]) for row in
              records.rejects().to_pylist()}  # fmt: skip
    assert stored == {("t", "ingest", "a"), ("s", "screen", "x"), ("s", "ingest", "c")}
    records.replace_rejects("s", "ingest", rejects("s"))
    assert records.rejects().num_rows == 2


def test_there_are_no_rejects_before_the_first(records):
    assert records.rejects().num_rows == 0
    assert records.version() is None


@pytest.fixture
def interrupted(records, monkeypatch):
    """Let a writer without our lock commit between the opening and our commit."""
    records.replace_records("s", rows("s", a=2.0))
    real = write_deltalake

    def write_late(path, data, **kwargs):
        stale = DeltaTable(path)
        monkeypatch.undo()
        [rival] = rows("s", z=1.0)(None)
        real(path, rival, mode="append")
        return real(stale, data, **kwargs)

    monkeypatch.setattr("crystalgnn_core.records.table.upsert.write_deltalake", write_late)
    return records


def test_a_conflict_of_two_writers_is_transient_and_a_second_try_succeeds(interrupted):
    with pytest.raises(TransientError, match="another writer"):
        interrupted.replace_records("s", rows("s", a=1.0))
    assert counts(interrupted.replace_records("s", rows("s", a=1.0))) == (0, 1, 0, 1)
    assert interrupted.source_counts() == {"s": 1}


def test_a_conflict_over_rejects_is_transient(records, monkeypatch):
    records.replace_rejects("s", "ingest", rejects("s", "a"))
    real = write_deltalake

    def write_late(path, *args, **kwargs):
        stale = DeltaTable(path)
        real(path, *args, **kwargs)
        return real(stale, *args, **kwargs)

    monkeypatch.setattr("crystalgnn_core.records.table.store.write_deltalake", write_late)
    with pytest.raises(TransientError, match="another writer"):
        records.replace_rejects("s", "ingest", rejects("s", "b"))


ADDED_LATER = ("fermi_energy", "poisson_ratio", "is_metal", "energy_above_hull")


@pytest.fixture
def old(records):
    """A table that was written before the later targets were added."""
    table = rows("s", a=1.0, b=2.0)(None)[0]
    names = [n for n in table.column_names if n.removesuffix("_scheme") not in ADDED_LATER]
    write_deltalake(records.records_path, table.select(names))
    return records


def test_columns_that_a_table_lacks_are_empty(old):
    stored = old.read(["s"], ["band_gap", "is_metal", "is_metal_scheme"])
    assert stored["band_gap"].to_pylist() == [1.0, 2.0]
    assert stored["is_metal"].to_pylist() == [None, None]
    assert stored.schema.field("is_metal_scheme").type == pa.string()
    assert old.read(["s"]).column_names == record_schema().names


def test_an_old_table_takes_rows_with_later_columns(old):
    assert counts(old.replace_records("s", rows("s", a=1.0, b=2.0))) == (0, 0, 2, 0)
    assert old.version() == 0  # nothing differs, nothing is written
    assert counts(old.replace_records("s", rows("s", a=1.0, b=3.0, c=4.0))) == (1, 1, 1, 0)
    [table] = rows("t", a=0.0)(None)
    place = table.column_names.index("is_metal")
    table = table.set_column(place, "is_metal", pa.array([1.0]))
    assert counts(old.replace_records("t", in_memory(table))) == (1, 0, 0, 0)
    stored = old.read(["s", "t"], ["band_gap", "is_metal"])
    assert stored["is_metal"].to_pylist() == [None, None, None, 1.0]
    assert stored["band_gap"].to_pylist() == [1.0, 3.0, 4.0, 0.0]
    assert old.read(["s"], ["is_metal"], version=0)["is_metal"].to_pylist() == [None] * 2
