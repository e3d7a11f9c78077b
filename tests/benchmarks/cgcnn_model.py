"""CGCNN against the formulation of its authors' code: equal weights, equal graphs.

Run with `python -m tests.benchmarks.cgcnn_model` (MP-20 in ../shared/data, two cores).
The reference concatenates both atoms and the expanded distance of every edge, maps them by
one linear layer and normalises by batch norms, as https://github.com/txie-93/cgcnn does,
with exactly 12 neighbours an atom. In favour of the reference its distances are expanded
beforehand, and atoms are averaged over crystals by one operation in place of a loop.
Training is a forward and backward pass and a step of AdamW; both sides take turns of five
calls.
"""

import copy
import os
import statistics
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, cast

os.environ.setdefault("OMP_NUM_THREADS", "2")  # before torch is imported
os.environ.setdefault("GOMP_SPINCOUNT", "10000")  # as the command line sets it
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch_geometric.data import Batch

from crystalgnn_core.graphs.build import build_dataset
from crystalgnn_core.graphs.config import GraphConfig
from crystalgnn_core.models.cgcnn.config import CGCNNConfig
from crystalgnn_core.models.cgcnn.network import CGCNN, GatedConvolution
from crystalgnn_core.models.inference import for_inference
from deployments.tables import show_line, show_rows
from tests.benchmarks.structures import MP20, read_mp20

if TYPE_CHECKING:
    from crystalgnn_core.models.element_layers import ElementLinear

N_GRAPHS, N_TURNS, N_CALLS = 256, 9, 5
GRAPH = GraphConfig(strategy="knn", n_neighbors=12)
TOLERANCE = 1e-4  # single precision


class Reference(nn.Module):
    """The network as its authors wrote it, with the weights of ours.

    Args:
        network: Network whose weights are copied.
        batch: Graphs with 12 neighbours an atom, whose distances are expanded once.
    """

    def __init__(self, network: CGCNN, batch: Batch) -> None:
        super().__init__()
        self.network = copy.deepcopy(network)
        table = cast("ElementLinear", network.embedding).table
        self.features = table[batch.atomic_numbers]
        expanded = self.network.basis(batch.edge_vector.norm(dim=1))
        self.edges = expanded.reshape(len(self.features), 12, -1)
        self.neighbors = batch.edge_index[0].reshape(-1, 12)
        self.crystal, self.sizes = batch.batch, batch.ptr.diff().unsqueeze(1)

    def forward(self) -> Tensor:
        """Predict the batch, shape (n_graphs, 1)."""
        network = self.network
        embedding = cast("ElementLinear", network.embedding)
        atoms = functional.linear(self.features, embedding.weight, embedding.bias)
        for layer in network.convs:
            atoms = self.convolve(cast("GatedConvolution", layer), atoms)
        total = atoms.new_zeros(len(self.sizes), atoms.shape[1])
        crystals = total.index_add(0, self.crystal, atoms) / self.sizes
        hidden = network.conv_to_fc(functional.softplus(crystals))
        return network.fc_out(functional.softplus(hidden))

    def convolve(self, layer: GatedConvolution, atoms: Tensor) -> Tensor:
        """Do what ConvLayer of the authors' code does."""
        n_atoms, width = atoms.shape
        there = atoms[self.neighbors]
        here = atoms.unsqueeze(1).expand(n_atoms, 12, width)
        gated = layer.fc_full(torch.cat([here, there, self.edges], dim=2))
        gated = layer.bn1(gated.reshape(-1, 2 * width)).reshape(n_atoms, 12, 2 * width)
        gate, core = gated.chunk(2, dim=2)
        summed = (torch.sigmoid(gate) * functional.softplus(core)).sum(dim=1)
        return functional.softplus(atoms + layer.bn2(summed))


def run() -> bool:
    """Compare and time both; return whether all numbers agree."""
    if not MP20.is_file():
        show_line("skipped: MP-20 is not in ../shared/data")
        return True
    torch.set_num_threads(2)
    torch.manual_seed(0)
    dataset, _ = build_dataset(read_mp20(N_GRAPHS), GRAPH)
    batch = dataset.batch(np.arange(len(dataset)))
    if not batch.degree.eq(12).all():
        raise SystemExit("an atom has fewer than 12 neighbours; choose another seed")
    network = CGCNNConfig().build(1)
    reference = Reference(network, batch)
    worst = differences(network, reference, batch)
    show_line(f"largest differences, in units of the largest value: {worst}")
    rows = [
        line_of(
            "training",
            trainer(network, lambda: network(batch)),
            trainer(reference, reference),
        ),
        line_of("inference", *predictors(network, reference, batch)),
    ]
    show_rows(
        f"CGCNN, 64 wide, 3 convolutions, batches of {N_GRAPHS} MP-20 graphs",
        ("work", "#crystalgnn, graphs/s", "#reference, graphs/s", "#ratio of medians"),
        rows,
    )
    return max(worst.values()) <= TOLERANCE


def differences(network: CGCNN, reference: Reference, batch: Batch) -> dict[str, float]:
    """Compare outputs, gradients, and predictions after some batches of statistics."""
    found = {}
    results = []
    for module, forward in ((network, lambda: network(batch)), (reference, reference)):
        module.train()
        value = forward()
        module.zero_grad()
        value.square().sum().backward()
        inner = module.network if module is reference else module
        results.append((value, [cast("Tensor", p.grad) for p in inner.parameters()]))
    (own, own_gradients), (other, gradients) = results
    found["outputs"] = relative(own, other)
    found["gradients"] = max(map(relative, own_gradients, gradients))
    with torch.no_grad():
        found["predictions"] = relative(for_inference(network)(batch), reference.eval()())
    return {name: float(f"{value:.1e}") for name, value in found.items()}


def relative(first: Tensor, second: Tensor) -> float:
    """Return the largest difference in units of the largest value, at least of 1."""
    worst = (first - second).detach().abs().max()
    return float(worst / second.detach().abs().max().clamp(min=1.0))


def trainer(module: nn.Module, forward: Callable[[], Tensor]) -> Callable[[], object]:
    """Return a step of training."""
    optimizer = torch.optim.AdamW(module.parameters(), lr=1e-3)

    def step() -> None:
        loss = forward().square().mean()
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()

    module.train()
    return step


def predictors(
    network: CGCNN, reference: Reference, batch: Batch
) -> tuple[Callable[[], object], Callable[[], object]]:
    """Return predictions of both."""
    form = for_inference(network)
    reference.eval()

    def predict() -> Tensor:
        with torch.inference_mode():
            return reference()

    return lambda: form(batch), predict


def line_of(
    what: str, own: Callable[[], object], other: Callable[[], object]
) -> tuple[str, ...]:
    """Time both by turns, and return a line of the table."""
    seconds: tuple[list[float], list[float]] = ([], [])
    for turn in range(N_TURNS + 2):
        for side, work in enumerate((own, other)):
            start = time.perf_counter()
            for _ in range(N_CALLS):
                work()
            if turn >= 2:
                seconds[side].append((time.perf_counter() - start) / N_CALLS)
    fast, slow = map(statistics.median, seconds)
    return what, f"{N_GRAPHS / fast:,.0f}", f"{N_GRAPHS / slow:,.0f}", f"{slow / fast:.2f}"


if __name__ == "__main__":
    sys.exit(0 if run() else 1)
