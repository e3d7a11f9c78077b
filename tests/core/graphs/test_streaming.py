"""Streaming gives the same graphs as the data set in memory, each once."""

import numpy as np
import pyarrow.parquet as pq
import pytest

from crystalgnn_core.errors import IntegrityError
from crystalgnn_core.graphs.batches import GraphDataset
from crystalgnn_core.graphs.shards import graph_folder
from crystalgnn_core.graphs.streaming import GraphStream
from crystalgnn_core.storage import files
from crystalgnn_core.storage.shards import ShardSet
from tests.core.graphs.test_shards import CONFIG, build, some

N = 23


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Four shards of up to seven graphs, in row groups of three."""
    monkeypatch.setattr(files, "ROW_GROUP", 3)
    build(tmp_path, some(N), size=7)
    return graph_folder(tmp_path, CONFIG)


def positions_of(stream, **options):
    return np.concatenate([chosen for chosen, _ in stream.batches(4, **options)])


@pytest.mark.parametrize("seed", [None, 0, (0, 3)])
@pytest.mark.parametrize("buffer_size", [1, 8, 100])
def test_every_graph_comes_once_as_it_is_in_memory(folder, seed, buffer_size):
    stream = GraphStream(folder, buffer_size=buffer_size)
    digests = stream.digests().to_pylist()
    whole = GraphDataset.from_shards(folder, digests)
    seen = []
    for positions, batch in stream.batches(4, seed=seed):
        expected = whole.batch(positions)
        assert len(positions) <= 4
        for name in ("atomic_numbers", "edge_index", "edge_vector", "ptr"):
            assert (batch[name] == expected[name]).all()
        seen += positions.tolist()
    assert sorted(seen) == list(range(N)) == list(range(len(stream)))


def test_order_depends_on_the_seed_alone(folder):
    stream = GraphStream(folder, buffer_size=8)
    first = positions_of(stream, seed=(1, 0))
    assert first.tolist() == positions_of(stream, seed=(1, 0)).tolist()
    assert first.tolist() != positions_of(stream, seed=(1, 1)).tolist()
    assert positions_of(stream).tolist() == list(range(N))


def test_graphs_of_several_shards_are_mixed(folder):
    stream = GraphStream(folder, buffer_size=12)
    shards = [set(chosen // 7) for chosen, _ in stream.batches(4, seed=0)]
    assert max(map(len, shards)) > 1


def test_no_more_than_the_buffer_is_held(folder, monkeypatch):
    sizes = []
    real = GraphDataset.from_table

    def note(table):
        sizes.append(table.num_rows)
        return real(table)

    monkeypatch.setattr(GraphDataset, "from_table", note)
    positions_of(GraphStream(folder, buffer_size=6), seed=0)
    assert sum(sizes) == N
    assert max(sizes) < 6 + 3


def test_superseded_graphs_are_left_out(folder):
    dead = {"c0", "c9", "c22"}
    ShardSet(folder).mark_superseded(lambda: {f"c{i}" for i in range(N)} - dead)
    stream = GraphStream(folder)
    digests = np.array(stream.digests().to_pylist())
    assert len(stream) == N
    seen = digests[positions_of(stream, seed=0)]
    assert sorted(seen) == sorted({*digests} - dead)


def test_a_structure_in_two_shards_comes_once(folder):
    manifest = ShardSet(folder).manifest
    table = pq.read_table(manifest.shard_path(manifest.names()[0]))
    manifest.write("copy", table, ())
    stream = GraphStream(folder)
    digests = np.array(stream.digests().to_pylist())
    assert len(stream) == N + table.num_rows
    assert sorted(digests[positions_of(stream, seed=0)]) == sorted({*digests})


def test_batches_keep_an_edge_budget(folder):
    stream = GraphStream(folder)
    batches = [batch for _, batch in stream.batches(max_edges=60, seed=0)]
    assert all(b.edge_index.shape[1] <= 60 or b.num_graphs == 1 for b in batches)
    assert max(b.num_graphs for b in batches) > 1
    assert sum(b.num_graphs for b in batches) == N


def test_a_folder_without_shards_is_an_error(tmp_path):
    with pytest.raises(IntegrityError, match="no sound shard"):
        GraphStream(tmp_path)
