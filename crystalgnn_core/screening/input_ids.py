"""Ids of structures that come from several paths, such as `run1/CONTCAR run2/CONTCAR`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from crystalgnn_core.sources.formats.structures import stem_of, unique_ids

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from crystalgnn_core.records.schema import RawRecord


def with_distinct_ids(
    read: Iterable[tuple[Path | None, Iterable[RawRecord]]],
) -> Iterator[RawRecord]:
    """Yield records; ids that come from several paths get what tells the paths apart.

    Args:
        read: The records of each input, and its path, if it has one and no name.
    """
    groups = [(path, list(records)) for path, records in read]
    names = _names([path for path, _ in groups if path is not None])
    owners: dict[str, set[str]] = {}
    for path, records in groups:
        for record in records if path is not None else ():
            owners.setdefault(record.material_id, set()).add(names[path])
    for path, records in groups:
        for record in records:
            is_shared = len(owners.get(record.material_id, ())) > 1
            if path is not None and is_shared and record.material_id:
                yield _renamed(record, path, names[path])
            else:
                yield record


def _names(paths: Sequence[Path]) -> dict[Path, str]:
    """Return the paths without their common part, and without suffixes if they can."""
    full = {path: Path(os.path.abspath(path.expanduser())) for path in paths}  # noqa: PTH100  links stay
    if len(set(full.values())) < 2:
        return dict.fromkeys(paths, "")
    common = os.path.commonpath([each.parent for each in full.values()])
    different = list(dict.fromkeys(full.values()))
    relative = [each.relative_to(common).as_posix() for each in different]
    ids = dict(zip(different, unique_ids(relative), strict=True))
    return {path: ids[each] for path, each in full.items()}


def _renamed(record: RawRecord, path: Path, name: str) -> RawRecord:
    """Put the name of a path in place of the stem of its file, or before the id."""
    old, stem = record.material_id, stem_of(path.name)
    is_of_file = path.is_file() and (old == stem or old.startswith(f"{stem}-"))
    new = name + old[len(stem) :] if is_of_file else f"{name}/{old}"
    error = record.error
    if error is not None and error[1].startswith(f"{old}: "):
        error = (error[0], new + error[1][len(old) :])
    return record._replace(material_id=new, error=error)
