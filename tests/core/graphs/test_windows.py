"""Graphs read in windows are those in memory, and no more than a window is held."""

import numpy as np
import pytest

from crystalgnn_core.errors import IntegrityError
from crystalgnn_core.graphs.batches import GraphDataset
from crystalgnn_core.graphs.shards import graph_folder
from crystalgnn_core.graphs.windows import graph_bytes, open_graphs, stored_bytes
from tests.core.graphs.test_mapped import files, same
from tests.core.graphs.test_shards import CONFIG, build, some

NAMES = ["c5", "c0", "c7", "c7", "c3", "c2", "c1", "c4"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    store = tmp_path_factory.mktemp("windows")
    build(store, some(8))
    return graph_folder(store, CONFIG)


@pytest.fixture
def windows(folder, monkeypatch):
    """What each window holds, in graphs."""
    found = []
    real = GraphDataset.__init__

    def note(self, digests, *rest):
        found.append(len(digests))
        real(self, digests, *rest)

    monkeypatch.setattr(GraphDataset, "__init__", note)
    return found


@pytest.mark.parametrize(("window", "n_loaded"), [(1, [3, 1, 2]), (10**9, [6])])
def test_batches_are_those_of_memory_whatever_a_window_holds(
    folder, windows, window, n_loaded
):
    opened = open_graphs(folder, NAMES, window)
    loaded = GraphDataset.from_shards(folder, NAMES)
    batches = [np.array(one) for one in ([6, 0, 2], [3], [7, 1])]
    del windows[:]
    pairs = zip(opened.assemble(batches), loaded.assemble(batches), strict=True)
    for (position, found), (same_position, expected) in pairs:
        assert np.array_equal(position, same_position)
        assert same(found, expected)
    assert windows == n_loaded


def test_single_batches_and_columns_are_those_of_memory(folder):
    opened = open_graphs(folder, NAMES, 1)
    loaded = GraphDataset.from_shards(folder, NAMES)
    assert opened.digests == NAMES
    assert len(opened) == len(NAMES)
    assert np.array_equal(opened.n_edges, loaded.n_edges)
    for order in (None, np.array([4, 2, 2])):
        for found, expected in zip(
            opened.compositions(order), loaded.compositions(order), strict=True
        ):
            assert np.array_equal(found, expected)
        assert np.array_equal(opened.volumes(order), loaded.volumes(order))
    for rows in ([7, 3, 3], []):
        chosen = np.array(rows, dtype=np.int64)
        assert same(opened.batch(chosen), loaded.batch(chosen))
    for (_, found), (_, expected) in zip(opened.batches(3), loaded.batches(3), strict=True):
        assert same(found, expected)
    assert list(opened.batches(3, order=np.empty(0, np.int64))) == []


def test_the_size_in_memory_is_known_beforehand(folder):
    columns = GraphDataset.from_shards(folder, sorted(set(NAMES))).columns
    stored = stored_bytes(folder, 7)
    values = sum(
        one.nbytes for name, one in columns._asdict().items() if "offs" not in name
    )
    assert graph_bytes(columns).sum() == values + columns.cell_offset.nbytes
    assert stored == pytest.approx(graph_bytes(columns).sum() + 7 * 100, rel=0.2)


def test_graphs_stay_readable_when_their_files_are_replaced(folder):
    opened = open_graphs(folder, NAMES, 1)
    expected = GraphDataset.from_shards(folder, NAMES).batch(np.arange(3))
    for path in files(folder):
        path.unlink()
    assert same(opened.batch(np.arange(3)), expected)


def test_a_file_that_is_cut_is_an_error_of_the_store(folder):
    opened = open_graphs(folder, NAMES, 1)
    path = next(path for path in files(folder) if path.name == "neighbor.bin")
    path.write_bytes(path.read_bytes()[:4])
    with pytest.raises(IntegrityError, match=r"neighbor.bin: cut"):
        opened.batch(np.arange(8))
