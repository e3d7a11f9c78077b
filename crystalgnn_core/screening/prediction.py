"""Predictions: by shard for a screen, and straight from structures for a user."""

from __future__ import annotations

import logging
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa

from crystalgnn_core.errors import ModelError, RecordError
from crystalgnn_core.graphs.batches import GraphDataset
from crystalgnn_core.graphs.build import build_dataset
from crystalgnn_core.graphs.shards import graph_folder
from crystalgnn_core.learning.cards import read_card
from crystalgnn_core.learning.checkpoints import choose_device, load_bundle
from crystalgnn_core.learning.predicting import predict_card_columns
from crystalgnn_core.learning.registry import Registry
from crystalgnn_core.records.checks.fast import FLAGS, find_flags
from crystalgnn_core.records.checks.validation import validate
from crystalgnn_core.records.table.crystals import flat_crystals
from crystalgnn_core.screening.inputs import read_inputs
from crystalgnn_core.storage.rows import rows_in_order
from crystalgnn_core.storage.shards import KEY, Refusal, ShardSet, ShardState
from crystalgnn_core.storage.usage import use_store

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from crystalgnn_core.learning.cards import ModelCard
    from crystalgnn_core.models.network import Network
    from crystalgnn_core.records.crystal import Crystal
    from crystalgnn_core.records.schema import RawRecord
    from crystalgnn_core.storage.shards import ShardJob

logger = logging.getLogger(__name__)


def prediction_folder(store: Path, card: ModelCard) -> Path:
    """Return the folder of a model's predictions; other weights have another folder."""
    return store / "predictions" / f"{card.model_id}-{card.predictions_digest[:12]}"


def plan_prediction_shards(
    store: Path, model: Path, digests: Sequence[str], *, shard_size: int
) -> tuple[list[ShardJob], int]:
    """List the shards of predictions of a model that are missing for some structures.

    Structures without a graph are left out; the ranking reports them.

    Returns:
        The jobs, and the number of structures predicted already.
    """
    use_store(store)
    card = read_card(model)
    graphs = ShardSet(graph_folder(store, card.graph))
    done = ShardSet(prediction_folder(store, card))
    done.discard_damaged()
    wanted = list(dict.fromkeys(digests))
    known = done.known_digests()
    places = graphs.locate(digest for digest in wanted if digest not in known)

    def tables() -> Iterator[pa.Table]:
        by_shard: dict[str, list[str]] = {}
        for digest in wanted:
            if digest in places:
                by_shard.setdefault(places[digest], []).append(digest)
        for shard, keys in sorted(by_shard.items()):
            for start in range(0, len(keys), shard_size):
                chunk = keys[start : start + shard_size]
                yield pa.table({KEY: chunk, "graph_shard": [shard] * len(chunk)})

    jobs = list(done.plan(tables()))
    return jobs, sum(digest in known for digest in wanted)


def predict_shard(
    job: ShardJob, store: Path, model: Path, *, batch_size: int, device: str
) -> ShardState:
    """Predict one shard; return at once when it is there and intact."""
    weights_sha256 = read_card(model).weights_sha256

    def build(parked: pa.Table) -> tuple[pa.Table, list[Refusal]]:
        network, card = _cached_bundle(str(model), weights_sha256, device)
        graphs = ShardSet(graph_folder(store, card.graph))
        keys = parked[KEY].to_pylist()
        names = sorted(set(parked["graph_shard"].to_pylist()))
        tables = map(graphs.manifest.read, names)
        rows = rows_in_order(tables, keys, where=str(graphs.folder))
        values, refused = predict_dataset(
            network, card, GraphDataset.from_table(rows), batch_size
        )
        keep = [index for index in range(len(keys)) if index not in refused]
        columns = dict(zip(card.column_names, values[keep].T, strict=True))
        kept = pa.array([keys[index] for index in keep], pa.string())
        return pa.table({KEY: kept, **columns}), [
            Refusal(structure_digest=keys[index], reason=error.reason, message=str(error))
            for index, error in refused.items()
        ]

    state = ShardSet(Path(job.folder)).build(job, build)
    if state.was_built:
        logger.info("prediction shard %s: %d rows", job.name, state.entry.n_rows)
    return state


def predict(
    structures: Any,  # noqa: ANN401  whatever a notebook holds
    model: str | Path,
    *,
    store: str | Path = "crystalgnn-store",
    batch_size: int = 256,
    device: str = "auto",
) -> pd.DataFrame:
    """Predict the properties of structures with a trained model.

    Args:
        structures: One, or an iterable, or a mapping or pandas Series from id, of: pymatgen
            Structure, ASE Atoms, JARVIS dict, Crystal, `StructureText`, or a path to a
            structure file, a folder of them, or a Parquet or CSV table with a column of
            structures; or such a table as a pandas DataFrame.
        model: Bundle folder, model id, `champion` of the store, or a published model.
        store: Store folder in which model ids are looked up.
        batch_size: Graphs per forward pass; does not change the values.
        device: `auto`, `cpu` or `cuda`.

    Returns:
        One row per input, in order: `material_id`, `formula`, the columns of the model's
        card (`ModelCard.column_names`: each target with what is known of it behind),
        `status` (`ok` or a reject reason) and `message`, which also says what is unusual
        about the geometry of a predicted structure.

    Raises:
        InputError: The input or the model reference cannot be used at all.
    """
    network, card = load_bundle(
        Registry(Path(store)).resolve(str(model)), choose_device(device)
    )
    rows, crystals, owners = _check(list(read_inputs(structures)))
    dataset, errors = build_dataset(crystals, card.graph)
    values, refused = predict_dataset(network, card, dataset, batch_size)
    positions = [int(key) for key in dataset.digests]
    errors |= {positions[index]: error for index, error in refused.items()}
    for position, error in errors.items():
        rows[owners[position]] |= {"status": error.reason, "message": str(error)}
    names = card.column_names
    for position, predicted in zip(positions, values, strict=True):
        rows[owners[position]] |= dict(zip(names, predicted, strict=True))
    columns = ["material_id", "formula", *names, "status", "message"]
    frame = pd.DataFrame(rows, columns=columns).astype(dict.fromkeys(names, np.float64))
    formulas = [row["formula"] for row in rows]
    frame["formula"] = pd.Series(formulas, dtype=object)  # text columns make None a NaN
    return frame


def _check(raws: list[RawRecord]) -> tuple[list[dict[str, Any]], list[Crystal], list[int]]:
    """Begin a row for every input; return also the valid crystals and their rows."""
    checked = validate(raws, source="predict", targets=(), require_labels="none")
    formulas = iter(checked.records["formula"].to_pylist())
    flags = iter(find_flags(flat_crystals(checked.records)))
    rejects = iter(checked.rejects)
    rows: list[dict[str, Any]] = []
    crystals: list[Crystal] = []
    owners: list[int] = []
    for raw, is_kept in zip(raws, checked.is_kept, strict=True):
        row: dict[str, Any] = {"material_id": raw.material_id, "formula": None}
        if is_kept and raw.crystal is not None:
            remarks = "; ".join(f"{name}: {FLAGS[name]}" for name in next(flags))
            row |= {"formula": next(formulas), "status": "ok", "message": remarks}
            owners.append(len(rows))
            crystals.append(raw.crystal)
        else:
            reject = next(rejects)
            row |= {"status": reject.reason, "message": reject.message}
        rows.append(row)
    return rows, crystals, owners


def predict_dataset(
    network: Network, card: ModelCard, dataset: GraphDataset, batch_size: int
) -> tuple[NDArray[np.float64], dict[int, RecordError]]:
    """Predict a data set, all columns; say which graphs have no prediction, and why."""
    seen = np.zeros(256, dtype=bool)
    seen[list(card.elements)] = True
    columns = dataset.columns
    refused: dict[int, RecordError] = {}
    foreign = np.flatnonzero(~seen[columns.atomic_numbers])
    graphs = np.searchsorted(columns.atom_offsets, foreign, side="right") - 1
    for graph in np.unique(graphs):
        numbers = columns.atomic_numbers[foreign[graphs == graph]]
        refused[int(graph)] = RecordError("unseen_element", _unseen_message(card, numbers))
    positions = np.setdiff1d(np.arange(len(dataset)), list(refused))
    names = card.column_names
    values = np.full((len(dataset), len(names)), np.nan)
    found = predict_card_columns(
        network, card, dataset, positions=positions, batch_size=batch_size
    )
    values[positions] = np.stack([found[name] for name in names], axis=1)
    is_finite = np.isfinite(values[positions]).all(axis=1)
    for graph in positions[~is_finite]:
        refused[int(graph)] = RecordError(
            "invalid_prediction",
            f"{card.model_id} gives no finite value; check the structure or the model",
        )
    values[list(refused)] = np.nan
    return values, refused


def _unseen_message(card: ModelCard, numbers: NDArray[np.uint8]) -> str:
    from pymatgen.core.periodic_table import Element

    symbols = ", ".join(Element.from_Z(int(number)).symbol for number in np.unique(numbers))
    return (
        f"{symbols} did not occur in the training of {card.model_id}; "
        "add such data and retrain"
    )


@lru_cache(maxsize=4)
def _cached_bundle(
    folder: str, weights_sha256: str, device: str
) -> tuple[Network, ModelCard]:
    """Load a bundle once per process; the digest in the key sees a replaced file."""
    network, card = load_bundle(Path(folder), choose_device(device))
    if card.weights_sha256 != weights_sha256:
        raise ModelError(f"{folder} was replaced while it was being loaded; run again")
    return network, card
