"""Train a model on the records of a store: from labelled rows to a finished bundle."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import torch

from crystalgnn_core.artifacts import write_table
from crystalgnn_core.base import FrozenModel, digest_of
from crystalgnn_core.errors import CrystalGNNError
from crystalgnn_core.graphs.shards import graph_folder
from crystalgnn_core.learning.checkpoints import (
    ModelCard,
    choose_device,
    environment,
    load_bundle,
    read_card,
    write_bundle,
)
from crystalgnn_core.learning.data import load_training_data
from crystalgnn_core.learning.fitting import LabelledGraphs, evaluate, fit, predict_dataset
from crystalgnn_core.learning.metrics import Metrics, compare
from crystalgnn_core.learning.resume import CheckpointFolder
from crystalgnn_core.learning.scaling import TargetScaler
from crystalgnn_core.models.composition import composition_features, fit_predict
from crystalgnn_core.targets import get_target

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray
    from torch import nn

    from crystalgnn_core.graphs.batches import GraphDataset
    from crystalgnn_core.graphs.config import GraphConfig
    from crystalgnn_core.learning.config import TrainingConfig
    from crystalgnn_core.learning.data import TrainingData
    from crystalgnn_core.models import ModelConfig

logger = logging.getLogger(__name__)


class TrainedModel(FrozenModel):
    """Reference to a finished model.

    Attributes:
        model_id: Name of the model; digest of settings and data.
        folder: Folder of the bundle.
        was_trained: False when the same model was there already.
        epochs: Epochs run in total.
        card: The model's card.
    """

    model_id: str
    folder: str
    was_trained: bool
    epochs: int
    card: ModelCard


def model_folder(store: Path, model_id: str) -> Path:
    """Return the folder of a model of the store."""
    return store / "models" / model_id


def train_model(
    store: Path, model: ModelConfig, training: TrainingConfig, graph: GraphConfig
) -> TrainedModel:
    """Train a model on the store's records, or return it if it is there already.

    The model's id is the digest of its settings and its data, so equal input gives the
    same model, and an interrupted run is found again and continued.

    Raises:
        InputError: The training data cannot be used (see `load_training_data`).
        TrainingDivergedError: The loss became NaN or infinite, or ran away.
    """
    data = load_training_data(store, training, graph)
    model_id = name_model(model, training, graph, data.summary.data_digest)
    folder = model_folder(store, model_id)
    finished = _finished(folder)
    if finished is not None:
        return TrainedModel(
            model_id=model_id,
            folder=str(folder),
            was_trained=False,
            epochs=finished.epoch,
            card=finished,
        )
    logger.info("model %s: %s rows", model_id, data.summary.n_rows)
    dataset = data.dataset(graph_folder(store, graph))
    train, val = data.select("train"), data.select("val")
    card = _new_card(model_id, model, training, graph, data, train)
    torch.manual_seed(training.seed)
    network = model.build(len(training.targets))
    checkpoints = CheckpointFolder(folder / "checkpoints")
    progress = fit(
        network,
        LabelledGraphs(dataset, data.labels, train, val),
        card.scaler,
        training,
        checkpoints,
        card,
        choose_device(training.device),
    )
    best, best_card = checkpoints.best()
    written = _finish(folder, best, best_card, data, dataset, progress.history)
    return TrainedModel(
        model_id=model_id,
        folder=str(folder),
        was_trained=True,
        epochs=progress.epoch,
        card=written,
    )


def name_model(
    model: ModelConfig, training: TrainingConfig, graph: GraphConfig, data_digest: str
) -> str:
    """Name a model after its kind and the digest of its settings and data."""
    digest = digest_of(
        {
            "model": model.settings_digest(),
            "training": training.settings_digest(exclude={"device"}),
            "graph": graph.settings_digest(),
            "data": data_digest,
        }
    )
    return f"{model.kind}-{digest[:12]}"


def _finished(folder: Path) -> ModelCard | None:
    """Return the card of a finished and undamaged bundle."""
    try:
        load_bundle(folder)
        return read_card(folder)
    except CrystalGNNError:
        return None


def _new_card(
    model_id: str,
    model: ModelConfig,
    training: TrainingConfig,
    graph: GraphConfig,
    data: TrainingData,
    train: NDArray[np.int64],
) -> ModelCard:
    numbers = data.rows.take(pa.array(train))["atomic_numbers"].combine_chunks().flatten()
    return ModelCard(
        model_id=model_id,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        model=model,
        graph=graph,
        scaler=TargetScaler.fit(training.targets, data.labels[train]),
        units={name: get_target(name).unit for name in training.targets},
        label_schemes=data.summary.label_schemes,
        elements=tuple(int(number) for number in np.unique(numbers.to_numpy())),
        data=data.summary,
        training=training.model_dump(mode="json"),
        environment=environment(),
    )


def _finish(
    folder: Path,
    network: nn.Module,
    card: ModelCard,
    data: TrainingData,
    dataset: GraphDataset,
    history: pd.DataFrame,
) -> ModelCard:
    """Test the best epoch, compare it with the baseline, and write the final bundle."""
    val, test = data.select("val"), data.select("test")
    predicted = predict_dataset(network, dataset, card.scaler, positions=test)
    write_table(
        folder / "test_predictions.parquet",
        _prediction_table(data, test, predicted, card.scaler.targets),
    )
    write_table(
        folder / "history.parquet", pa.Table.from_pandas(history, preserve_index=False)
    )
    names = card.scaler.targets
    metrics = {
        "val": evaluate(network, dataset, data.labels, val, card.scaler),
        "test": {
            name: compare(data.labels[test, index], predicted[:, index])
            for index, name in enumerate(names)
        },
    }
    return write_bundle(
        folder,
        network,
        card.model_copy(update={"metrics": metrics, "baseline": _baseline(data, names)}),
    )


def _prediction_table(
    data: TrainingData,
    positions: NDArray[np.int64],
    predicted: NDArray[np.float64],
    targets: tuple[str, ...],
) -> pa.Table:
    table = data.rows.select(["source", "material_id", "formula"]).take(pa.array(positions))
    for index, name in enumerate(targets):
        table = table.append_column(name, pa.array(predicted[:, index]))
        truth = pa.array(data.labels[positions, index], from_pandas=True)
        table = table.append_column(f"{name}_true", truth)
    return table


def _baseline(data: TrainingData, targets: tuple[str, ...]) -> dict[str, Metrics]:
    """Test errors of trees that see the composition alone."""
    features = composition_features(data.rows["atomic_numbers"].to_pylist())
    train, test = data.select("train"), data.select("test")
    predicted = fit_predict(features[train], data.labels[train], features[test])
    return {
        name: compare(data.labels[test, index], predicted[:, index])
        for index, name in enumerate(targets)
    }
