import pyarrow as pa
import pytest

from crystalgnn_core.errors import IntegrityError
from crystalgnn_core.records.provenance import (
    Provenance,
    SourceFacts,
    describe_sources,
    is_noncommercial,
    name_noncommercial,
    provenance_path,
    read_provenance,
    write_provenance,
)
from crystalgnn_core.storage.checksums import LIST

MP = Provenance(
    source="mp",
    kind="materials-project",
    license="CC BY 4.0",
    citation="Jain 2013",
    source_version="2025.09.25",
    place="https://materials.example/api",
    ingested="2026-11-25T10:00:00+00:00",
    digest="d",
)


def rows(*given):
    names = ("source", "license", "source_version")
    columns = zip(*given, strict=True) if given else ((), (), ())
    return pa.table(
        {n: pa.array(c, pa.string()) for n, c in zip(names, columns, strict=True)}
    )


@pytest.mark.parametrize(
    ("text", "is_so"),
    [
        ("CC BY-NC 4.0", True),
        ("CC-BY-NC-SA-4.0", True),
        ("by-nc-nd", True),
        ("Non-commercial use only", True),
        ("free for noncommercial use", True),
        ("CC BY 4.0", False),
        ("CC-BY-ND-4.0", False),
        ("CC0-1.0", False),
        ("NCSA", False),  # the University of Illinois/NCSA licence is a permissive one
        ("", False),
    ],
)
def test_licences_without_commercial_use_are_recognised(text, is_so):
    assert is_noncommercial(text) is is_so


def test_provenance_is_kept_and_replaced(tmp_path):
    assert read_provenance(tmp_path, "mp") is None
    write_provenance(tmp_path, MP)
    write_provenance(tmp_path, MP.model_copy(update={"source_version": "2026.1"}))
    kept = read_provenance(tmp_path, "mp")
    assert kept == MP.model_copy(update={"source_version": "2026.1"})
    path = provenance_path(tmp_path, "mp")
    path.write_text('{"source": "mp"}')
    path.with_name(LIST).unlink()  # as if another version had written it
    with pytest.raises(IntegrityError, match="ingest mp again"):
        read_provenance(tmp_path, "mp")


def test_sources_are_described_by_their_rows_and_their_provenance(tmp_path):
    write_provenance(tmp_path, MP)
    table = rows(
        ("own", None, "a"),
        ("mp", "CC BY 4.0", "x"),
        ("mp", "CC BY-NC 4.0", "x"),
        ("mp", "CC BY 4.0", "x"),
        ("own", None, "b"),
    )
    mp, own = describe_sources(tmp_path, table)
    assert mp == SourceFacts(
        source="mp",
        n_rows=3,
        licenses={"CC BY 4.0": 2, "CC BY-NC 4.0": 1},
        kind="materials-project",
        source_version="2025.09.25",
        citation="Jain 2013",
        address="https://materials.example/api",
        ingested="2026-11-25",
    )
    assert list(mp.licenses) == ["CC BY 4.0", "CC BY-NC 4.0"]  # the most frequent first
    assert own == SourceFacts(
        source="own", n_rows=2, licenses={"not stated": 2}, source_version="2 versions"
    )
    assert describe_sources(tmp_path, rows()) == ()


def test_a_path_of_the_machine_is_not_told(tmp_path):
    write_provenance(tmp_path, MP.model_copy(update={"place": "/home/me/mp.parquet"}))
    (facts,) = describe_sources(tmp_path, rows(("mp", None, None)))
    assert facts.address is None
    assert "/home/me" not in facts.model_dump_json()


def test_the_order_of_rows_does_not_matter(tmp_path):
    given = [("b", "y", "2"), ("a", "x", "1"), ("b", "x", "2"), ("a", None, None)]
    first = describe_sources(tmp_path, rows(*given))
    again = describe_sources(tmp_path, rows(*given[::-1]))
    assert first == again
    assert [list(f.licenses) for f in first] == [list(f.licenses) for f in again]


def test_sources_without_commercial_use_are_named_once():
    nc = SourceFacts(source="a", n_rows=1, licenses={"CC BY-NC 4.0": 1, "CC0": 2})
    free = SourceFacts(source="b", n_rows=1, licenses={"CC0": 1})
    assert name_noncommercial([nc, free, nc]) == ("a (CC BY-NC 4.0)",)
