"""`FilesSource` on samples of published data sets, where they are at hand."""

from __future__ import annotations

import gzip
import json

import pandas as pd
import pytest

from crystalgnn_core.records.checks.validation import validate
from crystalgnn_core.sources.files.source import FilesSource
from crystalgnn_core.sources.formats.columns import TargetColumn
from tests.paths import DATA

pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="the samples are not at hand")


def mine(path, **settings):
    return FilesSource(name="mine", path=str(path), **settings)


def validated(config, n_rows):
    part = config.parts()[0]
    assert part.payload.get("n_rows", n_rows) == n_rows
    targets = config.target_names()
    records, rejects, _ = validate(
        list(config.read(part)), source="mine", targets=targets, require_labels="all"
    )
    assert not rejects
    return records.to_pylist()


def test_mp20_rows_are_all_good():
    targets = {
        name: TargetColumn(column=name, label_scheme="MP 2021 (MP-20)")
        for name in ("formation_energy_per_atom", "band_gap")
    }
    config = mine(DATA / "mp20.parquet", targets=targets, part_size=200)
    rows = validated(config, 200)
    frame = pd.read_parquet(DATA / "mp20.parquet").head(200)
    assert [row["material_id"] for row in rows] == frame["material_id"].tolist()
    assert [row["band_gap"] for row in rows] == frame["band_gap"].tolist()
    assert [row["split"] for row in rows] == frame["split"].tolist()
    sites = [
        len(cif.rstrip().partition("_occupancy\n")[2].split("\n")) for cif in frame["cif"]
    ]
    assert [row["n_sites"] for row in rows] == sites


def test_perovskite_heats_are_read_as_a_target():
    targets = {
        "formation_energy_per_atom": TargetColumn(
            column="heat_all", label_scheme="GLLB-SC"
        ),
        "band_gap": TargetColumn(column="ind_gap", label_scheme="GLLB-SC"),
    }
    config = mine(DATA / "perov5_val.parquet", targets=targets, part_size=100)
    rows = validated(config, 100)
    assert all(row["n_sites"] == 5 for row in rows)
    heats = pd.read_parquet(DATA / "perov5_val.parquet")["heat_all"].head(100)
    assert [row["formation_energy_per_atom"] for row in rows] == heats.tolist()


def test_jarvis_records_are_read_from_json(tmp_path):
    with gzip.open(DATA / "jarvis_dft3d_subset.json.gz", "rt") as stream:
        records = json.load(stream)[:300]
    (tmp_path / "subset.json").write_text(json.dumps(records))
    full = DATA / "real_full_record_JVASP-90856.json"
    (tmp_path / "full.json").write_text(full.read_text())
    rows = validated(mine(tmp_path), 301)
    assert [row["material_id"] for row in rows[1:]] == [record["jid"] for record in records]
    assert [row["n_sites"] for row in rows[1:]] == [record["nat"] for record in records]
    assert (rows[0]["material_id"], rows[0]["formula"]) == ("JVASP-90856", "TiCuSiAs")
