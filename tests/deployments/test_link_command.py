import pytest

from crystalgnn_core.sources.textbook.source import textbook_structure

NAMES = ("Si", "MgO", "GaAs")


def ingest_cifs(run, folder, names):
    folder.mkdir()
    for name in names:
        textbook_structure(name).to(filename=str(folder / f"{name}.cif"))
    return run("ingest", "--source", "files", "--path", folder, "--store", "own")


@pytest.mark.xdist_group("prefect")
def test_links_are_counted_by_pair_of_sources(run, tmp_path, prefect_api):
    for folder, names in (("first", NAMES), ("second", NAMES[:2])):
        assert ingest_cifs(run, tmp_path / folder, names).code == 0
    linked = run("records", "link", "--store", "own")
    assert (linked.code, linked.err) == (0, "")
    [line] = [text for text in linked.out.splitlines() if "first & second" in text]
    assert line.split("\N{BOX DRAWINGS LIGHT VERTICAL}")[2].strip() == "2"
    assert "4 of 5 rows are linked, in 2 groups" in linked.out
    again = run("records", "link", "--store", "own")
    assert "nothing changed since the last time (skipped)" in again.out
    alone = run("records", "link", "--store", "own", "--set", "linking.within_sources=true")
    assert "4 of 5 rows are linked" in alone.out


def test_a_store_without_records_is_a_user_error(run, tmp_path):
    outcome = run("records", "link", "--store", "nothing-here")
    assert outcome.code == 2
    assert "no records in" in outcome.err
    assert not (tmp_path / "nothing-here").exists()
