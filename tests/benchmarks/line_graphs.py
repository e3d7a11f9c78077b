"""Batches with line graph: ours from columns against alignn's own collate.

Run `python -m tests.benchmarks.line_graphs` from the root of the checkout. It makes an
environment for alignn once (some minutes), gives both sides the same MP-20 structures, says
whether the line graphs are equal, and prints medians of one thread. alignn starts from
prebuilt graphs and line graphs; ours computes the line graph for every batch.
"""

import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

os.environ["OMP_NUM_THREADS"] = "1"  # before torch is imported

import numpy as np
import torch

from crystalgnn_core.graphs.batches import GraphDataset
from crystalgnn_core.graphs.build import build_dataset
from crystalgnn_core.graphs.config import GraphConfig
from crystalgnn_core.graphs.line_graph import LineGraph, pair_along_paths
from crystalgnn_core.records.crystal import Crystal
from deployments.tables import show_line, show_rows
from tests.benchmarks.peers import PeerError, peer_python, run_peer
from tests.benchmarks.structures import MP20, read_mp20, write_structures

ALIGNN = "alignn==2026.8.11"
BATCH_SIZE = 256
N_BATCHES = 8
N_PASSES = 10


class Case(NamedTuple):
    """Equal edges for both sides; `max_neighbors` 0 takes all within the cutoff."""

    name: str
    config: GraphConfig
    max_neighbors: int
    bond_cutoff: float  # angstrom; longer edges form no angle


CASES = (
    Case("12 nearest", GraphConfig(strategy="knn", too_few="keep"), 12, 8.0),
    # the cutoffs of alignn's settings, but with every neighbour, so that no tie is broken
    Case(
        "5 Å, angles 3.5 Å",
        GraphConfig(strategy="radius", cutoff=5.0, too_few="keep"),
        0,
        3.5,
    ),
    Case(
        "5 Å, all angles",
        GraphConfig(strategy="radius", cutoff=5.0, too_few="keep"),
        0,
        5.0,
    ),
)


def run() -> None:
    """Compare both cases, or say why that is not possible."""
    if not MP20.is_file():
        show_line("skipped: MP-20 is not in ../shared/data")
        return
    torch.set_num_threads(1)
    try:
        python = peer_python("alignn", ALIGNN, "torch")
        crystals = read_mp20(BATCH_SIZE * N_BATCHES)
        rows = [row for case in CASES for row in compare(case, crystals, python)]
    except PeerError as error:
        show_line(f"skipped: {error}")
        return
    show_rows(
        f"Batches of {BATCH_SIZE} MP-20 graphs with line graph, one thread",
        ("edges", "#1,000 pairs", "who", "#ms a batch", "#ratio"),
        rows,
    )


def compare(case: Case, crystals: list[Crystal], python: Path) -> list[tuple[str, ...]]:
    """Time both sides on the same structures and say whether they agree."""
    dataset, _ = build_dataset(crystals, case.config)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "structures.npz"
        write_structures(path, crystals)
        theirs = run_peer(
            python,
            Path(__file__).with_name("line_graphs_alignn.py"),
            *(path, case.config.cutoff, case.max_neighbors, case.bond_cutoff),
            *(BATCH_SIZE, N_PASSES, folder),
        )
        with np.load(Path(folder) / "batch.npz") as arrays:
            show_line(f"{case.name}: {agreement(case, dict(arrays), dataset)}")
    ours = statistics.median(time_batches(case, dataset))
    n_pairs = line_graph(case, dataset, np.arange(BATCH_SIZE)).bond_pairs.shape[1]
    times = {
        "crystalgnn: from columns": ours,
        "alignn: graphs in memory": statistics.median(theirs["memory"]),
        "alignn: its LMDB data set": statistics.median(theirs["stored"]),
    }
    return [
        (case.name, f"{n_pairs / 1e3:.0f}", who, f"{1e3 * took:.2f}", f"{took / ours:.1f}")
        for who, took in times.items()
    ]


def line_graph(case: Case, dataset: GraphDataset, positions: np.ndarray) -> LineGraph:
    """Assemble one batch and its line graph."""
    batch = dataset.batch(positions)
    return pair_along_paths(
        batch.edge_index, batch.edge_vector, batch.degree, case.bond_cutoff
    )


def time_batches(case: Case, dataset: GraphDataset) -> list[float]:
    """Return the seconds that each batch took, after one that compiles."""
    line_graph(case, dataset, np.arange(BATCH_SIZE))
    seconds = []
    for _ in range(N_PASSES):
        for first in range(0, len(dataset), BATCH_SIZE):
            start = time.perf_counter()
            line_graph(case, dataset, np.arange(first, first + BATCH_SIZE))
            seconds.append(time.perf_counter() - start)
    return seconds


def agreement(case: Case, theirs: dict[str, Any], dataset: GraphDataset) -> str:
    """Compare the first batch: our pairs on their edges, then all angles of both."""
    order = np.argsort(theirs["dst"], kind="stable")
    ends = np.stack((theirs["src"], theirs["dst"]))[:, order]
    degree = np.bincount(theirs["dst"], minlength=int(theirs["n_atoms"]))
    line = pair_along_paths(
        torch.from_numpy(ends),
        torch.from_numpy(-theirs["r"][order]),
        torch.from_numpy(degree),
        case.bond_cutoff,
    )
    sender, receiver = order[line.bond_pairs.numpy()]
    at_ours = np.lexsort((receiver, sender))
    at_theirs = np.lexsort((theirs["receiver"], theirs["sender"]))
    same = np.array_equal(sender[at_ours], theirs["sender"][at_theirs])
    same = same and np.array_equal(receiver[at_ours], theirs["receiver"][at_theirs])
    cosine = np.sort(line_graph(case, dataset, np.arange(BATCH_SIZE)).cosine.numpy())
    expected = np.sort(theirs["cosine"])
    worst = np.abs(line.cosine.numpy()[at_ours] - theirs["cosine"][at_theirs]).max()
    text = (
        f"pairs {'equal' if same else 'DIFFER'} on alignn's edges, cosines to {worst:.0e}"
    )
    if len(cosine) != len(expected):
        return f"{text}; {len(cosine)} pairs of ours, {len(expected)} of alignn"
    return f"{text}; sorted cosines of both graphs to {np.abs(cosine - expected).max():.0e}"


if __name__ == "__main__":
    run()
