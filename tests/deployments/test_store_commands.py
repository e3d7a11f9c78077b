"""`crystalgnn store`: damage is found and named, and compaction keeps what lives."""

import shutil

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from crystalgnn_core.records.table.store import RecordStore
from crystalgnn_core.storage.manifest import KEY
from crystalgnn_core.storage.shards import ShardSet
from tests.core.worlds import in_memory


def flip(path, position=-60):
    """Change one byte of a file in place, its size and name unchanged."""
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(content)


def test_a_sound_store_is_told_so(run, trained_store):
    outcome = run("store", "check", "--store", trained_store.path)
    assert outcome.code == 0, outcome.out
    assert "records" in outcome.out
    assert str(trained_store.path / "models") not in outcome.out


@pytest.mark.parametrize(
    ("pattern", "named"),
    [
        ("graphs/*/*.parquet", "differs from its SHA-256; the next run rebuilds it"),
        ("models/*/model.safetensors", "differs from its SHA-256; restore it"),
        ("models/*/test_predictions.parquet", "differs from its SHA-256; restore it"),
        ("records/*.parquet", "ingest all sources again"),
    ],
)
def test_one_flipped_byte_is_found_and_its_file_named(run, own_store, pattern, named):
    path = sorted(own_store.path.glob(pattern))[0]
    flip(path)
    outcome = run("store", "check", "--store", own_store.path)
    assert outcome.code == 1
    [line] = [line for line in outcome.out.splitlines() if path.name in line]
    assert named in line


@pytest.mark.parametrize(
    ("pattern", "named"),
    [
        ("graphs/*/*.json", "is not valid JSON"),
        ("models/*/card.json", "not valid JSON"),
        ("records/_delta_log/*.json", "ingest all sources again"),
    ],
)
def test_a_broken_manifest_is_found_and_named(run, own_store, pattern, named):
    sorted(own_store.path.glob(pattern))[0].write_text('{"half": ')
    outcome = run("store", "check", "--store", own_store.path)
    assert outcome.code == 1
    assert named in outcome.out


def test_a_record_that_was_altered_is_named(run, own_store):
    [path] = own_store.path.glob("records/*.parquet")
    table = pq.read_table(path)
    names = table["material_id"].to_pylist()
    gaps = table["band_gap"].to_pylist()
    gaps[3] += 0.5
    index = table.column_names.index("band_gap")
    field = table.schema.field("band_gap")
    pq.write_table(table.set_column(index, field, pa.array(gaps)), path)
    outcome = run("store", "check", "--store", own_store.path)
    assert outcome.code == 1
    assert f"1 rows differ from their digest: synthetic/{names[3]};" in outcome.out


def test_a_shard_without_its_entry_is_named(run, own_store):
    entry = sorted(own_store.path.glob("graphs/*/*.json"))[0]
    entry.unlink()
    outcome = run("store", "check", "--store", own_store.path)
    assert outcome.code == 1
    assert f"{entry.stem}.parquet: has no {entry.name}" in outcome.out


def test_compaction_drops_what_no_record_has(run, own_store):
    records = RecordStore(own_store.path)
    table = records.read(["synthetic"])
    records.replace_records("synthetic", in_memory(table.slice(10)))
    [folder] = own_store.path.glob("graphs/*")
    before = ShardSet(folder).known_digests()
    outcome = run("store", "compact", "--store", own_store.path)
    assert outcome.code == 0, outcome.out
    left = ShardSet(folder).known_digests()
    assert left == records.structure_digests()
    assert before - left == set(table.slice(0, 10)[KEY].to_pylist())
    assert "2 -> 1" in outcome.out
    assert run("store", "check", "--store", own_store.path).code == 0


def test_a_path_with_spaces_and_umlauts_is_no_damage(run, own_store, tmp_path):
    odd = tmp_path / "my störe 100%"
    own_store.path.rename(odd)
    outcome = run("store", "check", "--store", odd)
    assert outcome.code == 0, outcome.out


def test_compaction_without_records_is_refused(run, own_store):
    shutil.rmtree(own_store.path / "records")
    before = sorted(own_store.path.rglob("*.parquet"))
    outcome = run("store", "compact", "--store", own_store.path)
    assert outcome.code == 2
    assert "no record table" in outcome.err
    assert sorted(own_store.path.rglob("*.parquet")) == before


@pytest.mark.parametrize("command", ["check", "compact"])
def test_a_store_that_is_not_there_is_an_error(run, command):
    outcome = run("store", command, "--store", "none")
    assert outcome.code == 2
    assert "no store none; give its folder with --store" in outcome.err


def test_a_store_named_like_an_address_is_used_by_every_command(own_store, run, tmp_path):
    """Libraries for Delta tables and Parquet files take the name for an address."""
    own_store.path.rename(tmp_path / "run:1")
    assert "synthetic" in run("records", "show", "--store", "run:1").out
    assert own_store.champion in run("models", "list", "--store", "run:1").out
    for command in (["store", "compact"], ["store", "check"], ["evaluate"], ["doctor"]):
        outcome = run(*command, "--store", "run:1")
        assert outcome.code == 0, outcome


def test_doctor_and_every_command_refuse_the_name_of_a_store(run, tmp_path):
    (tmp_path / "50%25").mkdir()
    for command in (["records", "show"], ["models", "list"], ["store", "check"]):
        outcome = run(*command, "--store", "50%25")
        assert (outcome.code, outcome.err.count("\n")) == (2, 1)
        assert "no store can be in a folder whose path holds '%25'" in outcome.err
    assert "no store can be in" in " ".join(run("doctor", "--store", "50%25").out.split())
