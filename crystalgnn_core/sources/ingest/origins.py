"""Which rows came of which file, so that a file that is as it was is not read again."""

from __future__ import annotations

from contextlib import suppress
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from itertools import compress, starmap
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from crystalgnn_core.base import digest_of
from crystalgnn_core.errors import IntegrityError
from crystalgnn_core.sources.base import SourcePlan, in_chunks
from crystalgnn_core.storage.checksums import remove_file
from crystalgnn_core.storage.files import FileRef, read_table, write_table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from crystalgnn_core.sources.base import SourceConfig
    from crystalgnn_core.sources.ingest.stored import StoredSource

    Beside = Callable[[Sequence[str]], Sequence[str]]

SCHEMA = pa.schema([(name, pa.string()) for name in ("material_id", "file", "beside")])
CHANGED = "changed"  # in place of the SHA-256 of a file that is not as it was planned
# another release may read otherwise; not all have the last one, which holds pymatgen's code
READING = 1  # raised when our own readers read the same files in another way
READERS = ("crystalgnn", "pymatgen", "gemmi", "ase", "pymatgen-core")


def readers_digest(references: object = None, engine: object = None) -> str:
    """Return a digest of what decides how all files are read, beside settings and labels.

    Args:
        references: What formation energies are taken against.
        engine: What computes labels.
    """
    readers = _versions() | {"reading": str(READING)}
    return digest_of([readers, references, *([engine] if engine else [])])


def origin_of(entry: Sequence[str], readers: str) -> str:
    """Return a digest of name, id and SHA-256 of a file, and of how it is read.

    There is none of a file that was not as planned, so that the next ingest reads it.
    """
    return "" if entry[-1] == CHANGED else digest_of([readers, *entry])


def plan_by_file(
    source: SourceConfig,
    stored: StoredSource,
    payloads: Sequence[Mapping[str, Any]],
    key: str,
    beside: Beside | None = None,
) -> SourcePlan:
    """Plan to read the files that are not stored as they are; rows of the others stay.

    Args:
        source: Source of files whose raw records say from which they are, `origin`.
        stored: What the store holds of it.
        payloads: Payloads of the parts if all files were read.
        key: Where they hold entries as `origin_of` takes them.
        beside: Returns of rows by id the digest of what stands beside them elsewhere, such
            as labels.
    """
    parts = tuple(starmap(source.make_part, enumerate(map(dict, payloads))))
    entries = [entry for payload in payloads for entry in payload[key]]
    shared = {name: value for name, value in payloads[0].items() if name != key}
    readers = readers_digest(shared.get("references"), shared.get("engine"))
    files = [origin_of(entry, readers) for entry in entries]
    noted = _noted(stored)
    # what changed under an ingest is read again, even if it is now as it was planned then
    has_changed = pc.any(pc.equal(noted["file"], "")).as_py()
    whole = tuple(part.digest for part in parts)
    whole += (f"after {stored.last_digest}",) if has_changed else ()
    rows = _clean_rows(noted, stored, beside)
    is_once = pc.equal(_counts_of(pa.array(files, pa.string())), 1)
    is_known = pc.and_(pc.is_in(pa.array(files), value_set=rows["file"]), is_once)
    if not is_known.true_count:
        return SourcePlan(
            parts=parts, whole=whole if has_changed else (), n_expected=len(entries)
        )
    kept = rows.filter(pc.is_in(rows["file"], value_set=pa.array(files).filter(is_known)))
    path = stored.folder / f"kept-{digest_of(kept['file'].to_pylist())}.parquet"
    write_table(path, kept)
    fresh = list(compress(entries, pc.invert(is_known).to_pylist()))
    chunks = in_chunks(fresh, source.part_size)
    return SourcePlan(
        parts=tuple(
            source.make_part(index, shared | {key: chunk})
            for index, chunk in enumerate(chunks)
        ),
        kept=FileRef.of(path, n_rows=len(kept)),
        whole=whole,
        n_expected=len(fresh),
    )


def origins_table(rows: Iterable[tuple[str, str, str]]) -> pa.Table:
    """Return rows of id, file and digest of what stands beside it, as they are noted."""
    return pa.Table.from_pylist(
        [dict(zip(SCHEMA.names, row, strict=True)) for row in rows], schema=SCHEMA
    )


def note_origins(folder: Path, digest: str, tables: Sequence[pa.Table]) -> None:
    """Note which rows came of which file in an ingest, and forget those of earlier ones."""
    path = _path(folder, digest)
    if tables:
        write_table(path, pa.concat_tables(tables))
    for earlier in folder.glob("origins-*.parquet"):
        if earlier != path:
            remove_file(earlier)


def forget_kept(reading: SourcePlan) -> None:
    """Remove the list of rows that stay, once they are committed or nothing changed."""
    if reading.whole and reading.kept is not None:
        remove_file(Path(reading.kept.path))


def _clean_rows(rows: pa.Table, stored: StoredSource, beside: Beside | None) -> pa.Table:
    """Return of noted rows those of files all of whose rows are stored under their own ids.

    Rows of one id depend on each other, as the first is kept, so their files are read
    again; so are those with a row without an id, or whose labels beside it are others now.
    """
    if not len(rows):
        return rows
    ids = rows["material_id"].combine_chunks()
    is_clean = pc.and_(
        pc.and_(pc.equal(_counts_of(ids), 1), pc.not_equal(ids, "")),
        pc.is_in(ids, value_set=stored.rows()["material_id"]),
    )
    if beside is not None:
        now = pa.array(beside(ids.to_pylist()), pa.string())
        is_clean = pc.and_(is_clean, pc.equal(rows["beside"].combine_chunks(), now))
    spoiled = rows["file"].combine_chunks().filter(pc.invert(is_clean))
    return rows.filter(pc.invert(pc.is_in(rows["file"], value_set=spoiled)))


def _noted(stored: StoredSource) -> pa.Table:
    """Return what the last ingest noted; nothing where settings or notes are others."""
    if stored.has_same_settings and stored.last_digest is not None:
        try:
            return read_table(_path(stored.folder, stored.last_digest)).cast(SCHEMA)
        except (IntegrityError, ValueError):  # missing, damaged, or of an older version
            pass
    return SCHEMA.empty_table()


def _counts_of(values: pa.Array) -> pa.Array:
    """Return for each value how often it occurs."""
    coded = values.dictionary_encode()
    counts = pc.value_counts(coded.indices)
    places = pc.index_in(coded.indices, value_set=counts.field("values"))
    return counts.field("counts").take(places)


def _path(folder: Path, digest: str) -> Path:
    return folder / f"origins-{digest}.parquet"


@cache
def _versions() -> dict[str, str]:
    found = {}
    for name in READERS:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found
