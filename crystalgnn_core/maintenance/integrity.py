"""Verify every file of a store by the digests that were written with it."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import DeltaTable

from crystalgnn_core.base import FrozenModel
from crystalgnn_core.errors import IntegrityError
from crystalgnn_core.maintenance.references import SHARDS, digests_in, owner_of
from crystalgnn_core.records.table import delta
from crystalgnn_core.storage.checksums import LIST, REMOVED, listed
from crystalgnn_core.storage.files import file_sha256
from crystalgnn_core.storage.manifest import TOMBSTONES
from crystalgnn_core.storage.usage import FOLDERS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

OF_LIST = "delete it: the files of the folder then count as they are"
TABLES = ("records", "rejects")
ADVICE = dict.fromkeys(FOLDERS, "the next run rebuilds it") | {
    "ingests": "restore it, or delete it and ingest the source again",
    "models": "restore it, or delete it and train again",
    "screens": "screen again, or delete it",
    "prescreens": "screen again, or delete it",
}


class Damage(FrozenModel):
    """One thing that is not as it was written: where, what is wrong, what to do."""

    path: str
    problem: str
    advice: str


class Checked(FrozenModel):
    """What was verified in one part of a store.

    Attributes:
        area: Folder below the store.
        n_sound: Rows or files whose digest is right.
        unit: What was counted.
        n_superseded: Rows with a tombstone.
        damages: What is not sound.
    """

    area: str
    n_sound: int
    unit: str
    n_superseded: int = 0
    damages: tuple[Damage, ...] = ()


def check_store(store: Path) -> Iterator[Checked]:
    """Verify a store part by part; every file is read again, nothing is written.

    Files are compared with the lists of checksums of their folders, and with what entries,
    cards and manifests say of them. Those that none of these name are of older versions.
    """
    for kind in FOLDERS:
        top = store / kind
        if kind in TABLES:
            if top.is_dir():
                yield _check_table(top)
        elif kind in ("models", "screens", *SHARDS):
            for folder in sorted(top.glob("[!.]*/")):
                yield _check_files(folder, "**/*", f"{kind}/{folder.name}")
            if any(path.is_file() for path in top.glob("*")):
                yield _check_files(top, "*", kind)
        elif top.is_dir():
            yield _check_files(top, "**/*", kind)


def _check_table(folder: Path) -> Checked:
    logs = delta.log_files(folder)
    found = {path: delta.log_problem(path, fresh=True) for path in logs}
    n_rows = 0
    if not any(found.values()):
        try:
            with delta.damage_named(folder):
                uris = delta.files_of(DeltaTable(delta.address_of(folder)))
                files = [folder / path.name for path in uris]
        except IntegrityError as error:
            found[folder] = str(error).partition("; ")[0]
        else:
            found |= {path: delta.file_problem(path, fresh=True) for path in files}
            n_rows = sum(_n_rows(path) for path in files if found[path] is None)
            for path in set(folder.glob("*.parquet")) - found.keys():
                problem = delta.file_problem(path, fresh=True)
                found[path] = problem and f"{problem} (earlier versions alone need it)"
    _listed_digests([folder], found)
    damages = _damages(found, delta.advice(folder))
    return Checked(area=folder.name, n_sound=n_rows, unit="rows", damages=damages)


def _check_files(folder: Path, pattern: str, area: str) -> Checked:
    """Compare files with all that is said of them."""
    kind = area.partition("/")[0]
    found = _problems_of_files(folder, pattern, kind)
    if any(found.values()):  # or a run has replaced or removed them meanwhile
        again = _problems_of_files(folder, pattern, kind)
        found = {path: problem and again.get(path) for path, problem in found.items()}
    superseded = (path for path in found if path.as_posix().endswith(TOMBSTONES))
    return Checked(
        area=area,
        n_sound=sum(problem is None for problem in found.values()),
        unit="files",
        n_superseded=sum(_n_rows(path) for path in superseded if not found[path]),
        damages=_damages(found, ADVICE[kind]),
    )


def _problems_of_files(folder: Path, pattern: str, kind: str) -> dict[Path, str | None]:
    """Return what is wrong with each file that is there or should be; None if nothing."""
    given = list(folder.glob(pattern))
    files = [path for path in given if path.is_file() and not _is_passing(path, folder)]
    found: dict[Path, str | None] = {}
    allowed = _listed_digests({path.parent for path in given}, found)
    for path in files:
        owner = owner_of(path, kind)
        if owner is not None and not owner.is_file():
            found[path] = f"has no {owner.name}: it was not finished, or that was lost"
        elif path.suffix == ".json":
            try:
                stated = digests_in(path, kind)
            except IntegrityError as error:
                stated, found[path] = {}, str(error)
            for other, digest in stated.items():
                allowed[other].append((digest,))
        if path.suffix in (".json", ".parquet"):
            allowed[path].append(())
    for path, choices in allowed.items():
        if path.is_file() or not all(REMOVED in known[-1:] for known in choices):
            found[path] = found.get(path) or _file_problem(path, choices)
    return found


def _is_passing(path: Path, folder: Path) -> bool:
    """Return whether a file is a list, a lock, or of something that is being made."""
    parts = path.relative_to(folder).parts
    return any(part.startswith(".") or part == "jobs" for part in parts)


def _listed_digests(
    folders: Iterable[Path], found: dict[Path, str | None]
) -> dict[Path, list[tuple[str, ...]]]:
    """Return what lists of checksums say of files; note what is wrong with the lists."""
    allowed: dict[Path, list[tuple[str, ...]]] = defaultdict(list)
    for folder in folders:
        digests, n_damaged = listed(folder)
        if n_damaged:
            found[folder / LIST] = f"{n_damaged} damaged lines"
            continue
        for name, known in digests.items():
            allowed[folder / name].append(known)
    return allowed


def _file_problem(path: Path, choices: Sequence[tuple[str, ...]]) -> str | None:
    if not path.is_file():
        return "is missing"
    stated = [known for known in choices if known]
    digest = file_sha256(path) if stated else ""
    if not all(digest in known for known in stated):
        return "differs from its SHA-256"
    try:
        if path.suffix == ".parquet" and not stated:
            _n_rows(path)
    except (OSError, pa.ArrowException):
        return "cannot be read"
    return None


def _n_rows(path: Path) -> int:
    return int(pq.read_metadata(path).num_rows)


def _damages(found: Mapping[Path, str | None], advice: str) -> tuple[Damage, ...]:
    return tuple(
        Damage(
            path=str(path),
            problem=problem,
            advice=OF_LIST if path.name == LIST else advice,
        )
        for path, problem in sorted(found.items())
        if problem is not None
    )
