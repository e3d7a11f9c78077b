"""Where the materials stand in a JSON file: in a list, an object or a frame."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from functools import lru_cache
from itertools import islice
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from crystalgnn_core.sources.formats.columns import ID_COLUMNS, plain_name
from crystalgnn_core.sources.formats.documents import (
    STRUCTURE_KEYS,
    has_structure,
    id_in,
    is_row,
    is_structure_key,
)
from crystalgnn_core.sources.formats.json_stream.members import (
    Outside,
    blocks_within,
    iter_members,
    outside_of,
    parse_member,
)
from crystalgnn_core.sources.formats.json_stream.outline import Span, outline
from crystalgnn_core.sources.formats.json_stream.several import (
    check_one_document,
    has_lines,
)
from crystalgnn_core.sources.formats.json_text import DuplicateKeyError, load_json
from crystalgnn_core.sources.formats.objects import is_structure
from crystalgnn_core.sources.formats.parsing import as_mapping, unreadable
from crystalgnn_core.wording import list_names

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
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
        return None if _is_list_of_bare(source, outside) else Layout(outside)
    return Layout(is_lines=True) if has_lines(source) else _object(source, outside, wanted)


def _object(source: Packed, outside: Outside, wanted: str | None) -> Layout | None:
    """Return the layout of an object: a row, rows by their ids, or a frame."""
    spans = outline(source, outside, _MAX_COLUMNS)
    if (whole := _whole(source, outside, spans)) is not None:
        if is_structure(whole):
            return None
        _check_rows_beside(source, spans, as_mapping(whole).values(), wanted)
        return Layout()
    check_one_document(source)
    values = list(_first_values(source, outside, spans))
    if any(map(is_row, values)):
        if _are_by_id(spans, values):
            return Layout(outside)
        _check_rows_beside(source, spans, values, wanted)
        return Layout()
    _check_keys(spans)
    frame = _frame_of_rows(source, spans)
    return frame or _frame_of_columns(source, outside, spans, wanted)


def _is_list_of_bare(source: Packed, outside: Outside) -> bool:
    """Return whether a list holds bare structures, or what is no document."""
    rows = list(_first_values(source, outside))
    if not rows:  # none, or damaged ones, which their reader is to name
        first = next(iter_members(source, outside), None)
        return first is None or first.fault is not None
    return all(is_structure(row) or not isinstance(row, Mapping) for row in rows)


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


def _are_by_id(spans: list[Span], values: list[object]) -> bool:
    """Return whether an object holds rows by their ids, and is not itself a row.

    Some members may be broken, or say what all rows have, as long as rows are the most.
    """
    if any(plain_name(str(span.key)) in ID_COLUMNS and not span.inside for span in spans):
        return False
    n_rows = sum(map(is_row, values))
    n_others = sum(not (is_row(v) or isinstance(v, Mapping | None)) for v in values)
    return n_others < n_rows


def _check_rows_beside(
    source: Packed, spans: list[Span], values: Iterable[object], wanted: str | None
) -> None:
    """Refuse rows in a list that stands beside a structure without a usual name.

    Steps of a relaxation have no ids of their own, and one structure beside them.
    """
    if wanted is not None or any(is_structure_key(span.key) for span in spans):
        return
    is_one = sum(map(is_row, values)) == 1
    for span in spans:
        if span.inside is not None and span.inside.shape == "list":
            rows = _first_values(source, span.inside)
            if any(
                (is_structure(row) and not is_one)
                or (has_structure(row) and id_in(as_mapping(row)))
                for row in rows
            ):
                raise unreadable(
                    f"{span.key} holds rows, and structures stand beside it; give the rows "
                    "a file of their own, or choose a structure with columns.structure"
                )


def _check_keys(spans: list[Span]) -> None:
    counts = Counter(span.key for span in spans)
    if twice := [str(key) for key, n in counts.items() if n > 1]:
        raise unreadable(f"{', '.join(twice)} is given twice; remove one of them")


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
    source: Packed, outside: Outside, spans: list[Span], wanted: str | None
) -> Layout | None:
    """Return the layout of columns, or of rows one level down."""
    found = [span for span in spans if _holds_rows(source, span)]
    names = STRUCTURE_KEYS if wanted is None else (wanted,)
    usual = [span for name in names for span in found if span.key == name]
    if wanted is None and not usual:
        usual = [span for span in found if is_structure_key(span.key)]
    if not found:
        return None
    if not usual and _is_document(source, found[0]):  # behind others without a structure
        return Layout(outside)
    if len(found) > 1 and not usual:
        keys = list_names([str(span.key) for span in found])
        raise unreadable(
            f"{keys} hold structures each; write all as one list or object of ids, give "
            "each a file of its own, or choose one with columns.structure"
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
    values = list(_first_values(source, span.inside))
    if any(is_structure_key(key) for key in (span.key, str(span.key).removesuffix("s"))):
        # of many rows, the first may have no structure
        is_empty = bool(values) and not any(value is not None for value in values)
        return is_empty or any(map(is_row, values))
    return any(map(has_structure, values))


def _is_document(source: Packed, span: Span) -> bool:
    inside = span.inside
    if inside is None or inside.shape == "list":
        return False
    members = outline(source, inside, _MAX_COLUMNS)
    return any(is_structure_key(member.key) for member in members)


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
