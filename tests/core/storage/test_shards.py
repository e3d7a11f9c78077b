"""Shard sets under failures and several writers."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pyarrow as pa
import pytest
from filelock import FileLock

from crystalgnn_core.errors import IntegrityError, TransientError
from crystalgnn_core.storage import shards as module
from crystalgnn_core.storage.files import read_spool
from crystalgnn_core.storage.manifest import TOMBSTONES, Manifest
from crystalgnn_core.storage.rows import rows_in_order
from crystalgnn_core.storage.shards import KEY, Refusal, ShardSet


def table(keys, value=0.0):
    return pa.table({KEY: pa.array(keys, pa.string()), "value": [value] * len(keys)})


def keep(rows):
    return rows, []


def refuse(rows):
    refusals = [
        Refusal(structure_digest=key, reason="isolated_atom", message="far")
        for key in rows[KEY].to_pylist()
    ]
    return rows.slice(0, 0), refusals


def one_job(shards, keys):
    return next(iter(shards.plan([table(keys)])))


def test_name_follows_from_rows_and_folder(tmp_path):
    shards, other = ShardSet(tmp_path / "s"), ShardSet(tmp_path / "t")
    names = [one_job(shards, keys).name for keys in ("ab", "ba")]
    assert len({*names, one_job(other, "ab").name}) == 3
    assert one_job(ShardSet(tmp_path / "moved" / "s"), "ab").name == names[0]


def test_shard_is_made_once(tmp_path):
    shards = ShardSet(tmp_path)
    job = one_job(shards, "ab")
    first = shards.build(job, keep)
    again = shards.build(job, refuse)
    assert (first.was_built, again.was_built) == (True, False)
    assert first.entry == again.entry
    assert not list((tmp_path / "jobs").iterdir())


def test_lost_row_is_noticed(tmp_path):
    shards = ShardSet(tmp_path)
    job = one_job(shards, "ab")
    with pytest.raises(IntegrityError, match="2 rows in, but 1 written and 0 refused"):
        shards.build(job, lambda rows: (rows.slice(1), []))
    assert Path(job.input_path).is_file()
    assert shards.intact_entries() == []


def test_job_without_input_and_shard_must_be_planned_again(tmp_path):
    shards = ShardSet(tmp_path)
    job = one_job(shards, "ab")
    Path(job.input_path).unlink()
    with pytest.raises(IntegrityError, match="plan it again"):
        shards.build(job, keep)


def test_two_writers_with_different_results_leave_one_sound_shard(tmp_path):
    shards = ShardSet(tmp_path)
    for round_ in range(5):
        job = one_job(shards, [f"a{round_}", f"b{round_}"])
        barrier = Barrier(2)

        def work(value, job=job, barrier=barrier):
            def make(rows):
                barrier.wait(5)
                return table(rows[KEY].to_pylist(), value), []

            return ShardSet(tmp_path).build(job, make)

        with ThreadPoolExecutor(2) as pool:
            states = list(pool.map(work, [1.0, 2.0]))
        assert sorted(state.was_built for state in states) == [False, True]
        assert states[0].entry == states[1].entry == shards.manifest.sound(job.name)


def test_writer_finishing_in_between_is_no_error(tmp_path, monkeypatch):
    shards = ShardSet(tmp_path)
    job = one_job(shards, "ab")

    def late(path):
        monkeypatch.setattr(module, "read_spool", read_spool)
        ShardSet(tmp_path).build(job, keep)
        return read_spool(path)

    monkeypatch.setattr(module, "read_spool", late)
    assert not shards.build(job, keep).was_built


def test_lock_held_for_too_long_is_transient(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "LOCK_SECONDS", 0.1)
    shards = ShardSet(tmp_path)
    job = one_job(shards, "ab")
    with (
        FileLock(Path(job.input_path).with_suffix(".lock")),
        pytest.raises(TransientError, match="held by another process"),
    ):
        shards.build(job, keep)


@pytest.mark.parametrize("damage", ["entry", "shard", "no shard", "no entry"])
def test_damaged_shard_does_not_count(tmp_path, damage):
    shards = ShardSet(tmp_path)
    name = shards.build(one_job(shards, "ab"), keep).entry.name
    shards.build(one_job(shards, "cd"), refuse)
    entry = tmp_path / f"{name}.json"
    match damage:
        case "entry":
            entry.write_text('{"name": 3')
        case "no entry":
            entry.unlink()
        case "shard":
            shards.manifest.shard_path(name).write_bytes(b"PAR1")
        case _:
            shards.manifest.shard_path(name).unlink()
    assert shards.manifest.sound(name) is None
    assert shards.known_digests() == {"c", "d"}
    assert shards.locate("abcd") == {}
    with pytest.raises(IntegrityError, match="2 of 2 structures"):
        shards.read(["a", "b"])


def test_rest_of_a_crashed_writer_is_not_read(tmp_path, caplog):
    shards = ShardSet(tmp_path)
    entry = shards.build(one_job(shards, "ab"), keep).entry
    (tmp_path / f".tmp-x-{entry.name}.json").write_text("{")
    assert shards.intact_entries() == [entry]
    assert not caplog.records


def test_set_without_folder_is_empty(tmp_path):
    shards = ShardSet(tmp_path / "none")
    assert shards.known_digests() == set()
    assert shards.refusals() == {}
    with pytest.raises(IntegrityError, match="no sound shard"):
        shards.read_all([KEY])


def test_rows_come_in_the_order_asked_for():
    tables = [table("abc", 1.0), table("cd", 2.0)]
    rows = rows_in_order(tables, ["d", "c", "a", "c"], where="here")
    assert rows[KEY].to_pylist() == ["d", "c", "a", "c"]
    assert rows["value"].to_pylist() == [2.0, 1.0, 1.0, 1.0]
    with pytest.raises(IntegrityError, match=r"here: 1 of 2 .* \(first: x\)"):
        rows_in_order(tables, ["a", "x"], where="here")


@pytest.mark.parametrize("superseded", [[], ["a"]])
def test_damaged_tombstones_are_written_again(tmp_path, superseded):
    manifest = Manifest(tmp_path)
    manifest.set_tombstones(["a", "b"])
    (tmp_path / TOMBSTONES).write_bytes(b"PAR1")
    manifest.set_tombstones(superseded)
    assert manifest.tombstones() == set(superseded)


def test_damaged_shard_is_discarded_and_a_sound_one_kept(tmp_path):
    shards = ShardSet(tmp_path)
    damaged = shards.build(one_job(shards, "ab"), keep).entry.name
    sound = shards.build(one_job(shards, "cd"), keep).entry.name
    shards.manifest.shard_path(damaged).write_bytes(b"PAR1")
    shards.discard_damaged()
    assert [entry.name for entry in shards.intact_entries()] == [sound]
    assert sorted(path.name for path in tmp_path.glob("[!.]*.*")) == [
        f"{sound}.json",
        f"{sound}.parquet",
    ]
