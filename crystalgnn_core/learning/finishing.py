"""The end of a training run: test errors, the baseline, and the final bundle."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pyarrow as pa

from crystalgnn_core.learning.adaptation.verdict import shortcomings
from crystalgnn_core.learning.calibration.intervals import Intervals, describe_compositions
from crystalgnn_core.learning.cards import HISTORY, TEST_PREDICTIONS
from crystalgnn_core.learning.checkpoints import write_bundle
from crystalgnn_core.learning.metrics import Metrics, compare_targets
from crystalgnn_core.learning.predicting import predict_card_columns, prediction_table
from crystalgnn_core.models.composition.features import composition_features
from crystalgnn_core.models.composition.trees import fit_predict
from crystalgnn_core.models.novelty import Novelty
from crystalgnn_core.storage.files import file_sha256, write_table
from crystalgnn_core.targets import is_class

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from crystalgnn_core.graphs.batches import GraphDataset
    from crystalgnn_core.learning.cards import ModelCard
    from crystalgnn_core.learning.data import TrainingData
    from crystalgnn_core.models.network import Network

logger = logging.getLogger(__name__)
FINISHED_FILES = (TEST_PREDICTIONS, HISTORY)


def finish_bundle(
    folder: Path,
    best: tuple[Network, ModelCard],
    data: TrainingData,
    dataset: GraphDataset,
    history: pd.DataFrame,
    *,
    calibrating: NDArray[np.int64],
) -> ModelCard:
    """Test the best epoch, compare it with the baseline, and write the final bundle.

    The history has one row per epoch. Intervals are calibrated by the rows at the given
    positions of the validation split, if there are any. The bundle's card is the last file
    written.

    Returns:
        The card as written, with test errors and those of the baseline.
    """
    network, card = best
    network.novelty = Novelty.fit(dataset, data.select("train"), data.select("val"))
    card = card.model_copy(update={"novelty_rows": len(network.novelty.rows)})
    if len(calibrating):
        card = card.model_copy(
            update={"intervals": _calibrate(network, card, data, dataset, calibrating)}
        )
    names, test = card.scaler.targets, data.select("test")
    predicted = predict_card_columns(network, card, dataset, positions=test)
    write_table(folder / TEST_PREDICTIONS, prediction_table(data, test, predicted, names))
    write_table(folder / HISTORY, pa.Table.from_pandas(history, preserve_index=False))
    errors = compare_targets(names, data.labels[test], predicted)
    final = card.model_copy(
        update={
            "metrics": {**card.metrics, "test": errors},
            "baseline": _baseline(data, names),
            "files_sha256": {name: file_sha256(folder / name) for name in FINISHED_FILES},
        }
    )
    said = shortcomings(final, history)
    for sentence in said:
        logger.warning("%s: %s", final.model_id, sentence)
    final = final.model_copy(update={"remarks": (*final.remarks, *said)})
    return write_bundle(folder, network, final)


def _calibrate(
    network: Network,
    card: ModelCard,
    data: TrainingData,
    dataset: GraphDataset,
    positions: NDArray[np.int64],
) -> Intervals:
    predicted = predict_card_columns(network, card, dataset, positions=positions)
    return Intervals.fit(
        card.scaler,
        predicted,
        data.labels[positions],
        describe_compositions(dataset, positions),
        chose_epoch=len(positions) == len(data.select("val")),
    )


def _baseline(data: TrainingData, targets: tuple[str, ...]) -> dict[str, Metrics]:
    """Test errors of trees that see the composition alone."""
    features = composition_features(data.rows["atomic_numbers"].to_pylist())
    train, test = data.select("train"), data.select("test")
    predicted = fit_predict(
        features[train],
        data.labels[train],
        features[test],
        classes=[is_class(name) for name in targets],
    )
    by_name = dict(zip(targets, predicted.T, strict=True))
    return compare_targets(targets, data.labels[test], by_name)
