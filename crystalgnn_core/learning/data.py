"""The labelled rows a model is trained and tested on, and what was left out."""

from __future__ import annotations

import logging
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from crystalgnn_core.base import digest_of_strings
from crystalgnn_core.errors import InputError
from crystalgnn_core.graphs.batches import GraphDataset
from crystalgnn_core.graphs.shards import graph_folder
from crystalgnn_core.learning.cards import DataSummary
from crystalgnn_core.learning.config import TrainingConfig
from crystalgnn_core.learning.loop.loading import open_dataset
from crystalgnn_core.learning.splits import assign_splits, count_leaks
from crystalgnn_core.models.elements import element_table, elements_in
from crystalgnn_core.records.elements import SYMBOLS
from crystalgnn_core.records.label_schemes import JOINED, count_schemes, refuse_mixture
from crystalgnn_core.records.provenance import FACT_COLUMNS, describe_sources
from crystalgnn_core.records.schema import SPLITS
from crystalgnn_core.records.table.store import RecordStore
from crystalgnn_core.storage.shards import KEY, ShardSet
from crystalgnn_core.targets import is_class, scheme_column

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from crystalgnn_core.graphs.config import GraphConfig

logger = logging.getLogger(__name__)


class TrainingData(NamedTuple):
    """Labelled rows in the order of the record table.

    Attributes:
        rows: Columns source, material_id, formula, atomic_numbers, structure_digest.
        labels: In the targets' units, NaN missing, shape (n_rows, n_targets).
        splits: `train`, `val` or `test`, shape (n_rows,).
        summary: Counts and digests.
    """

    rows: pa.Table
    labels: NDArray[np.float64]
    splits: NDArray[np.str_]
    summary: DataSummary

    def select(self, split: str) -> NDArray[np.int64]:
        """Return the positions of a split."""
        return np.flatnonzero(self.splits == split)

    def divide_validation(
        self, config: TrainingConfig
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the positions of rows that choose the best epoch, and that calibrate.

        Raises:
            InputError: `training.calibration_fraction` leaves no label to choose by.
        """
        val, fraction = self.select("val"), config.calibration_fraction
        if fraction is None or fraction == 1:
            return val, val[: 0 if fraction is None else None]
        drawn = np.random.default_rng(config.seed).permutation(val)
        n = round(fraction * len(val))
        choosing, calibrating = np.sort(drawn[n:]), np.sort(drawn[:n])
        known = np.isfinite(self.labels[choosing]).any(axis=0)
        for name, is_known in zip(config.targets, known, strict=True):
            if not is_known:
                raise InputError(
                    f"training.calibration_fraction {fraction:g} leaves no label of {name} "
                    f"among {len(choosing)} validation rows to choose the epoch by; lower "
                    "it, or set it to 1"
                )
        return choosing, calibrating

    def dataset(self, folder: Path, config: TrainingConfig | None = None) -> GraphDataset:
        """Load, map or open the graphs of all rows, in order, as `loading` says."""
        return open_dataset(folder, self.rows[KEY].to_pylist(), config or TrainingConfig())

    def select_dataset(self, folder: Path, positions: NDArray[np.int64]) -> GraphDataset:
        """Load the graphs of the rows at some positions, in their order."""
        digests = self.rows[KEY].take(pa.array(positions)).to_pylist()
        return GraphDataset.from_shards(folder, digests)


def load_training_data(
    store: Path,
    config: TrainingConfig,
    graph: GraphConfig,
    elements: Sequence[int] | None = None,
) -> TrainingData:
    """Read the labelled records of the training sources and divide them.

    Rows without a graph are left out, and those with other elements (atomic numbers) than
    the network has features for; by default it has those of the 92-number table.

    Raises:
        InputError: No source is named or one is not ingested, or there are no rows or no
            labels for some split.
        LabelSchemeError: A target's labels follow several schemes and mixing was not
            asked for.
    """
    if not config.sources:
        raise InputError("no source to train on; name one in training.sources")
    records = RecordStore(store)
    version = records.version()
    columns = ["formula", "atomic_numbers", KEY, "content_digest", "split", *FACT_COLUMNS]
    for name in config.targets:
        columns += [name, scheme_column(name)]
    table = records.read(config.sources, columns, version=version)
    labels = np.stack([_label_column(table, name) for name in config.targets], axis=1)
    is_labelled = np.isfinite(labels).any(axis=1)
    known = elements_in(element_table()) if elements is None else elements
    reasons = _refusals(table, ShardSet(graph_folder(store, graph)), known)
    is_used = is_labelled & (reasons == "")
    rows, labels = table.filter(is_used), labels[is_used]
    splits = assign_splits(
        rows["formula"].to_pylist(), rows["split"].to_pylist(), config.split
    )
    refused = Counter(reasons[is_labelled & ~is_used].tolist())
    summary = _summarise(rows, labels, splits, config).model_copy(
        update={
            "record_version": version,
            "n_unlabelled": int((~is_labelled).sum()),
            "refused": dict(sorted(refused.items())),
            "data_sources": describe_sources(store, rows),
        }
    )
    _check_splits(summary, labels, splits, config)
    return TrainingData(rows, labels, splits, summary)


def _summarise(
    rows: pa.Table,
    labels: NDArray[np.float64],
    splits: NDArray[np.str_],
    config: TrainingConfig,
) -> DataSummary:
    """Count and digest the rows that are used."""
    n_labels = np.isfinite(labels).sum(axis=0).tolist()
    return DataSummary(
        sources=config.sources,
        record_version=-1,
        data_digest=_data_digest(rows, splits),
        split_digest=digest_of_strings(_ids(rows.filter(splits == "test"))),
        label_schemes=_label_schemes(rows, config),
        licenses=tuple(sorted(set(rows["license"].to_pylist()) - {None})),
        n_rows={name: int((splits == name).sum()) for name in SPLITS},
        n_labels=dict(zip(config.targets, n_labels, strict=True)),
        n_unlabelled=0,
        refused={},
        leaks=count_leaks(rows["formula"].to_pylist(), splits),
    )


def _label_column(table: pa.Table, name: str) -> NDArray[np.float64]:
    return table[name].to_numpy(zero_copy_only=False).astype(np.float64)


def _refusals(
    table: pa.Table, shards: ShardSet, elements: Sequence[int]
) -> NDArray[np.str_]:
    """Reject reason of every row, empty for rows that can be used."""
    numbers = table["atomic_numbers"].combine_chunks()
    is_known = np.zeros(256, dtype=bool)
    is_known[list(elements)] = True
    flat = numbers.flatten().to_numpy()
    foreign = np.flatnonzero(~is_known[flat])
    starts = numbers.offsets.to_numpy() - numbers.offsets[0].as_py()
    reasons = np.full(len(table), "", dtype="<U32")
    rows = np.unique(np.searchsorted(starts, foreign, side="right") - 1)
    reasons[rows] = "unseen_element"
    if len(rows):
        symbols = ", ".join(SYMBOLS[number - 1] for number in np.unique(flat[foreign]))
        logger.warning(
            "%d rows hold %s, which the network has no features for; choose other "
            "model.node_features to use them",
            len(rows),
            symbols,
        )
    refusals = shards.refusals()
    for index, key in enumerate(table[KEY].to_pylist() if refusals else ()):
        if key in refusals:
            reasons[index] = refusals[key].reason
    return reasons


def _label_schemes(rows: pa.Table, config: TrainingConfig) -> dict[str, str]:
    schemes = {}
    for name in config.targets:
        present = rows.filter(pc.is_valid(rows[name]))
        labels = (present[column].to_pylist() for column in (scheme_column(name), "source"))
        counts = count_schemes(*labels)
        if not config.allow_mixed_schemes:
            refuse_mixture(
                name,
                counts,
                where="one training set",
                setting="training.allow_mixed_schemes",
            )
        schemes[name] = JOINED.join(counts)
    return schemes


def _ids(rows: pa.Table) -> list[str]:
    pairs = zip(rows["source"].to_pylist(), rows["material_id"].to_pylist(), strict=True)
    return [f"{source}/{material_id}" for source, material_id in pairs]


def _data_digest(rows: pa.Table, splits: NDArray[np.str_]) -> str:
    contents = rows["content_digest"].to_pylist()
    return digest_of_strings(
        f"{name} {content} {split}"
        for name, content, split in zip(_ids(rows), contents, splits.tolist(), strict=True)
    )


def _check_splits(
    summary: DataSummary,
    labels: NDArray[np.float64],
    splits: NDArray[np.str_],
    config: TrainingConfig,
) -> None:
    for split, count in summary.n_rows.items():
        if not count:
            raise InputError(
                f"no labelled rows in the {split} split of {', '.join(summary.sources)} "
                f"({summary.n_rows}); add data, or change training.split"
            )
        for name, column in zip(config.targets, labels[splits == split].T, strict=True):
            known = column[np.isfinite(column)]
            if not len(known):
                raise InputError(
                    f"no label of {name} in the {split} split; drop the target or add data"
                )
            if split == "train" and is_class(name) and known.min() == known.max():
                raise InputError(
                    f"all {len(known)} labels of {name} in the train split are "
                    f"{known[0]:g}; a class is learned from rows of both kinds"
                )
