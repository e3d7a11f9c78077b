"""Batches assembled from columns."""

import numpy as np
import pyarrow as pa
import pytest
import torch

from crystalgnn_core.graphs.batches import GraphDataset
from crystalgnn_core.graphs.build import build_dataset, build_graph
from crystalgnn_core.graphs.config import GraphConfig
from crystalgnn_core.graphs.crystals import CrystalBatch
from crystalgnn_core.graphs.neighbors import find_neighbors
from crystalgnn_core.graphs.shards import graph_table
from crystalgnn_core.records.crystal import Crystal

CONFIG = GraphConfig()


def crystals(n=6, seed=0):
    generator = np.random.default_rng(seed)
    made = []
    for index in range(n):
        size = 1 + index % 4
        lattice = np.eye(3) * 5 + generator.normal(size=(3, 3)) * 0.4
        numbers = generator.integers(1, 90, size).astype(np.int16)
        made.append(Crystal(numbers, lattice, generator.uniform(-1, 2, (size, 3))))
    return made


def test_batch_is_its_graphs_laid_end_to_end():
    made = crystals()
    dataset, refused = build_dataset(made, CONFIG)
    assert not refused
    batch = dataset.batch(np.array([4, 0, 4]))
    graphs = [build_graph(made[index], CONFIG) for index in (4, 0, 4)]
    starts = np.concatenate([[0], np.cumsum([graph.num_nodes for graph in graphs])])
    assert batch.ptr.tolist() == starts.tolist()
    assert batch.num_graphs == 3
    expected = [g.edge_index + int(s) for g, s in zip(graphs, starts[:-1], strict=True)]
    assert torch.equal(batch.edge_index, torch.cat(expected, dim=1))
    fields = ("atomic_numbers", "edge_vector", "cell_offset", "degree")
    for name in (*fields, "lattice", "frac_coords"):
        assert torch.equal(batch[name], torch.cat([graph[name] for graph in graphs]))
    assert torch.equal(batch.batch, torch.repeat_interleave(batch.ptr.diff()))


def test_edge_vector_points_from_centre_to_neighbour_image():
    made = crystals()
    dataset, _ = build_dataset(made, CONFIG)
    batch = dataset.batch(np.arange(len(made)))
    wrapped = np.concatenate([c.frac_coords - np.floor(c.frac_coords) for c in made])
    cells = np.stack([c.lattice for c in made])[batch.batch]
    neighbor, center = batch.edge_index
    step = wrapped[neighbor] - wrapped[center] + batch.cell_offset.numpy()
    vector = np.einsum("ei,eij->ej", step, cells[center])
    # coordinates are stored in single precision: 6e-8 of a 5 angstrom cell
    assert np.abs(vector - batch.edge_vector.numpy()).max() < 2e-6
    assert (center.diff() >= 0).all()
    assert torch.equal(torch.bincount(center, minlength=batch.num_nodes), batch.degree)


def test_lattices_and_coordinates_are_those_of_the_crystals():
    made = crystals()
    dataset, _ = build_dataset(made, CONFIG)
    batch = dataset.batch(np.array([5, 2]))
    assert batch.lattice.dtype == batch.frac_coords.dtype == torch.float32
    lattices = np.stack([made[5].lattice, made[2].lattice])
    assert batch.lattice.numpy() == pytest.approx(lattices, rel=1e-7)
    wrapped = np.concatenate([made[i].frac_coords % 1.0 for i in (5, 2)])
    assert batch.frac_coords.numpy() == pytest.approx(wrapped, abs=1e-7)


def test_batches_cover_the_order_once():
    dataset, _ = build_dataset(crystals(7), CONFIG)
    order = np.array([6, 2, 0, 5, 1])
    chosen = [positions for positions, _ in dataset.batches(2, order=order)]
    assert np.concatenate(chosen).tolist() == order.tolist()
    assert [len(positions) for positions in chosen] == [2, 2, 1]
    assert sum(len(batch) for _, batch in dataset.batches(3)) == 7


def test_chunked_and_sliced_tables_give_the_same_graphs():
    made = crystals(8)
    packed = CrystalBatch.from_crystals(made)
    keys = [str(i) for i in range(8)]
    table = graph_table(keys, packed, find_neighbors(packed, CONFIG), CONFIG)
    whole = GraphDataset.from_table(table).batch(np.arange(2, 8))
    pieces = pa.concat_tables([table.slice(2, 1), table.slice(3, 4), table.slice(7)])
    for part in (pieces, table.slice(2)):
        again = GraphDataset.from_table(part).batch(np.arange(6))
        fields = whole.to_dict()
        del fields["num_nodes"]
        assert all(torch.equal(value, again[name]) for name, value in fields.items())


def test_empty_table_is_a_data_set_without_graphs():
    dataset, refused = build_dataset([], CONFIG)
    assert (len(dataset), refused) == (0, {})
    assert list(dataset.batches(4)) == []
    packed = CrystalBatch.from_crystals(crystals(1))
    table = graph_table(["0"], packed, find_neighbors(packed, CONFIG), CONFIG)
    assert len(GraphDataset.from_table(table.schema.empty_table())) == 0


def test_crystals_survive_the_way_through_a_table():
    made = crystals(5)
    table = pa.table(
        {
            "atomic_numbers": pa.array([c.atomic_numbers.tolist() for c in made]),
            "lattice": pa.array([c.lattice.ravel().tolist() for c in made]),
            "frac_coords": pa.array([c.frac_coords.ravel().tolist() for c in made]),
        }
    )
    direct = CrystalBatch.from_crystals(made[1:])
    read = CrystalBatch.from_table(pa.concat_tables([table.slice(1, 2), table.slice(3)]))
    for name, values in direct._asdict().items():
        assert np.array_equal(values, getattr(read, name))


def test_every_stored_element_fits_its_column():
    heavy = Crystal(np.array([118], np.int16), np.eye(3) * 3.0, np.zeros((1, 3)))
    assert build_graph(heavy, CONFIG).atomic_numbers.tolist() == [118]
