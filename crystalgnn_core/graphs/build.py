"""Graphs straight from crystals in memory, for prediction and notebooks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from torch_geometric.data import Data

from crystalgnn_core.errors import RecordError
from crystalgnn_core.graphs.batches import GraphDataset
from crystalgnn_core.graphs.crystals import CrystalBatch
from crystalgnn_core.graphs.neighbors import find_neighbors
from crystalgnn_core.graphs.shards import graph_table, refused_structures

if TYPE_CHECKING:
    from collections.abc import Sequence

    from crystalgnn_core.graphs.config import GraphConfig
    from crystalgnn_core.records.crystal import Crystal


def build_dataset(
    crystals: Sequence[Crystal], config: GraphConfig
) -> tuple[GraphDataset, dict[int, RecordError]]:
    """Build the graphs of crystals held in memory.

    Returns:
        The graphs, in order and keyed by position (`digests` holds "0", "1", ...), and the
        positions that have no graph, with the reason.
    """
    batch = CrystalBatch.from_crystals(crystals)
    keys = [str(index) for index in range(len(crystals))]
    neighbors = find_neighbors(batch, config)
    refused = {
        int(refusal.structure_digest): RecordError(refusal.reason, refusal.message)
        for refusal in refused_structures(keys, neighbors, config)
    }
    return GraphDataset.from_table(graph_table(keys, batch, neighbors, config)), refused


def build_graph(crystal: Crystal, config: GraphConfig) -> Data:
    """Build the graph of one crystal.

    Returns:
        Data with the fields of a batch of one crystal; PyG adds `batch` and `ptr` itself.

    Raises:
        RecordError: An atom has no or too few neighbours.
    """
    dataset, refused = build_dataset([crystal], config)
    if refused:
        raise refused[0]
    batch = dataset.batch(np.zeros(1, dtype=np.int64))
    fields = batch.to_dict()
    return Data(**{name: fields[name] for name in fields if name not in ("batch", "ptr")})
