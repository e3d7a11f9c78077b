"""Train a model on the records of a store: from labelled rows to a finished bundle."""

from __future__ import annotations

import logging
from collections import Counter
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from filelock import FileLock, Timeout

from crystalgnn_core.base import FrozenModel, digest_of
from crystalgnn_core.errors import ConfigError, CrystalGNNError, TransientError
from crystalgnn_core.graphs.shards import graph_folder
from crystalgnn_core.learning.adaptation.rates import at_rate, choose_rate
from crystalgnn_core.learning.cards import CARD, HISTORY, ModelCard
from crystalgnn_core.learning.checkpoints import environment, load_bundle
from crystalgnn_core.learning.data import load_training_data
from crystalgnn_core.learning.finishing import FINISHED_FILES, finish_bundle
from crystalgnn_core.learning.fitting import LabelledGraphs
from crystalgnn_core.learning.members import RunStart, train_members
from crystalgnn_core.learning.scaling import TargetScaler
from crystalgnn_core.models.joined import create_network
from crystalgnn_core.storage.files import file_sha256
from crystalgnn_core.targets import get_target

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from crystalgnn_core.graphs.config import GraphConfig
    from crystalgnn_core.learning.config import TrainingConfig
    from crystalgnn_core.learning.data import TrainingData
    from crystalgnn_core.models.base import NetworkConfig

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
    store: Path, model: NetworkConfig, training: TrainingConfig, graph: GraphConfig
) -> TrainedModel:
    """Train a model on the store's records, or return it if it is there already.

    The model's id is the digest of its settings and its data, so equal input gives the
    same model, and an interrupted run is found again and continued.

    Raises:
        InputError: The training data cannot be used (see `load_training_data`), or network
            and graphs contradict each other.
        TrainingDivergedError: The loss became NaN or infinite, or ran away.
        TransientError: Another process is training this very model.
    """
    data = load_training_data(store, training, graph, model.known_elements())
    model_id = name_model(model, training, graph, data.summary.data_digest)

    def start() -> RunStart:
        try:
            model.check_graph(graph)
        except ValueError as error:
            raise ConfigError(str(error)) from error
        card = new_card(model_id, model, training, graph, data)
        return RunStart(card, lambda _: create_network(model, card.scaler.n_outputs))

    return complete_model(store, model_id, training, data, start)


def complete_model(
    store: Path,
    model_id: str,
    training: TrainingConfig,
    data: TrainingData,
    start: Callable[[], RunStart],
    *,
    rates: Sequence[float] = (),
) -> TrainedModel:
    """Bring a model of the store to its end: reuse, continue or begin it.

    Its id says all that decides it; `start` is called when it is not finished yet. Of
    several learning rates short runs choose one, see `choose_rate`.

    Raises:
        TrainingDivergedError: The loss became NaN or infinite, or ran away.
        TransientError: Another process is training this very model.
    """
    folder = model_folder(store, model_id)
    finished = _finished(folder)
    was_trained = finished is None
    if finished is None:
        with _sole_trainer(folder):
            finished = _train(folder, start(), training, data, store, rates=rates)
    return TrainedModel(
        model_id=model_id,
        folder=str(folder),
        was_trained=was_trained,
        epochs=pq.read_metadata(folder / HISTORY).num_rows,
        card=finished,
    )


def name_model(
    model: NetworkConfig,
    training: TrainingConfig,
    graph: GraphConfig,
    data_digest: str,
    *,
    origin: Mapping[str, object] | None = None,
) -> str:
    """Name a model after its kind and the digest of its settings and data.

    `origin` is what else decides it, where it does not start from fresh weights.
    """
    parts: dict[str, object] = {
        "model": model.settings_digest(),
        "training": training.result_digest(),
        "graph": graph.settings_digest(),
        "data": data_digest,
    }
    if origin is not None:
        parts["origin"] = dict(origin)
    return f"{model.kind}-{digest_of(parts)[:12]}"


def _finished(folder: Path) -> ModelCard | None:
    """Return the card of a finished and undamaged model."""
    if not (folder / CARD).is_file():
        return None
    try:
        _, card = load_bundle(folder)
    except CrystalGNNError as error:
        logger.warning("%s; finishing the model again", error)
        return None
    for name in FINISHED_FILES:
        stored = folder / name
        if not stored.is_file() or file_sha256(stored) != card.files_sha256.get(name):
            logger.warning("%s: missing or damaged; finishing the model again", stored)
            return None
    return card


@contextmanager
def _sole_trainer(folder: Path) -> Iterator[None]:
    """Keep a second process from training into the same folder."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder / ".training.lock", timeout=0):
            yield
    except Timeout as error:
        raise TransientError(
            f"{folder.name} is being trained by another process; run again when it is done"
        ) from error


def new_card(
    model_id: str,
    model: NetworkConfig,
    training: TrainingConfig,
    graph: GraphConfig,
    data: TrainingData,
    *,
    scaler: TargetScaler | None = None,
) -> ModelCard:
    """Describe a model before its first epoch: settings, and what its rows are like.

    The scale is fitted to the training labels unless one is given.
    """
    train = data.select("train")
    labels = data.labels[train]
    counts = _element_counts(data.rows.take(pa.array(train))["atomic_numbers"])
    return ModelCard(
        model_id=model_id,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        model=model,
        graph=graph,
        scaler=scaler or TargetScaler.fit(training.targets, labels, hurdle=training.hurdle),
        units={name: get_target(name).unit for name in training.targets},
        label_schemes=data.summary.label_schemes,
        elements=tuple(counts),
        element_counts=counts,
        label_range={
            name: (float(np.nanmin(column)), float(np.nanmax(column)))
            for name, column in zip(training.targets, labels.T, strict=True)
        },
        data=data.summary,
        training=training.model_dump(mode="json"),
        environment=environment(),
    )


def _element_counts(atomic_numbers: pa.ChunkedArray) -> dict[int, int]:
    """Count the rows that contain each element, in order of atomic number."""
    counts = Counter(number for row in atomic_numbers.to_pylist() for number in set(row))
    return dict(sorted(counts.items()))


def _train(
    folder: Path,
    start: RunStart,
    training: TrainingConfig,
    data: TrainingData,
    store: Path,
    *,
    rates: Sequence[float],
) -> ModelCard:
    """Fit the network, then test its best epoch and write the final bundle."""
    card = start.card
    logger.info("model %s: %s rows", card.model_id, data.summary.n_rows)
    graphs = graph_folder(store, card.graph)
    dataset = data.dataset(graphs, training)
    choosing, calibrating = data.divide_validation(training)
    labelled = LabelledGraphs(dataset, data.labels, data.select("train"), choosing, graphs)
    checkpoints = folder / "checkpoints"
    if len(rates) > 1:
        errors = choose_rate(start, labelled, training, rates, checkpoints)
        training = at_rate(training, next(iter(errors)))
        card = card.model_copy(update={"training": training.model_dump(mode="json")})
        start = start._replace(card=card)
    best, history = train_members(start, labelled, training, checkpoints)
    return finish_bundle(folder, best, data, dataset, history, calibrating=calibrating)
