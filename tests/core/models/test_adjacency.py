"""Spans of receiving nodes that share nothing."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from crystalgnn_core.models.adjacency import Adjacency


@given(
    sizes=st.lists(st.integers(1, 5), min_size=1, max_size=8),
    n_spans=st.integers(1, 6),
    seed=st.integers(0, 10**6),
)
def test_spans_cover_all_nodes_and_cut_between_crystals(sizes, n_spans, seed):
    generator = torch.Generator().manual_seed(seed)
    ends = torch.tensor([0, *sizes]).cumsum(0)
    degree = torch.randint(0, 4, (int(ends[-1]),), generator=generator)
    sender = torch.zeros(int(degree.sum()), dtype=torch.int64)
    spans = Adjacency.of(sender, degree, ends).spans(n_spans)
    nodes = [node for begin, end in spans for node in range(begin, end)]
    assert nodes == list(range(int(ends[-1])))
    assert len(spans) <= n_spans
    assert {begin for begin, _ in spans} <= set(ends.tolist())


def test_spans_have_about_equally_many_edges():
    ends = torch.arange(101)
    degree = torch.full((100,), 12)
    graph = Adjacency.of(torch.zeros(1200, dtype=torch.int64), degree, ends)
    assert graph.spans(4) == [(0, 25), (25, 50), (50, 75), (75, 100)]
    assert graph.first.tolist() == list(range(0, 1201, 12))
