"""Training graphs that a process may not hold together are read all the same."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from crystalgnn_core.graphs.shards import graph_folder
from crystalgnn_core.learning.config import TrainingConfig
from crystalgnn_core.learning.loop.batching import epoch_batches
from crystalgnn_core.learning.loop.loading import open_dataset
from crystalgnn_core.storage.shards import KEY, ShardSet
from tests.core.graphs.test_shards import CONFIG, build, cubic
from tests.guarded import GuardedChild

LIMIT = 300  # megabytes beyond what imports take
N_SHARDS, N_ROWS, N_ATOMS = 6, 500, 1000  # of 12 neighbours: 75 kB a graph


def prepare():
    """Do nothing more than import this module, with all that it needs."""


def pass_over(folder, digests, loading):
    """Return what one epoch sees, as a sum over atoms and edges."""
    config = TrainingConfig(loading=loading)
    dataset = open_dataset(folder, digests, config)
    rows = np.arange(len(digests))
    n_seen, checksum = 0, 0.0
    for chosen, batch in dataset.assemble(epoch_batches(rows, dataset.n_edges, config, 1)):
        n_seen += len(chosen)
        checksum += float(batch.lattice[:, 0, 0].sum())
    return n_seen, checksum


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """Six shards of large graphs, which differ in the length of the cell."""
    store = tmp_path_factory.mktemp("large")
    build(store, {"seed": cubic(3.0)})
    folder = graph_folder(store, CONFIG)
    shards = ShardSet(folder)
    [entry] = shards.intact_entries()
    schema = pq.read_table(shards.manifest.shard_path(entry.name)).schema
    digests = [f"{index:032x}" for index in range(N_SHARDS * N_ROWS)]
    for first in range(0, len(digests), N_ROWS):
        keys = digests[first : first + N_ROWS]
        [job] = shards.plan([pa.table({KEY: keys})])
        shards.build(job, lambda rows: (_graphs(rows[KEY].to_pylist(), schema), []))
    return folder, digests


def _graphs(keys, schema):
    def repeated(dtype, n_values):
        values = pa.array(np.ones(len(keys) * n_values, dtype))
        ends = np.arange(0, len(values) + 1, n_values, dtype=np.int32)
        return pa.ListArray.from_arrays(pa.array(ends), values)

    lattice = np.tile(np.eye(3).ravel(), (len(keys), 1))
    lattice[:, 0] = [int(key, 16) + 1 for key in keys]
    columns = {
        KEY: pa.array(keys),
        "atomic_numbers": repeated(np.uint8, N_ATOMS),
        "lattice": pa.array(lattice.tolist(), pa.list_(pa.float64())),
        "frac_coords": repeated(np.float32, 3 * N_ATOMS),
        "degree": pa.array([[12] * N_ATOMS] * len(keys), pa.list_(pa.uint16())),
        "neighbor": repeated(np.uint16, 12 * N_ATOMS),
        "cell_offset": repeated(np.int8, 36 * N_ATOMS),
        "cutoff": pa.array(np.ones(len(keys), np.float32)),
    }
    return pa.table(columns).select(schema.names).cast(schema)


@pytest.mark.slow
def test_a_process_reads_more_graphs_than_it_may_hold(large):
    folder, digests = large
    with GuardedChild(prepare, seconds=60, megabytes=LIMIT) as child:
        assert child.call(pass_over, folder, digests, "memory").failure in {
            "memory",
            "died",
        }
        found = child.call(pass_over, folder, digests, "auto")
    n = len(digests)
    assert found.failure == ""
    assert found.value == (n, n * (n + 1) / 2)
    assert found.megabytes < LIMIT
