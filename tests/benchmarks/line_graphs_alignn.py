"""The side of alignn in `line_graphs.py`; runs in an environment of its own.

Arguments: structures (.npz), cutoff in angstrom, most neighbours an atom (0 for all),
cutoff of angles, graphs a batch, passes, folder for the results. The last line of output
holds the seconds of every batch as JSON.
"""

import json
import pickle
import sys
import time
from pathlib import Path

import lmdb
import numpy as np
import torch
from alignn.pure_lmdb_dataset import PureTorchLMDBDataset
from alignn.torch_graph_builder import build_pure_torch_graph
from jarvis.core.atoms import Atoms
from jarvis.core.specie import atomic_numbers_to_symbols


def build_samples(path, cutoff, max_neighbors, bond_cutoff):
    """Build what alignn's data set holds: graph, line graph, lattice and label."""
    arrays = np.load(path)
    numbers = np.split(arrays["atomic_numbers"], arrays["offsets"][1:-1])
    coords = np.split(arrays["frac_coords"], arrays["offsets"][1:-1])
    samples = []
    for lattice, kinds, places in zip(arrays["lattices"], numbers, coords, strict=True):
        atoms = Atoms(
            lattice_mat=lattice,
            coords=places,
            elements=atomic_numbers_to_symbols(kinds.tolist()),
            cartesian=False,
        )
        graph, line = build_pure_torch_graph(
            atoms, cutoff, bond_cutoff, max_neighbors=max_neighbors or None
        )
        cell = torch.as_tensor(lattice, dtype=torch.float32)
        samples.append((graph, line, cell, torch.tensor(0.0)))
    return samples


def store(samples, folder):
    """Write the samples as alignn does and return its data set."""
    database = lmdb.open(str(folder), map_size=2**32)
    with database, database.begin(write=True) as transaction:
        for index, sample in enumerate(samples):
            transaction.put(str(index).encode(), pickle.dumps(sample))
    return PureTorchLMDBDataset(lmdb_path=str(folder), line_graph=True)


def time_batches(source, n_graphs, batch_size, n_passes):
    """Return the seconds that each batch took."""
    seconds = []
    for _ in range(n_passes):
        for first in range(0, n_graphs, batch_size):
            positions = range(first, first + batch_size)
            start = time.perf_counter()
            samples = [source[position] for position in positions]
            PureTorchLMDBDataset.collate_line_graph(samples)
            seconds.append(time.perf_counter() - start)
    return seconds


def main():
    path, cutoff, max_neighbors, bond_cutoff, batch_size, n_passes, folder = sys.argv[1:]
    torch.set_num_threads(1)
    samples = build_samples(path, float(cutoff), int(max_neighbors), float(bond_cutoff))
    size = int(batch_size)
    times = {"memory": time_batches(samples, len(samples), size, int(n_passes))}
    stored = store(samples, Path(folder) / "lmdb")
    times["stored"] = time_batches(stored, size, size, 3)
    graph, line, *_ = PureTorchLMDBDataset.collate_line_graph(samples[:size])
    tensors = {"src": graph.src, "dst": graph.dst, "r": graph.edata["r"]}
    tensors |= {"sender": line.src, "receiver": line.dst, "cosine": line.edata["h"]}
    np.savez(
        Path(folder) / "batch.npz",
        n_atoms=graph.num_nodes,
        **{name: tensor.numpy() for name, tensor in tensors.items()},
    )
    print(json.dumps(times))  # noqa: T201  read by the other side


if __name__ == "__main__":
    main()
