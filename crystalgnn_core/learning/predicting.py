"""All that a model says about crystals: predictions, spread, intervals, novelty."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

from crystalgnn_core.learning.calibration.intervals import describe_compositions
from crystalgnn_core.learning.fitting import INFERENCE_BATCH, predict_columns
from crystalgnn_core.targets import NOVELTY

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

    from crystalgnn_core.graphs.batches import GraphDataset
    from crystalgnn_core.learning.cards import ModelCard
    from crystalgnn_core.learning.data import TrainingData
    from crystalgnn_core.models.network import Network


def predict_card_columns(
    network: Network,
    card: ModelCard,
    dataset: GraphDataset,
    *,
    positions: NDArray[np.int64] | None = None,
    batch_size: int = INFERENCE_BATCH,
) -> dict[str, NDArray[np.float64]]:
    """Predict the graphs at some positions (all by default).

    Returns:
        The columns of `ModelCard.column_names`, each of shape (n_positions,).
    """
    found = predict_columns(
        network, dataset, card.scaler, positions=positions, batch_size=batch_size
    )
    if network.novelty is not None:
        found[NOVELTY] = network.novelty.scores(dataset, positions)
    if card.intervals is not None:
        statistics = describe_compositions(dataset, positions)
        found |= card.intervals.columns(card.scaler, found, statistics)
    return {name: found[name] for name in card.column_names}


def prediction_table(
    data: TrainingData,
    positions: NDArray[np.int64],
    predicted: Mapping[str, NDArray[np.float64]],
    targets: tuple[str, ...],
) -> pa.Table:
    """Put rows, what is predicted of them, and their labels into one table."""
    table = data.rows.select(["source", "material_id", "formula"]).take(pa.array(positions))
    for name, values in predicted.items():
        table = table.append_column(name, pa.array(values))
        if name in targets:
            truth = data.labels[positions, targets.index(name)]
            table = table.append_column(f"{name}_true", pa.array(truth, from_pandas=True))
    return table
