"""Frozen configuration models and the digests that name what is made from them."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict

if TYPE_CHECKING:
    from collections.abc import Iterable

DEFAULT_STORE = "crystalgnn-store"
DIGEST_LENGTH = 16
# `json.dumps` would make one for every digest
_encoder = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False)


class FrozenModel(BaseModel):
    """Base of every configuration and reference: immutable, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    def settings_digest(self, *, exclude: set[str] | dict[str, Any] | None = None) -> str:
        """Return a short digest of this object, leaving out the fields in exclude.

        A mapping names what is left out of the fields of a field, as in pydantic.
        """
        return digest_of(self.model_dump(mode="json", exclude=exclude))


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
