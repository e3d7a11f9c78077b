"""All that a model says about crystals: predictions, spread, intervals, novelty."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crystalgnn_core.learning.calibration.intervals import describe_compositions
from crystalgnn_core.learning.fitting import INFERENCE_BATCH, predict_columns
from crystalgnn_core.targets import NOVELTY

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from crystalgnn_core.graphs.batches import GraphDataset
    from crystalgnn_core.learning.cards import ModelCard
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
