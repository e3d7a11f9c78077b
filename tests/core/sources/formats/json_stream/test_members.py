from __future__ import annotations

import gzip
import json
import zipfile

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crystalgnn_core.errors import SourceError
from crystalgnn_core.sources.formats import archives
from crystalgnn_core.sources.formats.json_stream import members as json_members
from crystalgnn_core.sources.formats.json_stream.members import (
    find_ranges,
    iter_members,
    outside_of,
    parse_member,
    read_range,
)

TEXTS = st.text(st.characters(codec="utf-8"), max_size=8) | st.text(
    '"\\[]{},: \n', max_size=8
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)
WHOLE = st.lists(VALUES, max_size=5) | st.dictionaries(TEXTS, VALUES, max_size=5)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "some.json"


def outside(path):
    found = outside_of(path)
    assert found is not None
    return found


def members_of(path, content):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return outside(path).shape, list(iter_members(path, outside(path)))


def values_of(path, content):
    """Return the values of the members, and the error of one in place of its value."""
    found = []
    shape, members = members_of(path, content)
    for member in members:
        try:
            found.append(parse_member(member, shape)[1])
        except ValueError as error:
            found.append(error)
    return found


@pytest.mark.parametrize("block", [1, 7, 2**18])
def test_members_are_those_of_the_whole(path, monkeypatch, block):
    monkeypatch.setattr(archives, "_BLOCK", block)
    value = {"a": [1, 2.5, -3e5], "\u00e4\u2603": "x,]}" * 9, "c": {"d": None}, "e": 123}
    texts = [json.dumps(value), json.dumps(value, indent=3, ensure_ascii=False) + "\n"]
    if block > 1:  # the mark must be in the first block
        texts.append("\ufeff" + texts[0])
    for text in texts:
        shape, members = members_of(path, text)
        assert dict(parse_member(member, shape) for member in members) == value
    assert values_of(path, json.dumps(list(value.values()))) == list(value.values())


@given(WHOLE, st.booleans())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_list_or_object_is_read_from_any_of_its_members(path, value, is_ascii):
    shape, members = members_of(path, json.dumps(value, ensure_ascii=is_ascii))
    pairs = [parse_member(member, shape) for member in members]
    assert (dict(pairs) if shape == "object" else [v for _, v in pairs]) == value
    for place, member in enumerate(members):
        rest = iter_members(path, outside(path), member.offset)
        assert list(rest) == members[place:]


def test_what_is_no_list_or_object_has_no_outside(path):
    for content in (b"", b"   ", b"3", b'"text"', b"\xff\xfe"):
        path.write_bytes(content)
        assert outside_of(path) is None


DAMAGED = {
    "cut in a member": ('[{"a": 1}, {"b": 2', [True, False]),
    "cut behind a member": ('[{"a": 1}', [True, False]),
    "cut behind a comma": ('[{"a": 1},', [True, False]),
    "cut behind the bracket": ("[", [False]),
    "broken": ('[{"a": 1}, nonsense, 3]', [True, False, True]),
    "nothing between": ('[{"a": 1}, , 3]', [True, False, True]),
    "no comma": ('[{"a": 1} {"b": 2}, 4]', [False, True]),
    "key without a value": ('{"a": {"b": 1}, "c", "d": 1}', [True, False, True]),
    "no key": ('{"a": {"b": 1}, 3: 4}', [True, False]),
    "cut object": ('{"a": {"b": 1}, "c": 1', [True, True, False]),
    "cut object in a member": ('{"a": {"b": 1}, "c": {"d": 1}', [True, False]),
    "goes on": ('[{"a": 1}, 2] [3]', [True, True, False]),
    "a blank member behind a comma": ("[1, ]", [True, False]),
    "no text": (b'["\xff", 3]', [False, True]),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_member_is_one_error_among_others(path, name):
    content, expected = DAMAGED[name]
    found = values_of(path, content)
    assert [not isinstance(value, ValueError) for value in found] == expected


def test_a_missing_quote_does_not_fill_the_memory(path, monkeypatch):
    monkeypatch.setattr(json_members, "_LONGEST_MEMBER", 100)
    monkeypatch.setattr(archives, "_BLOCK", 50)
    found = values_of(path, '[1, "open, ' + "2, " * 10_000 + "]")
    assert found[0] == 1
    assert "does not end" in str(found[1])
    assert len(found) == 2


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2])
def test_a_damaged_archive_ends_with_a_reason(path, method):
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("a.json", json.dumps([{"a": i * i} for i in range(99_999)]))
    packed = bytearray(path.read_bytes())
    packed[len(packed) // 2] ^= 0xFF
    *_, last = values_of(path, bytes(packed))
    assert isinstance(last, ValueError)


def test_a_cut_archive_ends_with_a_reason(path):
    packed = gzip.compress(json.dumps([{"a": i} for i in range(99_999)]).encode())
    *good, last = values_of(path, packed[: len(packed) // 2])
    assert "damaged or cut off" in str(last)
    whole = [value["a"] for value in good if not isinstance(value, ValueError)]
    assert whole == list(range(len(whole)))
    assert len(whole) > 100


FORM = st.sampled_from(
    [{}, {"indent": 1}, {"ensure_ascii": False}, {"separators": (",", ":")}]
)
SPACE = st.text(" \t\r\n", max_size=3)


@given(
    st.lists(VALUES, max_size=9),
    FORM,
    SPACE,
    st.tuples(st.integers(1, 40), st.integers(1, 4)),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_ranges_and_elements_are_those_of_the_whole_text(path, values, form, space, sizes):
    block, size = sizes
    text = f"{space}{json.dumps(values, **form)}{space}"
    path.write_text(text, encoding="utf-8", newline="")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(archives, "_BLOCK", block)
        ranges = find_ranges(path, size)
        assert [part.first for part in ranges] == list(range(0, len(values), size))
        texts = [read_range(path, part.offset, part.n) for part in ranges]
        assert [json.loads(text) for part in texts for text in part] == values


@pytest.mark.parametrize("text", ["[]", " [ \n ] "])
def test_an_empty_list_has_no_ranges(path, text):
    path.write_text(text)
    assert find_ranges(path, 3) == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"a": 1}', r"no JSON list: it does not begin with \["),
        ("<html>", "no JSON list"),
        ("", "no JSON list"),
        ("[1, 2", "does not end in its 5 bytes"),
        ('[{"a": "]}]', "does not end"),
        ("[1, [2, 3]", "does not end"),
        ("[1, 2]] ", "ends before byte 6 and the text goes on"),
        ("[1, 2], 3", "goes on"),
    ],
)
@pytest.mark.parametrize("block", [1, 3, 100])
def test_a_text_that_is_no_whole_list_is_refused(path, monkeypatch, text, words, block):
    monkeypatch.setattr(archives, "_BLOCK", block)
    path.write_text(text)
    with pytest.raises(SourceError, match=words):
        find_ranges(path, 2)


def test_a_broken_element_leaves_the_others_alone(path):
    path.write_bytes(b'[{"a": 1}}, {"b": nonsense, [1]}, {"c": "\\"],["}, , 5, ]')
    for size in (1, 10):
        elements = [
            text
            for part in find_ranges(path, size)
            for text in read_range(path, part.offset, part.n)
        ]
        assert elements == [
            b'{"a": 1}}',
            b' {"b": nonsense, [1]}',
            b' {"c": "\\"],["}',
            b" ",
            b" 5",
            b" ",
        ]


def test_too_few_elements_are_noticed(path):
    path.write_bytes(b"[1, 2]")
    with pytest.raises(SourceError, match="ends 2 elements too early"):
        list(read_range(path, 1, 4))


def test_only_the_wanted_elements_are_read(path, monkeypatch):
    def blocks(*_):
        yield b"1, 2, 3"
        raise AssertionError("read on")

    monkeypatch.setattr(json_members, "read_blocks", blocks)
    assert list(read_range(path, 1, 2)) == [b"1", b" 2"]
