"""Lists of checksums: every file that was written whole is known, also after a crash."""

import threading

import pytest

from crystalgnn_core.errors import IntegrityError
from crystalgnn_core.storage import checksums
from crystalgnn_core.storage.checksums import LIST, is_lost, listed, remove_file, shorten
from crystalgnn_core.storage.files import (
    is_as_written,
    read_json,
    write_json,
    write_text,
)


def flip(path, position):
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(content)


def test_a_digit_that_flipped_is_refused_although_the_file_is_json(tmp_path):
    path = tmp_path / "card.json"
    write_json(path, {"mean": 1234.5})
    assert read_json(path) == {"mean": 1234.5}
    flip(path, path.read_bytes().index(b"3"))
    with pytest.raises(IntegrityError, match=r"card\.json: differs from its SHA-256"):
        read_json(path)
    (tmp_path / LIST).unlink()  # what the message says for a change that is meant
    assert read_json(path) == {"mean": 1224.5}


def test_a_file_that_a_kill_left_unreplaced_is_as_written(tmp_path):
    path = tmp_path / "a.txt"
    write_text(path, "old")
    checksums.list_file(tmp_path, "a.txt", "digest of what should have replaced it")
    assert is_as_written(path)
    path.write_text("other")
    assert not is_as_written(path)


def test_a_file_without_a_line_counts_as_it_is(tmp_path):
    write_text(tmp_path / "listed.txt", "x")
    (tmp_path / "older.txt").write_text("of an older version")
    assert is_as_written(tmp_path / "older.txt")


def test_what_is_gone_is_lost_unless_it_was_removed(tmp_path):
    for name in ("lost", "removed"):
        write_text(tmp_path / name, name)
    (tmp_path / "lost").unlink()
    remove_file(tmp_path / "removed")
    assert is_lost(tmp_path / "lost")
    assert not is_lost(tmp_path / "removed")
    assert not is_lost(tmp_path / "never written")
    write_text(tmp_path / "removed", "again")
    assert not is_lost(tmp_path / "removed")
    remove_file(tmp_path / "lost")  # by what knows that it will never come back
    assert not is_lost(tmp_path / "lost")


@pytest.mark.parametrize("position", [2, 20, -3])
def test_a_list_that_is_damaged_says_so_and_refuses_nothing(tmp_path, position):
    path = tmp_path / "a.json"
    for value in (1, 2):
        write_json(path, value)
    flip(tmp_path / LIST, position)
    assert listed(tmp_path).n_damaged == 1
    assert read_json(path) == 2


def test_a_line_that_a_crash_cut_does_not_take_in_the_next(tmp_path):
    write_json(tmp_path / "a.json", 1)
    cut = (tmp_path / LIST).read_bytes()[:-9]
    (tmp_path / LIST).write_bytes(cut)
    write_json(tmp_path / "b.json", 2)
    assert list(listed(tmp_path).digests) == ["b.json"]


def test_lines_of_many_writers_do_not_mix(tmp_path):
    names = [f"é {n}.json" for n in range(60)]

    def write(own):
        for name in own:
            write_json(tmp_path / name, name)

    threads = [threading.Thread(target=write, args=(names[n::6],)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(listed(tmp_path).digests) == sorted(names)
    assert listed(tmp_path).n_damaged == 0


def test_a_long_list_is_shortened_and_says_the_same(tmp_path, monkeypatch):
    monkeypatch.setattr(checksums, "MANY_BYTES", 1000)
    for value in range(30):
        write_json(tmp_path / "often.json", value)
    for number in range(30):
        write_json(tmp_path / f"gone-{number}.json", 1)
        remove_file(tmp_path / f"gone-{number}.json")
    n_bytes = (tmp_path / LIST).stat().st_size
    shorten(tmp_path / LIST)
    assert (tmp_path / LIST).stat().st_size < n_bytes / 30
    assert read_json(tmp_path / "often.json") == 29
    assert not is_lost(tmp_path / "gone-0.json")
    write_json(tmp_path / "often.json", 30)
    assert read_json(tmp_path / "often.json") == 30
