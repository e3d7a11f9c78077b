"""Answers of real providers, recorded for the examples of the OPTIMADE papers.

They hold cells and positions, but not which element sits on a site: their program had not
asked for it. So every row is rejected as it stands. With elements put on the sites by the
stated formula, in an order of our own, the cells are read.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from functools import cache

import pytest

from crystalgnn_core.errors import SourceError
from crystalgnn_core.records.table.store import RecordStore
from crystalgnn_core.sources.ingest.run import ingest_source
from tests.core.sources.optimade.provider import Provider, answer_json
from tests.core.web import running_site
from tests.paths import DATA

FILE = DATA / "optimade_structures.json"
pytestmark = pytest.mark.skipif(not FILE.is_file(), reason="the answers are not at hand")
MC3D, MP = (
    "https://aiida.materialscloud.org/mc3d/optimade",
    "https://optimade.materialsproject.org",
)
ODBX, OQMD = "https://optimade-misc.odbx.science", "http://oqmd.org/optimade/"
N_ROWS = {MC3D: 2, MP: 8, ODBX: 244, OQMD: 1000}
N_TWICE = {ODBX: 122}  # rows whose id came before in the same answer
REFUSED = {
    "http://aflow.org/API/optimade/": "400 - http://aflow",
    "https://www.crystallography.net/cod/optimade": "no reason given",
    "https://api.mpds.io": "400 - https://api.mpds",
    "https://nomad-lab.eu/prod/rae/optimade/": "500 - https://nomad",
}


@cache
def recorded():
    """Return the recorded answer of each provider, by its base address."""
    [answers] = json.loads(FILE.read_text())["structures"].values()
    return answers


@pytest.fixture
def site():
    with running_site() as running:
        yield running


def with_elements(entry):
    """Put the elements of the formula on the sites, first come, first served."""
    attributes = entry["attributes"]
    parts = re.findall(r"([A-Z][a-z]?)(\d*)", attributes["chemical_formula_reduced"])
    n_units = attributes["nsites"] // sum(int(count or 1) for _, count in parts)
    names = [name for name, count in parts for _ in range(n_units * int(count or 1))]
    return entry | {"attributes": attributes | {"species_at_sites": names}}


def test_the_recorded_answers_are_those_that_are_expected():
    assert {url: len(a["data"]) for url, a in recorded().items() if a["data"]} == N_ROWS
    assert {url for url, a in recorded().items() if a["errors"]} == set(REFUSED)
    assert len(recorded()) == 20


@pytest.mark.parametrize("url", N_ROWS)
def test_rows_without_elements_are_rejected_each_with_its_reason(site, tmp_path, url):
    provider = Provider(site, recorded()[url]["data"])
    report = ingest_source(tmp_path, provider.source(page_limit=100))
    assert (report.n_in, report.n_kept) == (N_ROWS[url], 0)
    assert report.rejected == {"unreadable_structure": N_ROWS[url]}
    messages = RecordStore(tmp_path).rejects()["message"].to_pylist()
    causes = Counter(message.partition(": ")[2].partition(";")[0] for message in messages)
    assert causes == {"the provider gives no species_at_sites": N_ROWS[url]}


@pytest.mark.parametrize("url", N_ROWS)
def test_cells_and_positions_of_real_providers_are_read(site, tmp_path, url):
    entries = [with_elements(entry) for entry in recorded()[url]["data"]]
    report = ingest_source(tmp_path, Provider(site, entries).source(page_limit=300))
    n_twice = N_TWICE.get(url, 0)
    assert (report.n_in, report.n_kept) == (N_ROWS[url], N_ROWS[url] - n_twice)
    assert report.rejected == ({"duplicate_id": n_twice} if n_twice else {})
    rows = RecordStore(tmp_path).read(["db"], ["n_sites", "chemsys"]).to_pylist()
    given = {str(entry["id"]): entry["attributes"] for entry in entries}
    assert {row["material_id"] for row in rows} == set(given)
    for row in rows:
        attributes = given[row["material_id"]]
        assert row["n_sites"] == attributes["nsites"]
        assert row["chemsys"] == "-".join(sorted(attributes["elements"]))


@pytest.mark.parametrize("code", [200, 400])
@pytest.mark.parametrize("url", REFUSED)
def test_recorded_errors_are_repeated(site, tmp_path, url, code):
    provider = Provider(site, [])
    site.answers["/optimade/v1/structures"] = answer_json(recorded()[url], code)
    with pytest.raises(SourceError, match=re.escape(REFUSED[url])):
        ingest_source(tmp_path, provider.source())


def test_a_recorded_answer_without_rows_is_no_source(site, tmp_path):
    provider = Provider(site, [])
    empty = [a for a in recorded().values() if not a["data"] and not a["errors"]]
    assert len(empty) == 12
    for answer in empty:
        site.answers["/optimade/v1/structures"] = answer_json(answer)
        with pytest.raises(SourceError, match="no structure fits the filter"):
            ingest_source(tmp_path, provider.source())


@pytest.mark.parametrize("url", [MC3D, MP, ODBX])
def test_a_recorded_answer_is_read_as_it_came(site, tmp_path, url, caplog):
    provider = Provider(site, [])
    site.answers["/optimade/v1/structures"] = answer_json(recorded()[url])
    assert ingest_source(tmp_path, provider.source()).n_in == N_ROWS[url]
    assert "the provider warns" in caplog.text
    assert max(map(len, caplog.messages)) < 500


def test_the_next_page_of_a_recorded_answer_is_elsewhere(site, tmp_path):
    provider = Provider(site, [])
    site.answers["/optimade/v1/structures"] = answer_json(recorded()[OQMD])
    with pytest.raises(SourceError, match=r"on another host, oqmd\.org"):
        ingest_source(tmp_path, provider.source())
