from __future__ import annotations

import gzip
import json
import zipfile

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crystalgnn_core.sources.formats import archives
from crystalgnn_core.sources.formats.json_stream import members as json_items
from crystalgnn_core.sources.formats.json_stream.members import (
    iter_members,
    outside_of,
    parse_member,
)

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3)
    ),
    max_leaves=6,
)
WHOLE = st.lists(VALUES, max_size=5) | st.dictionaries(st.text(), VALUES, max_size=5)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "some.json"


def members_of(path, content):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    outside = outside_of(path)
    assert outside is not None
    return outside.shape, list(iter_members(path, *outside))


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
        assert list(iter_members(path, shape, member.offset)) == members[place:]


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
    "no text": (b'["\xff", 3]', [False, True]),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_member_is_one_error_among_others(path, name):
    content, expected = DAMAGED[name]
    found = values_of(path, content)
    assert [not isinstance(value, ValueError) for value in found] == expected


def test_a_missing_quote_does_not_fill_the_memory(path, monkeypatch):
    monkeypatch.setattr(json_items, "_LONGEST_MEMBER", 100)
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
    assert "breaks off" in str(last)
    whole = [value["a"] for value in good if not isinstance(value, ValueError)]
    assert whole == list(range(len(whole)))
    assert len(whole) > 100
