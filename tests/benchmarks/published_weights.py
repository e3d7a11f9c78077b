"""Published CGCNN and MEGNet weights on structures with DFT values.

Run with `python -m tests.benchmarks.published_weights`; needs ../shared. All rows of MP-20
for formation energy and gap (non-metals), and of AFLOW's elastic constants, whose method
is another one: there the correlation counts. Beside them what the authors publish, on rows
of their own data. Many MP-20 rows were among the training rows of the weights.
"""

import os
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from crystalgnn_core.graphs.build import build_dataset
from crystalgnn_core.learning.checkpoints import load_bundle
from crystalgnn_core.learning.conversion import convert
from crystalgnn_core.learning.fitting import predict_dataset
from crystalgnn_core.models.published.catalogue import catalogue
from crystalgnn_core.records.crystal import Crystal
from crystalgnn_core.sources.formats.cif.reader import crystals_from_cifs
from deployments.tables import show_line, show_rows
from tests.paths import SHARED

WEIGHTS = {
    "CGCNN": (
        "cgcnn/{}.pth.tar",
        ("formation-energy-per-atom", "band-gap", "bulk-moduli", "shear-moduli"),
    ),
    "MEGNet": (
        "megnet/{}.hdf5",
        ("formation_energy", "band_gap_regression", "log10K", "log10G"),
    ),
}
TARGETS = ("formation_energy_per_atom", "band_gap", "bulk_modulus", "shear_modulus")
UNITS = ("eV/atom", "eV, non-metals", "log10 GPa", "log10 GPa")
COLUMNS = (
    "target",
    "network",
    "#rows",
    "#MAE",
    "#median error",
    "#correlation",
    "#stated MAE",
)


def read(name: str) -> tuple[pd.DataFrame, list[Crystal]]:
    """Return rows whose structure can be read, with the structures."""
    rows = pd.read_parquet(SHARED / "data" / name)
    read_all = crystals_from_cifs(rows["cif"].tolist())
    is_read = [isinstance(crystal, Crystal) for crystal in read_all]
    crystals = [crystal for crystal in read_all if isinstance(crystal, Crystal)]
    return rows[is_read].reset_index(drop=True), crystals


def predict(bundle: Path, crystals: list[Crystal]) -> NDArray[np.float64]:
    """Predict all structures; NaN where there is no graph or an element is unknown."""
    network, card = load_bundle(bundle)
    dataset, refused = build_dataset(crystals, card.graph)
    places = np.array([index for index in range(len(crystals)) if index not in refused])
    known = np.isin(np.arange(256), card.elements)
    is_known = np.array([known[crystals[i].atomic_numbers].all() for i in places])
    values = np.full(len(crystals), np.nan)
    positions = np.flatnonzero(is_known)
    found = predict_dataset(network, dataset, card.scaler, positions=positions)
    values[places[is_known]] = found[:, 0]
    return values


def line_of(
    true: NDArray[np.float64], found: NDArray[np.float64], target: str
) -> tuple[str, ...]:
    """Return rows, errors and correlation."""
    is_used = np.isfinite(found) & np.isfinite(true)
    if target == "band_gap":
        is_used &= true > 0
    true, found = true[is_used], found[is_used]
    correlation = np.corrcoef(true, found)[0, 1]
    if target.endswith("modulus"):
        true, found = np.log10(true), np.log10(found)
    error = np.abs(true - found)
    numbers = f"{error.mean():.4f}", f"{np.median(error):.4f}", f"{correlation:.3f}"
    return f"{len(true):,}", *numbers


def published_error(network: str, target: str) -> str:
    """Return the error in the catalogue, and on which rows it was measured."""
    [error] = [
        entry.error
        for entry in catalogue().values()
        if (entry.network, entry.target) == (network, target)
    ]
    return "" if error is None else f"{error.value:g} ({error.measured_on})"


def run() -> bool:
    """Print the table; return whether MEGNet's energies are nearer than CGCNN's."""
    tables = ("mp20.parquet", "aflow_elastic.parquet")
    if not all((SHARED / "data" / name).is_file() for name in tables):
        show_line("skipped: MP-20 and AFLOW are not in ../shared/data")
        return True
    data = [read(name) for name in tables]
    rows, energies = [], {}
    with tempfile.TemporaryDirectory() as folder:
        os.environ["CRYSTALGNN_CACHE"] = folder
        for index, (target, unit) in enumerate(zip(TARGETS, UNITS, strict=True)):
            frame, crystals = data[index // 2]
            for network, (pattern, names) in WEIGHTS.items():
                path = SHARED / "pretrained" / pattern.format(names[index])
                true = frame[target].to_numpy(dtype=np.float64)
                line = line_of(true, predict(convert(path), crystals), target)
                stated = published_error(network.lower(), target)
                rows.append((f"{target} ({unit})", network, *line, stated))
                energies[target, network] = float(line[1])
    show_rows("Published weights; bulk and shear modulus against AFLOW", COLUMNS, rows)
    return energies[TARGETS[0], "MEGNet"] < energies[TARGETS[0], "CGCNN"]


if __name__ == "__main__":
    sys.exit(0 if run() else 1)
