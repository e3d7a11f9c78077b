import logging
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from crystalgnn_core.errors import InputError
from crystalgnn_core.records.links import matching
from crystalgnn_core.records.links import search as link_search
from crystalgnn_core.records.links.config import LinkConfig
from crystalgnn_core.records.links.linking import link_records, linkable_sources
from crystalgnn_core.records.links.table import (
    count_linked,
    link_schema,
    read_link_report,
    read_links,
)
from crystalgnn_core.records.table.crystals import stream_crystals
from crystalgnn_core.records.table.store import RecordStore
from crystalgnn_core.sources.files.source import FilesSource
from crystalgnn_core.sources.ingest.run import ingest_source
from crystalgnn_core.sources.synthetic.source import SyntheticSource
from crystalgnn_core.sources.textbook.source import TextbookSource
from tests.core.records.disguises import disguise, store_crystals, textbook
from tests.core.worlds import in_memory
from tests.paths import DATA

NAMES = ("SrTiO3", "MgO", "Si", "GaAs", "TiO2-rutile")


@pytest.fixture
def store(tmp_path):
    """Some crystals of one source, and most of them in other words in another one."""
    first = {f"mp-{name}": textbook(name) for name in NAMES}
    first["mp-anatase"] = textbook("TiO2-anatase")
    second = {
        f"jv-{name}": disguise(textbook(name), seed, scale=0.97)
        for seed, name in enumerate(NAMES)
    }
    second["jv-CsCl"] = textbook("CsCl")
    store_crystals(tmp_path, "mp", first)
    store_crystals(tmp_path, "jarvis", second)
    return tmp_path


def groups_of(store):
    groups: dict[str, list[str]] = {}
    for row in read_links(store).to_pylist():
        groups.setdefault(row["group_id"], []).append(row["material_id"])
    return groups


def test_one_material_in_two_sources_is_linked(store):
    report = link_records(store)
    assert groups_of(store) == {
        f"jarvis/jv-{name}": [f"jv-{name}", f"mp-{name}"] for name in sorted(NAMES)
    }
    assert report.n_joint == {"jarvis & mp": 5}
    assert (report.n_groups, report.n_linked) == (5, 10)
    assert (report.n_rows, report.n_shared) == (12, 11)  # caesium chloride is in one alone
    links = read_links(store)
    assert links.schema.equals(link_schema())
    numbers = dict(
        zip(
            *(links[n].to_pylist() for n in ("material_id", "space_group_number")),
            strict=True,
        )
    )
    assert numbers["jv-SrTiO3"] == numbers["mp-SrTiO3"] == 221
    # sites without freedom, or scaled with the cell
    assert max(links["rms_distance"].to_pylist()) < 1e-3


def test_polymorphs_and_another_volume_are_not_linked(tmp_path):
    store_crystals(tmp_path, "a", {"rutile": textbook("TiO2-rutile"), "si": textbook("Si")})
    swollen = disguise(textbook("Si"), 0, scale=1.1)  # by a third in volume
    anatase = textbook("TiO2-anatase")
    store_crystals(tmp_path, "b", {"anatase": anatase, "si": swollen})
    report = link_records(tmp_path)
    assert (report.n_groups, report.n_shared, report.n_compared) == (0, 4, 0)
    loose = LinkConfig(volume_tolerance=0.5)
    assert link_records(tmp_path, loose).n_joint == {"a & b": 1}


def test_sites_elsewhere_are_not_linked(tmp_path):
    rutile = textbook("TiO2-rutile")
    moved = rutile.frac_coords.copy()
    is_oxygen = rutile.atomic_numbers == 8
    at = rutile.frac_coords[is_oxygen]
    # u from 0.305 to 0.22: the same space group, other bonds
    centre = np.round(2 * at) / 2
    moved[is_oxygen] = centre + (at - centre) * 0.5
    other = rutile._replace(frac_coords=moved)
    store_crystals(tmp_path, "a", {"x": rutile})
    store_crystals(tmp_path, "b", {"y": other})
    report = link_records(tmp_path)
    assert (report.n_compared, report.n_groups) == (1, 0)


def test_noise_of_an_optimisation_is_tolerated_and_measured(tmp_path):
    store_crystals(tmp_path, "a", {"x": textbook("SrTiO3")})
    store_crystals(tmp_path, "b", {"y": disguise(textbook("SrTiO3"), 5, noise=0.01)})
    assert link_records(tmp_path).n_groups == 1
    [_, row] = read_links(tmp_path).to_pylist()
    # of the primitive cell, one site of two or more copies; 0.01 sqrt(3) for each site
    assert 0.002 < row["rms_distance"] < 0.04


def test_equal_structures_need_no_comparison(tmp_path):
    for source in ("a", "b"):
        store_crystals(tmp_path, source, {"x": textbook("Si"), "y": textbook("Si")})
    report = link_records(tmp_path)
    assert report.n_compared == 0
    assert groups_of(tmp_path) == {"a/x": ["x", "y", "x", "y"]}
    assert read_links(tmp_path)["rms_distance"].to_pylist() == [0.0] * 4


def test_rows_of_one_source_are_linked_on_request(tmp_path):
    rows = {"x": textbook("Si"), "y": disguise(textbook("Si"), 1), "z": textbook("MgO")}
    store_crystals(tmp_path, "a", rows)
    assert link_records(tmp_path).n_groups == 0
    config = LinkConfig(within_sources=True)
    assert link_records(tmp_path, config).n_groups == 1
    assert groups_of(tmp_path) == {"a/x": ["x", "y"]}


def test_a_chain_joins_what_does_not_match_and_says_so(tmp_path):
    silicon = textbook("Si")
    for source, scale in (("a", 1.0), ("b", 1.05), ("c", 1.1)):
        store_crystals(tmp_path, source, {"x": disguise(silicon, 0, scale=scale)})
    # 16 % of the volume from one to the next, 33 % from first to last
    link_records(tmp_path)
    assert groups_of(tmp_path) == {"a/x": ["x", "x", "x"]}
    config = LinkConfig(site_tolerance=0.01)
    rutile, (third, half) = textbook("TiO2-rutile"), (0.004, 0.008)
    for source, shift in (("a", 0.0), ("b", third), ("c", half)):
        moved = rutile.frac_coords.copy()
        is_oxygen = rutile.atomic_numbers == 8
        at = rutile.frac_coords[is_oxygen]
        centre = np.round(2 * at) / 2
        moved[is_oxygen] = at + np.sign(at - centre) * shift * (np.abs(at - centre) > 1e-6)
        store_crystals(tmp_path, source, {"x": rutile._replace(frac_coords=moved)})
    link_records(tmp_path, config)
    distances = read_links(tmp_path)["rms_distance"].to_pylist()
    assert distances[0] == 0.0
    assert 0 < distances[1] < 0.05
    assert distances[2] is None


def test_new_rows_alone_are_looked_at_and_the_result_is_that_of_a_first_run(
    store, tmp_path_factory
):
    first = link_records(store)
    assert first.n_fingerprints == 11
    assert first.n_compared == 5
    assert not link_records(store).was_linked
    more = {f"wbm-{n}": disguise(textbook(n), 9, scale=1.01) for n in ("Si", "CsCl")}
    store_crystals(store, "wbm", more)
    second = link_records(store)
    # two new structures, and caesium chloride that has company now
    assert (second.was_linked, second.n_fingerprints) == (True, 3)
    assert second.n_compared == 3  # silicon with two others, caesium chloride with one
    afresh = tmp_path_factory.mktemp("afresh")
    for source in ("wbm", "jarvis", "mp"):
        table = RecordStore(store).read([source])
        backwards = table.take(list(range(table.num_rows))[::-1])
        RecordStore(afresh).replace_records(source, in_memory(backwards))
    whole = link_records(afresh)
    assert read_links(afresh).equals(read_links(store))
    assert (whole.n_fingerprints, whole.n_compared) == (14, 8)
    caches = sorted(path.name for path in (afresh / "links").glob("*.parquet"))
    for name in caches:
        assert (afresh / "links" / name).read_bytes() == (
            store / "links" / name
        ).read_bytes()


def test_removed_rows_and_other_tolerances_make_new_links(store):
    link_records(store)
    assert link_records(store, LinkConfig(volume_tolerance=0.01)).n_groups == 0
    again = link_records(store)
    assert (again.n_groups, again.n_fingerprints, again.n_compared) == (5, 0, 0)
    store_crystals(store, "jarvis", {"jv-Si": disguise(textbook("Si"), 2)})
    left = link_records(store)
    assert groups_of(store) == {"jarvis/jv-Si": ["jv-Si", "mp-Si"]}
    assert left.n_fingerprints <= 1


def test_a_subset_of_sources_keeps_what_is_known_of_the_others(store):
    link_records(store)
    store_crystals(store, "wbm", {"w": disguise(textbook("Si"), 3)})
    assert link_records(store, sources=["mp", "wbm"]).n_joint == {"mp & wbm": 1}
    assert link_records(store).n_fingerprints == 0


def test_a_damaged_table_report_or_cache_is_made_again(store, caplog):
    report = link_records(store)
    before = read_links(store)
    Path(report.table.path).write_bytes(b"x")
    again = link_records(store)
    assert again.was_linked
    assert again.n_compared == 0
    (store / "links" / "links.json").write_text("{")
    assert read_link_report(store) is None
    for path in (store / "links").glob("pairs-*.parquet"):
        path.write_bytes(b"x")
    with caplog.at_level(logging.WARNING):
        assert link_records(store).n_compared == 5
    assert "damaged" in caplog.text
    assert read_links(store).equals(before)


def test_many_structures_are_compared_in_worker_processes_with_the_same_result(
    store, tmp_path_factory, monkeypatch
):
    from crystalgnn_core.parallel import close_pool

    link_records(store)
    before = read_links(store)
    for path in (store / "links").iterdir():
        path.unlink()
    for name, value in (("STRUCTURES_A_JOB", 3), ("PAIRS_A_JOB", 1), ("MANY_JOBS", 1)):
        monkeypatch.setattr(link_search, name, value)
    try:
        link_records(store)
    finally:
        close_pool()
    assert read_links(store).equals(before)


def test_a_killed_run_keeps_what_it_found(store, monkeypatch):
    monkeypatch.setattr(link_search, "SAVED_TOGETHER", 4)
    compare, calls = matching.compare_pairs, []

    def die_at_the_second(*job):
        calls.append(job)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return compare(*job)

    monkeypatch.setattr(link_search, "compare_pairs", die_at_the_second)
    with pytest.raises(KeyboardInterrupt):
        link_records(store)
    monkeypatch.setattr(link_search, "compare_pairs", compare)
    report = link_records(store)
    assert (report.n_fingerprints, report.n_compared) == (0, 1)
    assert report.n_groups == 5


def test_made_up_sources_take_no_part(store):
    ingest_source(store, SyntheticSource(n_structures=3))
    ingest_source(store, SyntheticSource(name="old", prefix="o", n_structures=3))
    ingest_source(store, TextbookSource())
    (store / "ingests" / "old.provenance.json").unlink()  # of before it was kept
    assert linkable_sources(store) == ("jarvis", "mp")
    assert link_records(store).n_joint == {"jarvis & mp": 5}
    with pytest.raises(InputError, match=r"textbook: not stored, or synthetic"):
        link_records(store, sources=["mp", "textbook"])
    with pytest.raises(InputError, match="choose among jarvis, mp"):
        link_records(store, sources=["nobody"])


def test_a_store_without_records_has_no_links(tmp_path):
    assert read_links(tmp_path).equals(link_schema().empty_table())
    assert count_linked(tmp_path, ["a"], ["b"]) is None
    report = link_records(tmp_path)
    assert (report.n_groups, report.record_version) == (0, -1)
    assert count_linked(tmp_path, ["a"], ["b"]) == 0


def test_rows_with_a_linked_row_elsewhere_are_counted(store):
    link_records(store)
    assert count_linked(store, ["jarvis"], ["mp"]) == 5
    assert count_linked(store, ["jarvis"], ["jarvis"]) == 0  # a row is not its own twin
    assert count_linked(store, ["jarvis", "mp"], ["mp"]) == 5
    assert count_linked(store, ["jarvis"], ["wbm"]) == 0


@pytest.mark.parametrize(
    "settings",
    [
        {"symprecs": ()},
        {"symprecs": (0.1, 0.01)},
        {"symprecs": (0.0,)},
        {"site_tolerance": 1.0},
        {"other": 1},
    ],
)
def test_settings_without_a_meaning_are_refused(settings):
    with pytest.raises(ValueError, match=r"symprecs|site_tolerance|other"):
        LinkConfig(**settings)


@pytest.mark.skipif(not DATA.is_dir(), reason="the samples are not at hand")
def test_real_materials_are_found_again_and_kept_apart(tmp_path):
    """40 MP-20 materials among 400, as another calculation would write them down."""
    rows = pd.read_parquet(DATA / "mp20.parquet").head(400)
    rows[["material_id", "cif"]].to_parquet(tmp_path / "mp.parquet")
    store = tmp_path / "store"
    ingest_source(store, FilesSource(name="mp", path=str(tmp_path / "mp.parquet")))
    table = RecordStore(store).read(["mp"], ["structure_digest"])
    digests = dict(
        zip(
            *(table[n].to_pylist() for n in ("material_id", "structure_digest")),
            strict=True,
        )
    )
    crystals = dict(stream_crystals(store, ["mp"], digests.values()))
    chosen = sorted(digests)[::10]
    copies = {
        name: disguise(
            crystals[digests[name]], seed, scale=1 + 0.001 * (seed % 50), noise=0.002
        )
        for seed, name in enumerate(chosen)
    }
    store_crystals(store, "copies", copies)
    link_records(store)
    found = groups_of(store)
    assert sum(len(set(ids)) == 1 for ids in found.values()) >= 38  # 95 %
    assert sum(len(set(ids)) > 1 for ids in found.values()) <= 1
