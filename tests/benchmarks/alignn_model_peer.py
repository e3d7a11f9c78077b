"""The side of alignn in `alignn_model.py`; runs in an environment of its own.

Arguments: folder with the inputs, `compare` or `time`, steps. `compare` writes outputs and
gradients beside the inputs; the last line of output holds seconds as JSON.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np
import torch
from alignn.models.alignn_atomwise_pure import ALIGNNAtomWisePure, ALIGNNAtomWisePureConfig
from alignn.torch_graph_builder import TorchGraph


def load(folder, dtype):
    """Return the network with the given weights, and the batch as alignn has it."""
    settings = json.loads((folder / "config.json").read_text())
    config = ALIGNNAtomWisePureConfig(
        name="alignn_atomwise_pure",
        alignn_layers=settings["n_line_convolutions"],
        gcn_layers=settings["n_convolutions"],
        atom_input_features=92,
        edge_input_features=settings["n_distance_features"],
        triplet_input_features=settings["n_angle_features"],
        embedding_features=settings["embedding_width"],
        hidden_features=settings["hidden_width"],
        calculate_gradient=False,
        use_penalty=False,
        energy_mult_natoms=False,
        lg_on_fly=False,
    )
    network = ALIGNNAtomWisePure(config)
    with np.load(folder / "weights.npz") as weights:
        state = {name: torch.from_numpy(weights[name]) for name in weights}
    missing, unexpected = network.load_state_dict(state, strict=False)
    # what nothing reads is not in our state
    wrong = [
        n for n in missing if not ("bn_edges" in n or n.endswith(("centers", "_table")))
    ]
    if wrong or unexpected:
        raise SystemExit(f"missing {wrong}, unexpected {unexpected}")
    with np.load(folder / "graph.npz") as arrays:
        tensors = {name: torch.from_numpy(arrays[name]) for name in arrays}
    sizes = tensors["sizes"]
    graph = TorchGraph(
        num_nodes=int(sizes.sum()),
        src=tensors["edge_index"][0],
        dst=tensors["edge_index"][1],
        ndata={"atom_features": tensors["features"].to(dtype)},
        edata={"r": tensors["r"].to(dtype)},
        batch_num_nodes=sizes,
    )
    # alignn rounds this constant to single precision
    for part, gamma in zip(("edge", "angle"), tensors["gamma"].tolist(), strict=True):
        getattr(network, f"{part}_embedding")[0].gamma = gamma
    line = TorchGraph(
        num_nodes=len(tensors["r"]),
        src=tensors["pairs"][0],
        dst=tensors["pairs"][1],
        edata={"h": tensors["cosine"].to(dtype)},
    )
    return network.to(dtype), (graph, line, None)


def compare(folder):
    """Write outputs and gradients in both precisions."""
    for dtype in (torch.float64, torch.float32):
        network, batch = load(folder, dtype)
        out = network(batch)["out"]
        out.square().sum().backward()
        found = {
            name: parameter.grad.numpy()
            for name, parameter in network.named_parameters()
            if parameter.grad is not None
        }
        name = str(dtype).removeprefix("torch.")
        np.savez(folder / f"{name}.npz", out=out.detach().numpy(), **found)


def measure(folder, n_steps):
    """Return the seconds of training steps and of passes for inference."""
    network, batch = load(folder, torch.float32)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3)
    training, inference = [], []
    for _ in range(n_steps + 1):
        start = time.perf_counter()
        loss = network.train()(batch)["out"].square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        training.append(time.perf_counter() - start)
    network.eval()
    with torch.inference_mode():
        for _ in range(n_steps + 1):
            start = time.perf_counter()
            network(batch)
            inference.append(time.perf_counter() - start)
    return {"training": training[1:], "inference": inference[1:]}


def main():
    folder, what, n_steps = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    torch.set_num_threads(2)
    if what == "compare":
        compare(folder)
        found = {}
    else:
        found = measure(folder, n_steps)
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
