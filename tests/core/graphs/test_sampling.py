"""Every graph goes into one batch, and no batch is over its budget."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from crystalgnn_core.graphs.sampling import (
    bucketed_order,
    edge_budget_batches,
    even_batches,
)

sizes = st.lists(st.integers(0, 500), max_size=60).map(lambda drawn: np.array(drawn, int))


@given(st.integers(0, 60), st.integers(1, 20))
def test_even_batches_hold_every_position_once(n, batch_size):
    order = np.random.default_rng(0).permutation(n)
    batches = even_batches(order, batch_size)
    assert np.concatenate([[], *batches]).tolist() == order.tolist()
    lengths = [len(batch) for batch in batches]
    assert all(0 < length <= batch_size for length in lengths)
    assert max(lengths, default=0) - min(lengths, default=0) <= 1
    assert len(batches) == -(-n // batch_size)


@given(sizes, st.integers(1, 1000))
def test_an_edge_budget_is_kept_but_by_lone_graphs(n_edges, max_edges):
    order = np.random.default_rng(0).permutation(len(n_edges))
    batches = edge_budget_batches(order, n_edges, max_edges)
    assert np.concatenate([[], *batches]).tolist() == order.tolist()
    spent = [n_edges[batch].sum() for batch in batches]
    assert all(
        len(batch) == 1 or edges <= max_edges
        for batch, edges in zip(batches, spent, strict=True)
    )
    for edges, following in zip(spent, batches[1:], strict=False):
        assert edges + n_edges[following[0]] > max_edges  # no batch ends before it must


@given(sizes, st.integers(1, 20), st.integers(0, 5))
def test_a_bucketed_order_holds_every_position_once(n_edges, bucket_size, seed):
    order = bucketed_order(n_edges, bucket_size, np.random.default_rng(seed))
    assert sorted(order) == list(range(len(n_edges)))


def test_buckets_bring_like_sizes_together():
    n_edges = np.random.default_rng(1).integers(10, 1000, 4000)

    def spread(order):
        return np.mean([np.ptp(n_edges[batch]) for batch in even_batches(order, 50)])

    rng = np.random.default_rng(2)
    assert spread(bucketed_order(n_edges, 1000, rng)) < 0.1 * spread(rng.permutation(4000))
    first, second = (bucketed_order(n_edges, 1000, rng) for _ in range(2))
    assert (first != second).any()


def test_a_budget_for_all_is_one_batch():
    [batch] = edge_budget_batches(np.arange(3), np.array([5, 5, 5]), 15)
    assert batch.tolist() == [0, 1, 2]
    first, second = edge_budget_batches(np.arange(3), np.array([5, 5, 5]), 14)
    assert (first.tolist(), second.tolist()) == ([0, 1], [2])
