"""Our ALIGNN against alignn's own pure-torch model: equal numbers, then speed.

Run `python -m tests.benchmarks.alignn_model` from the root of the checkout. Equal weights
on equal graphs of MP-20 (12 nearest with whole shells within 8 angstrom, symmetric).
Outputs and gradients are compared in double and in single precision, and predictions in the
form that they are made with; then training steps and predictions are timed in turns of
processes on two cores. The line graph is prebuilt for alignn, and part of our time. The
last column tells which share of our time the matrix products over pairs of bonds alone
take, which set the floor. Exit code 1 if the numbers differ.
"""

import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "2")  # before torch is imported
os.environ.setdefault("GOMP_SPINCOUNT", "10000")  # as the command line sets it

import numpy as np
import torch
from torch_geometric.data import Batch

from crystalgnn_core.graphs.build import build_dataset
from crystalgnn_core.graphs.config import GraphConfig
from crystalgnn_core.graphs.line_graph import pair_along_paths
from crystalgnn_core.models.alignn.config import ALIGNNConfig
from crystalgnn_core.models.alignn.network import ALIGNN
from crystalgnn_core.models.elements import element_table
from crystalgnn_core.models.inference import for_inference
from crystalgnn_core.models.layers import GaussianExpansion
from deployments.tables import show_line, show_rows
from tests.benchmarks.peers import PeerError, peer_python, run_peer
from tests.benchmarks.structures import MP20, read_mp20

GRAPH = GraphConfig(symmetric=True)
SIZES = {
    "2 + 2 layers, 64 wide": ALIGNNConfig(
        n_line_convolutions=2, n_convolutions=2, hidden_width=64, normalization="layer"
    ),
    "4 + 4 layers, 256 wide": ALIGNNConfig(normalization="layer"),
}
N_GRAPHS, N_TURNS, N_STEPS = 32, 3, 2
TOLERANCE = {"float64": 1e-8, "float32": 1e-4}
Seconds = dict[str, list[float]]


def run() -> bool:
    """Compare and time both sizes; return whether all numbers agree."""
    if not MP20.is_file():
        show_line("skipped: MP-20 is not in ../shared/data")
        return True
    try:
        python = peer_python("alignn", "alignn==2026.8.11", "torch")
    except PeerError as error:
        show_line(f"skipped: {error}")
        return True
    dataset, _ = build_dataset(read_mp20(N_GRAPHS), GRAPH)
    batch = dataset.batch(np.arange(len(dataset)))
    rows, agree = [], True
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for title, config in SIZES.items():
            torch.manual_seed(0)
            network = config.build(1)
            write_inputs(folder, network, batch, config)
            script = Path(__file__).with_name("alignn_model_peer.py")
            run_peer(python, script, folder, "compare", 0)
            worst = differences(folder, network, batch)
            show_line(f"{title}: largest differences {json.dumps(worst)}")
            agree &= all(found <= TOLERANCE[key.split()[0]] for key, found in worst.items())
            turns = [
                (
                    time_ours(network, batch),
                    run_peer(python, script, folder, "time", N_STEPS),
                )
                for _ in range(N_TURNS)
            ]
            floors = product_seconds(config, count_pairs(batch))
            rows += [
                line_of(title, what, turns, floors[what])
                for what in ("training", "inference")
            ]
    show_rows(
        f"Batches of {N_GRAPHS} MP-20 graphs, medians, two cores",
        (
            "size",
            "work",
            "#crystalgnn, graphs/s",
            "#alignn, graphs/s",
            "#ratio",
            "#of the floor",
        ),
        rows,
    )
    return agree


def line_of(
    title: str, what: str, turns: list[tuple[Seconds, Seconds]], floor: float
) -> tuple[str, ...]:
    """Return a line of the table."""
    own, other = (
        statistics.median(seconds for turn in turns for seconds in turn[side][what])
        for side in (0, 1)
    )
    rates = f"{N_GRAPHS / own:.1f}", f"{N_GRAPHS / other:.1f}"
    return (title, what, *rates, f"{other / own:.2f}", f"{floor / own:.0%}")


def count_pairs(batch: Batch) -> int:
    """Return the number of pairs of bonds of a batch."""
    return len(pair_along_paths(batch.edge_index, batch.edge_vector, batch.degree).cosine)


def product_seconds(config: ALIGNNConfig, n_pairs: int) -> dict[str, float]:
    """Time the matrix products over pairs that training and prediction cannot do without.

    Training has those of the embedding and of each convolution, forward and for both
    gradients; prediction reads the first ones from a table.
    """
    width, inner = config.hidden_width, config.embedding_width
    square = _product(n_pairs, width, width)
    entry = _product(n_pairs, config.n_angle_features, inner)
    second = _product(n_pairs, inner, width)
    n_layers = config.n_line_convolutions
    return {
        "training": 3 * (n_layers * square + second) + 2 * entry,
        "inference": (n_layers - 1) * square,
    }


def _product(n_rows: int, n_inputs: int, n_outputs: int) -> float:
    """Return the median seconds of a product of single precision."""
    rows, weight = torch.randn(n_rows, n_inputs), torch.randn(n_inputs, n_outputs)
    out, seconds = torch.empty(n_rows, n_outputs), []
    for _ in range(7):
        started = time.perf_counter()
        torch.mm(rows, weight, out=out)
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds)


def write_inputs(folder: Path, network: ALIGNN, batch: Batch, config: ALIGNNConfig) -> None:
    """Write weights, settings and tensors for the peer."""
    line = pair_along_paths(batch.edge_index, batch.edge_vector, batch.degree)
    gammas = {
        name: module.gamma
        for name, module in network.named_modules()
        if isinstance(module, GaussianExpansion)
    }
    np.savez(
        folder / "graph.npz",
        edge_index=batch.edge_index.numpy(),
        r=-batch.edge_vector.numpy(),
        features=element_table()[batch.atomic_numbers.numpy()],
        sizes=batch.ptr.diff().numpy(),
        pairs=line.bond_pairs.numpy(),
        cosine=line.cosine.numpy(),
        gamma=[gammas[f"{part}_embedding.0"] for part in ("edge", "angle")],
    )
    (folder / "config.json").write_text(config.model_dump_json())
    weights = {name: value.numpy() for name, value in network.state_dict().items()}
    np.savez(folder / "weights.npz", **weights)


def differences(folder: Path, network: ALIGNN, batch: Batch) -> dict[str, float]:
    """Return the largest differences of outputs, gradients and predictions."""
    worst = {}
    for dtype in (torch.float64, torch.float32):
        key = str(dtype).removeprefix("torch.")
        own = network.to(dtype)
        own.zero_grad()
        own_batch = batch.clone()
        own_batch.edge_vector = batch.edge_vector.to(dtype)
        value = own(own_batch)
        value.square().sum().backward()
        with np.load(folder / f"{key}.npz") as theirs:
            worst[f"{key} outputs"] = relative(value.detach().numpy()[:, 0], theirs["out"])
            if dtype == torch.float32:
                predicted = for_inference(own)(own_batch).numpy()[:, 0]
                worst[f"{key} predictions"] = relative(predicted, theirs["out"])
            worst[f"{key} gradients"] = max(
                relative(parameter.grad.numpy(), theirs[name])
                for name, parameter in own.named_parameters()
                if parameter.grad is not None
            )
    return worst


def relative(first: np.ndarray, second: np.ndarray) -> float:
    """Return the largest difference in units of the largest value, at least of 1."""
    return float(np.abs(first - second).max() / max(1.0, np.abs(second).max()))


def time_ours(network: ALIGNN, batch: Batch) -> Seconds:
    """Return the seconds of training steps and of passes for inference."""
    torch.set_num_threads(2)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3)
    found: Seconds = {"training": [], "inference": []}
    for _ in range(N_STEPS + 1):
        start = time.perf_counter()
        loss = network.train()(batch).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        found["training"].append(time.perf_counter() - start)
    predict = for_inference(network)
    for _ in range(N_STEPS + 1):
        start = time.perf_counter()
        predict(batch)
        found["inference"].append(time.perf_counter() - start)
    return {what: seconds[1:] for what, seconds in found.items()}


if __name__ == "__main__":
    sys.exit(0 if run() else 1)
