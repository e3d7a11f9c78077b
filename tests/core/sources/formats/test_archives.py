"""JSON files packed in gzip and zip, whole and damaged."""

from __future__ import annotations

import gzip
import json
import zipfile

import pytest

from crystalgnn_core.errors import SourceError
from crystalgnn_core.sources.formats.archives import read_blocks, reading
from crystalgnn_core.sources.formats.json_stream.members import find_ranges


def pack(path, text):
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(text))
    elif path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("inner.json", text)
    else:
        path.write_bytes(text)
    return path


TEXT = json.dumps([{"n": n, "text": "x" * n} for n in range(1200)]).encode()  # 3 blocks


@pytest.mark.parametrize("name", ["a.zip", "a.json", "a.json.gz"])
@pytest.mark.parametrize("offset", [0, 7, 300_000])
def test_a_file_is_read_from_any_byte_whatever_it_is_packed_in(tmp_path, name, offset):
    path = pack(tmp_path / name, TEXT)
    assert b"".join(read_blocks(path, offset)) == TEXT[offset:]


@pytest.mark.parametrize("name", ["a.zip", "a.json.gz"])
@pytest.mark.parametrize("damage", ["cut", "changed"])
def test_a_damaged_file_is_one_clear_error(tmp_path, name, damage):
    path = pack(tmp_path / name, TEXT)
    content = bytearray(path.read_bytes())
    if damage == "cut":
        del content[len(content) // 2 :]
    else:
        content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    words = f"{name}: the file is damaged .*fetch it again"
    with pytest.raises(SourceError, match=words), reading(path):
        find_ranges(path, 5)


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_damaged_archive_of_another_compression_is_one_clear_error(tmp_path, method):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("a.json", TEXT)
    content = bytearray(path.read_bytes())
    content[60:90] = bytes(30)
    path.write_bytes(content)
    with pytest.raises(SourceError, match=r"a\.zip: the file is damaged"), reading(path):
        find_ranges(path, 5)


def test_a_member_whose_name_cannot_be_read_is_one_clear_error(tmp_path):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("\u00e9.json", b"[1]")  # a flag says that the name is UTF-8
    path.write_bytes(path.read_bytes().replace("\u00e9".encode(), b"\xff\xff"))
    with pytest.raises(SourceError, match=r"a\.zip: the file is damaged"), reading(path):
        find_ranges(path, 5)


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ({}, "0 JSON files"),
        ({"readme.txt": b"x"}, "0 JSON files"),
        ({"a.json": b"[]", "b.json": b"[]"}, "2 JSON files in the archive, expected one"),
    ],
)
def test_an_archive_holds_one_json_file(tmp_path, members, words):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    with pytest.raises(SourceError, match=words), reading(path):
        find_ranges(path, 5)


def test_what_a_system_adds_to_an_archive_does_not_count(tmp_path):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("__MACOSX/._a.json", b"junk")
        archive.writestr("a.json", b"[1]")
    assert b"".join(read_blocks(path)) == b"[1]"


def test_a_missing_file_is_named(tmp_path):
    path = tmp_path / "gone.json"
    with pytest.raises(SourceError, match=r"gone\.json: no such file"), reading(path):
        find_ranges(path, 5)


def test_only_a_json_member_is_read_wherever_its_name_leads(tmp_path):
    """Nothing is unpacked to disk: names such as ../../x.json are mere names."""
    path = tmp_path / "inner" / "a.zip"
    path.parent.mkdir()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("../../x.json", TEXT)
        archive.writestr("inner.zip", b"PK")
        for number in range(1000):
            archive.writestr(f"/etc/{number}.txt", b"")
    assert b"".join(read_blocks(path)) == TEXT
    assert sorted(tmp_path.rglob("*")) == [path.parent, path]
