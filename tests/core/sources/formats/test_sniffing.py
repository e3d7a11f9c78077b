"""Files under odd names, packed and encoded as people have them, are read or named.

Cases of public reports are named beside them; every one holds the same crystal.
"""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import pickle
import zipfile
from typing import TYPE_CHECKING

import ase.db
import numpy as np
import pytest
from ase import Atoms
from pymatgen.core.structure import Structure

from crystalgnn_core.screening.inputs import StructureText, read_inputs
from crystalgnn_core.sources.files.source import FilesSource
from crystalgnn_core.sources.formats import archives
from crystalgnn_core.sources.formats.sniffing import decode, look_at
from crystalgnn_core.sources.formats.structures import open_row_file, read_text
from crystalgnn_core.sources.formats.tables import open_table
from tests.core.sources.plans import parts_of
from tests.core.sources.raw_records import crystal_of, fault_of

if TYPE_CHECKING:
    from collections.abc import Callable

PACK: dict[str, Callable[[bytes], bytes]] = {
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
}
A = 5.64
SALT = Structure(
    A / 2 * np.array([[0, 1, 1], [1, 0, 1], [1, 1, 0]]),
    ["Na", "Cl"],
    [[0.0] * 3, [0.5] * 3],
)
CIF = SALT.to(fmt="cif")
POSCAR = SALT.to(fmt="poscar")
JSON = json.dumps(SALT.as_dict())
VECTORS = " ".join(str(x) for x in SALT.lattice.matrix.ravel())
XYZ = (
    f'2\nLattice="{VECTORS}" Properties=species:S:1:pos:R:3 pbc="T T T"\n'
    f"Na 0 0 0\nCl {A / 2} {A / 2} {A / 2}\n"
)
LINES = "\n".join(
    json.dumps({"material_id": name, "structure": SALT.as_dict(), "gap": 5.0})
    for name in "ab"
)


def crystals(path):
    """Return the records of a path, all of which must be the salt."""
    records = list(read_inputs(path))
    for record in records:
        crystal = crystal_of(record)
        assert sorted(crystal.atomic_numbers.tolist()) == [11, 17]
        assert abs(np.linalg.det(crystal.lattice)) == pytest.approx(A**3 / 4, rel=1e-5)
    return [record.material_id for record in records]


FILES = {
    "UTF-16 of PowerShell (case C20a)": ("a.cif", CIF.encode("utf-16"), "a"),
    "UTF-16 without its mark": ("a.cif", CIF.encode("utf-16-le"), "a"),
    "UTF-16 of another byte order": ("a.cif", CIF.encode("utf-16-be"), "a"),
    "UTF-16 of JSON (case J25)": ("a.json", JSON.encode("utf-16"), "a"),
    "UTF-16 of a POSCAR (case P12)": ("POSCAR", POSCAR.encode("utf-16"), "POSCAR"),
    "UTF-16 of frames": ("a.xyz", XYZ.encode("utf-16"), "a"),
    "UTF-32": ("a.cif", CIF.encode("utf-32"), "a"),
    "UTF-8 with a mark": ("a.cif", CIF.encode("utf-8-sig"), "a"),
    "UTF-8 with a mark, a POSCAR": ("POSCAR", POSCAR.encode("utf-8-sig"), "POSCAR"),
    "Latin-1 in a comment": ("a.cif", b"# M\xfcller\n" + CIF.encode(), "a"),
    "line ends of an old Mac (case C20d)": ("a.cif", CIF.replace("\n", "\r").encode(), "a"),
    "line ends of an old Mac, a POSCAR": (
        "POSCAR",
        POSCAR.replace("\n", "\r").encode(),
        "POSCAR",
    ),
    "line ends of an old Mac, frames": ("a.xyz", XYZ.replace("\n", "\r").encode(), "a"),
    "line ends of Windows": ("a.vasp", POSCAR.replace("\n", "\r\n").encode(), "a"),
    "end of file of DOS": ("a.cif", CIF.encode() + b"\n\x1a", "a"),
    "suffix .mcif (pymatgen#2947, case C35b)": ("a.mcif", CIF.encode(), "a"),
    "suffix .cif.txt (pymatgen#4250, case C36)": ("a.cif.txt", CIF.encode(), "a"),
    "suffix .vasp.gz": ("a.vasp.gz", gzip.compress(POSCAR.encode()), "a"),
    "suffix .POSCAR.xz (matbench-discovery, case P21)": (
        "NaCl.POSCAR.xz",
        lzma.compress(POSCAR.encode()),
        "NaCl",
    ),
    "POSCAR.xz": ("POSCAR.xz", lzma.compress(POSCAR.encode()), "POSCAR"),
    "suffix .json.bz2 of monty (case J26)": (
        "s.json.bz2",
        bz2.compress(JSON.encode()),
        "s",
    ),
    "suffix .extxyz.xz": ("a.extxyz.xz", lzma.compress(XYZ.encode()), "a"),
    "gzip without its suffix": ("a.cif", gzip.compress(CIF.encode()), "a"),
    "a suffix of gzip without gzip": ("a.cif.gz", CIF.encode(), "a"),
    "UTF-16 in bzip2": ("a.cif.bz2", bz2.compress(CIF.encode("utf-16")), "a"),
    "a CIF called POSCAR": ("POSCAR", CIF.encode(), "POSCAR"),
    "a POSCAR called .cif": ("a.cif", POSCAR.encode(), "a"),
    "JSON called .cif": ("a.cif", JSON.encode(), "a"),
    "a CIF called .json": ("a.json", CIF.encode(), "a"),
    "frames called .json": ("a.json", XYZ.encode(), "a"),
    "a CIF under an unknown suffix": ("a.dat", CIF.encode(), "a.dat"),
    "a POSCAR without a suffix": ("NaCl", POSCAR.encode(), "NaCl"),
    "frames under an unknown suffix": ("a.traj.txt", XYZ.encode(), "a.traj.txt"),
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_is_read_by_its_content(name, tmp_path):
    file, content, expected = FILES[name]
    (tmp_path / file).write_bytes(content)
    assert crystals(tmp_path / file) == [expected]


def test_lines_of_json_are_rows_with_ids_and_values(tmp_path):
    """Case J06, as users of Alexandria and LeMaterial store them."""
    path = tmp_path / "rows.jsonl"
    path.write_text(LINES + "\n\n")
    assert crystals(path) == ["a", "b"]
    (tmp_path / "rows.dat.gz").write_bytes(gzip.compress(LINES.encode()))
    assert crystals(tmp_path / "rows.dat.gz") == ["a", "b"]
    column = {"column": "gap", "label_scheme": "test"}
    source = FilesSource(name="mine", path=str(path), targets={"band_gap": column})
    [part] = parts_of(source)
    assert [record.labels["band_gap"] for record in source.read(part)] == [5.0, 5.0]


@pytest.mark.parametrize("kind", PACK)
def test_packed_rows_are_read_in_few_ranges(kind, tmp_path):
    """An archive is unpacked from its beginning for each range, so there are at most 16."""
    frames = [XYZ.replace(" pbc", f" id=x{number} pbc") for number in range(100)]
    line = json.dumps({"cell": VECTORS, "id": "x{}"})
    lines = [line.replace("{}", str(number)) for number in range(100)]
    rows = [f'{number},"{number}"' for number in range(100)]
    texts = {"a.xyz": "".join(frames), "a.jsonl": "\n".join(lines)}
    texts["a.csv"] = "\n".join(["id,cif", *rows, ""])
    for name, text in texts.items():
        path = tmp_path / f"{name}.{kind}"
        path.write_bytes(PACK[kind](text.encode()))
        parts, found = rows_of(path)
        assert 1 < len(parts) <= 16
        assert [each.lstrip("x") for each in found] == [str(n) for n in range(100)]


def rows_of(path):
    """Return the ranges of a file, and the ids of the rows in them."""
    if ".csv" in path.name:
        table = open_table(path)
        parts = table.slices(2)
        return parts, [str(row["id"]) for part in parts for row in table.rows(part, ["id"])]
    file = open_row_file(path)
    assert file is not None
    ranges = file.slices(2)
    return ranges, [row.material_id for part in ranges for row in file.rows(part, "id")]


def test_a_broken_line_of_json_is_one_reject(tmp_path):
    path = tmp_path / "rows.jsonl"
    first, second = LINES.split("\n")
    pretty = json.dumps(SALT.as_dict(), indent=1)
    (tmp_path / "pretty.jsonl").write_text(pretty)
    assert crystals(tmp_path / "pretty.jsonl") == ["pretty"]
    path.write_text("\n".join([first, second[:-9], "3", "[" * 100_000, "{}", second]))
    records = list(read_inputs(path))
    ids = ["a", "rows-2", "rows-3", "rows-4", "rows-5", "b"]
    assert [record.material_id for record in records] == ids
    assert [record.error is None for record in records] == [True, *[False] * 4, True]
    assert "rows.jsonl row 2: not valid JSON" in fault_of(records[1])[1]


def workbook():
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("xl/workbook.xml", "<workbook/>")
    return stream.getvalue()


def zipped(*names):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name in names:
            archive.writestr(name, CIF)
    return stream.getvalue()


JUNK = {
    "picture": (b"\x89PNG\r\n\x1a\n\x00\x00", "a PNG picture"),
    "page": (b"\n<!DOCTYPE html>\n<html><body>404</body></html>", "an HTML page"),
    "other XML": (b'<?xml version="1.0"?><svg/>', "XML, but no vasprun.xml"),
    "pointer": (
        b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n",
        "a Git LFS pointer; fetch it with git lfs pull",
    ),
    "pickle": (pickle.dumps({"a": 1}), "a pickle, which is never opened"),
    "workbook": (workbook(), "an Excel workbook"),
    "zip": (zipped("a.cif", "b.cif"), "0 JSON files in the archive"),
    "archive in an archive": (gzip.compress(gzip.compress(b"x")), "in an archive"),
    "cut gzip": (gzip.compress(CIF.encode())[:-9], "damaged or cut off"),
    "cut xz": (lzma.compress(CIF.encode())[:-9], "damaged or cut off"),
    "cut bzip2": (bz2.compress(CIF.encode())[:-9], "damaged or cut off"),
    "no gzip": (b"\x1f\x8bjunk" * 9, "damaged or cut off"),
    "random": (bytes(range(256)) * 9, "binary data that begins with the bytes 00 01 02 03"),
    "nothing": (b"", "empty"),
    "blanks": (b" \n" * 40_000, "begins with nothing but blanks"),
    "PDB": (
        b"CRYST1   5.640   5.640   5.640  90.00  90.00  90.00 F m -3 m\n",
        "a PDB file",
    ),
    "Quantum ESPRESSO": (b"&CONTROL\n calculation='scf'\n/\n", "Quantum ESPRESSO"),
    "prose": (b"Dear colleague, the structure is attached.\n", "text that is no CIF"),
}


TEXTS = ("PDB", "Quantum", "prose")  # a name that is known decides about them


@pytest.mark.parametrize("name", JUNK)
@pytest.mark.parametrize("file", ["a.dat", "a.cif", "POSCAR", "a.json", "a.xyz", "a.jsonl"])
def test_junk_is_named_and_never_printed(name, file, tmp_path):
    content, words = JUNK[name]
    (tmp_path / file).write_bytes(content)
    record, *others = read_inputs(tmp_path / file)
    assert not others or file == "a.jsonl"
    reason, message = fault_of(record)
    assert reason == "unreadable_structure"
    assert message.isprintable()
    assert len(message) < 300
    if file == "a.dat" or not name.startswith(TEXTS):
        assert words in message


def test_a_note_of_one_comment_is_one_reject(tmp_path):
    """Case L12: an IndexError of gemmi ended predict and ingest."""
    (tmp_path / "note.cif").write_text("# the block data_NaCl was moved elsewhere\n")
    (tmp_path / "b.cif").write_text(CIF.replace("\n", "\\n"))
    (tmp_path / "salt.cif").write_text(CIF)
    records = {record.material_id: record for record in read_inputs(tmp_path)}
    assert {name for name, record in records.items() if record.error} == {"note", "b"}
    assert "0 CIF data blocks describe a cell" in fault_of(records["note"])[1]


def test_a_folder_reads_packed_files_and_names_the_others(tmp_path):
    """Case L11: five of seven were left out without a word."""
    text = CIF.encode()
    files = {"a.cif": text, "b.cif.gz": gzip.compress(text), "c.mcif": text}
    files |= {"d.cif.txt": text, "e.cif.bz2": bz2.compress(text), "g.csv": b"id,cif\n"}
    files |= {"h.png": b"\x89PNG", "i.dat": POSCAR.encode()}
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    records = list(read_inputs(tmp_path))
    read = [record.material_id for record in records if record.error is None]
    assert read == ["a", "b", "c", "d", "e"]
    left_out = {record.material_id: record.error for record in records if record.error}
    assert {reason for reason, _ in left_out.values()} == {"unsupported_file"}
    assert list(left_out) == ["g.csv", "h.png", "i.dat"]
    assert "(a PNG picture)" in left_out["h.png"][1]
    assert "it looks like POSCAR" in left_out["i.dat"][1]
    [part] = parts_of(FilesSource(name="mine", path=str(tmp_path)))
    assert len(part.payload["files"]) == 5


@pytest.mark.parametrize("kind", [*PACK, "zip"])
@pytest.mark.parametrize("start", [b"[", b"data_x\n"])
def test_a_bomb_stops_at_a_limit(kind, start, tmp_path, monkeypatch):
    """Unpacking goes on to the limit and not behind it."""
    monkeypatch.setattr(archives, "_ALWAYS_UNPACKED", 2**20)
    content = start + b" " * 3 * 2**20
    path = tmp_path / f"a.json.{kind}"
    if kind == "zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("a.json", content)
    else:
        path.write_bytes(PACK[kind](content))
    [record] = read_inputs(path)
    assert "no text of structures does" in fault_of(record)[1]


def test_a_text_that_fills_the_memory_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "LARGEST_TEXT", 2**20)
    (tmp_path / "a.cif").write_text(CIF + "#" * 2**20)
    [record] = read_inputs(tmp_path / "a.cif")
    assert "more than 1 MiB of text; split it" in fault_of(record)[1]


def test_texts_of_other_kinds_are_named():
    [record] = read_inputs(StructureText(XYZ, "stdin"))
    assert "the text is extended XYZ; give it as a file" in fault_of(record)[1]
    [record] = read_inputs(StructureText("no structure", "stdin"))
    assert "text that is no CIF" in fault_of(record)[1]


def test_standard_input_is_unpacked_and_decoded():
    assert read_text(gzip.compress(CIF.encode("utf-16"))) == CIF
    assert decode(b"a\r\nb\rc\n") == "a\nb\nc\n"


def test_a_file_without_rows_is_one_reject(tmp_path):
    with ase.db.connect(tmp_path / "none.db") as database:
        del database[database.write(Atoms("Cu"))]
    (tmp_path / "none.json").write_text('{"ids": [], "nextid": 1}')
    for name in ("none.db", "none.json"):
        [record] = read_inputs(tmp_path / name)
        assert record.error is not None


def test_a_damaged_database_costs_no_other_file(tmp_path):
    (tmp_path / "a.cif").write_text(CIF)
    (tmp_path / "b.db").write_bytes(b"SQLite format 3\x00" + b"junk" * 300)
    good, bad = read_inputs([tmp_path / "a.cif", tmp_path / "b.db"])
    assert good.error is None
    assert bad.material_id == "b"
    assert "not a readable ASE database" in fault_of(bad)[1]


@pytest.mark.parametrize(
    "text",
    [
        "x\n" + "1" * 60_000 + "x\n",
        "hello" + "\n" * 60_000 + "x",
        "hello\ndata_" + "a" * 60_000 + " b,c",
        "hello\n" + " " * 60_000 + "&x",
    ],
    ids=["digits", "blank lines", "a block name", "blanks"],
)
def test_long_texts_are_looked_at_without_going_back(text):
    """Patterns that go back over such a text take minutes."""
    assert "POSCAR" not in look_at(text.encode()).formats
