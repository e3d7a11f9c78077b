"""Digests of many files: what is as it was is not read, what is not is never missed."""

import os
import time

import pytest

from crystalgnn_core.storage import digests as module
from crystalgnn_core.storage.digests import read_note, sha256_of_files, write_note
from crystalgnn_core.storage.files import file_sha256


@pytest.fixture
def read(monkeypatch):
    """Names of the files that were hashed."""
    seen: list[str] = []

    def hashing(path):
        seen.append(path.name)
        return file_sha256(path)

    monkeypatch.setattr(module, "file_sha256", hashing)
    monkeypatch.setattr(module, "SETTLED_SECONDS", -1.0)  # a test does not wait
    return seen


@pytest.fixture
def files(tmp_path):
    paths = [tmp_path / name for name in ("a", "b", "c")]
    for path in paths:
        path.write_text(path.name)
    return paths


def test_only_new_and_changed_files_are_read(files, tmp_path, read):
    note = tmp_path / "note.json"
    first = sha256_of_files(files, note)
    assert sha256_of_files(files, note) == first == list(map(file_sha256, files))
    assert read == ["a", "b", "c"]
    files[1].write_text("other")
    (tmp_path / "d").write_text("d")
    more = [*files, tmp_path / "d"]
    assert sha256_of_files(more, note) == list(map(file_sha256, more))
    assert read[3:] == ["b", "d"]


def test_a_change_under_the_old_date_and_size_is_seen(files, tmp_path, read):
    """As `rsync --times` or `cp -p` of another file of the same size leaves it."""
    note = tmp_path / "note.json"
    sha256_of_files(files, note)
    before = files[0].stat()
    files[0].write_text("x")
    os.utime(files[0], ns=(before.st_atime_ns, before.st_mtime_ns))
    assert sha256_of_files(files, note) == list(map(file_sha256, files))


def test_a_file_that_was_just_written_is_read_again(files, tmp_path, read, monkeypatch):
    monkeypatch.setattr(module, "SETTLED_SECONDS", 60.0)
    for _ in range(2):
        sha256_of_files(files[:1], tmp_path / "note.json")
    assert read == ["a", "a"]
    monkeypatch.setattr(time, "time", lambda: 4e9)
    for _ in range(2):
        sha256_of_files(files[:1], tmp_path / "note.json")
    assert read == ["a", "a", "a"]


@pytest.mark.parametrize("damage", [lambda b: b[:-9], lambda b: b.replace(b"a", b"b")])
def test_damaged_notes_count_as_missing(files, tmp_path, read, damage):
    note = tmp_path / "note.json"
    sha256_of_files(files, note)
    note.write_bytes(damage(note.read_bytes()))
    assert read_note(note) is None
    assert sha256_of_files(files, note) == list(map(file_sha256, files))


def test_names_of_other_encodings_can_be_noted(tmp_path):
    write_note(tmp_path / "note.json", {"salt-\udcfc.cif": ["1", "2"]})
    assert read_note(tmp_path / "note.json") == {"salt-\udcfc.cif": ["1", "2"]}
