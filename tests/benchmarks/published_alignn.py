"""Archives that alignn's own classes write, converted: equal outputs on equal structures.

Run `python -m tests.benchmarks.published_alignn` from the root of the checkout. No archive
that is published is at hand; these have random weights, and otherwise what a training
leaves. Both sides build their own graphs of MP-20 structures. Exit code 1 if outputs of the
networks differ by more than 1e-5 on structures whose graphs are equal; alignn's k-nearest
graphs lack some bonds where equal distances differ in the last bit, and these are counted.
"""

import os
import sys
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from crystalgnn_core.graphs.build import build_dataset
from crystalgnn_core.learning.cards import read_card
from crystalgnn_core.learning.conversion import convert
from crystalgnn_core.records.crystal import Crystal, structure_from_crystal
from crystalgnn_core.screening.prediction import predict
from deployments.tables import show_line, show_rows
from tests.benchmarks.peers import PeerError, peer_python, run_peer
from tests.benchmarks.structures import MP20, read_mp20, write_structures

N_STRUCTURES, TOLERANCE = 100, 1e-5
TARGET = "formation_energy_per_atom"


def run() -> bool:
    """Compare all cases; return whether the outputs agree."""
    if not MP20.is_file():
        show_line("skipped: MP-20 is not in ../shared/data")
        return True
    try:
        python = peer_python("alignn", "alignn==2026.8.11", "torch")
    except PeerError as error:
        show_line(f"skipped: {error}")
        return True
    crystals = read_mp20(N_STRUCTURES)
    rows, agree = [], True
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["CRYSTALGNN_CACHE"] = str(folder / "cache")
        write_structures(folder / "structures.npz", crystals)
        script = Path(__file__).with_name("published_alignn_peer.py")
        found = run_peer(python, script, folder / "structures.npz", folder)
        structures = [structure_from_crystal(crystal) for crystal in crystals]
        for case, n_bonds in found["bonds"].items():
            bundle = convert(folder / f"{case}.zip")
            theirs = np.load(folder / f"{case}.npy")
            difference = np.abs(predict(structures, bundle)[TARGET].to_numpy() - theirs)
            is_equal = np.array(n_bonds) == bonds_of(bundle, crystals)
            worst = float(difference[is_equal].max())
            agree &= worst <= TOLERANCE
            rest, spread = other(difference, is_equal), f"{theirs.std():.2f}"
            rows.append((case, is_equal.sum(), f"{worst:.1e}", rest, spread))
    show_rows(
        f"{N_STRUCTURES} structures of MP-20, random weights",
        (
            "archive",
            "#equal graphs",
            "#largest difference on these",
            "#mean on the others",
            "#spread of the outputs",
        ),
        rows,
    )
    return agree


def other(difference: NDArray[np.float64], is_equal: NDArray[np.bool_]) -> str:
    """Return the mean difference where the graphs are not equal."""
    return "" if is_equal.all() else f"{difference[~is_equal].mean():.1e}"


def bonds_of(bundle: Path, crystals: list[Crystal]) -> NDArray[np.int64]:
    """Return the number of bonds that we give each structure."""
    dataset, _ = build_dataset(crystals, read_card(bundle).graph)
    return np.diff(dataset.columns.edge_offsets)


if __name__ == "__main__":
    sys.exit(0 if run() else 1)
