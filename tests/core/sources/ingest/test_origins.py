"""Sources of many files read what is new or changed, and end as if they had read all."""

import itertools
import json
import random
import shutil
from pathlib import Path

import numpy as np
import pytest
from pymatgen.core.structure import Structure

from crystalgnn_core.records.table.store import RecordStore
from crystalgnn_core.sources import vasp
from crystalgnn_core.sources.energies import references
from crystalgnn_core.sources.files import parts
from crystalgnn_core.sources.files.source import FilesSource
from crystalgnn_core.sources.ingest import origins
from crystalgnn_core.sources.ingest.run import ingest_source, plan_ingest, read_part
from crystalgnn_core.sources.vasp import VaspSource
from tests.core.sources.vasprun_texts import vasprun_text

FCC = np.array([[0, 1, 1], [1, 0, 1], [1, 1, 0]])
SALT = Structure(2.8 * FCC, ["Na", "Cl"], np.array([[0.0] * 3, [0.5] * 3]))
SODIUM = Structure(2.1 * (1 - 2 * np.eye(3)), ["Na"], np.zeros((1, 3)))
CHLORINE = Structure(np.eye(3) * 4.5, ["Cl", "Cl"], np.array([[0.0] * 3, [0.45, 0, 0]]))
SCHEME = "MP GGA/GGA+U MP2020"
POSCAR = "Si\n{a}\n1 0 0\n0 1 0\n0 0 1\nSi\n1\ndirect\n0 0 0\n"
GAP = {"band_gap": {"column": "gap", "label_scheme": "ours"}}


@pytest.fixture
def opened(monkeypatch):
    """Names of the structure files and runs that were read."""
    seen: list[str] = []

    def counting(real):
        def read(path, *more):
            seen.append(Path(path).as_posix().rpartition("/data/")[2])
            return real(path, *more)

        return read

    for module, name in (
        (parts, "inputs_of"),
        (vasp, "read_vasp_run"),
        (references, "read_vasp_run"),
    ):
        monkeypatch.setattr(module, name, counting(getattr(module, name)))
    return seen


@pytest.fixture
def folder(tmp_path):
    for number in range(6):
        put(tmp_path / "data", f"s{number}.vasp", 3.0 + number / 100)
    (tmp_path / "data" / "bad.vasp").write_text("no structure")
    return tmp_path / "data"


def put(folder, name, a=3.0):
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(POSCAR.format(a=a))


def jarvis(jid, a=3.0):
    atoms = {"lattice_mat": (a * np.eye(3)).tolist(), "coords": [[0.0] * 3]}
    return json.dumps({"jid": jid, "atoms": {**atoms, "elements": ["Si"]}})


def files(folder, **settings):
    return FilesSource.model_validate(
        {"name": "mine", "path": str(folder), "part_size": 3, **settings}
    )


def content(store):
    records = RecordStore(store)
    names = sorted(records.source_counts())
    rows = records.read(names, ["content_digest", "source_version"]).to_pylist()
    rejects = records.rejects().select(["material_id", "reason"]).to_pylist()
    return rows, sorted(map(str, rejects))


def read_fresh(tmp_path, source):
    store = tmp_path / "fresh"
    shutil.rmtree(store, ignore_errors=True)
    return ingest_source(store, source), content(store)


def ingest_and_compare(tmp_path, source):
    """Ingest into the old store; it must hold what a new store would."""
    report = ingest_source(tmp_path / "store", source)
    fresh, wanted = read_fresh(tmp_path, source)
    assert content(tmp_path / "store") == wanted
    assert (report.n_in, report.n_kept, report.rejected, report.n_labels) == (
        fresh.n_in,
        fresh.n_kept,
        fresh.rejected,
        fresh.n_labels,
    )
    return report


def test_one_new_file_of_many_is_read_alone(folder, tmp_path, opened):
    ingest_source(tmp_path / "store", files(folder))
    assert len(opened) == 7
    opened.clear()
    put(folder, "new.vasp", 4.0)
    report = ingest_source(tmp_path / "store", files(folder))
    assert opened == ["new.vasp"]
    assert (report.n_in, report.n_kept) == (8, 7)
    assert report.rejected == {"unreadable_structure": 1}
    assert (report.counts.n_new, report.counts.n_unchanged) == (1, 6)
    opened.clear()
    assert not ingest_source(tmp_path / "store", files(folder)).was_read
    assert opened == []
    _, fresh = read_fresh(tmp_path, files(folder))
    assert content(tmp_path / "store") == fresh


def test_one_new_run_of_many_is_parsed_alone(tmp_path, opened):
    data = tmp_path / "data"

    def put_run(name, text):
        (data / name).mkdir(parents=True)
        (data / name / "vasprun.xml").write_text(text)

    for number in range(4):
        put_run(f"r{number}", vasprun_text(SALT, -6.8 + number / 100))
    put_run("cut", vasprun_text(SALT, -6.8)[:-900])
    elements = tmp_path / "data" / "elements"
    put_run("elements/Na", vasprun_text(SODIUM, -1.3))
    put_run("elements/Cl", vasprun_text(CHLORINE, -3.6))
    settings = {"references": {"path": str(data), "label_scheme": SCHEME}}
    source = VaspSource.model_validate(
        {"name": "runs", "path": str(data), "part_size": 2, "formation_energy": settings}
    )
    assert ingest_source(tmp_path / "store", source).n_kept == 6
    opened.clear()
    put_run("later", vasprun_text(SALT, -6.9))
    report = ingest_source(tmp_path / "store", source)
    assert opened == ["later/vasprun.xml"]
    assert (report.counts.n_new, report.rejected) == (1, {"unreadable_structure": 1})
    assert content(tmp_path / "store") == read_fresh(tmp_path, source)[1]
    # other references are other energies of all runs
    opened.clear()
    (elements / "Na" / "vasprun.xml").write_text(vasprun_text(SODIUM, -1.4))
    assert (
        ingest_source(tmp_path / "store", source).counts.n_changed == 5
    )  # not the elements
    assert len(opened) == 1 + 8


def test_deleted_renamed_and_equal_files_end_as_if_all_were_read(folder, tmp_path, opened):
    ingest_source(tmp_path / "store", files(folder))
    opened.clear()
    (folder / "s0.vasp").unlink()
    (folder / "s1.vasp").rename(folder / "t1.vasp")
    shutil.copy(folder / "s2.vasp", folder / "copy.vasp")
    report = ingest_source(tmp_path / "store", files(folder))
    assert sorted(opened) == ["copy.vasp", "t1.vasp"]
    assert (report.counts.n_new, report.counts.n_removed) == (2, 2)
    assert content(tmp_path / "store") == read_fresh(tmp_path, files(folder))[1]
    opened.clear()
    (folder / "s3.vasp").unlink()
    report = ingest_source(tmp_path / "store", files(folder))  # nothing at all is read
    assert (opened, report.counts.n_removed, report.n_kept) == ([], 1, 5)


def test_other_settings_and_other_readers_read_all_again(
    folder, tmp_path, opened, monkeypatch
):
    ingest_source(tmp_path / "store", files(folder))
    for change in ("settings", "readers"):
        opened.clear()
        put(folder, f"{change}.vasp", 4.0)
        settings = {"license": "CC0"}
        if change == "readers":
            monkeypatch.setattr(origins, "version", lambda _: "of tomorrow")
            origins._versions.cache_clear()
        ingest_source(tmp_path / "store", files(folder, **settings))
        assert len(opened) == 8 + (change == "readers")
    monkeypatch.undo()
    origins._versions.cache_clear()


def test_a_file_of_many_rows_is_kept_whole_and_read_whole(folder, tmp_path, opened):
    frame = (
        '1\nLattice="{a} 0 0 0 {a} 0 0 0 {a}" Properties=species:S:1:pos:R:3\nSi 0 0 0\n'
    )
    many = folder / "many.extxyz"
    many.write_text("".join(frame.format(a=3 + n / 10) for n in range(5)))
    assert ingest_source(tmp_path / "store", files(folder)).n_kept == 11
    put(folder, "more.vasp", 4.2)
    opened.clear()
    assert ingest_and_compare(tmp_path, files(folder)).counts.n_unchanged == 11
    assert opened[0] == "more.vasp"
    many.write_text("".join(frame.format(a=3 + n / 10) for n in range(4)))
    opened.clear()
    report = ingest_source(tmp_path / "store", files(folder))
    assert (opened, report.counts.n_removed) == (["many.extxyz"], 1)


def test_ids_that_two_files_give_end_as_if_all_were_read(folder, tmp_path):
    """The first is kept; where it goes or a third comes, the others are read again."""
    (folder / "x.json").write_text(jarvis("J-1", 3.3))
    (folder / "y.json").write_text(jarvis("J-1", 3.4))
    report = ingest_source(tmp_path / "store", files(folder))
    assert report.rejected == {"duplicate_id": 1, "unreadable_structure": 1}
    put(folder, "new.vasp", 4.0)
    ingest_and_compare(tmp_path, files(folder))
    (folder / "x.json").unlink()
    assert ingest_and_compare(tmp_path, files(folder)).rejected.keys() == {
        "unreadable_structure"
    }
    (folder / "z.json").write_text(jarvis("J-1", 3.5))
    report = ingest_and_compare(tmp_path, files(folder))
    assert report.rejected["duplicate_id"] == 1


def test_a_new_row_under_the_id_of_one_that_stays_is_a_duplicate(folder, tmp_path):
    ingest_source(tmp_path / "store", files(folder))
    (folder / "a.json").write_text(jarvis("s3"))  # before s3.vasp, which stays
    report = ingest_source(tmp_path / "store", files(folder))
    assert report.rejected == {"duplicate_id": 1, "unreadable_structure": 1}
    assert report.n_in == report.n_kept + 2 == 8
    assert not ingest_source(tmp_path / "store", files(folder)).was_read


def test_a_new_label_reads_the_rows_that_it_concerns(folder, tmp_path, opened):
    labels = tmp_path / "labels.csv"
    lines = ["id,gap", *(f"s{number},{number}.5" for number in range(6))]
    labels.write_text("\n".join(lines))
    source = files(folder, labels=str(labels), targets=GAP)
    ingest_source(tmp_path / "store", source)
    put(folder, "new.vasp", 4.0)
    labels.write_text("\n".join([*lines[:3], "s2,9.5", *lines[4:], "new,1.0"]))
    opened.clear()
    report = ingest_source(tmp_path / "store", source)
    assert sorted(opened) == ["new.vasp", "s2.vasp"]
    assert (report.counts.n_new, report.counts.n_changed) == (1, 1)
    assert report.n_labels == {"band_gap": 7}
    assert content(tmp_path / "store") == read_fresh(tmp_path, source)[1]


def test_labels_left_out_are_counted_again(folder, tmp_path):
    labels = tmp_path / "labels.csv"
    labels.write_text("id,gap\ns0,1\ns1,99\n")
    settings = {"require_labels": "none", "implausible": "drop_label"}
    source = files(folder, labels=str(labels), targets=GAP, **settings)
    assert ingest_source(tmp_path / "store", source).n_dropped == {"band_gap": 1}
    put(folder, "new.vasp", 4.0)
    assert ingest_source(tmp_path / "store", source).n_dropped == {"band_gap": 1}


def test_an_interrupted_ingest_of_new_files_goes_on(folder, tmp_path, opened):
    store = tmp_path / "store"
    ingest_source(store, files(folder))
    for number in range(5):
        put(folder, f"new{number}.vasp", 4.0 + number / 10)
    plan = plan_ingest(store, files(folder))
    assert [len(part.payload["files"]) for part in plan.parts] == [3, 2]
    read_part(files(folder), plan.parts[0], Path(plan.folder))
    opened.clear()
    assert ingest_and_compare(tmp_path, files(folder)).counts.n_new == 5
    assert opened[:2] == ["new3.vasp", "new4.vasp"]
    assert not list((store / "sources" / "mine").glob("kept-*"))


def test_a_kill_between_rows_and_rejects_counts_each_row_once(
    folder, tmp_path, monkeypatch
):
    store = tmp_path / "store"
    ingest_source(store, files(folder))
    (folder / "a.json").write_text(jarvis("s3"))

    def die(*args, **more):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("crystalgnn_core.sources.ingest.commit.write_provenance", die)
        with pytest.raises(KeyboardInterrupt):
            ingest_source(store, files(folder))
    report = ingest_source(store, files(folder))
    assert report.n_in == report.n_kept + sum(report.rejected.values()) == 8
    assert report.rejected == {"duplicate_id": 1, "unreadable_structure": 1}


@pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_bytes(b"PAR1")])
def test_lost_and_damaged_notes_cost_time_and_nothing_else(
    folder, tmp_path, opened, damage
):
    ingest_source(tmp_path / "store", files(folder))
    for note in (tmp_path / "store" / "sources" / "mine").iterdir():
        damage(note)
    put(folder, "new.vasp", 4.0)
    opened.clear()
    ingest_and_compare(tmp_path, files(folder))
    assert len(opened) == 16


def test_any_history_of_a_folder_ends_as_if_all_was_read_once(tmp_path):
    """Files come, go, change, break, move and give each other's ids, in any order."""
    draw, folder = random.Random(0), tmp_path / "data"
    put(folder, "s.vasp")
    clock = itertools.count(3.0, 0.01)

    def change():
        present = sorted(path for path in folder.iterdir())
        victim = draw.choice(present)
        what = draw.choice(["add", "add", "id", "edit", "break", "move", "delete"])
        name = f"f{draw.randrange(9)}"
        if what == "add":
            put(folder, f"{name}.vasp", next(clock))
        elif what == "id":
            (folder / f"{name}.json").write_text(jarvis(draw.choice("xyz"), next(clock)))
        elif what == "edit" and victim.suffix == ".vasp":
            put(folder, victim.name, next(clock))
        elif what == "break":
            victim.write_text("broken")
        elif what == "move":
            victim.replace(folder / f"{name}{victim.suffix}")
        elif len(present) > 1:
            victim.unlink()

    for _ in range(7):
        for _ in range(draw.randrange(1, 4)):
            change()
        report = ingest_source(tmp_path / "store", files(folder))
        fresh, _ = read_fresh(tmp_path, files(folder))
        assert report.n_in == fresh.n_in == report.n_kept + sum(report.rejected.values())
        assert report.n_kept == fresh.n_kept
        assert report.rejected == fresh.rejected
