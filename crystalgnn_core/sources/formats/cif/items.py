"""The entries of one data block of a CIF, whatever the letter case of their names."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import defaultdict
from itertools import chain, takewhile
from typing import TYPE_CHECKING, cast

from gemmi import cif

from crystalgnn_core.sources.formats.parsing import unreadable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

MAX_BYTES = 24 * 2**20  # of a block without its text fields, such as reflections
TEXT_FIELD = r"^;[^\n]*+(?:\n(?!;)[^\n]*+)*+\n;"
MAX_ROWS = 65_536  # sites and operations; graphs hold no more atoms

_DASHES = str.maketrans(dict.fromkeys("\u2010\u2011\u2012\u2013\u2212", "-"))
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\xa0]")
_FOREIGN = re.compile(r"[^\t\n -~]")
_WORD, _PLAIN = re.compile(r"\s*(\S)"), re.compile(r"\S+")
_ENDS = {quote: re.compile(rf"{quote}(?!\S)") for quote in "'\""}
_UNKNOWN = frozenset({"", "?", "."})
_OF_WORDS = re.compile(r"_(?:symmetry|space_group|chemical_formula)[_.]", re.IGNORECASE)
_CIF_2 = re.compile(r"\s*#\\#CIF_2")
_LONG_TEXT = re.compile(
    rf"(?<!\S)#[^\n]*|{TEXT_FIELD}|(?<!\S)(\"{{3}}|'{{3}})", re.MULTILINE
)


class Items:
    """Entries by name: lower-case, dots of newer dictionaries as underscores."""

    def __init__(
        self,
        pairs: Iterable[tuple[str, str]],
        loops: Iterable[tuple[Sequence[str], Sequence[str] | cif.Loop]],
    ) -> None:
        self._pairs: defaultdict[str, list[str]] = defaultdict(list)
        for name, value in pairs:
            self._pairs[_usual(name)].append(value)
        self._loops = [([_usual(name) for name in names], rows) for names, rows in loops]
        self.names = frozenset(self._pairs).union(*(names for names, _ in self._loops))

    def values(self, names: Iterable[str]) -> dict[str, str]:
        """Return what single entries state, by name, those that are unknown left out.

        Raises:
            RecordError: One of them stands twice, with different values.
        """
        found = {}
        for name in names:
            given = self._pairs.get(name) or self.column(name)
            known = [value for value in given if value not in _UNKNOWN]
            if len(set(known)) > 1:
                raise unreadable(
                    f"{name} is given as {known[0]!r} and as {known[1]!r}; keep one"
                )
            if known:
                found[name] = known[0]
        return found

    def value(self, name: str) -> str | None:
        """Return what one entry states, None if it is unknown."""
        return self.values([name]).get(name)

    def column(self, name: str, beside: str = "") -> list[str]:
        """List the values of an entry that may stand in a loop; empty if it is not there.

        Args:
            name: The entry.
            beside: Another one; of several loops the one that holds it, too, is meant.

        Raises:
            RecordError: There are more than a crystal can have, the loop is cut off, or
                several may be meant.
        """
        found = [loop for loop in self._loops if name in loop[0]]
        found = [loop for loop in found if beside in loop[0]] or found
        columns = [_column(rows, names.index(name), len(names)) for names, rows in found]
        if any(column != columns[0] for column in columns):
            raise unreadable(f"{name} stands in {len(found)} loops; list all in one")
        return columns[0] if columns else list(self._pairs.get(name, ()))

    def has(self, name: str) -> bool:
        """Return whether anything is known of an entry."""
        return not _UNKNOWN.issuperset(self.column(name))

    def loop_of(self, name: str) -> frozenset[str] | None:
        """Return the names of the loop that an entry stands in, None outside of loops."""
        found = (frozenset(names) for names, _ in self._loops if name in names)
        return next(found, None)


def read_items(block: str) -> Items:
    """Read a data block, also one whose words are not quoted as they should be.

    Raises:
        RecordError: It is too long.
    """
    if len(block) > MAX_BYTES:
        block = re.sub(TEXT_FIELD, "?", block, flags=re.MULTILINE)
    if len(block) > MAX_BYTES:
        raise unreadable(
            f"the CIF block has {len(block) / 2**20:.0f} MB, expected at most "
            f"{MAX_BYTES // 2**20}; remove the measured data from it"
        )
    block = _FOREIGN.sub("?", _CONTROLS.sub(" ", block.translate(_DASHES)))
    block = without_long_texts(block)
    try:
        document = cif.read_string(block, 0)
    except (RuntimeError, ValueError):
        return _read_loosely(block)
    pairs: list[tuple[str, str]] = []
    loops: list[tuple[list[str], cif.Loop]] = []
    for entry in chain.from_iterable(document):
        pair = cast("Sequence[str] | None", entry.pair)
        if pair:
            pairs.append((pair[0], _unquoted(pair[1])))
        elif entry.loop:
            loops.append((entry.loop.tags, entry.loop))
    return Items(pairs, loops)


def without_long_texts(text: str) -> str:
    """Blank the texts in three quotes of a file of CIF 2, in which nothing begins."""
    if not _CIF_2.match(text):
        return text
    pieces, at = [], 0
    while start := _LONG_TEXT.search(text, at):
        quotes = start[1]
        end = text.find(quotes, start.end()) if quotes else start.end()
        if end < 0:
            break
        kept = start.start() if quotes else end
        pieces.append(text[at:kept])
        if quotes:
            content = text[start.end() : end]
            is_word = "\n" not in content and "'" not in content
            pieces.append(f"'{content}'" if is_word else "?")
        at = end + len(quotes or "")
    return "".join([*pieces, text[at:]])


def _usual(name: str) -> str:
    return name.lower().replace(".", "_").rstrip("_")


def _column(rows: Sequence[str] | cif.Loop, place: int, width: int) -> list[str]:
    n_words = rows.length() * width if isinstance(rows, cif.Loop) else len(rows)
    if n_words % width:
        raise unreadable(
            f"a loop of {width} columns holds {n_words} values; its last row is cut off or "
            "a value with spaces is not quoted"
        )
    if n_words // width > MAX_ROWS:
        raise unreadable(
            f"a loop holds {n_words // width} rows, expected at most {MAX_ROWS} sites or "
            "operations; give the cell of one crystal"
        )
    if isinstance(rows, cif.Loop):
        return [_unquoted(word) for word in rows.values[place::width]]
    return list(rows[place::width])


def _unquoted(word: str) -> str:
    return word if word in _UNKNOWN else cif.as_string(word).strip()


def _read_loosely(block: str) -> Items:
    """Read a block that breaks the rules: what stands behind a value is left out."""
    pairs: list[tuple[str, str]] = []
    loops: list[tuple[list[str], list[str]]] = []
    name, in_loop = "", False
    for word, is_quoted in _words(block):
        lower = "" if is_quoted else word[:5].lower()
        if lower == "loop_":
            loops.append(([], []))
            name, in_loop = "", True
        elif lower in {"data_", "save_"}:
            name, in_loop = "", False
        elif lower[:1] == "_":
            if in_loop and not loops[-1][1]:
                loops[-1][0].append(word)
            else:
                name, in_loop = word, False
        elif in_loop:
            loops[-1][1].append(word)
        elif name:
            pairs.append((name, word))
            name = ""
    for names, rows in loops:
        if len(rows) == 1 < len(names):  # a loop without rows, and the entry behind it
            pairs.append((names.pop(), rows.pop()))
    return Items(pairs, [(names, rows) for names, rows in loops if names])


def _words(block: str) -> Iterator[tuple[str, bool]]:
    """Yield the words, and whether they are quoted; text fields are one word."""
    field: list[str] | None = None
    for whole in block.split("\n"):
        line = whole
        if line.startswith(";"):
            line = line[1:]
            if field is None:
                field = [line]
                continue
            yield "\n".join(field), True
            field = None
        elif field is not None:
            field.append(line)
            continue
        yield from _with_value_whole(list(_words_of(line)))


def _with_value_whole(words: list[tuple[str, bool]]) -> list[tuple[str, bool]]:
    """Join the words behind the name of a group or formula, such as `P 21 21 21`."""
    if not (len(words) > 1 and _OF_WORDS.match(words[0][0])) or words[1][1]:
        return words
    rest = [word for word, _ in takewhile(lambda each: each[0][:1] != "_", words[1:])]
    if not rest:
        return words
    text = " ".join(rest)
    value = text[1:].removesuffix(text[0]) if text[0] in _ENDS else text
    return [words[0], (value, True), *words[1 + len(rest) :]]


def _words_of(line: str) -> Iterator[tuple[str, bool]]:
    """Yield the words of a line; a quote that nothing closes is a sign like others."""
    ends = {quote: [m.start() for m in end.finditer(line)] for quote, end in _ENDS.items()}
    at = 0
    while (word := _WORD.match(line, at)) and (start := word[1]) != "#":
        last = ends.get(start[0], [])
        first = bisect_right(last, word.start(1))
        if start in _ENDS and first < len(last):
            yield line[word.start(1) + 1 : last[first]], True
            at = last[first] + 1
        else:
            plain = _PLAIN.match(line, word.start(1))
            yield plain[0] if plain else "", False
            at = plain.end() if plain else len(line)
