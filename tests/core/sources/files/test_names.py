"""Files of any name and kind in a folder: each is a row, or a line with a reason."""

import os

import numpy as np
import pytest
from pymatgen.core.structure import Structure

from crystalgnn_core.errors import CrystalGNNError
from crystalgnn_core.records.schema import LISTING_STAGE
from crystalgnn_core.records.table.store import RecordStore
from crystalgnn_core.screening.inputs import read_inputs
from crystalgnn_core.sources.files.source import FilesSource
from crystalgnn_core.sources.ingest.commit import commit_ingest
from crystalgnn_core.sources.ingest.run import ingest_source, plan_ingest, read_part
from crystalgnn_core.sources.vasp import VaspSource
from tests.core.sources.vasprun_texts import vasprun_text

SODIUM = Structure(2.1 * (1 - 2 * np.eye(3)), ["Na"], np.zeros((1, 3)))
POSCAR = "Si\n{a}\n1 0 0\n0 1 0\n0 0 1\nSi\n1\ndirect\n0 0 0\n"
# tarindexer#9 and dupeguru#335: names in Latin-1; one that is written as another is shown
BYTES = ("bad\udcff.vasp", "in\udce9/c.vasp")
TEXTS = ("bad\\xff", "new\nline", "-dash", "~", "a%20b", "a#?*[x]", "ü", "u\u0308", "file:")


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "data"
    names = [*BYTES, *(f"{name}.vasp" for name in TEXTS)]
    for number, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(POSCAR.format(a=3 + number / 10))
    return folder


def source(path, **settings):
    return FilesSource.model_validate({"name": "mine", "path": str(path), **settings})


def lattice_lengths(store):
    rows = RecordStore(store).read(["mine"], ["lattice"]).to_pylist()
    return {row["material_id"]: round(row["lattice"][0], 3) for row in rows}


def test_names_are_ids_as_unicode_and_open_their_own_file(folder, tmp_path):
    ids = [r"bad\xff-6e80d4", r"in\xe9/c", *TEXTS]
    expected = {name: round(3 + number / 10, 3) for number, name in enumerate(ids)}
    found = {record.material_id: record for record in read_inputs(folder)}
    assert sorted(found) == sorted(expected)
    assert all(record.error is None for record in found.values())
    ingest_source(tmp_path / "store", source(folder))
    assert lattice_lengths(tmp_path / "store") == expected
    assert not ingest_source(tmp_path / "store", source(folder)).was_read


def test_a_name_of_bytes_alone_is_shown_with_them(tmp_path):
    path = tmp_path / "b\udcff.cif"
    path.write_text("data_x\n_cell_length_a 1\n")
    [record] = read_inputs(path)
    assert record.error is not None
    assert record.error[1].startswith(r"b\xff: b\xff.cif: ")


def test_what_is_no_file_is_named_and_never_waited_for(folder, tmp_path):
    os.mkfifo(folder / "pipe.cif")
    (folder / "zero.cif").symlink_to("/dev/zero")
    (folder / "loop.cif").symlink_to("loop.cif")
    reasons = {"pipe.cif": "a pipe", "zero.cif": "a pipe", "loop.cif": "a link"}
    rejected = {r.material_id: r.error for r in read_inputs(folder) if r.error is not None}
    assert {name: error[0] for name, error in rejected.items()} == dict.fromkeys(
        reasons, "unsupported_file"
    )
    ingest_source(tmp_path / "store", source(folder))
    listed = RecordStore(tmp_path / "store").rejects().to_pylist()
    assert {row["material_id"]: row["stage"] for row in listed} == dict.fromkeys(
        reasons, LISTING_STAGE
    )
    for name, why in reasons.items():
        assert why in rejected[name][1]
        with pytest.raises(CrystalGNNError, match=rf"{name}: {why}"):
            list(read_inputs(folder / name))
        with pytest.raises(CrystalGNNError, match=name):
            ingest_source(tmp_path / "other", source(folder / name))
    pipe = tmp_path / "labels.csv"
    os.mkfifo(pipe)
    targets = {"band_gap": {"column": "gap", "label_scheme": "ours"}}
    with pytest.raises(CrystalGNNError, match="a pipe or a device"):
        ingest_source(tmp_path / "other", source(folder, labels=str(pipe), targets=targets))
    with pytest.raises(CrystalGNNError, match="a pipe or a device"):
        ingest_source(tmp_path / "other", VaspSource(name="runs", path=str(pipe)))


def unreadable(path):
    """Make a file that fails when it is read, for whoever reads it (Linux)."""
    path.unlink()
    path.symlink_to("/proc/self/mem")


def gone(path):
    path.unlink()


def changed(path):
    path.write_text(POSCAR.format(a=9))


@pytest.mark.parametrize("spoil", [unreadable, gone, changed])
def test_a_file_that_is_lost_while_it_is_read_costs_its_row(folder, tmp_path, spoil):
    """The next ingest reads it, also if it is then as it was."""
    store, mine = tmp_path / "store", source(folder)
    content = (folder / "~.vasp").read_text()
    plan = plan_ingest(store, mine)
    spoil(folder / "~.vasp")
    [state] = [read_part(mine, part, tmp_path / "staged") for part in plan.parts]
    assert (state.n_in, state.rejects.n_rows) == (11, 1)

    report = commit_ingest(store, mine, plan, [state])
    assert report.rejected == {"unreadable_structure": 1}
    (folder / "~.vasp").unlink(missing_ok=True)
    (folder / "~.vasp").write_text(content)
    again = ingest_source(store, mine)
    assert (again.n_kept, again.counts.n_new, again.rejected) == (11, 1, {})
    assert ingest_source(store, mine).counts.n_unchanged == 11


def test_a_file_that_cannot_be_read_is_read_when_it_can(folder, tmp_path):
    store, mine = tmp_path / "store", source(folder)
    unreadable(folder / "~.vasp")
    [rejected] = [record for record in read_inputs(folder) if record.error is not None]
    assert rejected.error is not None
    assert rejected.error[1].startswith("~: ~.vasp: the file cannot be read (Input/output")
    assert ingest_source(store, mine).rejected == {"unreadable_structure": 1}
    assert not ingest_source(store, mine).was_read
    (folder / "~.vasp").unlink()
    (folder / "~.vasp").write_text(POSCAR.format(a=4))
    assert ingest_source(store, mine).counts.n_new == 1


def test_a_file_that_vanishes_behind_the_list_is_a_row_of_a_prediction(folder):
    records = read_inputs(folder)
    first = next(records)
    (folder / "~.vasp").unlink()
    rest = {record.material_id: record.error for record in records}
    assert len([first, *rest]) == 11
    assert rest["~"] is not None
    assert "No such file" in rest["~"][1]


def test_runs_of_any_name_and_those_that_are_lost_are_rows(tmp_path):
    folder, store = tmp_path / "runs", tmp_path / "store"
    for name in ("a\udcff", "b"):
        (folder / name).mkdir(parents=True)
        (folder / name / "vasprun.xml").write_text(vasprun_text(SODIUM, -2.5))
    mine = VaspSource(name="runs", path=str(folder), formation_energy=None)
    plan = plan_ingest(store, mine)
    (folder / "b" / "vasprun.xml").unlink()
    [part] = plan.parts
    found = {record.material_id: str(record.error) for record in mine.read(part)}
    assert sorted(found) == [r"a\xff", "b"]
    assert "changed or vanished" in found["b"]
    assert part.model_dump_json()
