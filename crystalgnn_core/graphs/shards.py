"""Graphs as Parquet rows: compact integers, one row per graph, provenance in the schema."""

from __future__ import annotations

import json
import logging
from importlib.metadata import version
from itertools import compress
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from crystalgnn_core.graphs.crystals import CrystalBatch
from crystalgnn_core.graphs.neighbors import (
    ISOLATED,
    OK,
    TOO_FEW,
    TOO_LARGE,
    TOO_SKEWED,
    find_neighbors,
)
from crystalgnn_core.records.table.store import KEYS, RecordStore
from crystalgnn_core.storage.rows import ragged, rechunk
from crystalgnn_core.storage.shards import KEY, Refusal, ShardSet, ShardState
from crystalgnn_core.storage.sorting import in_order
from crystalgnn_core.storage.usage import use_store

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from crystalgnn_core.graphs.config import GraphConfig
    from crystalgnn_core.graphs.neighbors import NeighborList
    from crystalgnn_core.storage.shards import ShardJob

logger = logging.getLogger(__name__)

GRAPH_FORMAT = 1  # raise it when a stored column changes its meaning
_CRYSTAL = (KEY, "atomic_numbers", "lattice", "frac_coords")
STRUCTURE_COLUMNS = (*KEYS, *_CRYSTAL)
_RAISE = "; raise graph.cutoff or graph.max_cutoff"
_REFUSALS = {
    ISOLATED: (
        "isolated_atom",
        "no neighbour within {reach:g} angstrom of site {atom}" + _RAISE,
    ),
    TOO_FEW: (
        "too_few_neighbors",
        "site {atom} has fewer than {k} neighbours within {reach:g} angstrom" + _RAISE,
    ),
    TOO_SKEWED: (
        "cell_too_skewed",
        "a neighbour of site {atom} is more than 127 cells away; reduce the cell",
    ),
    TOO_LARGE: (
        "degenerate_cell",
        "more than 65536 atoms, or 65535 neighbours of site {atom}; use a smaller cutoff",
    ),
}


def graph_folder(store: Path, config: GraphConfig) -> Path:
    """Return the folder whose name is the digest of the graph settings and format."""
    return store / "graphs" / f"{config.settings_digest()}-v{GRAPH_FORMAT}"


def plan_graph_shards(
    store: Path, config: GraphConfig, structures: Iterator[pa.Table], *, shard_size: int
) -> tuple[list[ShardJob], int]:
    """List the shards that are missing for the given structures.

    A structure that a sound shard already holds is not built again, whatever its id. The
    others are put into shards by source and id: what they share a shard and later a batch
    with decides how sums are rounded, and the record table has no order of its own.

    Args:
        store: Store folder.
        config: Graph settings.
        structures: Tables with `STRUCTURE_COLUMNS`.
        shard_size: Structures of each shard; the last has fewer.

    Returns:
        The jobs, and the number of distinct structures that need no work.
    """
    use_store(store)
    shards = ShardSet(graph_folder(store, config))
    shards.discard_damaged()
    known = shards.known_digests()
    present: set[str] = set()

    def missing() -> Iterator[pa.Table]:
        for table in structures:
            keys = table[KEY].to_pylist()
            present.update(known.intersection(keys))
            if keep := [n for n, key in enumerate(keys) if key not in known]:
                yield _rows(table, keep)

    ordered = in_order(missing(), KEYS, shards.folder / "jobs")
    rows = (table.select(_CRYSTAL) for table in _first_of_each(ordered))
    jobs = list(shards.plan(rechunk(rows, shard_size)))
    return jobs, len(present)


def _first_of_each(tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """Leave out the rows of structures that came before, under another id."""
    seen: set[str] = set()
    for table in tables:
        keep = []
        for position, key in enumerate(table[KEY].to_pylist()):
            if key not in seen:
                keep.append(position)
                seen.add(key)
        if keep:
            yield _rows(table, keep)


def _rows(table: pa.Table, positions: list[int]) -> pa.Table:
    return table.select(STRUCTURE_COLUMNS).take(pa.array(positions, pa.int64()))


def mark_superseded_graphs(store: Path, config: GraphConfig) -> int:
    """Make tombstones for the graphs of structures that no record has any more.

    Returns:
        How many structures have a tombstone now.
    """
    shards = ShardSet(graph_folder(store, config))
    return shards.mark_superseded(RecordStore(store).structure_digests)


def build_graph_shard(job: ShardJob, config: GraphConfig) -> ShardState:
    """Build one shard; return at once when it is there and sound."""

    def build(table: pa.Table) -> tuple[pa.Table, list[Refusal]]:
        crystals = CrystalBatch.from_table(table)
        neighbors = find_neighbors(crystals, config)
        keys = table[KEY].to_pylist()
        graphs = graph_table(keys, crystals, neighbors, config)
        # where the structures come from goes with the graphs
        metadata = (table.schema.metadata or {}) | graphs.schema.metadata
        return (
            graphs.replace_schema_metadata(metadata),
            refused_structures(keys, neighbors, config),
        )

    state = ShardSet(Path(job.folder)).build(job, build)
    if state.was_built:
        n_refused = len(state.entry.refusals)
        logger.info(
            "graph shard %s: %d graphs, %d refused", job.name, state.entry.n_rows, n_refused
        )
    return state


def graph_table(
    keys: list[str], crystals: CrystalBatch, neighbors: NeighborList, config: GraphConfig
) -> pa.Table:
    """Pack the graphs that are fine into an Arrow table.

    Columns: `structure_digest`, `atomic_numbers` list<uint8>, `lattice` 9 x float64 (row
    vectors, angstrom), `frac_coords` list<float32> (3 per atom, in [0, 1)), `degree`
    list<uint16> (edges per atom), `neighbor` list<uint16> (atom within the graph, grouped
    by centre), `cell_offset` list<int8> (3 per edge), `cutoff` float32 (angstrom).
    """
    fine = neighbors.status == OK
    sizes = np.diff(crystals.offsets)
    atom_is_fine = np.repeat(fine, sizes)
    ends = np.concatenate([[0], np.cumsum(neighbors.degree, dtype=np.int64)])
    n_edges = np.diff(ends[crystals.offsets])
    sizes, n_edges = sizes[fine], n_edges[fine]
    numbers = crystals.atomic_numbers[atom_is_fine].astype(np.uint8)
    coords = crystals.frac_coords[atom_is_fine].astype(np.float32)
    table = pa.table(
        {
            KEY: pa.array(compress(keys, fine), pa.string()),
            "atomic_numbers": ragged(numbers, sizes),
            "lattice": ragged(crystals.lattices[fine].ravel(), np.full(len(sizes), 9)),
            "frac_coords": ragged(coords.ravel(), 3 * sizes),
            "degree": ragged(neighbors.degree[atom_is_fine].astype(np.uint16), sizes),
            "neighbor": ragged(neighbors.neighbor.astype(np.uint16), n_edges),
            "cell_offset": ragged(neighbors.cell_offset.ravel(), 3 * n_edges),
            "cutoff": pa.array(neighbors.cutoff[fine].astype(np.float32)),
        }
    )
    packages = {name: version(name) for name in ("numba", "numpy", "pyarrow")}
    return table.replace_schema_metadata(
        {
            "graph_config": config.model_dump_json(),
            "graph_format": str(GRAPH_FORMAT),
            "packages": json.dumps(packages),
        }
    )


def refused_structures(
    keys: list[str], neighbors: NeighborList, config: GraphConfig
) -> list[Refusal]:
    """Say for each structure without a graph why it has none."""
    refusals = []
    for index in np.flatnonzero(neighbors.status != OK):
        reason, text = _REFUSALS[int(neighbors.status[index])]
        message = text.format(
            atom=neighbors.atom[index], k=config.n_neighbors, reach=neighbors.cutoff[index]
        )
        refusals.append(
            Refusal(structure_digest=keys[index], reason=reason, message=message)
        )
    return refusals
