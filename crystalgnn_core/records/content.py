"""The digest that says whether two rows of the record table say the same."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from crystalgnn_core.base import canonical_json, short_digest
from crystalgnn_core.targets import TARGETS, scheme_column

if TYPE_CHECKING:
    from collections.abc import Mapping

_SCHEMES = {target: scheme_column(target) for target in TARGETS}
_FACTS = ("split", "run_type", "license")
_SLOT = "\0"


def content_digest(row: Mapping[str, object]) -> str:
    """Name what a row says: structure, labels, schemes, split, run type and licence.

    `last_updated` and `source_version` are left out, so that a new release of a database
    touches only the rows that differ. Missing labels are left out, so that a new target
    in the table of targets leaves old digests as they are.

    The digest is that of the JSON object of these values, keys sorted.
    """
    names = [name for name in _SCHEMES if row.get(name) is not None]
    facts = (*_FACTS, *[_SCHEMES[name] for name in names])
    values = {name: repr(row[name]) for name in names}
    values["structure_digest"] = f'"{row["structure_digest"]}"'
    template = _template(facts, tuple([row.get(name) for name in facts]), tuple(values))
    return short_digest(template % values)


@lru_cache(maxsize=1000)
def _template(
    names: tuple[str, ...], facts: tuple[object, ...], slots: tuple[str, ...]
) -> str:
    """Write the JSON object with slots for what differs from row to row."""
    known = dict(zip(names, facts, strict=True))
    text = canonical_json(known | dict.fromkeys(slots, _SLOT)).replace("%", "%%")
    for name in slots:
        text = text.replace(f'"{name}":"\\u0000"', f'"{name}":%({name})s')
    return text
