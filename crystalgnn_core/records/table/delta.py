"""Opening the Delta tables of a store, so that damage is named before a row is used.

The list of checksums of a table's folder holds its log and its files. What has no line yet,
as in stores of older versions or after a kill, is looked at once and gets one.
"""

from __future__ import annotations

import json
import logging
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError

from crystalgnn_core.errors import InputError, IntegrityError
from crystalgnn_core.records.crystal import Crystal, structure_digest
from crystalgnn_core.records.table.rows import content_digest
from crystalgnn_core.storage.checksums import is_listed, list_file, listed
from crystalgnn_core.storage.files import ROW_GROUP, digest_of_state, file_sha256
from crystalgnn_core.storage.manifest import KEY
from crystalgnn_core.storage.paths import require_store_name

if TYPE_CHECKING:
    from collections.abc import Iterator

logger = logging.getLogger(__name__)
LOG, CHECKPOINTS = "_delta_log", "[0-9]*.checkpoint*.parquet"
N_ROWS_NAMED = 5


def open_table(folder: Path, version: int | None = None) -> DeltaTable | None:
    """Open a version of a table, the newest by default; None if there is no table.

    Raises:
        InputError: There is no such version.
        IntegrityError: The log, or a file with rows of this version, is damaged.
    """
    if not is_table(folder):
        return None
    with damage_named(folder):
        table = DeltaTable(address_of(folder))
        newest = table.version()
        if version is not None:
            try:
                table.load_as_version(version)
            except DeltaError as error:
                raise InputError(
                    f"{folder}: no version {version} (newest: {newest})"
                ) from error
        for path in files_of(table):
            problem = file_problem(path)
            if problem is not None:
                raise damaged(path, problem)
    return table


def address_of(folder: Path) -> str:
    """Return the address of a table; the library takes a mere path for one, as of `run:1`.

    Raises:
        InputError: The library cannot open a table there.
    """
    return require_store_name(folder).as_uri()


def is_table(folder: Path) -> bool:
    """Return whether a folder holds a table; its log is verified.

    Raises:
        IntegrityError: A file of the log is missing or damaged.
    """
    for path in log_files(folder):
        problem = log_problem(path)
        if problem is not None:
            raise damaged(path, problem, folder)
    if DeltaTable.is_deltatable(address_of(folder)):
        return True
    if any(folder.glob("*.parquet")):
        raise damaged(folder / LOG, "is missing", folder)
    return False


def log_files(folder: Path) -> list[Path]:
    """Return the files of a log, those that should be there included, in order."""
    log = folder / LOG
    names = {name.partition("/")[2] for name in listed(folder).digests if LOG in name}
    names.update(path.name for path in (*log.glob("[0-9]*.json"), *log.glob(CHECKPOINTS)))
    # what a checkpoint holds may be cleaned up
    first = max((int(path.name[:20]) for path in log.glob(CHECKPOINTS)), default=-1)
    return [
        log / name
        for name in sorted(names)
        if (log / name).is_file() or int(name[:20]) > first
    ]


def log_problem(path: Path, *, fresh: bool = False) -> str | None:
    """Return what is wrong with a file of a log.

    One without a line that is fine gets one, unless the file is to be read afresh.
    """
    folder = path.parents[1]
    if not path.is_file():
        return "is missing"
    if _has_line(path, folder):
        return _list_problem(path, folder, fresh=fresh)
    if path.suffix == ".json":
        try:
            for line in path.read_bytes().splitlines():
                json.loads(line)
        except ValueError:
            return "is not valid JSON"
    if not fresh:
        _list(path, folder)
    return None


def files_of(table: DeltaTable) -> list[Path]:
    """Return the files with the rows of a version, in order of name."""
    return [Path(unquote(uri.removeprefix("file://"))) for uri in sorted(table.file_uris())]


def file_problem(path: Path, *, fresh: bool = False) -> str | None:
    """Return what is wrong with a file of rows by its line, or by the digests of its rows.

    One without a line whose rows are fine gets one, unless the file is to be read afresh,
    by line and by rows.
    """
    if not path.is_file():
        return "is missing"
    has_line = _has_line(path, path.parent) and not listed(path.parent).n_damaged
    if has_line and not fresh:
        return _list_problem(path, path.parent, fresh=False)
    try:
        wrong = wrong_rows(path) if fresh else _wrong_rows_of(digest_of_state(path), path)
    except (OSError, pa.ArrowException) as error:
        return f"cannot be read ({_one_line(error)})"
    if wrong:
        names = ", ".join(wrong[:N_ROWS_NAMED])
        return f"{len(wrong)} rows differ from their digest: {names}"
    if has_line:
        return _list_problem(path, path.parent, fresh=True)
    if not fresh:
        _list(path, path.parent)
    return None


def list_new_files(table: DeltaTable, folder: Path) -> None:
    """Add what was just committed to the list of checksums."""
    for path in (*log_files(folder), *(folder / path.name for path in files_of(table))):
        if not _has_line(path, folder):
            _list(path, folder)


def remove_uncommitted(folder: Path) -> None:
    """Remove files of rows whose commit was killed; nobody else may write to the table."""
    files = [path for path in folder.glob("*.parquet") if not _has_line(path, folder)]
    log = folder / LOG
    commits = sorted(log.glob("[0-9]*.json"))
    if not files or [int(path.stem) for path in commits] != list(range(len(commits))):
        return  # not all that was ever committed is known
    text = "".join(path.read_text(encoding="utf-8") for path in commits)
    for path in files:
        if quote(path.name) not in text:
            logger.info("%s: removed, as its commit was interrupted", path)
            path.unlink()


def damaged(path: Path, problem: str, folder: Path | None = None) -> IntegrityError:
    """Make the error of a damaged file of a table."""
    return IntegrityError(f"{path}: {problem}; {advice(folder or path.parent)}")


def advice(folder: Path) -> str:
    """Say what to do about a damaged table."""
    return f"restore {folder} from a backup, or delete it and ingest all sources again"


@contextmanager
def damage_named(folder: Path) -> Iterator[None]:
    """Turn the errors of the library about damaged tables into one that says what to do.

    Raises:
        IntegrityError: The library cannot read the table.
    """
    try:
        yield
    except (DeltaError, OSError, pa.ArrowException) as error:
        raise damaged(folder, f"cannot be read ({_one_line(error)})", folder) from error
    except BaseException as error:
        if type(error).__name__ != "PanicException":  # of Rust; nothing else is known of it
            raise
        raise damaged(folder, f"cannot be read ({_one_line(error)})", folder) from error


@lru_cache(maxsize=10_000)
def _wrong_rows_of(_digest: str, path: Path) -> list[str]:
    """Look at rows once per process, also where nothing can be noted in the store."""
    return wrong_rows(path)


def wrong_rows(path: Path) -> list[str]:
    """Name the records of a file whose structure or content is not what its digests say.

    Files of other rows are read alone.
    """
    wrong = []
    with pq.ParquetFile(path) as file:
        has_digests = "content_digest" in file.schema_arrow.names
        for batch in file.iter_batches(ROW_GROUP):
            rows = batch.to_pylist() if has_digests else []
            wrong += [f"{r['source']}/{r['material_id']}" for r in rows if not _is_right(r)]
    return wrong


def _is_right(row: dict[str, object]) -> bool:
    try:
        crystal = Crystal(
            np.array(row["atomic_numbers"]),
            np.array(row["lattice"]).reshape(3, 3),
            np.array(row["frac_coords"]).reshape(-1, 3),
        )
        is_same = structure_digest(crystal) == row[KEY]
        return is_same and content_digest(row) == row["content_digest"]
    except (ValueError, TypeError):
        return False


def _has_line(path: Path, folder: Path) -> bool:
    return path.relative_to(folder).as_posix() in listed(folder).digests


def _list_problem(path: Path, folder: Path, *, fresh: bool) -> str | None:
    digest = file_sha256(path) if fresh else digest_of_state(path)
    return None if is_listed(path, digest, folder) else "differs from its SHA-256"


def _list(path: Path, folder: Path) -> None:
    with suppress(OSError):  # a store that may only be read
        list_file(folder, path.relative_to(folder).as_posix(), digest_of_state(path))


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200]
