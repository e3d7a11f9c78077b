"""A JSON list cut into elements says what `json.loads` says, wherever its blocks end."""

import gzip
import json
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crystalgnn_core.errors import SourceError
from crystalgnn_core.sources.formats.archives import read_blocks, reading
from crystalgnn_core.sources.formats.json_stream.ranges import cut_elements, find_ranges

TEXTS = st.text(st.characters(codec="utf-8"), max_size=12) | st.text(
    '"\\[]{},: \n', max_size=8
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)
SPACE = st.text(" \t\r\n", max_size=3)
FORM = st.sampled_from(
    [{}, {"indent": 1}, {"ensure_ascii": False}, {"separators": (",", ":")}]
)


def in_blocks(text, size):
    return [text[at : at + size] for at in range(0, len(text), size)]


@given(
    values=st.lists(VALUES, max_size=9),
    form=FORM,
    space=SPACE,
    block=st.integers(1, 40),
    size=st.integers(1, 4),
)
def test_ranges_and_elements_are_those_of_the_whole_text(values, form, space, block, size):
    text = f"{space}{json.dumps(values, **form)}{space}".encode()
    ranges = find_ranges(in_blocks(text, block), size)
    assert [piece.first for piece in ranges] == list(range(0, len(values), size))
    found = []
    for piece in ranges:
        rest = in_blocks(text[piece.offset :], block)
        found += [json.loads(element) for element in cut_elements(rest, piece.n)]
    assert found == json.loads(text)


@pytest.mark.parametrize("text", ["[]", " [ \n ] "])
def test_an_empty_list_has_no_ranges(text):
    assert find_ranges([text.encode()], 3) == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"a": 1}', r"no JSON list: it does not begin with \["),
        ("<html>", "no JSON list"),
        ("[1, 2", "does not end in its 5 bytes"),
        ("", "does not end in its 0 bytes"),
        ('[{"a": "]}]', "does not end"),
        ("[1, [2, 3]", "does not end"),
        ("[1, 2]] ", "goes on"),
        ("[1, 2], 3", "goes on"),
    ],
)
def test_a_text_that_is_no_whole_list_is_refused(text, words):
    for size in (1, 3, 100):
        with pytest.raises(SourceError, match=words):
            find_ranges(in_blocks(text.encode(), size), 2)


def test_a_broken_element_leaves_the_others_alone():
    text = b'[{"a": 1}}, {"b": nonsense, [1]}, {"c": "\\"],["}, , 5]'
    [piece] = find_ranges([text], 10)
    elements = list(cut_elements([text[piece.offset :]], piece.n))
    assert elements == [
        b'{"a": 1}}',
        b' {"b": nonsense, [1]}',
        b' {"c": "\\"],["}',
        b" ",
        b" 5",
    ]


def test_too_few_elements_are_noticed():
    with pytest.raises(SourceError, match="ends 2 elements too early"):
        list(cut_elements([b"1, 2]"], 4))


def test_only_the_wanted_elements_are_read():
    def blocks():
        yield b"1, 2, 3"
        raise AssertionError("read on")

    assert list(cut_elements(blocks(), 2)) == [b"1", b" 2"]


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
        find_ranges(read_blocks(path), 5)


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_damaged_archive_of_another_compression_is_one_clear_error(tmp_path, method):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("a.json", TEXT)
    content = bytearray(path.read_bytes())
    content[60:90] = bytes(30)
    path.write_bytes(content)
    with pytest.raises(SourceError, match=r"a\.zip: the file is damaged"), reading(path):
        find_ranges(read_blocks(path), 5)


def test_a_member_whose_name_cannot_be_read_is_one_clear_error(tmp_path):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("\u00e9.json", b"[1]")  # a flag says that the name is UTF-8
    path.write_bytes(path.read_bytes().replace("\u00e9".encode(), b"\xff\xff"))
    with pytest.raises(SourceError, match=r"a\.zip: the file is damaged"), reading(path):
        find_ranges(read_blocks(path), 5)


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
        find_ranges(read_blocks(path), 5)


def test_what_a_system_adds_to_an_archive_does_not_count(tmp_path):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("__MACOSX/._a.json", b"junk")
        archive.writestr("a.json", b"[1]")
    assert b"".join(read_blocks(path)) == b"[1]"


def test_a_missing_file_is_named(tmp_path):
    path = tmp_path / "gone.json"
    with pytest.raises(SourceError, match=r"gone\.json: no such file"), reading(path):
        find_ranges(read_blocks(path), 5)
