"""`OptimadeSource` on the reference server of optimade-python-tools.

Its own data are 17 made-up entries, most of which are no crystals: cells of 0.3 angstrom,
atoms on one place. The textbook crystals, served by it, say whether all is read right.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from contextlib import contextmanager
from datetime import UTC, datetime

import numpy as np
import pytest

from crystalgnn_core.errors import SourceError
from crystalgnn_core.records.table.store import RecordStore
from crystalgnn_core.sources.formats.columns import TargetColumn
from crystalgnn_core.sources.ingest.run import ingest_source, plan_ingest
from crystalgnn_core.sources.optimade.source import OptimadeSource
from crystalgnn_core.sources.textbook.source import TEXTBOOK_NAMES, textbook_structure
from tests.benchmarks.peers import PeerError, peer_python
from tests.core.sources.optimade.provider import QUICK

pytestmark = pytest.mark.slow
PACKAGE = "optimade[server]==1.5.0"
# the data that comes with the server needs the names of its columns
OWN = {
    "aliases": {"structures": {"id": "task_id", "immutable_id": "_id"}},
}
OWN_ROWS = 17
GAP = {"band_gap": TargetColumn(column="_exmpl_gaps.pbe", label_scheme="example")}


@contextmanager
def server(folder, **config):
    """Run the reference server; yield its address."""
    try:
        python = peer_python("optimade", PACKAGE)
    except PeerError as error:
        pytest.skip(f"the reference server cannot be installed: {error}")
    config = {"page_limit_max": 50} | config
    (folder / "config.json").write_text(json.dumps(config))
    settings = {"CONFIG_FILE": folder / "config.json", "LOG_DIR": folder}
    process = subprocess.Popen(
        [python, "-I", "-m", "uvicorn", "optimade.server.main:app", "--port", "0"],
        cwd=folder,
        env=os.environ | {f"OPTIMADE_{name}": str(path) for name, path in settings.items()},
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )
    try:
        yield _address(process)
    finally:
        process.terminate()
        process.communicate(timeout=30)


def _address(process):
    lines = []
    for line in process.stderr:
        lines.append(line)
        found = re.search(r"running on (http://127\.0\.0\.1:\d+)", line)
        if found:
            return found[1]
    raise AssertionError(f"the server did not start: {''.join(lines[-5:])}")


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """Address of a server with its own data."""
    with server(tmp_path_factory.mktemp("own"), **OWN) as url:
        yield url


@pytest.fixture(scope="module")
def textbook(tmp_path_factory):
    """Address of a server with the textbook crystals, a mixed one and a slab."""
    folder = tmp_path_factory.mktemp("textbook")
    lines = [{"x-optimade": {"meta": {"api_version": "1.2.0"}}}]
    lines += [textbook_entry(name, gap) for gap, name in enumerate(TEXTBOOK_NAMES)]
    mixed, slab = (textbook_entry("NaCl", 1), textbook_entry("MgO", 1))
    mixed["id"], slab["id"] = "mixed", "slab"
    kinds = mixed["attributes"]["species"][0]
    kinds.update(chemical_symbols=["Na", "K"], concentration=[0.5, 0.5])
    mixed["attributes"]["structure_features"] = ["disorder"]
    slab["attributes"].update(dimension_types=[1, 1, 0], nperiodic_dimensions=2)
    path = folder / "entries.jsonl"
    path.write_text("\n".join(map(json.dumps, [*lines, mixed, slab])) + "\n")
    config = {"insert_test_data": False, "insert_from_jsonl": str(path)}
    fields = {"provider_fields": {"structures": ["gaps"]}}
    with server(folder, **config, **fields, gzip={"enabled": True}) as url:
        yield url


def textbook_entry(name, gap):
    structure = textbook_structure(name)
    symbols = [site.specie.symbol for site in structure]
    elements = sorted(set(symbols))
    attributes = {
        "immutable_id": f"{name}-v1",
        "last_modified": {"$date": "2024-05-06T07:08:09Z"},
        "elements": elements,
        "nelements": len(elements),
        "elements_ratios": [symbols.count(e) / len(symbols) for e in elements],
        "chemical_formula_reduced": "".join(elements),
        "chemical_formula_anonymous": "A",
        "dimension_types": [1, 1, 1],
        "nperiodic_dimensions": 3,
        "lattice_vectors": structure.lattice.matrix.tolist(),
        "cartesian_site_positions": structure.cart_coords.tolist(),
        "nsites": len(symbols),
        "species_at_sites": symbols,
        "species": [
            {"name": e, "chemical_symbols": [e], "concentration": [1.0]} for e in elements
        ],
        "structure_features": [],
        "gaps": {"pbe": gap % 7 + 0.25},
    }
    return {"id": name, "type": "structures", "attributes": attributes}


def source(url, **settings):
    given = {"name": "db", "url": url, "patience": QUICK, "page_limit": 3}
    return OptimadeSource(**(given | settings))


def rows(store, *columns):
    return RecordStore(store).read(["db"], list(columns)).to_pylist()


@pytest.mark.parametrize("end", ["", "/v1", "/v1/structures"])
def test_all_rows_of_its_own_arrive_in_small_pages(own, tmp_path, end):
    report = ingest_source(tmp_path, source(own + end, part_size=4))
    assert report.n_in == OWN_ROWS
    assert report.rejected == {"degenerate_cell": 3, "overlapping_atoms": 13}
    [row] = rows(tmp_path, "n_sites", "last_updated", "source_version")
    assert row["last_updated"] == datetime(2019, 6, 8, 5, 13, 37, 365000, tzinfo=UTC)
    assert (row["material_id"], row["n_sites"]) == ("mpf_200", 1)
    assert re.fullmatch("[0-9a-f]{24}", row["source_version"])


def test_known_crystals_come_back_as_they_were(textbook, tmp_path):
    report = ingest_source(tmp_path, source(textbook, targets=GAP, page_limit=9))
    assert report.n_kept == len(TEXTBOOK_NAMES)
    assert report.rejected == {"disordered_site": 1, "unreadable_structure": 1}
    columns = ("atomic_numbers", "lattice", "frac_coords", "band_gap", "source_version")
    found = {row["material_id"]: row for row in rows(tmp_path, *columns)}
    for gap, name in enumerate(TEXTBOOK_NAMES):
        structure, row = textbook_structure(name), found[name]
        assert row["atomic_numbers"] == list(structure.atomic_numbers)
        np.testing.assert_array_equal(row["lattice"], structure.lattice.matrix.ravel())
        coords = np.array(row["frac_coords"]).reshape(-1, 3)
        np.testing.assert_allclose(coords, structure.frac_coords, rtol=0, atol=1e-12)
        assert (row["band_gap"], row["source_version"]) == (gap % 7 + 0.25, f"{name}-v1")


def test_the_number_of_rows_is_known_beforehand(textbook, tmp_path):
    expected = plan_ingest(tmp_path, source(textbook)).reading.n_expected
    assert expected == len(TEXTBOOK_NAMES) + 2


def test_a_filter_is_heeded(textbook, tmp_path):
    filter_ = 'elements HAS "O" AND nelements=2 AND nperiodic_dimensions=3'
    report = ingest_source(tmp_path, source(textbook, filter=filter_))
    oxides = {
        name
        for name in TEXTBOOK_NAMES
        for elements in [{site.specie.symbol for site in textbook_structure(name)}]
        if "O" in elements and len(elements) == 2
    }
    assert {row["material_id"] for row in rows(tmp_path)} == oxides
    assert report.n_in == len(oxides)


def test_a_bad_filter_is_refused_with_what_the_server_says(own, tmp_path):
    with pytest.raises(SourceError, match=r"400.*Unable to parse filter nsites IS"):
        plan_ingest(tmp_path, source(own, filter="nsites IS"))


def test_a_filter_without_result_is_refused(own, tmp_path):
    with pytest.raises(SourceError, match="no structure fits"):
        ingest_source(tmp_path, source(own, filter="nsites>100000"))


def test_a_page_limit_that_the_server_refuses_is_given_up(textbook, tmp_path, caplog):
    with caplog.at_level("INFO"):
        report = ingest_source(tmp_path, source(textbook, page_limit=1000))
    assert report.n_in == len(TEXTBOOK_NAMES) + 2
    assert "refuses the page limit" in caplog.text


def test_a_second_ingest_finds_nothing_new(textbook, tmp_path):
    first = ingest_source(tmp_path, source(textbook, page_limit=40))
    second = ingest_source(tmp_path, source(textbook, page_limit=40))
    assert second.counts.n_unchanged == len(TEXTBOOK_NAMES)
    assert second.counts.version == first.counts.version
