import csv
import json
from typing import ClassVar

import pytest

from crystalgnn_core.records.links.linking import linkable_sources
from crystalgnn_core.records.provenance import provenance_path, read_provenance
from crystalgnn_core.records.table.store import RecordStore
from crystalgnn_core.sources.files.source import FilesSource
from crystalgnn_core.sources.ingest.origin import provenance_of
from crystalgnn_core.sources.ingest.run import ingest_source
from crystalgnn_core.sources.synthetic.source import SyntheticSource
from crystalgnn_core.sources.textbook.source import TextbookSource, textbook_structure
from crystalgnn_core.storage.files import write_text


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "table.csv"
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["id", "cif"])
        writer.writerows([n, textbook_structure(n).to(fmt="cif")] for n in ("Si", "MgO"))
    return FilesSource(
        name="own", path=str(path), license="CC BY-NC 4.0", citation="A. Author (2026)"
    )


def kept_of(store, name):
    kept = read_provenance(store, name)
    assert kept is not None
    return kept


def test_an_ingest_keeps_where_its_rows_come_from(tmp_path, source):
    report = ingest_source(tmp_path, source)
    kept = kept_of(tmp_path, "own")
    assert (kept.source, kept.kind, kept.license) == ("own", "files", "CC BY-NC 4.0")
    assert (kept.citation, kept.place) == ("A. Author (2026)", source.path)
    assert kept.digest == report.digest
    rows = RecordStore(tmp_path).read(["own"], ["license"])
    assert set(rows["license"].to_pylist()) == {"CC BY-NC 4.0"}


def test_a_corrected_citation_counts_without_reading_again(tmp_path, source):
    ingest_source(tmp_path, source)
    before = kept_of(tmp_path, "own")
    corrected = source.model_copy(update={"citation": "A. Author (2025)"})
    assert not ingest_source(tmp_path, corrected).was_read
    after = kept_of(tmp_path, "own")
    assert after == before.model_copy(update={"citation": "A. Author (2025)"})


def test_provenance_that_is_lost_is_written_again(tmp_path, source):
    ingest_source(tmp_path, source)
    provenance_path(tmp_path, "own").unlink()
    assert not ingest_source(tmp_path, source).was_read
    assert kept_of(tmp_path, "own").citation == "A. Author (2026)"


def test_embedded_sources_tell_their_kind(tmp_path):
    ingest_source(tmp_path, SyntheticSource(n_structures=2))
    ingest_source(tmp_path, TextbookSource())
    assert kept_of(tmp_path, "synthetic").license == "CC0-1.0"
    assert kept_of(tmp_path, "synthetic").kind == "synthetic"
    assert kept_of(tmp_path, "textbook").kind == "textbook"


def test_an_address_is_kept_without_user_and_key(source):
    class Remote(FilesSource):
        url: str = "https://user:secret@host.example:8080/v1/structures?api_key=secret#x"

    remote = Remote(name="remote", path="unused")
    kept = provenance_of(remote, digest="d", source_version="2026.1")
    assert kept.place == "https://host.example:8080/v1/structures"
    assert "secret" not in kept.model_dump_json()
    assert kept.source_version == "2026.1"


def test_the_class_of_a_source_says_whether_its_rows_are_linked(tmp_path, source):
    class Examples(FilesSource):
        synthetic: ClassVar[bool] = True

    ingest_source(tmp_path, source)
    examples = {**source.model_dump(), "name": "examples"}
    ingest_source(tmp_path, Examples.model_validate(examples))
    assert linkable_sources(tmp_path) == ("own",)


@pytest.mark.parametrize(("kind", "expected"), [("files", ("own",)), ("textbook", ())])
def test_what_an_older_version_ingested_is_linked_by_its_kind(
    tmp_path, source, kind, expected
):
    ingest_source(tmp_path, source)
    path = provenance_path(tmp_path, "own")
    older = json.loads(path.read_text()) | {"kind": kind}
    del older["synthetic"]
    write_text(path, json.dumps(older))
    assert linkable_sources(tmp_path) == expected


def test_sources_whose_names_end_like_files_of_others_share_none(tmp_path):
    names = ("a", "a.provenance", "a.provenance.provenance", "a.json")
    sources = [SyntheticSource(name=name, n_structures=4) for name in names]
    for source in sources:
        ingest_source(tmp_path, source)
    for source in sources:
        found = read_provenance(tmp_path, source.name)
        assert found is not None
        assert found.source == source.name
        assert not ingest_source(tmp_path, source).was_read
