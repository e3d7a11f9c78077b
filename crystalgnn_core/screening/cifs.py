"""CIF files of the best candidates."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pymatgen.io.cif import CifWriter

from crystalgnn_core.parallel import without_warnings
from crystalgnn_core.records.crystal import structure_from_crystal
from crystalgnn_core.screening.candidates import load_crystals
from crystalgnn_core.storage.files import FileRef, atomic_directory
from crystalgnn_core.storage.shards import KEY

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

    from crystalgnn_core.screening.config import ScreeningConfig


def write_cifs(
    store: Path, config: ScreeningConfig, folder: Path, ranking: pd.DataFrame
) -> tuple[FileRef, ...]:
    """Write one CIF per row of the ranking, named by `cif_name`; replace the folder."""
    names = []
    crystals = load_crystals(store, config.sources, ranking[KEY].to_list())
    with atomic_directory(folder) as temporary:
        for row in ranking.to_dict("records"):
            with without_warnings():  # pymatgen's remarks on electronegativities
                text = str(CifWriter(structure_from_crystal(crystals[row[KEY]])))
            name = cif_name(row["rank"], row["formula"], row["candidate_id"])
            head = " ".join(f"# {row['source']} {row['candidate_id']}".split())
            (temporary / name).write_text(f"{head}\n{text}", encoding="utf-8")
            names.append(name)
    return tuple(FileRef.of(folder / name) for name in names)


def cif_name(rank: int, formula: str, candidate_id: str) -> str:
    """Return the file name of a ranked candidate: `<rank>_<formula>_<id>.cif`.

    Odd characters of the id become `_`, and long formulas and ids are cut, as file systems
    allow 255 bytes; the rank keeps names apart.
    """
    plain = re.sub(r"[^A-Za-z0-9._-]+", "_", candidate_id)
    return f"{rank:04d}_{formula[:80]}_{plain[:120]}.cif"
