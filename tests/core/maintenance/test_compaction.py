"""Compaction keeps every live row once, whatever it is interrupted by."""

import json

import pyarrow.parquet as pq
import pytest

from crystalgnn_core.errors import IntegrityError
from crystalgnn_core.maintenance.compaction import compact
from crystalgnn_core.storage.manifest import Manifest
from crystalgnn_core.storage.shards import ShardSet
from tests.core.storage.test_shards import keep, one_job, refuse, table


@pytest.fixture
def shards(tmp_path):
    """Two full shards of four, two small ones, and one of refusals."""
    made = ShardSet(tmp_path / "settings-v1")
    for keys, make in (("abcd", keep), ("efgh", keep), ("i", keep), ("j", keep)):
        made.build(one_job(made, keys), make)
    made.build(one_job(made, "xy"), refuse)
    return made


def content(shards):
    """Return every row of the sound shards, in no order, repetitions included."""
    return sorted(
        key for e in shards.sound_entries() for key in shards.manifest.keys(e.name)
    )


def test_small_shards_are_gathered_and_full_ones_left_alone(shards):
    full = {e.name: e for e in shards.sound_entries() if e.n_rows == 4}
    report = compact(shards, shard_size=4)
    assert (report.n_shards, report.n_rows) == ((5, 3), (12, 12))
    assert content(shards) == [*"abcdefghij"]
    assert set(shards.refusals()) == {*"xy"}
    assert full.items() <= {e.name: e for e in shards.sound_entries()}.items()
    again = compact(shards, shard_size=4)
    assert again.n_shards == (3, 3)


def test_origins_that_differ_are_listed(tmp_path):
    shards = ShardSet(tmp_path / "settings-v1")
    for key, version in (("a", "1"), ("b", "2"), ("c", "1")):
        metadata = {"record_version": version, "packages": "numpy"}

        def make(rows, metadata=metadata):
            return rows.replace_schema_metadata(metadata), []

        shards.build(one_job(shards, key), make)
    compact(shards, shard_size=4)
    [entry] = shards.sound_entries()
    metadata = pq.read_schema(shards.manifest.shard_path(entry.name)).metadata
    assert sorted(json.loads(metadata[b"record_version"])) == ["1", "2"]
    assert metadata[b"packages"] == b"numpy"


def test_superseded_rows_and_refusals_are_dropped(shards):
    assert shards.mark_superseded(lambda: {*"abcdefghy"} - {"b"}) == 4
    assert shards.manifest.tombstones() == {*"bijx"}
    assert content(shards) == [*"abcdefghij"]  # until it is compacted
    report = compact(shards, shard_size=4)
    assert report.n_rows == (12, 8)
    assert report.n_bytes[1] < report.n_bytes[0]
    assert content(shards) == [*"acdefgh"]
    assert set(shards.refusals()) == {"y"}
    assert shards.manifest.tombstones() == set()
    rows = shards.read(["h", "a"])
    assert rows.equals(table("ha"))


def test_a_row_that_is_live_again_loses_its_tombstone(shards):
    everything = {*"abcdefghijxy"}
    shards.mark_superseded(lambda: everything - {"a"})
    shards.mark_superseded(lambda: everything)
    assert shards.manifest.tombstones() == set()


def test_refusals_alone_make_a_shard(shards):
    shards.mark_superseded(lambda: {*"xy"})
    compact(shards, shard_size=4)
    assert content(shards) == []
    assert set(shards.refusals()) == {*"xy"}
    assert shards.known_digests() == {*"xy"}


def test_nothing_to_do_writes_nothing(tmp_path):
    shards = ShardSet(tmp_path)
    compact(shards, shard_size=4)
    shards.build(one_job(shards, "abcd"), keep)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    compact(shards, shard_size=4)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


@pytest.mark.parametrize(
    ("step", "n_done"),
    [("write", 0), ("write", 1), ("remove", 0), ("remove", 1), ("bury", 0)],
)
def test_a_crash_loses_and_repeats_nothing(shards, monkeypatch, step, n_done):
    shards.mark_superseded(lambda: {*"acdefghij"})
    real, calls = getattr(Manifest, step), []

    def crash(self, *args):
        calls.append(args)
        if len(calls) > n_done:
            raise RuntimeError("power cut")
        return real(self, *args)

    monkeypatch.setattr(Manifest, step, crash)
    with pytest.raises(RuntimeError, match="power cut"):
        compact(shards, shard_size=2)
    monkeypatch.undo()
    shards.discard_damaged()
    assert set(content(shards)) >= {*"acdefghij"}
    shards.mark_superseded(lambda: {*"acdefghij"})
    compact(shards, shard_size=2)
    assert content(shards) == [*"acdefghij"]


def test_a_shard_without_entry_is_discarded(shards):
    name = shards.sound_entries()[0].name
    shards.manifest.entry_path(
        name
    ).unlink()  # where a crash between two deletions leaves it
    shards.discard_damaged()
    assert not shards.manifest.shard_path(name).exists()
    assert len(shards.sound_entries()) == 4


def test_damaged_shard_stays_out_and_the_rest_is_kept(shards):
    damaged = next(e for e in shards.sound_entries() if e.n_rows == 4)
    path = shards.manifest.shard_path(damaged.name)
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    compact(shards, shard_size=4)
    assert len(content(shards)) == 6
    with pytest.raises(IntegrityError):
        shards.read([*"abcdefgh"])
