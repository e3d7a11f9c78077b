"""The side of alignn in `graph_building.py`; runs in an environment of its own.

Arguments: structures (.npz), passes. The last line of output holds the seconds of every
pass, and the bytes of one pickled graph, as JSON, without and with the line graph.
"""

import json
import pickle
import sys
import time

import numpy as np
import torch
from alignn.torch_graph_builder import build_pure_torch_graph
from jarvis.core.atoms import Atoms
from jarvis.core.specie import atomic_numbers_to_symbols


def read_atoms(path):
    """Make the atoms objects that alignn's builder takes."""
    arrays = np.load(path)
    numbers = np.split(arrays["atomic_numbers"], arrays["offsets"][1:-1])
    coords = np.split(arrays["frac_coords"], arrays["offsets"][1:-1])
    return [
        Atoms(
            lattice_mat=lattice,
            coords=places,
            elements=atomic_numbers_to_symbols(kinds.tolist()),
            cartesian=False,
        )
        for lattice, kinds, places in zip(arrays["lattices"], numbers, coords, strict=True)
    ]


def build(one, *, with_line_graph):
    """Build one graph with alignn's cutoffs."""
    return build_pure_torch_graph(
        one, 8.0, 3.5, max_neighbors=12, compute_line_graph=with_line_graph
    )


def time_building(atoms, n_passes, *, with_line_graph):
    """Return the seconds that each pass over all structures took."""
    seconds = []
    for _ in range(n_passes):
        start = time.perf_counter()
        for one in atoms:
            build(one, with_line_graph=with_line_graph)
        seconds.append(time.perf_counter() - start)
    return seconds


def bytes_each(atoms, *, with_line_graph):
    """Return the mean size of a graph as alignn's data set stores it."""
    sizes = [
        len(pickle.dumps(build(one, with_line_graph=with_line_graph))) for one in atoms
    ]
    return sum(sizes) / len(sizes)


if __name__ == "__main__":
    torch.set_num_threads(1)
    structures = read_atoms(sys.argv[1])
    found = {}
    for ending, has_lines in (("", False), (" with line graph", True)):
        found[f"seconds{ending}"] = time_building(
            structures, int(sys.argv[2]), with_line_graph=has_lines
        )
        found[f"bytes{ending}"] = bytes_each(structures, with_line_graph=has_lines)
    print(json.dumps(found))  # noqa: T201
