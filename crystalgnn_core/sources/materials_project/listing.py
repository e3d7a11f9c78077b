"""What a release of the Materials Project holds: id, time and state of every material."""

from __future__ import annotations

import logging
import shutil
import time
from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple

import pyarrow as pa

from crystalgnn_core.base import digest_of
from crystalgnn_core.errors import SourceError, TransientError
from crystalgnn_core.sources.base import in_chunks
from crystalgnn_core.sources.materials_project.client import IDS_PER_REQUEST, PAGE_SIZE
from crystalgnn_core.sources.materials_project.documents import (
    state_of,
    summary_fields,
    time_of,
)
from crystalgnn_core.sources.materials_project.labels import (
    MIXED,
    THERMO_FIELDS,
    Document,
    Energy,
    ThermoType,
    energies_of,
    id_of,
)
from crystalgnn_core.storage.checksums import remove_file
from crystalgnn_core.storage.files import is_as_written, read_table, write_table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from crystalgnn_core.sources.materials_project.client import MaterialsClient, Release
    from crystalgnn_core.sources.materials_project.source import MaterialsProjectSource

logger = logging.getLogger(__name__)
LISTING_SECONDS = 24 * 3600  # for which an interrupted ingest relies on its listing
SCHEMA = pa.schema(
    [
        pa.field("material_id", pa.string(), nullable=False),
        pa.field("last_updated", pa.timestamp("us", tz="UTC")),
        pa.field("state", pa.string(), nullable=False),
    ]
)


class Difference(NamedTuple):
    """How a listing differs from what is stored.

    Attributes:
        wanted: Ids that are new or have changed, in the order of the listing.
        kept: Ids of stored rows that stay.
        n_without_id: Rows without an id, which nobody can ask for.
    """

    wanted: list[str]
    kept: list[str]
    n_without_id: int


def listing_path(folder: Path, version: str, settings: str) -> Path:
    """Return where the listing of a release is kept."""
    return folder / f"listing-{digest_of([version, settings])}.parquet"


def tidy(folder: Path, *needed: Path | None) -> None:
    """Remove what was noted down of releases that are neither stored nor read."""
    for file in (*folder.glob("listing-*"), *folder.glob("kept-*")):
        if file in needed:
            continue
        if file.is_dir():
            shutil.rmtree(file)
        else:
            remove_file(file)


def fetch_listing(
    client: MaterialsClient, source: MaterialsProjectSource, release: Release, path: Path
) -> pa.Table:
    """Return the listing of a release; ask for what is not on disk yet.

    Pages are written as they come, so that an interrupted listing goes on. What is older
    than a day is asked for again, should the service correct its data within a release. The
    `state` is a digest of labels and licence: labels change without `last_updated`, as
    those of the hull do when another material comes in.

    Raises:
        SourceError: No material fits.
        TransientError: The service did not answer, or its pages do not fit together.
    """
    pages = path.with_suffix("")
    n_rows = client.count(source.filter.route_parameters())
    if n_rows <= 0:
        raise SourceError("no material of the Materials Project fits; see filter")
    if is_as_written(path) and _is_recent(path):
        listing = read_table(path)
        if len(listing) == n_rows:
            return listing
    if pages.is_dir() and not _is_recent(pages):
        shutil.rmtree(pages)
    fields = summary_fields(source.thermo_type, with_structure=False)
    tables = []
    for number in range(1, -(-n_rows // PAGE_SIZE) + 1):
        file = pages / f"{number:05d}.parquet"
        if not is_as_written(file):
            arguments = source.filter.search_arguments()
            documents = client.summary_page(arguments, fields, page=number, size=PAGE_SIZE)
            write_table(file, _listed(client, documents, source.thermo_type, release))
        tables.append(read_table(file))
        if not len(tables[-1]):
            break  # fewer than announced
    listing = pa.concat_tables(tables)
    _check_pages(listing, n_rows, pages)
    write_table(path, listing)
    shutil.rmtree(pages)
    logger.info("%d materials listed", n_rows)
    return listing


def fetch_documents(
    client: MaterialsClient, source: MaterialsProjectSource, payload: Mapping[str, Any]
) -> list[Document]:
    """Return the summary documents of a part: of some pages, or of some ids."""
    fields = summary_fields(source.thermo_type, with_structure=True)
    arguments, size = source.filter.search_arguments(), payload.get("size", PAGE_SIZE)
    found = [
        client.summary_page(arguments, fields, page=page, size=size)
        for page in payload.get("pages", ())
    ]
    chunks = in_chunks(payload.get("material_ids", ()), IDS_PER_REQUEST)
    found += [client.summaries(names, fields) for names in chunks]
    return list(chain.from_iterable(found))


def fetch_energies(
    client: MaterialsClient, ids: Sequence[str], thermo_type: ThermoType
) -> dict[str, Energy]:
    """Return the formation energies of one hull; the summary holds those of the mixed."""
    if thermo_type == MIXED:
        return {}
    energies: dict[str, Energy] = {}
    for chunk in in_chunks(filter(None, ids), IDS_PER_REQUEST):
        documents = client.thermo(chunk, thermo_type, THERMO_FIELDS)
        energies |= energies_of(documents, thermo_type)
    return energies


def compare(listing: pa.Table, earlier: pa.Table, stored: pa.Table) -> Difference:
    """Find what is new or has changed since a release.

    A row stays if it is stored, its time is known, and time and state are as before. The
    time that counts is that of the earlier listing: the store rewrites no row whose
    content is the same, so that its time may be an older one.
    """
    is_stored = set(stored["material_id"].to_pylist())
    before = {row["material_id"]: row for row in earlier.to_pylist()}
    wanted, kept, n_without_id = [], [], 0
    for row in listing.to_pylist():
        name = row["material_id"]
        if not name:
            n_without_id += 1
        elif (
            row["last_updated"] is not None
            and name in is_stored
            and before.get(name) == row
        ):
            kept.append(name)
        else:
            wanted.append(name)
    return Difference(wanted, kept, n_without_id)


def _listed(
    client: MaterialsClient,
    documents: list[Document],
    thermo_type: ThermoType,
    release: Release,
) -> pa.Table:
    names = [id_of(document) for document in documents]
    energies = fetch_energies(client, names, thermo_type)
    columns = {
        "material_id": names,
        "last_updated": [time_of(document) for document in documents],
        "state": [
            digest_of(state_of(document, energies.get(name), release.restricted))
            for name, document in zip(names, documents, strict=True)
        ],
    }
    return pa.table(columns, schema=SCHEMA)


def _is_recent(path: Path) -> bool:
    return time.time() - path.stat().st_mtime < LISTING_SECONDS


def _check_pages(listing: pa.Table, n_rows: int, pages: Path) -> None:
    """See that pages are of one list: as many rows as announced, no id twice."""
    names = [name for name in listing["material_id"].to_pylist() if name]
    n_twice = len(names) - len(set(names))
    if len(listing) == n_rows and not n_twice:
        return
    shutil.rmtree(pages)
    raise TransientError(
        f"the Materials Project announces {n_rows} materials and lists {len(listing)}, "
        f"{n_twice} of them twice; try again later"
    )
