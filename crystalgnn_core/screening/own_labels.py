"""Models, also published ones, against the labels of whatever records a store holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pyarrow as pa

from crystalgnn_core.errors import InputError
from crystalgnn_core.learning.cards import RECALIBRATION, read_card
from crystalgnn_core.learning.lineage import has_seen
from crystalgnn_core.learning.metrics import Metrics, compare_target
from crystalgnn_core.records.table.crystals import stream_crystals
from crystalgnn_core.records.table.store import RecordStore
from crystalgnn_core.screening.prediction import predict
from crystalgnn_core.sources.base import in_chunks
from crystalgnn_core.storage.files import read_table
from crystalgnn_core.storage.shards import KEY
from crystalgnn_core.targets import HIGH, LOW, NONZERO, scheme_column

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from pathlib import Path

    import pandas as pd
    from numpy.typing import NDArray

    from crystalgnn_core.learning.cards import ModelCard

CHUNK = 5000  # crystals whose graphs are in memory
UNNAMED = "not named"
IDS = ["source", "material_id"]
SEEN = "learned_from"


class JudgedTarget(NamedTuple):
    """Errors of one model in one target, on the labels of one scheme.

    Attributes:
        card: Card of the model.
        target: Name of the target.
        scheme: Label scheme of the records.
        metrics: Errors in the target's unit.
    """

    card: ModelCard
    target: str
    scheme: str
    metrics: Metrics

    @property
    def learned(self) -> str:
        """Label scheme that the model learned from."""
        return self.card.label_schemes[self.target]


class OwnLabels(NamedTuple):
    """What came of judging models by the labels of records.

    Attributes:
        judged: By target, scheme and model, in the order of the models.
        sources: Sources of the rows.
        n_rows: Rows with a label of a target of the first model.
        n_seen: Those left out because one of the models learned from them, or may have.
        n_refused: Those left out because not all models predict them.
        rows: Every row with its labels (`<target>_true`), what the first model predicts,
            and why it does not count (`status` other than `ok`, and `message`).
    """

    judged: tuple[JudgedTarget, ...]
    sources: tuple[str, ...]
    n_rows: int
    n_seen: int
    n_refused: int
    rows: pd.DataFrame


def judge_by_own_labels(
    store: Path,
    models: Sequence[Path],
    sources: Sequence[str] = (),
    learned: Collection[str] = (),
) -> OwnLabels:
    """Compare models with the labels of records, all on the same rows.

    Rows that are in the training or validation split of one of them are left out. Labels of
    each scheme are counted apart; where a model learned from another one, the difference of
    the schemes is part of its error.

    Args:
        store: Store with the records.
        models: Bundles; the targets are those of the first.
        sources: Sources of the rows; all that are stored by default.
        learned: Digests of further structures that one of the models learned from.

    Raises:
        InputError: There is no such source, or no row carries a label of a target.
    """
    cards = [read_card(model) for model in models]
    targets = cards[0].scaler.targets
    chosen = tuple(sources) or tuple(sorted(RecordStore(store).source_counts()))
    rows = labelled_rows(store, cards[0], chosen)
    both = zip(cards, models, strict=True)
    was_seen = np.any([is_seen(rows, card, model) for card, model in both], axis=0)
    was_seen |= rows[KEY].isin(learned).to_numpy()
    unseen = rows[~was_seen].reset_index(drop=True)
    tables = [_predict(store, model, unseen, chosen) for model in models]
    is_predicted = np.all([table["status"] == "ok" for table in tables], axis=0)
    kept = unseen[is_predicted]
    judged = [
        JudgedTarget(card, target, scheme, metrics)
        for target in targets
        for card, table in zip(cards, tables, strict=True)
        if target in card.scaler.targets
        for scheme, metrics in _errors(kept, table[is_predicted], target).items()
    ]
    return OwnLabels(
        judged=tuple(judged),
        sources=chosen,
        n_rows=len(rows),
        n_seen=int(was_seen.sum()),
        n_refused=int((~is_predicted).sum()),
        rows=_with_predictions(rows, was_seen, tables[0], cards[0]),
    )


def labelled_rows(store: Path, card: ModelCard, sources: Sequence[str]) -> pd.DataFrame:
    """Read the rows that carry a label of a target of a model.

    Raises:
        InputError: There are none.
    """
    targets = card.scaler.targets
    labels = [column for name in targets for column in (name, scheme_column(name))]
    table = RecordStore(store).read(sources, [*IDS[1:], "formula", "split", KEY, *labels])
    rows: pd.DataFrame = table.to_pandas()
    known = rows[rows[list(targets)].notna().any(axis=1)].reset_index(drop=True)
    if not len(known):
        raise InputError(
            f"none of the {len(rows):,} rows of {', '.join(sources) or 'the store'} has a "
            f"label of {' or '.join(targets)}, which {card.model_id} predicts; ingest a "
            "table that names the column in its `targets`, or evaluate another model"
        )
    return known


def is_seen(rows: pd.DataFrame, card: ModelCard, model: Path) -> NDArray[np.bool_]:
    """Mark the rows of which a model may know the labels (see `has_seen`).

    Rows by which it was recalibrated count.
    """
    import pandas as pd

    columns = rows[["source", "formula", "split"]]
    table = pa.Table.from_pandas(columns, preserve_index=False)
    was_seen = has_seen(card, table)
    if card.recalibration is not None:
        used = read_table(model / RECALIBRATION, IDS).to_pandas()
        keys = pd.MultiIndex.from_frame(rows[IDS])
        was_seen |= keys.isin(pd.MultiIndex.from_frame(used))
    return was_seen


def _with_predictions(
    rows: pd.DataFrame, is_seen: NDArray[np.bool_], predicted: pd.DataFrame, card: ModelCard
) -> pd.DataFrame:
    """Put labels and predictions of all rows side by side."""
    frame = rows[["source", "material_id", "formula"]].copy()
    for name in card.scaler.targets:
        frame[f"{name}_true"] = rows[name]
    columns = [*card.column_names, "status", "message"]
    values = predicted[columns].set_index(np.flatnonzero(~is_seen))
    frame = frame.join(values)
    frame.loc[is_seen, ["status", "message"]] = (
        SEEN,
        f"{card.model_id}, or a model beside it, has learned from it",
    )
    return frame


def _predict(
    store: Path, model: Path, rows: pd.DataFrame, sources: Sequence[str]
) -> pd.DataFrame:
    """Return predictions in the order of the rows."""
    import pandas as pd

    crystals = stream_crystals(store, sources, set(rows[KEY]))
    tables = [
        predict(dict(chunk), str(model), store=store)
        for chunk in in_chunks(crystals, CHUNK)
    ]
    if not tables:
        names = [*read_card(model).column_names, "status", "message"]
        return pd.DataFrame(columns=names)
    made = pd.concat(tables).set_index("material_id")
    return made.loc[rows[KEY]].reset_index(drop=True)


def _errors(rows: pd.DataFrame, predicted: pd.DataFrame, target: str) -> dict[str, Metrics]:
    """Return the errors on the labels of each scheme."""
    labels = rows[target].to_numpy(dtype=float)
    schemes = rows[scheme_column(target)].fillna(UNNAMED).to_numpy()
    names = [
        name
        for name in (target, *(target + end for end in (NONZERO, LOW, HIGH)))
        if name in predicted
    ]
    values = {name: predicted[name].to_numpy(dtype=float) for name in names}
    found = {}
    for scheme in sorted(set(schemes[np.isfinite(labels)])):
        is_of = schemes == scheme
        chosen = {name: column[is_of] for name, column in values.items()}
        found[scheme] = compare_target(target, labels[is_of], chosen)
    return found
