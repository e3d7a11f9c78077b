"""Rows of several sources that are the same material, linked into groups.

Composition, symmetry and volume leave few pairs of structures, which pymatgen's
StructureMatcher compares. A group is a connected component of the matching pairs: a chain
of small differences can join two members that would not match each other, which the table
shows as an empty distance to the representative.
"""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING

import pyarrow as pa

from crystalgnn_core.base import digest_of
from crystalgnn_core.errors import InputError
from crystalgnn_core.records.label_schemes import SYNTHETIC_PREFIX
from crystalgnn_core.records.links.cache import METHOD, LinkCache, cache_files
from crystalgnn_core.records.links.config import LinkConfig
from crystalgnn_core.records.links.groups import (
    LinkedRow,
    count_joint,
    groups_of,
    is_shared,
    materials_of,
    shared_rows,
)
from crystalgnn_core.records.links.search import (
    candidate_pairs,
    compare_missing,
    complete_fingerprints,
    pair_of,
)
from crystalgnn_core.records.links.table import (
    STATE,
    TABLE,
    LinkReport,
    link_schema,
    read_link_report,
)
from crystalgnn_core.records.provenance import read_provenance
from crystalgnn_core.records.table.crystals import stream_crystals
from crystalgnn_core.records.table.store import RecordStore
from crystalgnn_core.storage.files import FileRef, is_as_written, write_table, write_text
from crystalgnn_core.storage.locks import locked
from crystalgnn_core.storage.manifest import KEY
from crystalgnn_core.wording import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

logger = logging.getLogger(__name__)
# kinds that take no part, where an older version wrote the provenance
SYNTHETIC_KINDS = ("synthetic", "textbook")
LOCK_SECONDS = 60


def link_records(
    store: Path, config: LinkConfig | None = None, sources: Sequence[str] | None = None
) -> LinkReport:
    """Link the rows of different sources that are the same material.

    All sources but synthetic and textbook ones take part by default. Symmetries and
    comparisons are kept by structure in `links/` of the store, so that a later run looks at
    new structures alone. The result depends neither on the order of rows nor on earlier
    runs.

    Raises:
        InputError: A source is not stored, or is synthetic or the textbook.
        TransientError: Another process is linking, or a worker process died.
    """
    config = config or LinkConfig()
    folder = store / "links"
    with locked(folder / ".lock", timeout=LOCK_SECONDS):
        version = RecordStore(store).version()
        chosen = _choose(store, sources)
        settings = digest_of([METHOD, config.result_digest()])
        last = read_link_report(store)
        has_cache = all(map(is_as_written, cache_files(folder, config)))
        if last is not None and last.table.is_intact() and has_cache:
            now = (version, settings, chosen)
            if now == (last.record_version, last.settings, last.sources):
                unchanged = {"n_fingerprints": 0, "n_compared": 0, "was_linked": False}
                return last.model_copy(update=unchanged)
        report = _link(store, config, chosen, version, settings)
        write_text(folder / STATE, report.model_dump_json(indent=1) + "\n")
    logger.info("%d groups of %d linked rows", report.n_groups, report.n_linked)
    return report


def linkable_sources(store: Path) -> tuple[str, ...]:
    """Name the stored sources of real materials, not synthetic ones nor the textbook."""
    stored = RecordStore(store).source_counts()
    return tuple(name for name in sorted(stored) if not _is_synthetic(store, name))


def _choose(store: Path, sources: Sequence[str] | None) -> tuple[str, ...]:
    known = linkable_sources(store)
    wanted = known if sources is None else tuple(sorted(set(sources)))
    missing = [name for name in wanted if name not in known]
    if missing:
        raise InputError(
            f"{', '.join(missing)}: not stored, or synthetic or textbook data, which is "
            f"not linked; choose among {', '.join(known) or 'the sources that you ingest'}"
            f"{did_you_mean(missing[0], known)}"
        )
    return wanted


def _is_synthetic(store: Path, source: str) -> bool:
    provenance = read_provenance(store, source)
    if provenance is not None and provenance.synthetic is not None:
        return provenance.synthetic
    if provenance is not None:
        return provenance.kind in SYNTHETIC_KINDS
    # ingested before provenance was kept
    first = next(RecordStore(store).scan([source], ["source_version"]))
    version = first["source_version"][0].as_py() or ""
    return source == "textbook" or version.startswith(SYNTHETIC_PREFIX)


def _link(
    store: Path,
    config: LinkConfig,
    sources: tuple[str, ...],
    version: int | None,
    settings: str,
) -> LinkReport:
    n_rows, rows = shared_rows(store, sources, config, version)
    cache = LinkCache(store / "links", config)
    load = partial(stream_crystals, store, sources, version=version)
    materials = materials_of(rows)
    digests = {material.digest for material in materials}
    cache.drop_others(RecordStore(store).structure_digests())
    n_fingerprints = complete_fingerprints(load, digests, cache, config)
    pairs = list(candidate_pairs(materials, cache.known, config))
    n_compared = compare_missing(load, pairs, cache, config)
    groups = groups_of(
        rows, [pair[:2] for pair in pairs if cache.pairs[pair[:2]] is not None]
    )
    groups = [group for group in groups if is_shared(group, config)]
    # members that a chain joins were not always compared with the representative
    to_first = {
        pair
        for group in groups
        for row in group
        if row.digest != group[0].digest
        if (pair := pair_of(group[0].digest, row.digest, cache.known, config)) is not None
    }
    n_compared += compare_missing(load, to_first, cache, config)
    cache.save()
    write_table(store / "links" / TABLE, _table(groups, cache))
    return LinkReport(
        table=FileRef.of(store / "links" / TABLE),
        record_version=-1 if version is None else version,
        settings=settings,
        sources=sources,
        n_rows=n_rows,
        n_shared=len(rows),
        n_groups=len(groups),
        n_linked=sum(map(len, groups)),
        n_joint=count_joint(groups),
        n_fingerprints=n_fingerprints,
        n_compared=n_compared,
    )


def _table(groups: Sequence[Sequence[LinkedRow]], cache: LinkCache) -> pa.Table:
    rows = [
        {
            "group_id": f"{group[0].source}/{group[0].material_id}",
            "source": row.source,
            "material_id": row.material_id,
            KEY: row.digest,
            "formula": row.formula,
            "space_group_number": cache.known[row.digest].fingerprints[-1][0],
            "rms_distance": _distance(group[0].digest, row.digest, cache),
        }
        for group in groups
        for row in group
    ]
    return pa.Table.from_pylist(rows, schema=link_schema())


def _distance(first: str, second: str, cache: LinkCache) -> float | None:
    if first == second:
        return 0.0
    return cache.pairs.get((min(first, second), max(first, second)))
