"""Words for what is wrong with a setting or a name, and the name that was meant."""

from __future__ import annotations

import json
import re
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple, get_args, get_origin

from pydantic import BaseModel, Tag

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from pydantic import ValidationError
    from pydantic_core import ErrorDetails

MOST_PARTS = 3  # faults that one line names
_LONGEST_FOUND = 60  # characters of a value that a message repeats
_LONGEST_NAME, _MOST_LISTED = 100, 20  # of names that a message lists
_MOST_NAMES = 2000  # of a folder that are looked at
_CONTAINERS = (tuple, list, dict)
_KEYS_AND_VALUES, _LIST = "expected keys and values", "expected a list, such as [a, b]"
_PLAIN = {
    "bool_parsing": "expected true or false",
    "bool_type": "expected true or false",
    "dict_type": _KEYS_AND_VALUES,
    "finite_number": "expected a finite number",
    "float_parsing": "expected a number",
    "float_type": "expected a number",
    "greater_than": "must be above {gt:g}",
    "greater_than_equal": "must be at least {ge:g}",
    "int_from_float": "expected a whole number",
    "int_parsing": "expected a whole number",
    "int_type": "expected a whole number",
    "invalid_key": "a key must be text; put it in quotes",
    "less_than": "must be below {lt:g}",
    "less_than_equal": "must be at most {le:g}",
    "list_type": _LIST,
    "literal_error": "expected {expected}",
    "missing": "is missing; give it",
    "model_attributes_type": _KEYS_AND_VALUES,
    "model_type": _KEYS_AND_VALUES,
    "string_too_short": "is empty; give a text",
    "string_type": "expected text",
    "string_unicode": "holds characters that are no Unicode; rename what it names",
    "too_long": "at most {max_length} values are allowed, not {actual_length}",
    "too_short": "at least {min_length} value is needed",
    "tuple_type": _LIST,
}
_PATTERNS = {r"^[A-Za-z0-9._-]+$": "use letters, digits, '.', '_' and '-' only"}


class Place(NamedTuple):
    """Where in a tree of settings a fault is.

    Attributes:
        key: Keys and positions as a user writes them, without the names of types.
        kind: Kind of the innermost mapping that has one.
        types: Types that are allowed there.
    """

    key: tuple[str, ...]
    kind: str | None
    types: tuple[Any, ...]


def list_names(names: Sequence[str]) -> str:
    """Join names for a message: the first ones, each cut, and how many more there are."""
    listed = [
        (one or "''") if len(one) <= _LONGEST_NAME else f"{one[:_LONGEST_NAME]} ..."
        for one in names[:_MOST_LISTED]
    ]
    more = len(names) - len(listed)
    return ", ".join(listed) + (f" and {more} more" if more > 0 else "")


def did_you_mean(name: object, known: Iterable[str]) -> str:
    """Return `; did you mean ...?` with the nearest of the known names, or nothing."""
    from difflib import get_close_matches

    wanted = _spelling(str(name))
    names = {_spelling(one): one for one in known if len(one) <= _LONGEST_NAME}
    near = get_close_matches(wanted, names, n=2, cutoff=0.65)
    if not near and len(wanted) > 2:
        near = [one for one in names if one.startswith(wanted)][:2]
        near = near or [one for one in names if wanted in one][:2]
    return f"; did you mean {' or '.join(names[one] for one in near)}?" if near else ""


def describe_store(store: Path) -> str:
    """Name a store, and say if there is none."""
    return f"store {store}" + ("" if store.is_dir() else ", which does not exist")


def near_path(path: Path) -> str:
    """Return `; did you mean ...?` with the nearest of the names beside a path."""
    try:
        names = {entry.name for entry in islice(path.parent.iterdir(), _MOST_NAMES)}
    except OSError:
        return ""
    return did_you_mean(path.name, sorted(names - {path.name}))


def describe_missing(path: Path) -> str:
    """Say why a path is no file, or neither file nor folder, that can be read."""
    if path.is_dir():
        return f"{path}: a folder, not a file; name a file"
    if path.exists():
        return f"{path}: a pipe or a device, not a file; name a file"
    if path.is_symlink():
        return f"{path}: a link to a file that is not there; correct it"
    return f"{path}: no such file or folder{near_path(path)}"


def plain_words(message: str) -> str:
    """Take the terms of the validating library out of a message."""
    message = message.removeprefix("Value error, ")
    message = re.sub(r"^Input should be ", "expected ", message)
    message = message.replace("a valid integer", "a whole number").replace("a valid", "a")
    message = message.replace("expected greater than", "expected a number greater than")
    message = re.sub(r", (unable to parse .*|got a number with .*)$", "", message)
    return re.sub(r"\b(dictionary|mapping)\b.*", "keys and values", message)


def describe_validation(
    error: ValidationError,
    cls: type[BaseModel],
    where: Callable[[tuple[str, ...]], str],
) -> str:
    """Put a validation error into one line: where, what is wrong, what was found.

    Args:
        error: What validating a mapping raised.
        cls: Root of the settings.
        where: From a key to its name and where it was given, such as a file.
    """
    faults: dict[str, list[str]] = {}
    for entry in error.errors(include_url=False):
        place = locate(cls, entry["loc"])
        faults.setdefault(where(place.key), []).append(_describe(entry, place, cls))
    parts = [f"{given}: {_joined(messages)}" for given, messages in faults.items()]
    more = len(parts) - MOST_PARTS
    return "; ".join(parts[:MOST_PARTS]) + (f"; and {more} more" if more > 0 else "")


def locate(cls: Any, location: Sequence[str | int]) -> Place:  # noqa: ANN401  any type
    """Follow the location of a fault, as pydantic gives it, through types of settings."""
    types: list[tuple[str | None, Any]] = [(None, cls)]
    key: list[str] = []
    kind = None
    for part in location:
        if part == "[key]":
            continue
        known = [t.model_fields for _, t in types if _is_model(t)]
        fields = [members[str(part)] for members in known if part in members]
        tagged: list[tuple[str | None, Any]] = [
            (None, t) for tag, t in types if tag is not None and tag == part
        ]
        items = [t for _, t in types if get_origin(t) in _CONTAINERS]
        if fields:
            types, kind = [one for f in fields for one in _flat(f.annotation)], None
        elif tagged:
            types, kind = tagged, str(part)
            continue
        elif items:
            types = [one for t in items for arg in get_args(t) for one in _flat(arg)]
        elif not known:
            continue  # the name of a type, such as `str` of `str | float`
        key.append(str(part))
    return Place(tuple(key), kind, tuple(types))


def _flat(annotation: Any, tag: str | None = None) -> Iterator[tuple[str | None, Any]]:  # noqa: ANN401  any type
    """Yield the members of a union with their tags, without `Annotated`."""
    if get_origin(annotation) in _CONTAINERS or not get_args(annotation):
        yield tag, annotation
        return
    arguments = get_args(annotation)
    if hasattr(annotation, "__metadata__"):
        tags = [one.tag for one in arguments[1:] if isinstance(one, Tag)]
        yield from _flat(arguments[0], tags[0] if tags else tag)
        return
    for argument in arguments:
        yield from _flat(argument, tag)


def _describe(entry: ErrorDetails, place: Place, cls: type[BaseModel]) -> str:
    kind, found, context = entry["type"], entry["input"], entry.get("ctx", {})
    if kind == "extra_forbidden":
        of = "" if place.kind is None else f" of kind {place.kind}"
        return f"unknown key{of}{_meant_key(place, cls)}"
    if kind in {"union_tag_invalid", "union_tag_not_found"}:
        return _describe_kind(found, place)
    form = _PLAIN.get(kind)
    message = plain_words(entry["msg"]) if form is None else form.format(**context)
    meant = ""
    if kind == "string_pattern_mismatch":
        message = _PATTERNS.get(context["pattern"], f"must match {context['pattern']}")
    if kind == "literal_error":
        message, meant = message.replace("'", ""), did_you_mean(found, _names(context))
    if kind == "string_type" and not isinstance(found, dict | list) and found is not None:
        meant = "; put it in quotes (with --set: '\"...\"')"
    shown = show_value(found)
    is_shown = kind not in {"missing", "invalid_key", "too_short", "too_long"}
    is_said = isinstance(found, dict) or shown in message
    return f"{message}{f' (found {shown})' if is_shown and not is_said else ''}{meant}"


def _describe_kind(found: object, place: Place) -> str:
    """Say which kinds there are, for a mapping of another one or of none."""
    kinds = sorted(tag for tag, _ in place.types if tag is not None)
    choice = f"choose from {', '.join(kinds)}"
    if isinstance(found, dict) and "kind" not in found:
        return f"no kind is given (found {show_value(found)}); {choice}"
    if isinstance(found, dict):
        meant = did_you_mean(found["kind"], kinds)
        return (
            f"no kind {show_value(found['kind'])}, expected {', '.join(kinds)}; install "
            f"the package that offers another{meant}"
        )
    meant = f"; write {{kind: {found}}}" if found in kinds else f"; {choice}"
    return f"{_KEYS_AND_VALUES} with a kind (found {show_value(found)}){meant}"


def _meant_key(place: Place, cls: type[BaseModel]) -> str:
    """Suggest a key beside an unknown one, or the same key elsewhere in the tree."""
    name = place.key[-1]
    models = [t for _, t in place.types if _is_model(t)]
    near = did_you_mean(name, (field for t in models for field in t.model_fields))
    if near:
        return near
    elsewhere = [key for key in _all_keys(cls) if key.rpartition(".")[2] == name]
    return f"; did you mean {' or '.join(elsewhere[:2])}?" if elsewhere else ""


def _all_keys(cls: type[BaseModel], *above: type[BaseModel]) -> Iterator[str]:
    """Yield the dotted keys of a tree, without those that depend on a kind."""
    for name, field in cls.model_fields.items():
        yield name
        for tag, inner in _flat(field.annotation):
            if tag is None and _is_model(inner) and inner not in (cls, *above):
                yield from (f"{name}.{key}" for key in _all_keys(inner, cls, *above))


def _joined(messages: list[str]) -> str:
    """Join what the members of a union expect into one sentence."""
    distinct = list(dict.fromkeys(messages))
    wanted = [one.partition(" (found ") for one in distinct]
    if len(distinct) > 1 and all(head.startswith("expected ") for head, _, _ in wanted):
        heads = [head.removeprefix("expected ") for head, _, _ in wanted]
        return f"expected {' or '.join(dict.fromkeys(heads))}" + "".join(wanted[0][1:])
    return "; ".join(distinct)


def show_value(value: object) -> str:
    """Write a value as YAML has it, shortened; text in quotes."""
    if isinstance(value, str):
        shown = repr(value)
    else:
        shown = "nothing" if value is None else json.dumps(value, default=str)
    return shown if len(shown) <= _LONGEST_FOUND else f"{shown[: _LONGEST_FOUND - 3]}..."


def _names(context: dict[str, Any]) -> list[str]:
    return re.findall(r"'([^']*)'", str(context["expected"]))


def _spelling(name: str) -> str:
    return re.sub(r"[-\s.]", "_", name.casefold())


def _is_model(annotation: object) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)
