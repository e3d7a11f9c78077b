from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError
from pymatgen.core.structure import Structure

from crystalgnn_core.errors import ConfigError, SourceError
from crystalgnn_core.records.checks.validation import validate
from crystalgnn_core.sources.files.source import FilesSource
from crystalgnn_core.sources.formats.columns import TableColumns, TargetColumn
from tests.core.sources.plans import parts_of

SALT = Structure.from_spacegroup(
    "Fm-3m", np.eye(3) * 5.64, ["Na", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]]
)
CIF = SALT.to(fmt="cif")
GAP = {"band_gap": TargetColumn(column="gap", label_scheme="PBE")}
ATOMS = {
    "lattice_mat": [[3.0, 0, 0], [0, 3.0, 0], [0, 0, 3.0]],
    "coords": [[0.0, 0, 0], [1.5, 1.5, 1.5]],
    "elements": ["Cs", "Cl"],
    "cartesian": True,
}


def source(path, **settings):
    return FilesSource(name="mine", path=str(path), **settings)


def read(source_config):
    parts = parts_of(source_config)
    assert [part.index for part in parts] == list(range(len(parts)))
    return [record for part in parts for record in source_config.read(part)]


def check(record, targets):
    records, rejects, _ = validate(
        [record], source="mine", targets=targets, require_labels="all"
    )
    results: list[Any] = records.to_pylist() + rejects
    [result] = results
    return result


def table(folder, suffix, **columns):
    frame = pd.DataFrame(
        {"material_id": [f"m{i}" for i in range(10)], "cif": CIF} | columns
    )
    path = folder / f"table{suffix}"
    if suffix == ".csv":
        frame.to_csv(path, index=False)
    else:
        pq.write_table(pa.Table.from_pandas(frame), path, row_group_size=3)
    return path


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "run1").mkdir()
    (tmp_path / ".cache").mkdir()
    (tmp_path / "salt.cif").write_text(CIF)
    (tmp_path / "UPPER.CIF").write_text(CIF)
    (tmp_path / "run1" / "POSCAR").write_text(SALT.to(fmt="poscar"))
    (tmp_path / "POSCAR.mp-22862").write_text(SALT.to(fmt="poscar"))
    (tmp_path / "salt.json").write_text(SALT.to_json())
    (tmp_path / "jarvis.json").write_text(json.dumps({"jid": "JVASP-1", "atoms": ATOMS}))
    (tmp_path / "notes.txt").write_text("nothing")
    (tmp_path / ".cache" / "old.cif").write_text(CIF)
    return tmp_path


def test_folder_gives_one_record_a_file_with_unique_ids(folder):
    records = read(source(folder, license="CC0"))
    assert [record.material_id for record in records] == [
        "POSCAR.mp-22862",
        "UPPER",
        "JVASP-1",
        "run1/POSCAR",
        "salt.cif",
        "salt.json",
    ]
    assert all(record.error is None for record in records)
    assert {record.license for record in records} == {"CC0"}
    assert all(len(record.source_version) == 16 for record in records)
    assert np.allclose(records[2].crystal.frac_coords[1], 0.5)


def test_digest_of_a_folder_ignores_its_place_and_sees_its_content(folder, tmp_path):
    moved = tmp_path / "moved"
    moved.mkdir()
    (moved / "salt.cif").write_text(CIF)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "salt.cif").write_text(CIF)
    [first], [second] = parts_of(source(moved)), parts_of(source(tmp_path / "other"))
    assert first.digest == second.digest
    assert parts_of(source(moved, license="CC0"))[0].digest != first.digest
    (moved / "salt.cif").write_text(CIF.replace("5.64", "5.65"))
    assert parts_of(source(moved))[0].digest != first.digest
    [record] = source(moved).read(first)
    assert record.error is not None
    assert "changed or vanished" in record.error[1]


def test_parts_of_a_folder_are_read_alone_and_in_any_order(folder):
    config = source(folder, part_size=4)
    parts = parts_of(config)
    assert [len(list(config.read(part))) for part in reversed(parts)] == [2, 4]


def test_label_table_of_a_folder(folder):
    labels = folder / "labels.csv"
    labels.write_text("id,gap,split\nsalt.cif,5.0,train\nJVASP-1,na,\nUPPER,1,\nUPPER,2,\n")
    config = source(folder, labels=str(labels), targets=GAP)
    records = {record.material_id: record for record in read(config)}
    assert records["salt.cif"].labels == {"band_gap": 5.0}
    assert records["salt.cif"].label_schemes == {"band_gap": "PBE"}
    assert records["salt.cif"].split == "train"
    assert records["JVASP-1"].labels == {"band_gap": None}
    assert records["run1/POSCAR"].labels == {"band_gap": None}
    assert records["UPPER"].error[0] == "invalid_label"
    before = parts_of(config)[0].digest
    labels.write_text("id,gap\nsalt.cif,5.1\n")
    assert parts_of(config)[0].digest != before


def test_single_structure_file_is_a_source(tmp_path):
    (tmp_path / "salt.cif").write_text(CIF)
    [record] = read(source(tmp_path / "salt.cif"))
    assert record.material_id == "salt"
    assert check(record, ())["n_sites"] == 8


def test_path_may_start_at_home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "salt.cif").write_text(CIF)
    assert len(read(source("~/salt.cif"))) == 1


def test_empty_and_missing_folders_are_clear_errors(tmp_path):
    with pytest.raises(
        SourceError, match=r"no structure files in .*expected names like \*\.cif"
    ):
        parts_of(source(tmp_path))
    with pytest.raises(SourceError, match="no such file"):
        parts_of(source(tmp_path / "nowhere"))
    (tmp_path / "notes.txt").write_text("nothing")
    with pytest.raises(SourceError, match="no supported kind"):
        parts_of(source(tmp_path / "notes.txt"))


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_table_is_read_in_parts_that_add_up(tmp_path, suffix):
    path = table(tmp_path, suffix, gap=[0.1 * i for i in range(10)], split="val")
    whole = read(source(path, targets=GAP))
    assert [record.material_id for record in whole] == [f"m{i}" for i in range(10)]
    assert [record.labels["band_gap"] for record in whole] == [0.1 * i for i in range(10)]
    assert {record.split for record in whole} == {"val"}
    for part_size in (1, 4, 7):
        config = source(path, targets=GAP, part_size=part_size)
        parts = parts_of(config)
        assert len(parts) == -(-10 // part_size)
        assert len({part.digest for part in parts}) == len(parts)
        last = [record.material_id for record in config.read(parts[-1])]
        assert last == [f"m{i}" for i in range(part_size * (len(parts) - 1), 10)]
        assert [record.labels for record in read(config)] == [r.labels for r in whole]


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_bad_rows_of_a_table_become_error_records(tmp_path, suffix):
    cifs: list[str | None] = [CIF] * 10
    cifs[1], cifs[2] = None, CIF[:-30]
    cifs[3] = json.dumps(SALT.as_dict())
    ids: list[str | None] = [f"m{i}" for i in range(10)]
    ids[4] = None
    gaps = ["1.0", "1.0", "1.0", "2.5", "1.0", "abc", "na", "", None, "inf"]
    path = table(tmp_path, suffix, cif=cifs, material_id=ids, gap=gaps)
    config = source(
        path, targets={"band_gap": GAP["band_gap"].model_copy(update={"scale": 2})}
    )
    records = read(config)
    reasons = [record.error and record.error[0] for record in records]
    bad, missing, label = "unreadable_structure", "missing_id", "invalid_label"
    assert reasons == [None, bad, bad, None, missing, label, None, None, None, None]
    assert f"table{suffix} row 3" in records[2].error[1]
    assert "gap" in records[5].error[1]
    assert [records[i].labels["band_gap"] for i in (3, 6, 7, 8)] == [5.0, None, None, None]
    results = [check(record, ("band_gap",)) for record in records]
    assert [isinstance(row, dict) for row in results] == [i in (0, 3) for i in range(10)]
    assert results[9].reason == "invalid_label"
    assert results[6].reason == "missing_label"


def test_columns_are_chosen_by_name(tmp_path):
    path = table(tmp_path, ".csv", key=[f"k{i}" for i in range(10)], fold="test")
    columns = TableColumns(material_id="key", split="fold")
    records = read(source(path, columns=columns))
    assert (records[0].material_id, records[0].split) == ("k0", "test")
    with pytest.raises(ConfigError, match="its columns are material_id, cif, key, fold"):
        parts_of(source(path, targets=GAP))


def test_row_of_the_wrong_length_is_an_error_record(tmp_path):
    (tmp_path / "t.csv").write_text("id,structure\n007,a\n9\n")
    records = read(source(tmp_path / "t.csv"))
    assert [record.material_id for record in records] == ["007", ""]
    assert "1 cells" in records[1].error[1]


def test_table_without_rows_is_an_error(tmp_path):
    (tmp_path / "t.csv").write_text("id,cif\n")
    with pytest.raises(SourceError, match="no rows"):
        parts_of(source(tmp_path / "t.csv"))


def test_contradictory_settings_are_refused(tmp_path):
    with pytest.raises(ValidationError, match="unknown target 'hardness'"):
        source(tmp_path, targets={"hardness": GAP["band_gap"]})
    with pytest.raises(ValidationError, match="targets is empty"):
        source(tmp_path, labels="labels.csv")
    (tmp_path / "salt.cif").write_text(CIF)
    with pytest.raises(ConfigError, match="no table"):
        parts_of(source(tmp_path, targets=GAP))
    path = table(tmp_path, ".csv", gap=1.0)
    with pytest.raises(ConfigError, match="label table"):
        parts_of(source(path, targets=GAP, labels=str(path)))
    with pytest.raises(SourceError, match="a table must be"):
        parts_of(source(tmp_path, targets=GAP, labels=str(tmp_path / "salt.cif")))


def test_table_that_grew_is_noticed(tmp_path):
    path = table(tmp_path, ".csv")
    config = source(path)
    [part] = parts_of(config)
    path.write_text(path.read_text() + "m10,\n")
    with pytest.raises(SourceError, match="changed"):
        list(config.read(part))


METAL = {"is_metal": TargetColumn(column="metal", label_scheme="PBE")}
OF_GAP = {"is_metal": TargetColumn(column="gap", label_scheme="PBE", at_most=0.0)}


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_classes_are_read_and_anything_else_is_rejected(tmp_path, suffix):
    given = ["0", "1", "true", "False", "", "na", "2", "0.5", "yes", None]
    records = read(source(table(tmp_path, suffix, metal=given), targets=METAL))
    reasons = [record.error and record.error[0] for record in records]
    assert reasons == [None] * 6 + ["invalid_label"] * 3 + [None]
    assert [record.labels["is_metal"] for record in records[:6]] == [0, 1, 1, 0, None, None]
    assert "no class; give 0, 1, true or false" in records[6].error[1]
    row = check(records[2], ("is_metal",))
    assert (row["is_metal"], row["is_metal_scheme"]) == (1.0, "PBE")
    assert check(records[6], ("is_metal",)).reason == "invalid_label"


def test_booleans_of_a_parquet_table_are_classes(tmp_path):
    records = read(
        source(table(tmp_path, ".parquet", metal=[True, False] * 5), targets=METAL)
    )
    assert [record.labels["is_metal"] for record in records] == [1.0, 0.0] * 5


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_class_is_derived_from_a_gap_beside_the_gap_itself(tmp_path, suffix):
    gaps = ["0", "0.0", "-0.0", "1e-9", "2.5", "na", None, "inf", "abc", "0"]
    path = table(tmp_path, suffix, gap=gaps)
    records = read(source(path, targets=OF_GAP | GAP))
    metals = [record.labels.get("is_metal") for record in records]
    assert metals == [1, 1, 1, 0, 0, None, None, None, None, 1]
    assert [record.labels.get("band_gap") for record in records][3:6] == [1e-9, 2.5, None]
    assert [i for i, r in enumerate(records) if r.error is not None] == [7, 8]
    milli = TargetColumn(column="gap", label_scheme="PBE", at_most=0.1, scale=0.001)
    records = read(source(table(tmp_path, suffix, gap=[99.0, 101.0] * 5),
                          targets={"is_metal": milli}))  # fmt: skip
    assert [record.labels["is_metal"] for record in records] == [1.0, 0.0] * 5


def test_settings_of_a_class_that_make_no_sense_are_refused(tmp_path):
    gap = OF_GAP["is_metal"]
    with pytest.raises(ValidationError, match="band_gap is no class"):
        source(tmp_path, targets={"band_gap": gap})
    scaled = METAL["is_metal"].model_copy(update={"scale": 2.0})
    with pytest.raises(ValidationError, match="scale needs at_most"):
        source(tmp_path, targets={"is_metal": scaled})


def test_digests_from_before_classes_are_the_same(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("id,cif,gap\na,x,1\n")
    # as a version without classes computes them
    assert parts_of(source(path, targets=GAP))[0].digest == "afed6af15074ed08"
    assert parts_of(source(path))[0].digest == "957fbaa70d2833ad"
    others = {parts_of(source(path, targets=OF_GAP))[0].digest}
    bound = OF_GAP["is_metal"].model_copy(update={"at_most": 0.1})
    others.add(parts_of(source(path, targets={"is_metal": bound}))[0].digest)
    assert len(others) == 2
