"""Graphs without edges, for models that see the composition alone."""

import numpy as np
import pytest
import torch

from crystalgnn_core.graphs import neighbors as module
from crystalgnn_core.graphs.batches import GraphDataset
from crystalgnn_core.graphs.build import build_dataset, build_graph
from crystalgnn_core.graphs.config import GraphConfig
from crystalgnn_core.graphs.mapped import map_graphs
from crystalgnn_core.graphs.shards import build_graph_shard, graph_folder, plan_graph_shards
from crystalgnn_core.graphs.streaming import GraphStream
from crystalgnn_core.records.crystal import Crystal
from tests.core.graphs.test_shards import cubic, table_of

NONE = GraphConfig(strategy="none")
CRYSTALS = {"one": cubic(4.0), "lonely": cubic(90.0), "three": cubic(5.0, n_atoms=3)}


def test_digests_of_other_graphs_are_what_they_were():
    # names of folders that stores hold already
    assert GraphConfig().settings_digest() == "f115f5e42df5e885"
    megnet = GraphConfig(strategy="radius", cutoff=4.0, too_few="keep")
    assert megnet.settings_digest() == "9e5bfb595afee60b"
    assert GraphConfig(symmetric=True).settings_digest() == "6a82e6fea13b5a88"
    assert NONE.settings_digest() not in {"f115f5e42df5e885", "6a82e6fea13b5a88"}


def test_no_crystal_is_searched_or_refused(monkeypatch):
    def fail(*args):
        raise AssertionError("searched")

    monkeypatch.setattr(module, "search_batch", fail)
    skewed = Crystal(
        np.array([3, 9], np.int16), np.diag([1e-3, 1.0, 1e3]), np.zeros((2, 3))
    )
    dataset, refused = build_dataset([*CRYSTALS.values(), skewed], NONE)
    assert not refused
    batch = dataset.batch(np.array([2, 3, 0]))
    assert batch.ptr.tolist() == [0, 3, 5, 6]
    assert batch.atomic_numbers.tolist() == [11, 11, 11, 3, 9, 11]
    assert batch.edge_index.shape == (2, 0)
    assert batch.edge_vector.shape == batch.cell_offset.shape == (0, 3)
    assert not batch.degree.any()
    assert not dataset.n_edges.any()


def test_single_atom_cell_has_a_graph():
    graph = build_graph(CRYSTALS["one"], NONE)
    assert (graph.num_nodes, graph.num_edges) == (1, 0)


def test_symmetry_adds_nothing():
    both_ways = NONE.model_copy(update={"symmetric": True})
    assert not build_dataset(list(CRYSTALS.values()), both_ways)[1]


@pytest.mark.parametrize("names", [["three", "one"], ["lonely"], [*CRYSTALS, "one"]])
def test_shards_hold_them_loaded_mapped_and_streamed(tmp_path, names):
    jobs, _ = plan_graph_shards(tmp_path, NONE, iter([table_of(CRYSTALS)]), shard_size=2)
    states = [build_graph_shard(job, NONE) for job in jobs]
    assert [state.entry.n_rows for state in states] == [2, 1]
    assert not any(state.entry.refusals for state in states)
    folder = graph_folder(tmp_path, NONE)
    sizes = [len(CRYSTALS[name].atomic_numbers) for name in names]
    for dataset in (GraphDataset.from_shards(folder, names), map_graphs(folder, names)):
        batch = dataset.batch(np.arange(len(names)))
        assert batch.ptr.diff().tolist() == sizes
        assert torch.equal(batch.atomic_numbers, torch.full((sum(sizes),), 11))
    streamed = [batch for _, batch in GraphStream(folder).batches(10)]
    assert sum(batch.num_nodes for batch in streamed) == 5
