"""Files that are whole or absent."""

import pytest

from crystalgnn_core.errors import IntegrityError
from crystalgnn_core.storage.checksums import LIST
from crystalgnn_core.storage.files import (
    FileRef,
    atomic_directory,
    atomic_path,
    read_json,
    write_json,
    write_text,
)


def test_failed_write_leaves_the_old_file_and_no_rest(tmp_path):
    target = tmp_path / "a.txt"
    write_text(target, "old")

    def fail():
        with atomic_path(target) as temporary:
            temporary.write_text("half")
            raise RuntimeError("power cut")

    with pytest.raises(RuntimeError, match="power cut"):
        fail()
    assert target.read_text() == "old"
    assert {path.name for path in tmp_path.iterdir()} == {"a.txt", LIST}


def test_folder_is_replaced_as_a_whole(tmp_path):
    target = tmp_path / "out"
    for content in ("one", "two"):
        with atomic_directory(target) as temporary:
            (temporary / f"{content}.txt").write_text(content)
    assert [path.name for path in target.iterdir()] == ["two.txt"]
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_failed_folder_leaves_the_old_one(tmp_path):
    target = tmp_path / "out"
    target.mkdir()
    (target / "kept").touch()

    def fail():
        with atomic_directory(target):
            raise RuntimeError("power cut")

    with pytest.raises(RuntimeError, match="power cut"):
        fail()
    assert [path.name for path in tmp_path.rglob("*")] == ["out", "kept"]


def test_reference_sees_every_kind_of_damage(tmp_path):
    path = tmp_path / "data"
    path.write_bytes(b"12345")
    reference = FileRef.of(path, n_rows=1)
    assert reference.is_intact()
    path.write_bytes(b"12346")
    assert not reference.is_intact()
    path.write_bytes(b"1234")
    assert not reference.is_intact()
    path.unlink()
    assert not reference.is_intact()


def test_json_with_nan_is_never_written(tmp_path):
    with pytest.raises(ValueError, match="JSON compliant"):
        write_json(tmp_path / "a.json", {"x": float("nan")})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [None, b"{", b"\xff\xfe"])
def test_missing_or_damaged_json_is_an_integrity_error(tmp_path, content):
    path = tmp_path / "a.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(IntegrityError, match=r"a\.json"):
        read_json(path)
