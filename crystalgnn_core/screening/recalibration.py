"""A model with intervals by labels of another source: the same weights, another bundle."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pyarrow as pa

from crystalgnn_core.base import digest_of
from crystalgnn_core.errors import InputError
from crystalgnn_core.graphs.build import build_dataset
from crystalgnn_core.learning.calibration.expected import LEAST_ROWS
from crystalgnn_core.learning.calibration.intervals import Intervals, describe_compositions
from crystalgnn_core.learning.cards import CARD, RECALIBRATION, Recalibration
from crystalgnn_core.learning.checkpoints import load_bundle, write_bundle
from crystalgnn_core.learning.predicting import predict_card_columns
from crystalgnn_core.learning.scores import interval_metrics
from crystalgnn_core.learning.training import model_folder
from crystalgnn_core.records.table.crystals import stream_crystals
from crystalgnn_core.screening.own_labels import IDS, is_seen, labelled_rows
from crystalgnn_core.screening.prediction import predict_dataset
from crystalgnn_core.storage.files import file_sha256, write_table
from crystalgnn_core.storage.shards import KEY
from crystalgnn_core.storage.usage import use_store
from crystalgnn_core.targets import HIGH, IF_NONZERO, LOW, get_target, scheme_column

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import pandas as pd
    from numpy.typing import NDArray

    from crystalgnn_core.graphs.batches import GraphDataset
    from crystalgnn_core.learning.cards import ModelCard
    from crystalgnn_core.learning.scaling import TargetScaler
    from crystalgnn_core.models.network import Network

    Columns = Mapping[str, NDArray[np.float64]]

BATCH = 256


class Calibrating(NamedTuple):
    """Rows to calibrate by, with what a model predicts of them, in one order.

    Attributes:
        rows: Ids, labels and schemes.
        dataset: Graphs, and perhaps others.
        positions: Where those of the rows stand.
        predicted: Columns of the model as it is.
    """

    rows: pd.DataFrame
    dataset: GraphDataset
    positions: NDArray[np.int64]
    predicted: Columns

    def labels(self, targets: Sequence[str]) -> NDArray[np.float64]:
        """Return the labels of targets, NaN missing, shape (n_rows, n_targets)."""
        return self.rows[list(targets)].to_numpy(dtype=float)

    def without_zeros(self, targets: Sequence[str]) -> Calibrating:
        """Leave out the zeros of targets that a model gives none of (`nonzero_only`)."""
        kept = {name: self.rows[name].where(self.rows[name] > 0) for name in targets}
        return self._replace(rows=self.rows.assign(**kept))


def recalibrate_model(
    store: Path,
    bundle: Path,
    sources: Sequence[str],
    *,
    n_rows: int | None = None,
    seed: int = 0,
    with_shift: bool = False,
) -> Path:
    """Make a bundle of a model whose intervals come from labelled rows of sources.

    Rows that it learned from are left out, and those that it cannot predict. Targets with
    fewer than `LEAST_ROWS` labels among the others have no intervals.

    Args:
        store: Store with the rows; the new model belongs to it.
        bundle: The model.
        sources: Sources of the rows.
        n_rows: Rows that are drawn at random; all by default.
        seed: Of the draw.
        with_shift: Add the median error to the predictions of each number; they then
            follow the label scheme of the rows.

    Returns:
        The folder of the new model; an equal one is reused.

    Raises:
        InputError: Too few rows or labels are left, or labels follow several schemes.
    """
    use_store(store)
    network, card = load_bundle(bundle)
    found = _choose(store, bundle, (network, card), sources, (n_rows, seed))
    found = found.without_zeros(card.nonzero_only)
    schemes = _schemes(found.rows, card)
    names = card.scaler.targets
    content = {
        "model": [card.weights_sha256, card.scaler.digest_content()],
        "rows": found.rows[[*IDS, *names]].astype(str).to_numpy().tolist(),
        "with_shift": with_shift,
    }
    folder = model_folder(store, f"{card.model.kind}-{digest_of(content)[:12]}")
    if (folder / CARD).is_file():
        return folder
    shift = _shift(card.scaler, found) if with_shift else {}
    made = _card(card, found, schemes, shift, (folder.name, tuple(sources), seed))
    plain = made.model_copy(update={"intervals": None})
    predicted = predict_card_columns(
        network, plain, found.dataset, positions=found.positions, batch_size=BATCH
    )
    intervals = Intervals.fit(
        made.scaler,
        predicted,
        found.labels(names),
        describe_compositions(found.dataset, found.positions),
        chose_epoch=False,
    )
    if not intervals.targets:
        raise InputError(
            f"{', '.join(sources)}: no target of {card.model_id} that is a number has "
            f"{LEAST_ROWS} labels among {len(found.rows)} rows; name more rows or sources"
        )
    folder.mkdir(parents=True, exist_ok=True)
    ids = pa.Table.from_pandas(found.rows[IDS], preserve_index=False)
    write_table(folder / RECALIBRATION, ids)
    digests = {RECALIBRATION: file_sha256(folder / RECALIBRATION)}
    update = {"intervals": intervals, "files_sha256": digests}
    write_bundle(folder, network, made.model_copy(update=update))
    return folder


def _choose(
    store: Path,
    bundle: Path,
    model: tuple[Network, ModelCard],
    sources: Sequence[str],
    draw: tuple[int | None, int],
) -> Calibrating:
    """Draw rows that the model did not learn from, and predict them."""
    (network, card), (n_rows, seed) = model, draw
    rows = labelled_rows(store, card, sources)
    unseen = rows[~is_seen(rows, card, bundle)]
    n_wanted = len(unseen) if n_rows is None else n_rows
    if len(unseen) < max(n_wanted, LEAST_ROWS):
        raise InputError(
            f"{', '.join(sources)}: {len(unseen):,} labelled rows that {card.model_id} did "
            f"not learn from, {max(n_wanted, LEAST_ROWS):,} are needed; name other sources "
            "or fewer --rows"
        )
    drawn = np.random.default_rng(seed).permutation(len(unseen))[:n_wanted]
    rows = unseen.iloc[np.sort(drawn)].reset_index(drop=True)
    crystals = dict(stream_crystals(store, sources, set(rows[KEY])))
    dataset, _ = build_dataset([crystals[key] for key in rows[KEY]], card.graph)
    values, refused = predict_dataset(network, card, dataset, BATCH)
    positions = np.setdiff1d(np.arange(len(dataset)), list(refused))
    owners = [int(dataset.digests[position]) for position in positions]
    columns = dict(zip(card.column_names, values[positions].T, strict=True))
    kept = rows.iloc[owners].reset_index(drop=True)
    return Calibrating(kept, dataset, positions, columns)


def _schemes(rows: pd.DataFrame, card: ModelCard) -> dict[str, str]:
    """Return the label scheme of each target that has labels."""
    found = {}
    for name in card.scaler.targets:
        known = rows.loc[rows[name].notna(), scheme_column(name)].unique()
        if len(known) > 1:
            listed = ", ".join(sorted(map(str, known)))
            raise InputError(
                f"{name}: labels of several schemes ({listed}); intervals are calibrated "
                "by one, name sources of one scheme"
            )
        if len(known):
            found[name] = str(known[0])
    return found


def _shift(scaler: TargetScaler, found: Calibrating) -> dict[str, float]:
    """Return the median error of each number, of those in two parts where not zero."""
    shift = {}
    for name, labels in zip(scaler.targets, found.labels(scaler.targets).T, strict=True):
        values = found.predicted[name]
        known = np.isfinite(labels)
        if name in scaler.hurdle:
            known, values = known & (labels > 0), found.predicted[name + IF_NONZERO]
        if get_target(name).is_class or known.sum() < LEAST_ROWS:
            continue
        errors = labels[known] - values[known]
        if scaler.is_log(name):
            errors = np.log10(labels[known] / values[known])
        shift[name] = float(np.median(errors))
    return shift


def _card(
    card: ModelCard,
    found: Calibrating,
    schemes: Mapping[str, str],
    shift: Mapping[str, float],
    named: tuple[str, tuple[str, ...], int],
) -> ModelCard:
    """Describe the new model, but for its intervals."""
    model_id, sources, seed = named
    predicted, names = found.predicted, card.scaler.targets
    before = {
        name: interval_metrics(labels, *(predicted[name + end] for end in ("", LOW, HIGH)))
        for name, labels in zip(names, found.labels(names).T, strict=True)
        if name + LOW in predicted and np.isfinite(labels).any()
    }
    pairs = zip(names, card.scaler.mean, strict=True)
    mean = tuple(value + shift.get(name, 0.0) for name, value in pairs)
    shifts = [f"{name} shifted by {value:+.3g}" for name, value in shift.items()]
    remark = "; ".join(
        [f"intervals by {len(found.rows):,} rows of {', '.join(sources)}", *shifts]
    )
    return card.model_copy(
        update={
            "model_id": model_id,
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "scaler": card.scaler.model_copy(update={"mean": mean}),
            "label_schemes": {**card.label_schemes, **{n: schemes[n] for n in shift}},
            "metrics": {},
            "baseline": {},
            "remarks": (*card.remarks, remark),
            "recalibration": Recalibration(
                model_id=card.model_id,
                sources=sources,
                n_rows=len(found.rows),
                seed=seed,
                label_schemes=dict(schemes),
                shift=dict(shift),
                before=before,
            ),
        }
    )
