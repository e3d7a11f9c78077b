"""Folders of CGCNN and ALIGNN: every line of the table and every file has its answer."""

from __future__ import annotations

import numpy as np
import pytest
from pymatgen.core.structure import Structure

from crystalgnn_core.errors import ConfigError
from crystalgnn_core.sources.files.source import FilesSource
from crystalgnn_core.sources.ingest.run import ingest_source, read_source
from tests.core.sources.plans import parts_of

SALT = Structure(2.82 * (1 - np.eye(3)), ["Na", "Cl"], np.array([[0.0] * 3, [0.5] * 3]))
GAP = {"band_gap": {"column": 1, "label_scheme": "JARVIS OptB88vdW"}}
XYZ = (
    '2\nLattice="4.0 0 0 0 4.0 0 0 0 4.0" Properties=species:S:1:pos:R:3\n'
    "Cs 0 0 0\nCl 2.0 2.0 2.0\n"
)


def source(folder, **settings):
    given = {"name": "mine", "path": str(folder), "targets": GAP}
    return FilesSource.model_validate(given | settings)


def fill(folder, table, *names):
    (folder / "id_prop.csv").write_text(table)
    for name in names:
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        if name.endswith(".cif"):
            path.write_text(SALT.to(fmt="cif"))
        else:
            path.write_text(XYZ if name.endswith(".xyz") else SALT.to(fmt="poscar"))
    return folder


def gaps(config):
    """Return id to label, or to the reason of the reject."""
    return {
        record.material_id: record.labels["band_gap"]
        if record.error is None
        else record.error[1].removeprefix(f"{record.material_id}: ")
        for record in read_source(config)
    }


def test_files_of_alignn_are_those_that_the_table_names(tmp_path):
    # alignn/examples/sample_data; atomgpt#5, alignn#174
    names = [f"POSCAR-JVASP-{number}.vasp" for number in (10, 64906, 98225)]
    table = f"{names[0]},0.0\n{names[2]},0.472\nPOSCAR-JVASP-7.vasp,1.0\n"
    config = source(fill(tmp_path, table, *names))
    assert gaps(config) == {
        names[0]: 0.0,
        names[2]: 0.472,
        "POSCAR-JVASP-7.vasp": f"{tmp_path.name}: there is no file POSCAR-JVASP-7.vasp "
        "for this line of id_prop.csv",
    }
    left = [(names[1], f"{names[1]}: not read; no line of id_prop.csv names it")]
    assert config.unsupported_files() == left
    report = ingest_source(tmp_path.parent / f"{tmp_path.name}-store", config)
    assert (report.n_in, report.n_kept) == (3, 2)
    assert report.rejected == {"unreadable_structure": 1}


def test_names_may_lack_their_suffix_and_be_of_any_kind(tmp_path):
    files = ("9.cif", "9.vasp", "b.xyz", "POSCAR-1", "deep/c.vasp", "d.vasp", "d.xyz")
    table = '9,1\n"b",2\nPOSCAR-1,3\n ./deep/c.vasp ,4\nd,5\n"d.vasp",6\n9.cif,7\n'
    found = gaps(source(fill(tmp_path, table, *files)))
    assert found.pop("d").endswith("d.vasp, d.xyz begin with this name; write the whole "
                                   "name of one")  # fmt: skip
    assert found.pop("9.cif").endswith("9.cif is named by another line too; remove one of "
                                       "the lines")  # fmt: skip
    expected = {"9": 1, "b": 2, "POSCAR-1": 3, "./deep/c.vasp": 4, "d.vasp": 6}
    assert found == expected
    left = dict(source(tmp_path).unsupported_files())
    assert left.keys() == {"9.vasp", "d.xyz"}


def test_files_of_a_pattern_that_no_line_names_have_no_label(tmp_path):
    fill(tmp_path, "a.vasp,1.5\n", "a.vasp", "b.vasp", "c.cif")
    assert gaps(source(tmp_path)) == {"a.vasp": 1.5, "c": None}
    assert gaps(source(tmp_path, pattern=["*.vasp"])) == {"a.vasp": 1.5, "b": None}


@pytest.mark.parametrize("header", ["id,gap", "filename,gap", "ID ; gap"])
def test_a_header_is_known_by_the_names_that_are_asked_for(tmp_path, header):
    sep = ";" if ";" in header else ","
    table = f"{header}\na.vasp{sep}1.5\ngone{sep}2\n"
    fill(tmp_path, table, "a.vasp")
    named = {"band_gap": {"column": "gap", "label_scheme": "PBE"}}
    found = gaps(source(tmp_path, targets=named))
    assert found.pop("gone").endswith(
        "there is no file gone.cif for this line of id_prop.csv"
    )
    assert found == {"a.vasp": 1.5}
    other = {"band_gap": {"column": "gapp", "label_scheme": "PBE"}}
    with pytest.raises(ConfigError, match="no column gapp"):
        parts_of(source(tmp_path, targets=other))


def test_a_table_of_labels_may_name_files_with_their_suffix(tmp_path):
    fill(tmp_path, "", "a.cif", "b.cif", "c.vasp", "c.xyz")
    (tmp_path / "id_prop.csv").unlink()
    labels = tmp_path / "labels.csv"
    labels.write_text("id,gap\na.cif,1.5\nb,2.5\nc,3.5\nelsewhere.cif,4.5\n")
    named = {"band_gap": {"column": "gap", "label_scheme": "PBE"}}
    found = gaps(source(tmp_path, targets=named, labels=str(labels)))
    assert found == {"a.cif": 1.5, "b": 2.5, "c.vasp": None, "c.xyz": None}


def test_the_label_of_a_file_of_alignn_that_changed_is_read_again(tmp_path):
    fill(tmp_path, "a.vasp,1.5\n", "a.vasp")
    store = tmp_path.parent / f"{tmp_path.name}-store"
    assert ingest_source(store, source(tmp_path)).n_kept == 1
    (tmp_path / "id_prop.csv").write_text("a.vasp,1.75\n")
    report = ingest_source(store, source(tmp_path))
    assert (report.n_in, report.n_kept) == (1, 1)
    [part] = parts_of(source(tmp_path))
    assert [record.labels for record in source(tmp_path).read(part)] == [{"band_gap": 1.75}]
