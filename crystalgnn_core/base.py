"""Frozen configuration models and the digests that name what is made from them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict

DEFAULT_STORE = "crystalgnn-store"
DIGEST_LENGTH = 16
# `json.dumps` would make one for every digest
_encoder = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False)


class Later:
    """Mark of a field that came after things had been named by a digest of the others."""


LATER = Later()


class FrozenModel(BaseModel):
    """Base of every configuration and reference: immutable, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    def settings_digest(self, *, exclude: Mapping[str, Any] | Iterable[str] = ()) -> str:
        """Return a short digest of this object, leaving out the fields in exclude.

        Fields of this object itself that are marked as `LATER` count only where they are
        used, so that what was named before there were any keeps its name.

        Args:
            exclude: Names; a mapping names what is left out of the fields of a field, as in
                pydantic.
        """
        left_out = dict.fromkeys(self.unused_fields(), True)
        given = exclude if isinstance(exclude, Mapping) else dict.fromkeys(exclude, True)
        return digest_of(self.model_dump(mode="json", exclude=left_out | dict(given)))

    def unused_fields(self) -> set[str]:
        """Return the fields marked as `LATER` that have their default."""
        return {
            name
            for name, field in type(self).model_fields.items()
            if LATER in field.metadata and getattr(self, name) == field.default
        }


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
