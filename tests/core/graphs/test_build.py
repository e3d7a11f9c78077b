"""Graphs straight from crystals."""

import numpy as np
import pytest

from crystalgnn_core.errors import RecordError
from crystalgnn_core.graphs.build import build_dataset, build_graph
from crystalgnn_core.graphs.config import GraphConfig
from crystalgnn_core.records.crystal import Crystal


def cubic(edge):
    return Crystal(np.array([55], np.int16), np.eye(3) * edge, np.full((1, 3), 7.3))


def test_one_atom_cell_has_edges_to_its_own_images():
    graph = build_graph(cubic(4.0), GraphConfig(n_neighbors=6))
    assert graph.edge_index.tolist() == [[0] * 6, [0] * 6]
    assert graph.edge_vector.norm(dim=1).tolist() == pytest.approx([4.0] * 6)
    assert np.abs(graph.cell_offset.numpy()).sum(axis=1).tolist() == [1] * 6


def test_graph_that_cannot_be_built_says_why():
    with pytest.raises(
        RecordError, match=r"no neighbour within 12 angstrom of site 0"
    ) as e:
        build_graph(cubic(20.0), GraphConfig())
    assert e.value.reason == "isolated_atom"


def test_refused_crystal_keeps_the_positions_of_the_others():
    dataset, refused = build_dataset(
        [cubic(20.0), cubic(4.0), cubic(30.0), cubic(5.0)], GraphConfig()
    )
    assert dataset.digests == ["1", "3"]
    assert sorted(refused) == [0, 2]


def test_all_crystals_may_be_refused():
    dataset, refused = build_dataset([cubic(20.0)], GraphConfig())
    assert len(dataset) == 0
    assert list(refused) == [0]
    assert dataset.batch(np.empty(0, np.int64)).num_nodes == 0


def test_bound_below_the_cutoff_is_refused():
    with pytest.raises(ValueError, match="max_cutoff"):
        GraphConfig(cutoff=9.0, max_cutoff=8.0)
