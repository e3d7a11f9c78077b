"""JARVIS-DFT: records of both forms, labels by scheme, and parts of any size."""

import gzip
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from crystalgnn_core.errors import SourceError
from crystalgnn_core.records.table.store import RecordStore
from crystalgnn_core.sources.formats.json_stream.members import find_ranges
from crystalgnn_core.sources.ingest.run import ingest_source, plan_ingest, read_part
from crystalgnn_core.sources.ingest.stored import StoredSource
from crystalgnn_core.sources.jarvis import source as module
from crystalgnn_core.sources.jarvis.source import LICENSE, JarvisSource
from tests.paths import DATA

CELL = {
    "lattice_mat": [[3.9, 0.0, 0.0], [0.0, 3.9, 0.0], [0.0, 0.0, 3.9]],
    "coords": [[0.0, 0.0, 0.0], [0.5, 0.5, 0.5]],
    "elements": ["Cs", "Cl"],
    "cartesian": False,
}
LABELS = {
    "formation_energy_peratom": -2.1,
    "ehull": 0.03,
    "optb88vdw_bandgap": 5.4,
    "mbj_bandgap": 8.1,
    "bulk_modulus_kv": 18.2,
    "shear_modulus_gv": 9.1,
    "poisson": 0.26,
}


def record(jid, **changes):
    return {"jid": jid, "atoms": CELL, "func": "OptB88vdW", **LABELS, **changes}


def write(path, records):
    """Write records, or texts that stand for some, as a local file."""
    texts = [text if isinstance(text, str) else json.dumps(text) for text in records]
    path.write_text(f"[{', '.join(texts)}]")
    return path


def read(source, store):
    """Read all raw records of a source."""
    plan = source.plan(StoredSource(store, source.name))
    return [raw for part in plan.parts for raw in source.read(part)]


def rows(store, columns=None):
    return RecordStore(store).read(["jarvis"], columns).to_pylist()


def rejects(store):
    table = RecordStore(store).rejects().to_pylist()
    return {row["material_id"]: (row["reason"], row["message"]) for row in table}


@pytest.fixture
def real():
    path = DATA / "jarvis_dft3d_subset.json.gz"
    if not path.is_file():
        pytest.skip("the JARVIS records are not in ../shared/data")
    return path


def test_a_record_becomes_a_row_with_labels_schemes_and_origin(tmp_path):
    path = write(tmp_path / "a.json", [record("JVASP-1")])
    source = JarvisSource(path=str(path), release="dft_3d_2021")
    report = ingest_source(tmp_path / "store", source)
    assert report.source_version == "dft_3d_2021"
    [row] = rows(tmp_path / "store")
    expected = {
        "material_id": "JVASP-1",
        "formula": "CsCl",
        "formation_energy_per_atom": -2.1,
        "formation_energy_per_atom_scheme": "JARVIS OptB88vdW",
        "energy_above_hull": 0.03,
        "energy_above_hull_scheme": "JARVIS OptB88vdW",
        "band_gap": 5.4,
        "band_gap_scheme": "JARVIS OptB88vdW",
        "bulk_modulus": 18.2,
        "shear_modulus": 9.1,
        "poisson_ratio": 0.26,
        "is_metal": 0.0,
        "is_metal_scheme": "JARVIS OptB88vdW",
        "fermi_energy": None,
        "run_type": "OptB88vdW",
        "source_version": "dft_3d_2021",
        "license": LICENSE,
    }
    assert {name: row[name] for name in expected} == expected


def test_the_mbj_gap_has_a_scheme_of_its_own(tmp_path):
    path = write(tmp_path / "a.json", [record("JVASP-1")])
    [raw] = read(JarvisSource(path=str(path), gap="mbj"), tmp_path / "store")
    assert raw.labels["band_gap"] == 8.1
    gaps = {raw.label_schemes["band_gap"], raw.label_schemes["is_metal"]}
    others = {raw.label_schemes[name] for name in ("bulk_modulus", "poisson_ratio")}
    assert (gaps, others) == ({"MBJ"}, {"JARVIS OptB88vdW"})


@pytest.mark.parametrize(
    ("gap", "expected"), [(0.0, 1.0), (0.01, 1.0), (0.011, 0.0), ("na", None)]
)
def test_a_metal_is_what_has_no_gap_to_speak_of(tmp_path, gap, expected):
    path = write(tmp_path / "a.json", [record("JVASP-1", optb88vdw_bandgap=gap)])
    [raw] = read(JarvisSource(path=str(path)), tmp_path / "store")
    assert raw.labels.get("is_metal") == expected


def test_both_forms_of_coordinates_are_the_same_crystal(tmp_path):
    places = (np.array(CELL["coords"]) @ np.array(CELL["lattice_mat"])).tolist()
    moved = {**CELL, "coords": places, "cartesian": True}
    path = write(tmp_path / "a.json", [record("a"), record("b", atoms=moved)])
    first, second = read(JarvisSource(path=str(path)), tmp_path / "store")
    for ours, theirs in zip(first.crystal, second.crystal, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-15)  # one product and its inverse


def test_the_real_full_record_and_the_subset_say_the_same(tmp_path, real):
    full = DATA / "real_full_record_JVASP-90856.json"
    [whole] = read(JarvisSource(path=str(full)), tmp_path / "store")
    [part] = [
        raw
        for raw in read(JarvisSource(path=str(real)), tmp_path / "store")
        if raw.material_id == whole.material_id
    ]
    assert json.loads(full.read_text())[0]["atoms"]["cartesian"] is True
    further = {"poisson_ratio": "na", "energy_above_hull": 0.0423}  # no keys of the subset
    assert part.labels | further == whole.labels
    assert part.label_schemes == whole.label_schemes
    assert (whole.run_type, part.run_type) == ("OptB88vdW", None)
    numbers, lattice, coords = whole.crystal
    assert numbers.tolist() == part.crystal.atomic_numbers.tolist()
    np.testing.assert_array_equal(lattice, part.crystal.lattice)
    # its Cartesian coordinates are rounded to seven digits
    np.testing.assert_allclose(coords, part.crystal.frac_coords, atol=1e-6)


def test_every_real_row_is_kept_or_rejected(tmp_path, real):
    report = ingest_source(tmp_path, JarvisSource(path=str(real)))
    given = json.loads(gzip.decompress(real.read_bytes()))
    n_empty = sum(entry["formation_energy_peratom"] == "na" for entry in given)
    assert report.n_in == len(given) == report.n_kept + sum(report.rejected.values())
    assert report.rejected == {"missing_label": n_empty}
    low = {
        name: sum(entry[key] != "na" and entry[key] < 0.1 for entry in given)
        for name, key in (
            ("bulk_modulus", "bulk_modulus_kv"),
            ("shear_modulus", "shear_modulus_gv"),
        )
    }
    assert report.n_dropped == low
    assert min(low.values()) > 0
    assert ingest_source(tmp_path, JarvisSource(path=str(real))).n_dropped == low


@pytest.mark.parametrize("part_size", [1, 7, 300, 5000])
def test_parts_of_any_size_give_the_same_rows(tmp_path, real, part_size):
    given = json.loads(gzip.decompress(real.read_bytes()))[:60]
    path = write(tmp_path / "a.json", given)
    found = read(JarvisSource(path=str(path), part_size=part_size), tmp_path / "store")
    assert [raw.material_id for raw in found] == [entry["jid"] for entry in given]
    for raw, entry in zip(found, given, strict=True):
        assert raw.labels["bulk_modulus"] == entry["bulk_modulus_kv"]
        assert raw.crystal.frac_coords.tolist() == entry["atoms"]["coords"]


def test_a_bad_record_is_rejected_alone_and_named(tmp_path):
    broken = '{"jid": "JVASP-9", "atoms": {"lattice_mat": [[3.9, 0.0, 0.0]]}}}'
    bad_json = json.dumps(record("JVASP-8")).replace("5.4", "5..4")
    not_a_number = json.dumps(record("JVASP-7", poisson=float("nan")))
    given = [
        record("JVASP-1"),
        {key: value for key, value in record("").items() if key != "jid"},
        record("JVASP-2", atoms="na"),
        record("JVASP-3", func="PBE"),
        record("JVASP-4", atoms={**CELL, "elements": ["Cs", "Xx"]}),
        record("JVASP-5", atoms={**CELL, "elements": ["Cs"]}),
        record("JVASP-6", optb88vdw_bandgap="wide"),
        not_a_number,
        bad_json,
        broken,
        "17",
        record("JVASP-1"),
        record("JVASP-10", **dict.fromkeys(LABELS, "na")),
        record("JVASP-11", **dict.fromkeys(LABELS, "na") | {"bulk_modulus_kv": -3.0}),
        record("JVASP-12", bulk_modulus_kv=float("inf")),
    ]
    report = ingest_source(
        tmp_path / "store", JarvisSource(path=str(write(tmp_path / "a.json", given)))
    )
    kept = {row["material_id"]: row["poisson_ratio"] for row in rows(tmp_path / "store")}
    assert kept == {"JVASP-1": 0.26, "JVASP-7": None}
    assert report.n_in == len(given) == report.n_kept + sum(report.rejected.values())
    found = rejects(tmp_path / "store")
    reasons = {name: reason for name, (reason, _) in found.items() if name}
    assert reasons == {
        "JVASP-1": "duplicate_id",
        "JVASP-2": "unreadable_structure",
        "JVASP-3": "invalid_label",
        "JVASP-4": "unknown_element",
        "JVASP-5": "unreadable_structure",
        "JVASP-6": "invalid_label",
        "JVASP-8": "unreadable_structure",
        "JVASP-9": "unreadable_structure",
        "JVASP-10": "missing_label",
        "JVASP-11": "implausible_label",
        "JVASP-12": "invalid_label",
    }
    assert report.rejected["missing_id"] == 1
    assert "a.json row 9: not valid JSON" in found["JVASP-8"][1]
    assert "func is 'PBE', expected OptB88vdW" in found["JVASP-3"][1]


def test_implausible_labels_can_cost_the_row(tmp_path):
    path = write(tmp_path / "a.json", [record("a"), record("b", shear_modulus_gv=-8.0)])
    kept = ingest_source(tmp_path / "kept", JarvisSource(path=str(path)))
    assert (kept.n_kept, kept.n_dropped) == (2, {"shear_modulus": 1})
    assert [row["shear_modulus"] for row in rows(tmp_path / "kept")] == [9.1, None]
    strict = JarvisSource(path=str(path), implausible="reject_row")
    lost = ingest_source(tmp_path / "lost", strict)
    assert (lost.rejected, lost.n_dropped) == ({"implausible_label": 1}, {})


def test_labels_left_out_of_rejected_rows_are_not_counted(tmp_path):
    near = {**CELL, "coords": [[0.0, 0.0, 0.0], [0.0, 0.0, 0.01]]}
    bad = record("b", atoms=near, shear_modulus_gv=-8.0)
    path = write(tmp_path / "a.json", [record("a"), bad])
    report = ingest_source(tmp_path, JarvisSource(path=str(path)))
    assert (report.rejected, report.n_dropped) == ({"overlapping_atoms": 1}, {})


def test_ranges_are_looked_for_once_a_content(tmp_path, monkeypatch):
    path = write(tmp_path / "a.json", [record(f"m{n}") for n in range(5)])
    source = JarvisSource(path=str(path), part_size=2)
    stored = StoredSource(tmp_path / "store", "jarvis")
    first = source.plan(stored)
    assert (first.n_expected, len(first.parts)) == (5, 3)
    seen = []

    def look(path, size):
        seen.append(size)
        return find_ranges(path, size)

    monkeypatch.setattr(module, "find_ranges", look)
    assert source.plan(stored) == first
    assert seen == []
    write(path, [record("other")])
    source.plan(stored)
    assert seen == [2]


def test_a_damaged_note_of_ranges_is_made_again(tmp_path):
    path = write(tmp_path / "a.json", [record(f"m{n}") for n in range(5)])
    stored = StoredSource(tmp_path / "store", "jarvis")
    source = JarvisSource(path=str(path), part_size=2)
    first = source.plan(stored)
    for content in ("[[0", '[{"first": 0}]'):
        [note] = stored.folder.glob("*.json")
        note.write_text(content)
        assert source.plan(stored) == first


def test_only_what_was_not_read_is_read_after_a_kill(tmp_path, monkeypatch):
    path = write(tmp_path / "a.json", [record(f"m{n}") for n in range(5)])
    source = JarvisSource(path=str(path), part_size=2)
    plan = plan_ingest(tmp_path / "store", source)
    read_part(source, plan.parts[1], Path(plan.folder))
    seen = []
    real_read = JarvisSource.read

    def read(self, part):
        seen.append(part.index)
        return real_read(self, part)

    monkeypatch.setattr(JarvisSource, "read", read)
    assert ingest_source(tmp_path / "store", source).n_kept == 5
    assert seen == [0, 2]
    assert not ingest_source(tmp_path / "store", source).was_read


def test_the_place_of_a_file_does_not_matter_and_how_it_is_read_does(tmp_path):
    path = write(tmp_path / "a.json", [record("m")])
    copy = tmp_path / "copy.json"
    copy.write_bytes(path.read_bytes())
    stored = StoredSource(tmp_path / "store", "jarvis")

    def digest(**settings):
        return JarvisSource(**({"path": str(path)} | settings)).plan(stored).parts[0].digest

    assert digest() == digest(path=str(copy)) == digest(downloads="elsewhere")
    others = [
        digest(gap="mbj"),
        digest(metal_at_most=0.1),
        digest(release="dft_3d_2022"),
        digest(license="CC0"),
        digest(implausible="reject_row"),
    ]
    assert len({digest(), *others}) == len(others) + 1


def test_a_byte_order_mark_does_no_harm(tmp_path):
    path = write(tmp_path / "a.json", [record("JVASP-1"), record("JVASP-2")])
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    source = JarvisSource(path=str(path), part_size=1)
    assert ingest_source(tmp_path / "store", source).n_kept == 2


@pytest.mark.parametrize(
    ("faulty", "name", "reason"),
    [
        ({"func": "a \ud800"}, "JVASP-1", "invalid_label"),
        ({"optb88vdw_bandgap": "\ud800"}, "JVASP-1", "invalid_label"),
        ({"atoms": {"\ud800": 1}}, "JVASP-1", "unreadable_structure"),
        ({"optb88vdw_bandgap": 10**400}, "JVASP-1", "invalid_label"),
        (
            {"atoms": {**CELL, "coords": [[10**400, 0, 0], [0, 0, 0]]}},
            "JVASP-1",
            "unreadable_structure",
        ),
        ({"atoms": {**CELL, "cartesian": "no"}}, "JVASP-1", "unreadable_structure"),
    ],
    ids=["functional", "label", "atoms", "large label", "large coordinate", "form"],
)
def test_what_no_table_can_hold_costs_one_row(tmp_path, faulty, name, reason):
    path = write(tmp_path / "a.json", [{**record("JVASP-1"), **faulty}, record("JVASP-2")])
    report = ingest_source(tmp_path / "store", JarvisSource(path=str(path)))
    assert (report.n_kept, report.rejected) == (1, {reason: 1})
    assert list(rejects(tmp_path / "store")) == [name]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"<html>Sign in</html>", r"a\.json: the text is no JSON list"),
        (b"[]", "the list holds no records"),
        (b'[{"jid": "a"}, {"jid": ', "the file is cut off"),
        (b"", "the text is no JSON list"),
    ],
)
def test_a_file_of_another_kind_is_one_clear_error(tmp_path, content, words):
    (tmp_path / "a.json").write_bytes(content)
    source = JarvisSource(path=str(tmp_path / "a.json"))
    with pytest.raises(SourceError, match=words):
        plan_ingest(tmp_path / "store", source)


@pytest.mark.parametrize("path", ["gone.json", "."])
def test_a_missing_file_is_named(tmp_path, path):
    with pytest.raises(SourceError, match="no such file"):
        plan_ingest(tmp_path / "store", JarvisSource(path=str(tmp_path / path)))


def test_a_file_that_changes_while_it_is_read_is_refused(tmp_path):
    path = write(tmp_path / "a.json", [record("a"), record("b")])
    source = JarvisSource(path=str(path))
    [part] = source.plan(StoredSource(tmp_path / "store", "jarvis")).parts
    write(path, [record("a")])
    with pytest.raises(SourceError, match="changed or vanished"):
        list(source.read(part))
    path.unlink()
    with pytest.raises(SourceError, match="changed or vanished"):
        list(source.read(part))


def test_settings_that_make_no_sense_are_refused():
    for settings, words in (
        ({"release": "dft_3d"}, "dft_3d_2021"),
        ({"release": ["dft_3d_2021"]}, "dft_3d_2021"),
        ({"gap": "hse"}, "mbj"),
        ({"metal_at_most": -1.0}, "greater than or equal"),
        ({"file": "x"}, "Extra inputs"),
    ):
        with pytest.raises(ValidationError, match=words):
            JarvisSource(**settings)


def test_release_and_citation_are_stated(tmp_path):
    source = JarvisSource()
    assert source.release == "dft_3d_2021"
    assert "npj Comput. Mater. 6, 173 (2020)" in str(source.citation)
    assert "2025.114063" in str(JarvisSource(release="dft_3d_2025").citation)
    assert JarvisSource(citation="ours").citation == "ours"
    local = JarvisSource(path="x.json")
    assert (local.release, local.license) == (None, LICENSE)
    assert JarvisSource.model_validate(local.model_dump()) == local


def test_the_number_of_a_row_is_that_in_the_file_in_every_part(tmp_path):
    given = [record("a"), record("b"), "nonsense", record("c"), "junk"]
    path = write(tmp_path / "a.json", given)
    found = read(JarvisSource(path=str(path), part_size=2), tmp_path / "store")
    errors = [raw.error[1].partition(":")[0] for raw in found if raw.error]
    assert errors == ["a.json row 3", "a.json row 5"]


def test_a_zip_archive_and_gzip_are_read_as_the_plain_file(tmp_path):
    plain = write(tmp_path / "a.json", [record("a"), record("b")])
    packed = tmp_path / "b.json.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    archive = tmp_path / "c.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as out:
        out.write(plain, "jdft_3d-8-18-2021.json")
    found = [
        [(raw.material_id, raw.labels, raw.crystal.frac_coords.tolist()) for raw in group]
        for path in (plain, packed, archive)
        for group in [read(JarvisSource(path=str(path), part_size=1), tmp_path / "store")]
    ]
    assert found[0] == found[1] == found[2]
