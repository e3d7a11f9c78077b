"""The graphs of a training: in memory if they fit, else in files."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from crystalgnn_core.distributed import ranks
from crystalgnn_core.graphs.batches import GraphDataset
from crystalgnn_core.graphs.mapped import map_graphs
from crystalgnn_core.graphs.windows import open_graphs, stored_bytes
from crystalgnn_core.memory import available_memory

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from crystalgnn_core.learning.config import TrainingConfig

logger = logging.getLogger(__name__)
LOADING_COPIES = 3  # of the graphs, while they are picked from the shards


def open_dataset(
    folder: Path, digests: Sequence[str], config: TrainingConfig
) -> GraphDataset:
    """Load, map or open the graphs of some structures, in order, as `loading` says.

    Args:
        folder: Folder of the graph shards.
        digests: Structures.
        config: `loading` and `memory_gib`.

    Raises:
        IntegrityError: A structure is in no sound shard.
        TransientError: Another process lays out the columns for too long.
    """
    if config.loading == "mapped":
        return map_graphs(folder, digests)
    if config.loading == "auto":
        needed = LOADING_COPIES * stored_bytes(folder, len(digests))
        given = config.memory_gib
        allowed = available_memory() // 2 if given is None else int(given * 2**30)
        allowed //= ranks().local_size
        if needed > allowed:
            logger.info(
                "graphs take %.2f GiB to load, and %.2f GiB are allowed: they are read "
                "from files, a window at a time",
                needed / 2**30,
                allowed / 2**30,
            )
            return open_graphs(folder, digests, allowed // LOADING_COPIES)
    return GraphDataset.from_shards(folder, digests)
