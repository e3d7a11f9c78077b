"""Structures that both sides of a benchmark read."""

from pathlib import Path

import numpy as np
import pandas as pd

from crystalgnn_core.graphs.crystals import CrystalBatch
from crystalgnn_core.records.crystal import Crystal
from crystalgnn_core.sources.cif import crystal_from_cif

DATA = Path(__file__).parents[3] / "shared" / "data"
MP20 = DATA / "mp20.parquet"


def read_mp20(n_structures: int, *, seed: int = 0) -> list[Crystal]:
    """Return randomly chosen structures of MP-20 (Materials Project, at most 20 atoms)."""
    texts = pd.read_parquet(MP20, columns=["cif"])["cif"]
    chosen = np.random.default_rng(seed).choice(len(texts), n_structures, replace=False)
    return [crystal_from_cif(texts.iloc[int(row)]) for row in chosen]


def write_structures(path: Path, crystals: list[Crystal]) -> None:
    """Write the fields of a `CrystalBatch` as plain numpy arrays."""
    np.savez(path, **CrystalBatch.from_crystals(crystals)._asdict())
