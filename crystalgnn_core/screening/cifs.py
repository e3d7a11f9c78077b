"""CIF files of the best candidates."""

from __future__ import annotations

import re
import warnings
from typing import TYPE_CHECKING

from pymatgen.io.cif import CifWriter

from crystalgnn_core.artifacts import atomic_directory, write_text
from crystalgnn_core.records.crystal import structure_from_crystal
from crystalgnn_core.screening.candidates import load_crystals
from crystalgnn_core.shardset import KEY

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

    from crystalgnn_core.screening.config import ScreeningConfig


def write_cifs(
    store: Path, config: ScreeningConfig, folder: Path, ranking: pd.DataFrame
) -> None:
    """Write one CIF a row of the ranking, as `folder/<rank>_<formula>_<id>.cif`."""
    crystals = load_crystals(store, config.sources, ranking[KEY].to_list())
    with atomic_directory(folder) as temporary:
        for row in ranking.to_dict("records"):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # pymatgen's remarks on electronegativities
                text = str(CifWriter(structure_from_crystal(crystals[row[KEY]])))
            name = cif_name(row["rank"], row["formula"], row["candidate_id"])
            write_text(temporary / name, f"# {row['source']} {row['candidate_id']}\n{text}")


def cif_name(rank: int, formula: str, candidate_id: str) -> str:
    """Return the file name of a ranked candidate; odd characters of the id become `_`."""
    return f"{rank:04d}_{formula}_{re.sub(r'[^A-Za-z0-9._-]+', '_', candidate_id)}.cif"
