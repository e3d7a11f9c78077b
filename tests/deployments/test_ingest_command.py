"""Names of sources that come of paths: any folder can be ingested, none takes another's."""

import re
import unicodedata

import pytest

from crystalgnn_core.records.table.store import RecordStore
from crystalgnn_core.sources.files.source import FilesSource
from crystalgnn_core.sources.ingest.run import ingest_source
from deployments.ingest_command import candidates_name, source_entry, source_name

POSCAR = "Si\n3.0\n1 0 0\n0 1 0\n0 0 1\nSi\n1\ndirect\n0 0 0\n"
NAMES = ["Müller", "Muller", "a b", "a-b", "a#b", "50%", "50", "日本", "日 本", "x.gate"]


@pytest.fixture
def folder(tmp_path):
    def make(name):
        path = tmp_path / name
        path.mkdir()
        (path / "si.vasp").write_text(POSCAR)
        return str(path)

    return make


def ingest(path, store):
    entry = source_entry("files", path=path, store=store)
    ingest_source(store, FilesSource.model_validate(entry))
    return entry["name"]


def test_folders_of_any_name_are_ingested_side_by_side(folder, tmp_path):
    names = [ingest(folder(name), tmp_path / "store") for name in NAMES]
    assert RecordStore(tmp_path / "store").source_counts() == dict.fromkeys(names, 1)
    assert names[1] == "Muller"
    assert names[3] == "a-b"
    assert re.fullmatch("Muller-[0-9a-f]{6}", names[0])
    assert re.fullmatch("a-b-[0-9a-f]{6}", names[2])


def test_candidates_of_any_name_get_one_that_a_source_may_have(folder):
    paths = list(map(folder, NAMES))
    named = [FilesSource(name=candidates_name(path), path=path).name for path in paths]
    assert len(set(named)) == len(NAMES)
    assert re.fullmatch("Muller-[0-9a-f]{6}", named[0])


def test_a_name_is_the_same_however_its_accents_are_written(folder, tmp_path):
    apart = folder(unicodedata.normalize("NFD", "Müller"))
    composed = tmp_path / "other" / "Müller"
    composed.mkdir(parents=True)
    assert source_name(apart, None) == source_name(str(composed), None)


def test_rows_that_are_stored_under_an_older_name_keep_it(folder, tmp_path):
    """Version 0.1.0 called the folder `a b` `a-b`."""
    path, store = folder("a b"), tmp_path / "store"
    ingest_source(store, FilesSource(name="a-b", path=path))
    assert source_name(path, store) == "a-b"
    assert source_name(path, tmp_path / "new") != "a-b"
    (tmp_path / "elsewhere").mkdir()
    assert source_name(str(tmp_path / "elsewhere" / "a b"), store) != "a-b"
