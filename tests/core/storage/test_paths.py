from pathlib import Path

import pyarrow as pa
import pytest

from crystalgnn_core.config import load_config
from crystalgnn_core.errors import ConfigError, InputError, printable
from crystalgnn_core.records.schema import INGEST_STAGE, reject_schema
from crystalgnn_core.records.table.delta import files_of, open_table
from crystalgnn_core.records.table.store import RecordStore
from crystalgnn_core.storage.paths import local_path

# delta-io/delta-rs#1156 and others: the library takes a path for an address
USABLE = [
    "run:1",
    "a#b?c",
    "100% *",
    "ünï",
    "u\u0308",
    "-x'\"",
    "~x",
    "s3://a",
    "file:",
    "d.",
]
REFUSED = [
    "per%cent",
    "50%25",
    "a%20b",
    "[x]",
    "a\\b",
    "x|y",
    "new\nline",
    "a\tb",
    "b\udcff",
]


@pytest.mark.parametrize("name", USABLE)
def test_a_store_of_any_usable_name_is_read_where_it_was_written(
    name, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    row = {field.name: "x" for field in reject_schema() if not field.nullable}
    rows = pa.Table.from_pylist(
        [row | {"source": "mine", "stage": INGEST_STAGE}], schema=reject_schema()
    )
    for _ in range(2):  # made, then replaced
        RecordStore(Path(name)).replace_rejects("mine", INGEST_STAGE, rows)
    for store in (Path(name), tmp_path / name):
        assert RecordStore(store).rejects().num_rows == 1
    [top] = tmp_path.iterdir()
    assert top.name == name.partition("/")[0]
    table = open_table(RecordStore(Path(name)).rejects_path)
    assert table is not None
    assert all(path.is_file() for path in files_of(table))


@pytest.mark.parametrize("name", REFUSED)
def test_a_name_that_the_library_would_read_elsewhere_is_refused(
    name, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="no store can be in a folder whose path holds"):
        RecordStore(Path(name)).version()
    with pytest.raises(ConfigError, match=r"(?s)^--store: .*(choose another|no Unicode)"):
        load_config(store=name)
    assert not list(tmp_path.iterdir())


def test_a_home_of_nobody_is_a_name_and_a_colon_no_address(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert local_path("~/x") == tmp_path / "x"
    assert local_path("~nobody-of-that-name/x") == Path("~nobody-of-that-name/x")
    assert local_path("run:1") == tmp_path / "run:1"
    assert local_path("run1") == Path("run1")


@pytest.mark.parametrize(
    ("text", "shown"),
    [("ünï", "ünï"), ("b\udcff.cif", r"b\xff.cif"), ("\ud800", r"\ud800")],
)
def test_texts_of_file_names_become_unicode(text, shown):
    assert printable(text) == shown
    assert str(InputError(f"{text}: missing")) == f"{shown}: missing"
