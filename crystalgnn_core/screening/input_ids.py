"""Ids of structures that come from several paths, such as `run1/CONTCAR run2/CONTCAR`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from crystalgnn_core.sources.formats.structures import ids_of_files

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from crystalgnn_core.records.schema import RawRecord


class InputGroup(NamedTuple):
    """What one file holds, or one object.

    Attributes:
        path: The file, if it has no name of its own.
        own: Id that it would give to its only structure; empty if its rows name themselves.
        records: Its structures.
        place: Which of the inputs it comes from.
    """

    path: Path | None
    own: str
    records: Iterable[RawRecord]
    place: int = 0


def with_distinct_ids(groups: Iterable[InputGroup]) -> Iterator[RawRecord]:
    """Yield records; ids that come from several inputs get what tells the files apart.

    A file that is given twice has the same ids twice.
    """
    read = [group._replace(records=list(group.records)) for group in groups]
    names = _names([group.path for group in read if group.path is not None])
    owners: dict[str, dict[str, int]] = {}  # id to the names of files, and their inputs
    for group in read:
        if group.path is not None:
            for record in group.records:
                owners.setdefault(record.material_id, {})[names[group.path]] = group.place
    for group in read:
        for record in group.records:
            places = owners.get(record.material_id, {}).values()
            is_shared = len(set(places)) > 1
            if group.path is not None and is_shared and record.material_id:
                yield _renamed(record, group.own, names[group.path])
            else:
                yield record


def _names(paths: Sequence[Path]) -> dict[Path, str]:
    """Return the paths without their common part, and without suffixes if they can."""
    full = {path: Path(os.path.abspath(path)) for path in paths}  # noqa: PTH100  links stay
    different = list(dict.fromkeys(full.values()))
    if not different:
        return {}
    common = os.path.commonpath([each.parent for each in different])
    names = [each.relative_to(common).as_posix() for each in different]
    ids = ids_of_files(different, names)
    found = dict(zip(different, ids, strict=True))
    return {path: found[each] for path, each in full.items()}


def _renamed(record: RawRecord, own: str, name: str) -> RawRecord:
    """Put the name of a file in place of the id that comes of it, or before another."""
    old = record.material_id
    is_of_file = bool(own) and (old == own or old.startswith(f"{own}-"))
    new = name + old[len(own) :] if is_of_file else f"{name}/{old}"
    error = record.error
    if error is not None and error[1].startswith(f"{old}: "):
        error = (error[0], new + error[1][len(old) :])
    return record._replace(material_id=new, error=error)
