"""On which rows two models are judged, and how often these have judged before."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pyarrow as pa

from crystalgnn_core.base import digest_of, digest_of_strings
from crystalgnn_core.errors import ModelError
from crystalgnn_core.graphs.shards import graph_folder
from crystalgnn_core.learning.cards import TEST_PREDICTIONS, ModelCard, read_card
from crystalgnn_core.learning.data import TrainingData, load_training_data
from crystalgnn_core.learning.evaluation import refuse_other_schemes
from crystalgnn_core.learning.lineage import has_seen
from crystalgnn_core.learning.promotion.decision import DECISION, Decision
from crystalgnn_core.learning.registry import champion_key
from crystalgnn_core.storage.files import read_model, read_table
from crystalgnn_core.storage.shards import KEY, ShardSet

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from crystalgnn_core.learning.config import RetrainingConfig, TrainingConfig

logger = logging.getLogger(__name__)
IDS = ("source", "material_id")


class JudgedRows(NamedTuple):
    """The labelled rows that neither of two models has learned from.

    Attributes:
        folders: Bundles of champion and challenger.
        cards: Their cards.
        data: Records and labels; columns of targets as configured for training.
        frozen: Positions of the rows of both test splits.
        newest: Positions of further test rows of the challenger, which came later.
        columns: Columns of the labels of the challenger's targets.
    """

    folders: tuple[Path, Path]
    cards: tuple[ModelCard, ModelCard]
    data: TrainingData
    frozen: NDArray[np.int64]
    newest: NDArray[np.int64]
    columns: list[int]

    @property
    def positions(self) -> NDArray[np.int64]:
        """Positions of all rows, the frozen ones first."""
        return np.concatenate([self.frozen, self.newest])

    @property
    def labels(self) -> NDArray[np.float64]:
        """Labels of all rows in the order of the challenger's targets."""
        return self.data.labels[self.positions][:, self.columns]

    @property
    def ids(self) -> list[tuple[str, str]]:
        """Source and id of all rows."""
        rows = self.data.rows.take(pa.array(self.positions))
        columns = (rows[name].to_pylist() for name in IDS)
        return list(zip(*columns, strict=True))

    def digest(self, config: RetrainingConfig) -> str:
        """Return a digest of all that the judgement depends on but for earlier ones."""
        weights = [card.weights_sha256 for card in self.cards]
        rows = digest_of_strings(
            f"{source}/{name} {labels}"
            for (source, name), labels in zip(self.ids, self.labels.tolist(), strict=True)
        )
        return digest_of([*weights, rows, len(self.frozen), config.settings_digest()])


def find_rows(
    store: Path, champion: Path, challenger: Path, training: TrainingConfig
) -> JudgedRows:
    """Find the rows that neither of two models has learned from, with present labels.

    The champion's test rows are frozen: those that the challenger was not tested on, too,
    or that are gone from the records, do not count. Newest rows are further test rows of
    the challenger, of elements that both know, that the champion cannot have learned from.
    Neither counts without the graphs that both models need. A recalibrated champion has no
    such rows.

    Raises:
        ModelError: The models have other targets or label schemes.
        LabelSchemeError: The labels follow several schemes, or others than the models'.
    """
    cards = read_card(champion), read_card(challenger)
    first, second = cards
    _check_comparable(first, second, training)
    # rows that the first cannot take are not among its test rows
    elements = second.model.known_elements()
    data = load_training_data(store, training, second.graph, elements)
    if not training.allow_mixed_schemes:
        refuse_other_schemes(first, data.summary)
    was_moved = first.recalibration is not None  # by rows that may be among these
    tested = [set() if was_moved else read_test_ids(champion), read_test_ids(challenger)]
    columns = (data.rows[name].to_pylist() for name in IDS)
    ids = list(zip(*columns, strict=True))
    is_frozen = np.array([key in tested[0] and key in tested[1] for key in ids])
    is_tested = np.array([key in tested[1] and key not in tested[0] for key in ids])
    is_tested &= not was_moved
    for card in cards:
        is_unseen = ~has_seen(card, data.rows)
        is_frozen &= is_unseen  # one that is fine-tuned may know test rows by its base
        is_tested &= is_unseen & _has_elements(data.rows, card)
    columns_of = [training.targets.index(name) for name in second.scaler.targets]
    is_labelled = np.isfinite(data.labels[:, columns_of]).any(axis=1)
    folders = [graph_folder(store, card.graph) for card in cards]
    frozen, newest = (
        _rows_with_graphs(data, np.flatnonzero(rows & is_labelled), folders)
        for rows in (is_frozen, is_tested)
    )
    return JudgedRows((champion, challenger), cards, data, frozen, newest, columns_of)


def count_earlier(store: Path, rows: JudgedRows) -> float:
    """Count the comparisons of other challengers on these rows, for the same targets.

    A comparison on a part of them counts as that part. It is known from the decision beside
    the challenger; one whose folder was deleted is not.
    """
    challenger, ids = rows.cards[1], set(rows.ids)
    n_earlier = 0.0
    for path in sorted((store / "models").glob(f"*/{DECISION}")):
        decision = read_model(path, Decision)
        if decision is None or path.parent == rows.folders[1] or not decision.n_test:
            continue
        if set(decision.champion_metrics) != set(challenger.scaler.targets):
            continue
        places = [path.parent, store / "models" / str(decision.champion)]
        known = [read_test_ids(at) for at in places if (at / TEST_PREDICTIONS).is_file()]
        used = known[0].intersection(*known[1:]) if known else set()
        n_earlier += len(used & ids) / len(ids)
    return n_earlier


def read_test_ids(model: Path) -> set[tuple[str, str]]:
    """Read the source and id of a model's test rows.

    Raises:
        ModelError: They are not there.
    """
    path = model / TEST_PREDICTIONS
    if not path.is_file():
        raise ModelError(f"{path} is missing; without it the test rows are not known")
    table = read_table(path, list(IDS))
    return set(zip(*(table[name].to_pylist() for name in IDS), strict=True))


def _check_comparable(
    first: ModelCard, second: ModelCard, training: TrainingConfig
) -> None:
    keys = champion_key(first), champion_key(second)
    if keys[0] != keys[1]:
        raise ModelError(
            f"{first.model_id} and {second.model_id} cannot be compared: {keys[0]} against "
            f"{keys[1]}"
        )
    missing = sorted(set(second.scaler.targets) - set(training.targets))
    if missing:
        raise ModelError(
            f"{', '.join(missing)} cannot be judged; add it to training.targets "
            f"({', '.join(training.targets)})"
        )


def _has_elements(rows: pa.Table, card: ModelCard) -> NDArray[np.bool_]:
    """Return which rows hold only elements that a model was trained on."""
    known = set(card.elements)
    lists = rows["atomic_numbers"].to_pylist()
    return np.array([known.issuperset(numbers) for numbers in lists], dtype=bool)


def _rows_with_graphs(
    data: TrainingData, rows: NDArray[np.int64], folders: list[Path]
) -> NDArray[np.int64]:
    digests = data.rows[KEY].take(pa.array(rows)).to_pylist()
    places = [ShardSet(folder).locate(digests) for folder in folders]
    has_graphs = [all(digest in place for place in places) for digest in digests]
    if not all(has_graphs):
        logger.warning("%d test rows lack a graph", len(rows) - sum(has_graphs))
    return rows[np.array(has_graphs, dtype=bool)]
