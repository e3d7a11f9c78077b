"""Models against the labels of a table or folder that is in no store."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow as pa

from crystalgnn_core.errors import InputError
from crystalgnn_core.learning.cards import read_card
from crystalgnn_core.learning.lineage import has_seen
from crystalgnn_core.records.table.store import RecordStore
from crystalgnn_core.screening.candidates import read_unread
from crystalgnn_core.screening.own_labels import OwnLabels, judge_by_own_labels
from crystalgnn_core.sources.formats import is_table
from crystalgnn_core.sources.formats.tables import open_table
from crystalgnn_core.sources.ingest.run import ingest_source
from crystalgnn_core.storage.paths import local_path
from crystalgnn_core.storage.shards import KEY
from crystalgnn_core.wording import list_names

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from crystalgnn_core.records.schema import RejectedRecord
    from crystalgnn_core.sources.files.source import FilesSource

CELL = ["n_sites", "lattice"]
SAME_CELL = 1e-4  # relative; files hold lengths with four digits or more


def columns_named_like_targets(
    path: str, labels: str | None, targets: Sequence[str]
) -> list[str]:
    """Return the targets that a table, or the label table of a folder, has a column of.

    Raises:
        InputError: There are none, or the columns have no names.
    """
    table = local_path(labels or path)
    known = open_table(table).columns if is_table(table) and table.is_file() else ()
    found = [name for name in targets if name in known]
    if not found:
        has = f"columns {list_names(known)}" if known else "no named columns"
        raise InputError(
            f"{labels or path}: no label of {' or '.join(targets)}, which the model "
            f"predicts ({has}); name the column with --target {targets[0]}=COLUMN"
        )
    return found


def judge_by_files(
    store: Path, models: Sequence[Path], source: FilesSource
) -> tuple[OwnLabels, list[RejectedRecord]]:
    """Compare models with the labels of files, all on the same rows.

    Structures of the store that one of the models learned from are left out, whatever they
    are called in the files.

    Args:
        store: Store in which the rows lie from which the models learned, if it is there.
        models: Bundles; the targets are those of the first.
        source: Files and label columns.

    Returns:
        What came of it, and the rows that could not be read, which its rows end with.

    Raises:
        InputError: No row can be read, or carries a label of a target.
        SourceError: The path is missing, or of no known kind.
    """
    with TemporaryDirectory() as folder:
        own = Path(folder)
        report = ingest_source(own, source)
        rejected = read_unread(own, [source.name])
        if not report.n_kept:
            first = rejected[0].message if rejected else "it holds none"
            raise InputError(f"{source.path}: no structure can be read ({first})")
        learned = _find_learned(store, models, own, source.name)
        found = judge_by_own_labels(own, models, [source.name], learned)
    fields = ["source", "material_id", "status", "message"]
    refused = [(one.source, one.material_id, one.reason, one.message) for one in rejected]
    frames = (
        [found.rows, pd.DataFrame(refused, columns=fields)] if refused else [found.rows]
    )
    return found._replace(rows=pd.concat(frames, ignore_index=True)), rejected


def _find_learned(store: Path, models: Sequence[Path], own: Path, name: str) -> set[str]:
    """Return the digests of own structures that a model may have learned from.

    They are those of a training row with the same formula, number of sites and cell: files
    are written with fewer digits, so that equal crystals have other digests.
    """
    records = RecordStore(store)
    stored = sorted(records.source_counts())
    if not stored:
        return set()
    rows = records.read(stored, ["source", "formula", "split", *CELL])
    cards = [read_card(model) for model in models]
    is_learned = np.any([has_seen(card, rows) for card in cards], axis=0)
    known = _cells_by_formula(rows.filter(pa.array(is_learned)))
    mine = RecordStore(own).read([name], ["formula", KEY, *CELL])
    digests = mine[KEY].to_numpy(zero_copy_only=False)
    found: set[str] = set()
    for formula, (places, cells) in _cells_by_formula(mine).items():
        if formula in known:
            others = known[formula][1]
            off = np.abs(cells[:, None] / others - 1).max(axis=2).min(axis=1)
            found.update(digests[places[off < SAME_CELL]])
    return found


def _cells_by_formula(
    rows: pa.Table,
) -> dict[str, tuple[NDArray[np.int64], NDArray[np.float64]]]:
    """Return formula to positions and numbers of sites, lengths and volumes of cells."""
    if not len(rows):
        return {}
    lattices = np.array(rows["lattice"].to_pylist()).reshape(-1, 3, 3)
    lengths = np.sort(np.linalg.norm(lattices, axis=2), axis=1)
    volumes = np.abs(np.linalg.det(lattices))
    n_sites = rows["n_sites"].to_numpy(zero_copy_only=False)
    cells = np.column_stack([n_sites, lengths, volumes])
    formulas = rows["formula"].to_numpy(zero_copy_only=False)
    names, groups = np.unique(formulas.astype(np.str_), return_inverse=True)
    order = np.argsort(groups, kind="stable")
    parts = np.split(order, np.flatnonzero(np.diff(groups[order])) + 1)
    return {str(name): (at, cells[at]) for name, at in zip(names, parts, strict=True)}
