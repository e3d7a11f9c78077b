"""Frozen configuration models and the digests that name what is made from them."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Callable, Iterable, Mapping, Set
from functools import reduce
from importlib.metadata import entry_points
from operator import or_
from typing import TYPE_CHECKING, Annotated, Any, get_args

from pydantic import BaseModel, ConfigDict, Discriminator, Tag

if TYPE_CHECKING:
    from types import UnionType

DEFAULT_STORE = "crystalgnn-store"
DIGEST_LENGTH = 16
# `json.dumps` would make one for every digest
_encoder = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False)


class AddedLater:
    """Mark of a field that came after things had been named by a digest of the others."""


ADDED_LATER = AddedLater()


class NotContent:
    """Mark of a setting that says where or how something is read, not what it holds."""


NOT_CONTENT = NotContent()


class FrozenModel(BaseModel):
    """Base of every configuration and reference: immutable, unknown keys refused."""

    # a bound, however large, lets texts be Unicode alone: neither JSON nor a table holds
    # the bytes of a path that is none
    model_config = ConfigDict(
        frozen=True, extra="forbid", protected_namespaces=(), str_max_length=2**31
    )

    def settings_digest(self, *, exclude: Mapping[str, Any] | Iterable[str] = ()) -> str:
        """Return a short digest of this object, leaving out the fields in exclude.

        Fields that are marked as `ADDED_LATER`, here or in a nested object, count only
        where they are used, so that what was named before there were any keeps its name.

        Args:
            exclude: Names; a mapping names what is left out of the fields of a field, as in
                pydantic.
        """
        return digest_of(self.digest_content(exclude=exclude))

    def digest_content(
        self, *, exclude: Mapping[str, Any] | Iterable[str] = ()
    ) -> dict[str, Any]:
        """Return as JSON what `settings_digest` makes a digest of."""
        given = exclude if isinstance(exclude, Mapping) else dict.fromkeys(exclude, True)
        return self.model_dump(mode="json", exclude=_join(self.unused_fields(), given))

    def unused_fields(self) -> dict[str, Any]:
        """Return the fields marked as `ADDED_LATER` that have their default.

        Those of nested objects, also in sequences and mappings, are named below the field
        that holds them, in pydantic's form.
        """
        return self.select_fields(_is_unused)

    def select_fields(
        self, is_chosen: Callable[[FrozenModel, str], bool]
    ) -> dict[str, Any]:
        """Return the chosen fields, those of nested objects too, in pydantic's form."""
        found: dict[str, Any] = {}
        for name in type(self).model_fields:
            value = getattr(self, name)
            if is_chosen(self, name):
                found[name] = True
            elif nested := _select_below(value, is_chosen):
                found[name] = nested
        return found


def _is_unused(config: FrozenModel, name: str) -> bool:
    # a class that gives a marked field another default marks it again, or not
    field = type(config).model_fields[name]
    default = field.get_default(call_default_factory=True)
    return ADDED_LATER in field.metadata and bool(getattr(config, name) == default)


def _select_below(
    value: object, is_chosen: Callable[[FrozenModel, str], bool]
) -> dict[Any, Any]:
    if isinstance(value, FrozenModel):
        return value.select_fields(is_chosen)
    if isinstance(value, Mapping):
        members = list(value.items())
    elif isinstance(value, list | tuple):
        members = list(enumerate(value))
    else:
        return {}
    below = ((key, _select_below(member, is_chosen)) for key, member in members)
    return {key: nested for key, nested in below if nested}


def _join(first: object, second: object) -> Any:  # noqa: ANN401  pydantic's form
    """Name what either names; what is left out as a whole is, whatever else is named."""
    one, other = (
        dict.fromkeys(named, True) if isinstance(named, Set) else named
        for named in (first, second)
    )
    if not (isinstance(one, Mapping) and isinstance(other, Mapping)):
        return True
    shared = {key: _join(one[key], other[key]) for key in one.keys() & other.keys()}
    return {**one, **other, **shared}


def union_by_kind(builtin: UnionType, *, group: str, default: str | None = None) -> Any:  # noqa: ANN401  a type that is made at run time
    """Return the union of configurations that are distinguished by their field `kind`.

    Beside the given classes it holds those that installed packages register: an entry point
    of the group whose object is a class of the same form. One that cannot be loaded, or
    that takes a kind there is already, is left out with a warning, so that a broken package
    does not stop runs that have no use for it.

    Args:
        builtin: Union of this package's classes, each with a field `kind` of one literal.
        group: Entry-point group, such as `crystalgnn.networks`.
        default: Kind of a mapping that names none; None requires the name.
    """
    classes = {kind_of(cls): cls for cls in get_args(builtin)}
    for entry in entry_points(group=group):
        try:
            cls = entry.load()
            kind = kind_of(cls)
        except Exception as error:  # noqa: BLE001  whatever a foreign package does on import
            warnings.warn(
                f"{group}: {entry.value} cannot be used ({error})", RuntimeWarning, 2
            )
            continue
        if classes.setdefault(kind, cls) is not cls:
            warnings.warn(
                f"{group}: {entry.value} takes the kind {kind!r} of "
                f"{classes[kind].__module__}.{classes[kind].__name__} and is left out",
                RuntimeWarning,
                2,
            )

    def find_kind(value: object) -> str | None:
        if isinstance(value, Mapping):
            return value.get("kind", default)
        return getattr(value, "kind", None)

    tagged = [Annotated[cls, Tag(kind)] for kind, cls in classes.items()]
    return Annotated[reduce(or_, tagged), Discriminator(find_kind)]


def classes_by_kind(union: Any) -> dict[str, Any]:  # noqa: ANN401  a type of run time
    """Return kind to class of a union that `union_by_kind` made."""
    members = (get_args(member)[0] for member in get_args(get_args(union)[0]))
    return {kind_of(cls): cls for cls in members}


def kind_of(cls: type[FrozenModel]) -> str:
    """Return the literal of a class's field `kind`.

    Raises:
        TypeError: The class is no configuration, or its `kind` is not one literal string.
    """
    is_model = isinstance(cls, type) and issubclass(cls, FrozenModel)
    literals = get_args(cls.model_fields["kind"].annotation) if is_model else ()
    if len(literals) != 1 or not isinstance(literals[0], str):
        raise TypeError(f"{cls!r} has no field `kind` of one literal string")
    return literals[0]


def digest_of(value: Any) -> str:  # noqa: ANN401  any JSON value
    """Return the first 16 hex digits of the SHA-256 of a JSON value, keys sorted."""
    return short_digest(canonical_json(value))


def canonical_json(value: Any) -> str:  # noqa: ANN401  any JSON value
    """Write a JSON value without spaces, keys sorted."""
    return _encoder.encode(value)


def short_digest(text: str) -> str:
    """Return the first 16 hex digits of the SHA-256 of a text."""
    return hashlib.sha256(text.encode()).hexdigest()[:DIGEST_LENGTH]


def digest_of_strings(values: Iterable[str]) -> str:
    """Return a short digest of a sequence of strings; order counts."""
    hasher = hashlib.sha256()
    for value in values:
        hasher.update(value.encode())
        hasher.update(b"\0")
    return hasher.hexdigest()[:DIGEST_LENGTH]
