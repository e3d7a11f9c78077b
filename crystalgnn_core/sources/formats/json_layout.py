"""Where the materials stand in a JSON file: in a list, an object or a frame."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from functools import lru_cache
from itertools import islice
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from crystalgnn_core.sources.formats.archives import read_blocks
from crystalgnn_core.sources.formats.documents import (
    STRUCTURE_KEYS,
    has_structure,
)
from crystalgnn_core.sources.formats.json_stream.members import (
    Outside,
    blocks_within,
    iter_members,
    outside_of,
    parse_member,
)
from crystalgnn_core.sources.formats.json_stream.outline import Span, outline
from crystalgnn_core.sources.formats.json_text import DuplicateKeyError, load_json
from crystalgnn_core.sources.formats.objects import is_structure
from crystalgnn_core.sources.formats.parsing import unreadable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from crystalgnn_core.sources.formats.archives import Packed

_N_LOOKED_AT = 20  # members that are looked at to find out what they are
_MAX_COLUMNS = 500
_LONGEST = 2**24  # bytes of a document that is parsed to find out what it is


class Layout(NamedTuple):
    """Where the rows of a file stand.

    Attributes:
        rows: The list or object that holds them; None if the whole file is one row.
        names: Of a frame of rows without names: names of their values.
        labels: Of such a frame: what its index says of each row.
        column: Of a frame of columns: the name of that which `rows` is.
        beside: Its other columns.
        is_lines: Whether each line is a row.
    """

    rows: Outside | None = None
    names: tuple[str, ...] = ()
    labels: tuple[Any, ...] = ()
    column: str | None = None
    beside: Mapping[str, Any] = MappingProxyType({})
    is_lines: bool = False


def find_layout(source: Packed, wanted: str | None = None) -> Layout | None:
    """Find where the rows of a JSON file stand.

    Args:
        source: The file, or its content.
        wanted: Key of the structures, if there is a choice.

    Returns:
        None if it holds bare structures, or what is no structure.

    Raises:
        DamagedFileError: The file cannot be unpacked.
        RecordError: Structures stand in several places.
        ValueError: A frame is not valid JSON.
    """
    if isinstance(source, bytes):
        return _layout_of(source, wanted)
    state = source.stat()
    return _cached_layout(source, wanted, state.st_mtime_ns, state.st_size)


@lru_cache(maxsize=4)  # each part of a file asks again
def _cached_layout(
    path: Path, wanted: str | None, _changed: int, _size: int
) -> Layout | None:
    return _layout_of(path, wanted)


def _layout_of(source: Packed, wanted: str | None) -> Layout | None:
    outside = outside_of(source)
    if outside is None:
        return None
    if outside.shape == "list":
        rows = list(filter(has_structure, _first_values(source, outside)))
        return None if all(map(is_structure, rows)) else Layout(outside)
    if _has_lines(source):
        return Layout(is_lines=True)
    spans = outline(source, outside, _MAX_COLUMNS)
    if (whole := _whole(source, outside, spans)) is not None:
        return None if is_structure(whole) else Layout()
    if any(map(has_structure, _first_values(source, outside, spans))):
        return Layout(outside)
    _check_keys(spans)
    return _frame_of_rows(source, spans) or _frame_of_columns(source, spans, wanted)


def _whole(source: Packed, outside: Outside, spans: list[Span]) -> object:
    """Return the content of a file that is one document, else None."""
    is_long = len(spans) == _MAX_COLUMNS or (
        bool(spans) and spans[-1].end - outside.offset > _LONGEST
    )
    if not spans or is_long:
        return None
    keys = [span.key for span in spans]
    try:
        whole = _load(source, outside)
    except DuplicateKeyError:  # which its reader is to name
        return None if set(keys).isdisjoint(STRUCTURE_KEYS) else {}
    except (ValueError, RecursionError):
        return None
    return whole if has_structure(whole) else None


def _check_keys(spans: list[Span]) -> None:
    counts = Counter(span.key for span in spans)
    if twice := [str(key) for key, n in counts.items() if n > 1]:
        raise unreadable(f"{', '.join(twice)} is given twice; remove one of them")


def _has_lines(source: Packed) -> bool:
    """Return whether the first line is a document and others follow."""
    text = b""
    for block in read_blocks(source):
        text += block
        line, end, rest = text.removeprefix(b"\xef\xbb\xbf").lstrip().partition(b"\n")
        if end and rest.strip():
            try:
                load_json(line)
            except (ValueError, RecursionError):
                return False
            return rest.lstrip().startswith(b"{")
        if len(text) > _LONGEST:
            return False
    return False


def _frame_of_rows(source: Packed, spans: list[Span]) -> Layout | None:
    """Return the layout of pandas' orient `split`."""
    parts = {span.key: span.inside for span in spans}
    columns, rows = parts.get("columns"), parts.get("data")
    if columns is None or rows is None or {columns.shape, rows.shape} != {"list"}:
        return None
    names = tuple(map(str, _load(source, columns)))
    if len(set(names)) < len(names):
        twice = sorted({name for name in names if names.count(name) > 1})
        raise unreadable(f"column {', '.join(twice)} is given twice; rename one of them")
    index = parts.get("index")
    labels = () if index is None else tuple(_load(source, index))
    return Layout(rows, names=names, labels=labels)


def _frame_of_columns(
    source: Packed, spans: list[Span], wanted: str | None
) -> Layout | None:
    """Return the layout of columns, or of rows one level down."""
    found = [span for span in spans if _holds_rows(source, span)]
    names = STRUCTURE_KEYS if wanted is None else (wanted,)
    usual = [span for name in names for span in found if span.key == name]
    if not found:
        return None
    if len(found) > 1 and not usual:
        keys = " and ".join(str(span.key) for span in found)
        raise unreadable(
            f"{keys} hold structures each; choose one with columns.structure, or give each "
            "a file of its own"
        )
    main = (usual or found)[0]
    beside = {
        str(span.key): _load(source, span.inside)
        for span in spans
        if span is not main
        and span.inside
        and main.inside
        and span.inside.shape == main.inside.shape
    }
    return Layout(main.inside, column=str(main.key), beside=beside)


def _holds_rows(source: Packed, span: Span) -> bool:
    if span.inside is None:
        return False
    values = _first_values(source, span.inside)
    if span.key in STRUCTURE_KEYS:
        return any(has_structure({str(span.key): value}) for value in values)
    return any(map(has_structure, values))


def _first_values(
    source: Packed, outside: Outside, spans: Sequence[Span] = ()
) -> Iterator[object]:
    """Yield the first values of a list or object, none that is very long."""
    longest = max((span.end - span.offset for span in spans[:_N_LOOKED_AT]), default=0)
    if longest > _LONGEST:
        return
    for member in islice(iter_members(source, outside), _N_LOOKED_AT):
        with suppress(ValueError, RecursionError):
            yield parse_member(member, outside.shape)[1]


def _load(source: Packed, inside: Outside) -> Any:  # noqa: ANN401  any JSON
    bracket = b"[" if inside.shape == "list" else b"{"
    return load_json(bracket + b"".join(blocks_within(source, inside, inside.offset)))
