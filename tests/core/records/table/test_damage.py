"""A damaged record table is named before a row of it is used, in stores of any age."""

import shutil

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable

from crystalgnn_core.errors import CrystalGNNError, IntegrityError
from crystalgnn_core.records.table import delta
from crystalgnn_core.records.table.delta import files_of, remove_uncommitted
from crystalgnn_core.records.table.store import RecordStore
from crystalgnn_core.sources.ingest.run import ingest_source
from crystalgnn_core.sources.synthetic.source import SyntheticSource
from crystalgnn_core.storage.checksums import LIST, listed

NEWEST_LOG = "_delta_log/00000000000000000001.json"


@pytest.fixture(scope="module")
def ingested(tmp_path_factory):
    store = tmp_path_factory.mktemp("ingested") / "store"
    ingest_source(store, SyntheticSource(n_structures=8))
    return store


@pytest.fixture
def store(ingested, tmp_path):
    return shutil.copytree(ingested, tmp_path / "store")


def cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip(path):
    """Change a coordinate or a digit: what is read is still well formed."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def remove(path):
    path.unlink()


def as_of_an_older_version(store):
    for table in ("records", "rejects"):
        (store / table / LIST).unlink()


@pytest.mark.parametrize("how", [cut, flip, remove])
@pytest.mark.parametrize("name", ["records/*.parquet", f"records/{NEWEST_LOG}"])
def test_every_reader_names_the_file_and_what_to_do(store, name, how):
    [path] = store.glob(name)
    how(path)
    records = RecordStore(store)
    for read in (
        records.version,
        records.source_counts,
        records.table_id,
        lambda: records.read(["synthetic"]),
        lambda: ingest_source(store, SyntheticSource(n_structures=9)),
    ):
        with pytest.raises(IntegrityError) as error:
            read()
        assert str(error.value).startswith(str(path))
        assert "delete it and ingest all sources again" in str(error.value)
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("how", [cut, flip, remove])
def test_a_damaged_log_of_rejects_is_named(store, how):
    path = store / "rejects" / NEWEST_LOG
    how(path)
    with pytest.raises(IntegrityError, match=f"{path}: .*; restore {store / 'rejects'}"):
        RecordStore(store).rejects()


@pytest.mark.parametrize("how", [cut, remove])
@pytest.mark.parametrize("name", ["records/*.parquet", "records/_delta_log/*0.json"])
def test_damage_of_a_store_without_checksums_is_an_error_of_ours(store, name, how):
    as_of_an_older_version(store)
    [path] = store.glob(name)
    how(path)
    with pytest.raises(CrystalGNNError, match=r"records.*; restore .* from a backup"):
        RecordStore(store).read(["synthetic"])


def test_a_flipped_row_of_a_store_without_checksums_is_named(store):
    as_of_an_older_version(store)
    [path] = store.glob("records/*.parquet")
    table = pq.read_table(path)
    names = [name if n else "Xx" for n, name in enumerate(table["split"].to_pylist())]
    index = table.schema.get_field_index("split")
    pq.write_table(table.set_column(index, table.field("split"), [names]), path)
    with pytest.raises(IntegrityError, match="1 rows differ from their digest: synthetic/"):
        RecordStore(store).read(["synthetic"])


def test_a_store_without_checksums_is_read_and_gets_them(store):
    as_of_an_older_version(store)
    assert RecordStore(store).read(["synthetic"]).num_rows == 8
    [path] = store.glob("records/*.parquet")
    assert sorted(listed(store / "records").digests) == [
        *(f"_delta_log/{version:020d}.json" for version in range(2)),
        path.name,
    ]


def test_a_panic_of_the_library_is_an_error_of_ours(store, monkeypatch):
    class PanicException(BaseException):
        pass

    def panic(*_, **__):
        raise PanicException("called `Option::unwrap()` on a `None` value")

    monkeypatch.setattr("crystalgnn_core.records.table.delta.DeltaTable.version", panic)
    with pytest.raises(IntegrityError, match=r"unwrap.*; restore"):
        RecordStore(store).version()


def test_a_table_of_which_the_log_is_gone_is_not_an_empty_one(store):
    as_of_an_older_version(store)
    shutil.rmtree(store / "records" / "_delta_log")
    with pytest.raises(IntegrityError, match="_delta_log: is missing"):
        RecordStore(store).version()


def test_logs_that_a_checkpoint_replaces_may_be_cleaned_up(store):
    DeltaTable(store / "records").create_checkpoint()
    assert RecordStore(store).version() == 1
    (store / "records/_delta_log/00000000000000000000.json").unlink()
    assert RecordStore(store).read(["synthetic"]).num_rows == 8


def test_rows_of_an_interrupted_commit_are_removed_and_no_others(store):
    ingest_source(store, SyntheticSource(n_structures=9))
    folder = store / "records"
    before = sorted(path.name for path in folder.glob("*.parquet"))
    assert len(before) > len(files_of(DeltaTable(folder)))  # an earlier version has its own
    shutil.copy(folder / before[0], folder / "part-00000-of-a-killed-process.parquet")
    (folder / LIST).unlink()  # what is committed is known by the log, too
    remove_uncommitted(folder)
    assert sorted(path.name for path in folder.glob("*.parquet")) == before


def test_rows_of_an_interrupted_commit_are_removed_beside_a_checkpoint(store):
    folder = store / "records"
    DeltaTable(folder).create_checkpoint()
    RecordStore(store).version()  # so that the checkpoint is on the list
    [path] = folder.glob("*.parquet")
    rest = folder / "part-00000-of-a-killed-process.parquet"
    shutil.copy(path, rest)
    remove_uncommitted(folder)
    assert list(folder.glob("*.parquet")) == [path]
    shutil.copy(path, rest)
    (folder / "_delta_log/00000000000000000000.json").unlink()
    remove_uncommitted(folder)  # the log does not say any more what was committed
    assert rest.is_file()


def test_nothing_is_removed_beside_a_damaged_log(store):
    as_of_an_older_version(store)
    cut(store / "records" / NEWEST_LOG)
    files = sorted((store / "records").glob("*.parquet"))
    assert files
    with pytest.raises(IntegrityError, match="is not valid JSON"):
        RecordStore(store).replace_records("synthetic", lambda _: iter(()))
    assert sorted((store / "records").glob("*.parquet")) == files


def test_beside_a_damaged_list_rows_are_compared_with_their_own_digests(store, caplog):
    folder = store / "records"
    [path] = (folder / one.name for one in files_of(DeltaTable(folder)))
    names, rows = pq.read_table(path), pq.read_table(path).to_pylist()
    rows[0]["lattice"][0] += 0.5
    pq.write_table(pa.Table.from_pylist(rows, names.schema), path)
    with (folder / LIST).open("ab") as stream:
        stream.write(b"\nrest of a line")
    with pytest.raises(IntegrityError, match="1 rows differ from their digest"):
        RecordStore(store).read(["synthetic"])
    assert "1 damaged lines, so files of this folder are not compared" in caplog.text


def test_rows_without_a_list_are_looked_at_once_where_nothing_can_be_noted(
    store, monkeypatch
):
    as_of_an_older_version(store)
    looked = []

    def look(path):
        looked.append(path)
        return []

    monkeypatch.setattr(delta, "_list", lambda *_: None)
    monkeypatch.setattr(delta, "wrong_rows", look)
    for _ in range(3):
        assert RecordStore(store).version() == 1
    assert len(looked) == 1


def test_a_checkpoint_that_is_just_being_written_is_not_missed_later(store):
    passing = store / "records/_delta_log/00000000000000000001.checkpoint.parquet#1"
    passing.touch()
    assert RecordStore(store).version() == 1
    passing.unlink()
    assert RecordStore(store).version() == 1
