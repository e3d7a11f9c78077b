"""Line graphs against loops over edges, theory and the code of alignn."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch_geometric.data import Batch

from crystalgnn_core.graphs.build import build_dataset
from crystalgnn_core.graphs.config import GraphConfig
from crystalgnn_core.graphs.line_graph import (
    LineGraph,
    _pair_tensors,
    _Rule,
    pair_along_paths,
    pair_at_centers,
)
from crystalgnn_core.records.crystal import Crystal
from crystalgnn_core.sources.formats.objects import crystal_from_any
from crystalgnn_core.sources.textbook.source import textbook_structure
from tests.core.graphs.cells import crystals

EXAMPLES = settings(max_examples=20, deadline=None)
SMALL = crystals(sizes=(1, 2, 3, 5, 8))
UNEVEN = GraphConfig(strategy="radius", cutoff=3.0, too_few="keep")
CONVENTIONS = pytest.mark.parametrize("pair", [pair_at_centers, pair_along_paths])
# directions and products in single precision
TOLERANCE = 1e-6


def batch_of(cells, config=UNEVEN):
    dataset, refused = build_dataset(cells, config)
    assert not refused
    return dataset.batch(np.arange(len(cells)))


def fields(batch: Batch) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    return batch.edge_index, batch.edge_vector, batch.degree


def expected(batch, pair, cutoff=math.inf):
    """Pairs and cosines by loops; receivers, then senders ascend."""
    neighbor, center = batch.edge_index.numpy()
    vector = batch.edge_vector.numpy().astype(float)
    length = np.linalg.norm(vector, axis=1)
    pairs, cosine = [], []
    for receiver in range(len(center)):
        for sender in range(len(center)):
            product = vector[sender] @ vector[receiver] / length[sender] / length[receiver]
            if pair is pair_at_centers:
                is_pair = center[sender] == center[receiver] and sender != receiver
            else:
                is_pair = center[sender] == neighbor[receiver]
                product = -product
            if is_pair and max(length[sender], length[receiver]) <= cutoff:
                pairs.append((sender, receiver))
                cosine.append(product)
    return pairs, cosine


@CONVENTIONS
@EXAMPLES
@given(
    cells=st.lists(SMALL, min_size=1, max_size=3), cutoff=st.sampled_from([math.inf, 2.6])
)
def test_pairs_and_cosines_are_those_of_loops_over_edges(pair, cells, cutoff):
    batch = batch_of(cells)
    line = pair(*fields(batch), cutoff)
    pairs, cosine = expected(batch, pair, cutoff)
    assert list(map(tuple, line.bond_pairs.T.tolist())) == pairs
    assert line.cosine.tolist() == pytest.approx(cosine, abs=TOLERANCE)
    n_edges = batch.edge_index.shape[1]
    assert torch.equal(line.degree, torch.bincount(line.bond_pairs[1], minlength=n_edges))
    assert [tensor.dtype for tensor in line] == [torch.int64, torch.float32, torch.int64]


@pytest.mark.parametrize("along_paths", [False, True])
@EXAMPLES
@given(
    cells=st.lists(SMALL, min_size=1, max_size=4), cutoff=st.sampled_from([math.inf, 2.6])
)
def test_tensor_operations_agree_with_the_kernel(along_paths, cells, cutoff):
    batch = batch_of(cells)
    line = (pair_along_paths if along_paths else pair_at_centers)(*fields(batch), cutoff)
    other = _pair_tensors(*fields(batch), _Rule(cutoff, along_paths=along_paths))
    assert torch.equal(line.bond_pairs, other.bond_pairs)
    assert torch.equal(line.degree, other.degree)
    assert torch.allclose(line.cosine, other.cosine, rtol=0, atol=TOLERANCE)


@CONVENTIONS
def test_pairs_never_join_two_graphs_of_a_batch(pair):
    generator = np.random.default_rng(0)
    cells = [
        Crystal(np.full(n, 6, np.int16), np.eye(3) * 4, generator.random((n, 3)))
        for n in (1, 4, 2, 7, 1, 3)
    ]
    batch = batch_of(cells)
    line = pair(*fields(batch))
    graph = batch.batch[batch.edge_index[1]][line.bond_pairs]
    assert torch.equal(graph[0], graph[1])
    shift, pairs, cosine = 0, [], []
    for cell in cells:
        single = batch_of([cell])
        alone = pair(*fields(single))
        pairs.append(alone.bond_pairs + shift)
        cosine.append(alone.cosine)
        shift += single.edge_index.shape[1]
    assert torch.equal(line.bond_pairs, torch.cat(pairs, dim=1))
    assert torch.equal(line.cosine, torch.cat(cosine))


@CONVENTIONS
@EXAMPLES
@given(cell=SMALL, seed=st.integers(0, 1000))
def test_cosines_are_unchanged_by_rotation(pair, cell, seed):
    batch = batch_of([cell])
    matrix = np.random.default_rng(seed).normal(size=(3, 3))
    rotation = torch.tensor(np.linalg.qr(matrix).Q, dtype=torch.float32)
    turned = pair(batch.edge_index, batch.edge_vector @ rotation, batch.degree)
    line = pair(*fields(batch))
    assert torch.equal(line.bond_pairs, turned.bond_pairs)
    assert torch.allclose(line.cosine, turned.cosine, rtol=0, atol=TOLERANCE)


@CONVENTIONS
@EXAMPLES
@given(cell=SMALL)
def test_supercell_has_every_angle_once_per_cell(pair, cell):
    n_atoms = len(cell.atomic_numbers)
    shift = np.repeat([[0.0, 0, 0], [1, 0, 0]], n_atoms, axis=0)
    double = Crystal(
        np.tile(cell.atomic_numbers, 2),
        cell.lattice * np.array([[2.0], [1], [1]]),
        (np.tile(cell.frac_coords, (2, 1)) + shift) / np.array([2.0, 1, 1]),
    )
    cosine = pair(*fields(batch_of([cell]))).cosine.sort().values
    doubled = pair(*fields(batch_of([double]))).cosine.sort().values
    # coordinates are stored in single precision: 6e-8 of cells of some 10 angstrom
    assert torch.allclose(cosine.repeat_interleave(2), doubled, rtol=0, atol=2e-5)


def simple_cubic():
    cell = Crystal(np.array([84], np.int16), np.eye(3) * 3.35, np.zeros((1, 3)))
    return batch_of([cell], GraphConfig(n_neighbors=6))


def counts(line):
    values, number = line.cosine.unique(return_counts=True)
    return dict(zip(values.tolist(), number.tolist(), strict=True))


def test_triplets_of_simple_cubic():
    # six directions: each has one opposite and four at right angles
    assert counts(pair_at_centers(*fields(simple_cubic()))) == {-1.0: 6, 0.0: 24}


def test_paths_of_simple_cubic():
    # straight on (the same edge again, one image further), back, and four turns
    line = pair_along_paths(*fields(simple_cubic()))
    assert counts(line) == {-1.0: 6, 0.0: 24, 1.0: 6}
    same = line.bond_pairs[0] == line.bond_pairs[1]
    assert line.cosine[same].tolist() == [-1.0] * 6


def test_angles_of_diamond_are_tetrahedral():
    silicon = crystal_from_any(textbook_structure("Si"))
    batch = batch_of([silicon], GraphConfig(n_neighbors=4))
    triplets = pair_at_centers(*fields(batch))
    # arccos(-1/3) = 109.47 degrees between any two of four bonds
    assert triplets.cosine.tolist() == pytest.approx([-1 / 3] * 24, abs=TOLERANCE)
    paths = pair_along_paths(*fields(batch))
    assert sorted(paths.cosine.tolist()) == pytest.approx(
        [-1 / 3] * 24 + [1.0] * 8, abs=TOLERANCE
    )


@CONVENTIONS
def test_longer_edges_are_in_no_pair(pair):
    batch = batch_of([crystal_from_any(textbook_structure("Si"))], GraphConfig())
    line = pair(*fields(batch), 2.5)  # bonds of 2.35 angstrom, then 3.84
    length = batch.edge_vector.norm(dim=1)
    assert length[line.bond_pairs].max() < 2.5
    assert torch.equal(line.degree > 0, length < 2.5)


@CONVENTIONS
def test_graphs_without_edges_have_no_pairs(pair):
    alone = Crystal(np.array([2], np.int16), np.eye(3) * 40, np.zeros((1, 3)))
    single = Crystal(np.array([84], np.int16), np.eye(3) * 3, np.zeros((1, 3)))
    nothing = (torch.empty(2, 0, dtype=torch.int64), torch.empty(0, 3))
    for batch in (fields(batch_of([alone])), (*nothing, torch.empty(0, dtype=torch.int64))):
        assert [tensor.shape[-1] for tensor in pair(*batch)] == [0, 0, 0]
    mixed = batch_of([alone, single, alone, single, alone])
    pairs, _ = expected(mixed, pair)
    assert list(map(tuple, pair(*fields(mixed)).bond_pairs.T.tolist())) == pairs


@CONVENTIONS
def test_single_directed_edge_has_no_partner(pair):
    edge = (torch.tensor([[0], [1]]), torch.tensor([[0.0, 0, 1]]), torch.tensor([0, 1]))
    line = pair(*edge)
    assert line.bond_pairs.shape == (2, 0)
    assert line.degree.tolist() == [0]


@CONVENTIONS
def test_collinear_bonds_stay_within_the_range_of_a_cosine(pair):
    vector = torch.randn(500, 3, generator=torch.Generator().manual_seed(0))
    ends = torch.zeros(2, 1000, dtype=torch.int64)
    degree = torch.tensor([1000])
    line = pair(ends, torch.cat([vector, -3 * vector]), degree)
    assert line.cosine.abs().max() <= 1.0
    other = _pair_tensors(
        ends, torch.cat([vector, -3 * vector]), degree, _Rule(math.inf, along_paths=False)
    )
    assert other.cosine.abs().max() <= 1.0


@CONVENTIONS
def test_inputs_are_left_alone_and_gradients_end_here(pair):
    batch = simple_cubic()
    before = [tensor.clone() for tensor in fields(batch)]
    vector = batch.edge_vector.double().requires_grad_()
    line = pair(batch.edge_index, vector, batch.degree)
    assert not line.cosine.requires_grad
    assert line.cosine.dtype == torch.float32
    for tensor, copy in zip(fields(batch), before, strict=True):
        assert torch.equal(tensor, copy)


@pytest.mark.gpu
@CONVENTIONS
def test_device_gives_the_line_graph_of_the_cpu(pair):
    batch = batch_of([crystal_from_any(textbook_structure("Si"))] * 3, GraphConfig())
    line = pair(*fields(batch))
    other = pair(*(tensor.cuda() for tensor in fields(batch)))
    assert torch.equal(line.bond_pairs, other.bond_pairs.cpu())
    assert torch.equal(line.degree, other.degree.cpu())
    assert torch.allclose(line.cosine, other.cosine.cpu(), rtol=0, atol=TOLERANCE)


def in_order(line):
    rows = zip(*line.bond_pairs.tolist(), line.cosine.tolist(), strict=True)
    return sorted(rows)


@pytest.mark.parametrize("name", ["Si", "NaCl", "SrTiO3", "Fe", "Mg"])
@pytest.mark.parametrize("three_body_cutoff", [None, 4.5])
def test_paths_are_the_line_graph_of_alignn(name, three_body_cutoff):
    builder = pytest.importorskip(
        "alignn.torch_graph_builder", reason="alignn is not installed"
    )
    from jarvis.core.atoms import Atoms

    cell = crystal_from_any(textbook_structure(name))
    elements = [str(site.specie) for site in textbook_structure(name)]
    atoms = Atoms(
        lattice_mat=cell.lattice,
        coords=cell.frac_coords,
        elements=elements,
        cartesian=False,
    )
    graph, theirs = builder.build_pure_torch_graph(
        atoms, 6.0, three_body_cutoff, max_neighbors=12
    )
    order = torch.argsort(graph.dst, stable=True)
    ours = pair_along_paths(
        torch.stack((graph.src, graph.dst))[:, order],
        -graph.edata["r"][order],
        torch.bincount(graph.dst, minlength=graph.num_nodes),
        three_body_cutoff or math.inf,
    )
    ours = LineGraph(order[ours.bond_pairs], ours.cosine, ours.degree)
    theirs = LineGraph(
        torch.stack((theirs.src, theirs.dst)), theirs.edata["h"], ours.degree
    )
    assert [row[:2] for row in in_order(ours)] == [row[:2] for row in in_order(theirs)]
    assert [row[2] for row in in_order(ours)] == pytest.approx(
        [row[2] for row in in_order(theirs)], abs=TOLERANCE
    )
