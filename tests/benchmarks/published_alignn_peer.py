"""The side of alignn in `published_alignn.py`; runs in an environment of its own.

Arguments: structures (.npz), folder. Writes an archive for each case, as alignn's training
does, with random weights, and the outputs of alignn's own classes beside it. The DGL model
runs on a stand-in for the few calls of DGL that it makes.
"""

import json
import sys
import zipfile
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
from alignn.graphs import build_undirected_edgedata, nearest_neighbor_edges
from alignn.models import alignn as original
from alignn.models.alignn_atomwise_pure import ALIGNNAtomWisePure, ALIGNNAtomWisePureConfig
from alignn.torch_graph_builder import (
    TorchGraph,
    _line_graph_edges,
    build_pure_torch_graph,
    torch_bond_cosines,
)
from jarvis.core.atoms import Atoms
from jarvis.core.specie import atomic_numbers_to_symbols, get_node_attributes
from torch import nn

SIZES = {
    "alignn_layers": 2,
    "gcn_layers": 2,
    "hidden_features": 32,
    "embedding_features": 16,
    "atom_input_features": 92,
    "edge_input_features": 80,
    "triplet_input_features": 40,
}
NEAREST: dict[str, object] = {
    "neighbor_strategy": "k-nearest",
    "cutoff": 8.0,
    "max_neighbors": 12,
}
ALL: dict[str, object] = {
    "neighbor_strategy": "pure_torch",
    "cutoff": 5.0,
    "max_neighbors": None,
    "three_body_cutoff": 3.5,
}
PURE: dict[str, object] = {
    "name": "alignn_atomwise_pure",
    "calculate_gradient": False,
    "energy_mult_natoms": False,
}
CASES: dict[str, tuple[dict[str, object], dict[str, object]]] = {
    "original": ({"name": "alignn"}, NEAREST),
    "pure": (PURE, ALL),
    "pure-nearest": (PURE, NEAREST),
}


class DGLGraph:
    """The calls of DGL that the original model makes, for one graph."""

    def __init__(self, graph):
        self.graph = graph
        self.ndata, self.edata = dict(graph.ndata), dict(graph.edata)

    def local_var(self):
        copy = DGLGraph(self.graph)
        copy.ndata, copy.edata = dict(self.ndata), dict(self.edata)
        return copy

    def apply_edges(self, call):
        _, first, second, result = call
        sent, received = self.ndata[first], self.ndata[second]
        self.edata[result] = sent[self.graph.src] + received[self.graph.dst]

    def update_all(self, message, reduction):
        kind, *names = message
        if kind == "u_mul_e":
            value = self.ndata[names[0]][self.graph.src] * self.edata[names[1]]
        else:
            value = self.edata[names[0]]
        total = torch.zeros(self.graph.num_nodes, value.shape[1], dtype=value.dtype)
        self.ndata[reduction[2]] = total.index_add(0, self.graph.dst, value)


class MeanPooling(nn.Module):
    """Mean over the nodes of one graph."""

    def forward(self, _, features):
        return features.mean(dim=0, keepdim=True)


def read_atoms(path):
    """Make the atoms objects that alignn's builders take."""
    with np.load(path) as arrays:
        ends = arrays["offsets"][1:-1]
        numbers = np.split(arrays["atomic_numbers"], ends)
        coords = np.split(arrays["frac_coords"], ends)
        return [
            Atoms(
                lattice_mat=lattice,
                coords=places,
                elements=atomic_numbers_to_symbols(kinds.tolist()),
                cartesian=False,
            )
            for lattice, kinds, places in zip(
                arrays["lattices"], numbers, coords, strict=True
            )
        ]


def stand_in_for_dgl():
    """Give the original model what it imports from DGL."""
    names = ("u_add_v", "u_mul_e", "copy_e", "sum")
    original.fn = SimpleNamespace(
        **{name: lambda *call, name=name: (name, *call) for name in names}
    )
    original.AvgPooling = MeanPooling


def build_nearest(atoms):
    """Build graph and line graph from the edges of alignn's k-nearest graph."""
    edges, _ = nearest_neighbor_edges(atoms, 8.0, 12, use_canonize=True)
    u, v, r, _ = build_undirected_edgedata(atoms, edges)
    rows = [get_node_attributes(s, atom_features="cgcnn") for s in atoms.elements]
    features = torch.tensor(np.array(rows)).float()
    graph = TorchGraph(atoms.num_atoms, u, v, {"atom_features": features}, {"r": r.float()})
    sender, receiver = _line_graph_edges(u, v, atoms.num_atoms)
    cosine = torch_bond_cosines(graph.edata["r"][sender], graph.edata["r"][receiver])
    return graph, TorchGraph(len(u), sender, receiver, {}, {"h": cosine})


def build_all(atoms):
    """Build graph and line graph as alignn's pure-torch data set does."""
    return build_pure_torch_graph(atoms, 5.0, 3.5, max_neighbors=None)


def make_network(model):
    """Make a network with weights and statistics that all matter."""
    settings = SIZES | model
    if model["name"] == "alignn":
        network = original.ALIGNN(original.ALIGNNConfig(**settings))
    else:
        network = ALIGNNAtomWisePure(ALIGNNAtomWisePureConfig(**settings))
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.BatchNorm1d):
                statistics = dict(module.named_buffers())
                statistics["running_mean"].normal_()
                statistics["running_var"].uniform_(0.5, 2.0)
            if isinstance(module, nn.BatchNorm1d | nn.LayerNorm):
                module.weight.uniform_(0.5, 1.5)
                module.bias.normal_()
    return network.eval(), settings


def write_archive(path, network, settings):
    """Write what a training leaves: checkpoint with optimiser and scheduler, settings."""
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=10)
    content = {
        "model": network.state_dict(),
        "optimizer": optimizer.state_dict(),
        "lr_scheduler": scheduler.state_dict() | {"anneal": scheduler._annealing_cos},
    }
    buffer = BytesIO()
    torch.save(content, buffer)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("jv/checkpoint_300.pt", buffer.getvalue())
        archive.writestr("jv/config.json", json.dumps(settings))


def main():
    structures, folder = Path(sys.argv[1]), Path(sys.argv[2])
    stand_in_for_dgl()
    atoms = read_atoms(structures)
    bonds: dict[str, list[int]] = {}
    for seed, (name, (model, graphs)) in enumerate(CASES.items()):
        torch.manual_seed(seed)
        network, settings = make_network(model)
        config = graphs | {
            "model": settings,
            "dataset": "dft_3d",
            "target": "formation_energy_peratom",
            "atom_features": "cgcnn",
        }
        write_archive(folder / f"{name}.zip", network, config)
        build = build_nearest if graphs is NEAREST else build_all
        values: list[float] = []
        bonds[name] = []
        with torch.no_grad():
            for one in atoms:
                pair = build(one)
                bonds[name].append(pair[0].num_edges)
                if settings["name"] == "alignn":
                    pair = tuple(DGLGraph(graph) for graph in pair)
                out = network((*pair, None))
                values.append(float(out["out"] if isinstance(out, dict) else out))
        np.save(folder / f"{name}.npy", np.array(values))
    sys.stdout.write(json.dumps({"bonds": bonds}) + "\n")


if __name__ == "__main__":
    main()
