"""Predictions: by shard for a screen, and straight from structures for a user."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from crystalgnn_core.errors import InputError, ModelError
from crystalgnn_core.graphs.batches import GraphDataset
from crystalgnn_core.graphs.build import build_dataset
from crystalgnn_core.graphs.shards import graph_folder
from crystalgnn_core.learning.checkpoints import choose_device, load_bundle, read_card
from crystalgnn_core.learning.fitting import predict_dataset
from crystalgnn_core.learning.registry import Registry
from crystalgnn_core.records.schema import RawRecord, RejectedRecord
from crystalgnn_core.records.validation import validate
from crystalgnn_core.shardset import KEY, Refusal, ShardSet, ShardState, rows_in_order
from crystalgnn_core.sources.convert import crystal_from_any
from crystalgnn_core.sources.files import read_structure_file, structure_files
from crystalgnn_core.errors import RecordError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray
    from torch import nn

    from crystalgnn_core.learning.checkpoints import ModelCard
    from crystalgnn_core.records.crystal import Crystal
    from crystalgnn_core.shardset import ShardJob

logger = logging.getLogger(__name__)


def prediction_folder(store: Path, card: ModelCard) -> Path:
    """Return the folder of a model's predictions; other weights have another folder."""
    return store / "predictions" / f"{card.model_id}-{card.weights_sha256[:12]}"


def plan_prediction_shards(
    store: Path, model: Path, digests: Sequence[str], *, shard_size: int
) -> tuple[list[ShardJob], int]:
    """List the shards of predictions that a model still owes for some structures.

    Structures without a graph are left out; the ranking reports them.

    Returns:
        The jobs, and the number of structures predicted already.
    """
    card = read_card(model)
    graphs = ShardSet(graph_folder(store, card.graph))
    done = ShardSet(prediction_folder(store, card))
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

    jobs = list(done.plan(tables(), salt=card.weights_sha256))
    return jobs, sum(digest in known for digest in wanted)


def predict_shard(
    job: ShardJob, store: Path, model: Path, *, batch_size: int, device: str
) -> ShardState:
    """Predict one shard; return at once when it is there and sound."""
    shards = ShardSet(Path(job.folder))
    entry = shards.entry(job.name)
    if entry is not None:
        return ShardState(entry=entry, was_built=False)
    network, card = _cached_bundle(str(model), read_card(model).weights_sha256, device)
    graphs = ShardSet(graph_folder(store, card.graph))
    parked = pq.read_table(job.input_path)
    names = set(parked["graph_shard"].to_pylist())
    rows = rows_in_order(
        (pq.read_table(graphs.path_of(name)) for name in sorted(names)),
        parked[KEY].to_pylist(),
        where=str(graphs.folder),
    )
    values, refused = _predict(network, card, GraphDataset(rows), batch_size)
    keys = rows[KEY].to_pylist()
    keep = [index for index in range(len(keys)) if index not in refused]
    columns: dict[str, Any] = {KEY: [keys[index] for index in keep]}
    for column, name in enumerate(card.scaler.targets):
        columns[name] = values[keep, column]
    table = pa.table(columns, schema=_schema(card))
    refusals = [
        Refusal(structure_digest=keys[index], reason=error.reason, message=str(error))
        for index, error in refused.items()
    ]
    entry = shards.publish(job, table, refusals)
    logger.info("prediction shard %s: %d rows", job.name, entry.n_rows)
    return ShardState(entry=entry, was_built=True)


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
        structures: One, or an iterable, or a mapping from id, of: pymatgen Structure, ASE
            Atoms, JARVIS dict, Crystal, or a path to a structure file or a folder of them.
        model: Bundle folder, model id, or `champion` of the store.
        store: Store folder in which model ids are looked up.
        batch_size: Graphs a forward pass; does not change the values.
        device: `auto`, `cpu` or `cuda`.

    Returns:
        One row an input, in order: `material_id`, `formula`, each target and its `_std`
        (empty for a single model), `status` (`ok` or a reject reason) and `message`.

    Raises:
        InputError: The input or the model reference cannot be used at all.
    """
    network, card = load_bundle(
        Registry(Path(store)).resolve(str(model)), choose_device(device)
    )
    records = list(_raw_records(structures))
    rows: list[dict[str, Any]] = []
    crystals: list[Crystal] = []
    owners: list[int] = []
    for raw in records:
        checked = validate(raw, source="predict", targets=(), require_labels="none")
        row: dict[str, Any] = {"material_id": raw.material_id, "formula": None}
        if isinstance(checked, RejectedRecord) or raw.crystal is None:
            reject = checked if isinstance(checked, RejectedRecord) else None
            row |= {"status": reject.reason if reject else "unreadable_structure"}
            row |= {"message": reject.message if reject else "no structure"}
        else:
            row |= {"formula": checked["formula"], "status": "ok", "message": ""}
            owners.append(len(rows))
            crystals.append(raw.crystal)
        rows.append(row)
    dataset, refused = build_dataset(crystals, card.graph)
    values, unseen = _predict(network, card, dataset, batch_size)
    positions = [int(key) for key in dataset.digests]
    errors = refused | {positions[index]: error for index, error in unseen.items()}
    for index, error in errors.items():
        rows[owners[index]] |= {"status": error.reason, "message": str(error)}
    for row in rows:
        row |= {name: np.nan for name in card.scaler.targets}
    for index, position in enumerate(positions):
        if index not in unseen:
            rows[owners[position]] |= dict(
                zip(card.scaler.targets, values[index], strict=True)
            )
    return _frame(rows, card)


def _frame(rows: list[dict[str, Any]], card: ModelCard) -> pd.DataFrame:
    columns = ["material_id", "formula"]
    frame = pd.DataFrame(rows)
    for name in card.scaler.targets:
        frame[f"{name}_std"] = np.nan
        columns += [name, f"{name}_std"]
    return frame[[*columns, "status", "message"]]


def _raw_records(structures: Any) -> Iterator[RawRecord]:  # noqa: ANN401  see predict
    """Yield one raw record an input structure; files of several structures yield several."""
    if isinstance(structures, str | Path):
        yield from _from_path(Path(structures).expanduser())
    elif isinstance(structures, Mapping) and not _is_structure_dict(structures):
        for name, structure in structures.items():
            yield _from_object(str(name), structure)
    elif isinstance(structures, Iterable) and not _is_single(structures):
        for index, structure in enumerate(structures):
            if isinstance(structure, str | Path):
                yield from _from_path(Path(structure).expanduser())
            else:
                yield _from_object(str(index), structure)
    else:
        yield _from_object("0", structures)


def _is_structure_dict(value: Mapping[Any, Any]) -> bool:
    return any(key in value for key in ("atoms", "lattice_mat", "@class", "lattice"))


def _is_single(value: object) -> bool:
    """Tell a structure object, which can be iterated over its sites, from a list of them."""
    return (
        hasattr(value, "lattice")
        or hasattr(value, "get_scaled_positions")
        or isinstance(value, Mapping)
    )


def _from_path(path: Path) -> Iterator[RawRecord]:
    if path.is_dir():
        for file in structure_files(path):
            name = file.relative_to(path).with_suffix("").as_posix()
            yield from read_structure_file(file, name)
    elif path.is_file():
        yield from read_structure_file(path)
    else:
        raise InputError(f"{path}: no such file or folder")


def _from_object(name: str, structure: Any) -> RawRecord:  # noqa: ANN401  see predict
    try:
        return RawRecord(name, crystal_from_any(structure))
    except RecordError as error:
        return RawRecord(name, None, error=(error.reason, str(error)))  # type: ignore[arg-type]


def _predict(
    network: nn.Module, card: ModelCard, dataset: GraphDataset, batch_size: int
) -> tuple[NDArray[np.float64], dict[int, RecordError]]:
    """Predict a data set; say which graphs hold elements the model has not seen."""
    seen = np.zeros(256, dtype=bool)
    seen[list(card.elements)] = True
    columns = dataset.columns
    unseen: dict[int, RecordError] = {}
    foreign = np.flatnonzero(~seen[columns.atomic_numbers])
    graphs = np.searchsorted(columns.atom_offsets, foreign, side="right") - 1
    for graph in np.unique(graphs):
        numbers = columns.atomic_numbers[foreign[graphs == graph]]
        unseen[int(graph)] = RecordError("unseen_element", _unseen_message(card, numbers))
    positions = np.setdiff1d(np.arange(len(dataset)), list(unseen))
    values = np.full((len(dataset), len(card.scaler.targets)), np.nan)
    values[positions] = predict_dataset(
        network, dataset, card.scaler, positions=positions, batch_size=batch_size
    )
    return values, unseen


def _unseen_message(card: ModelCard, numbers: NDArray[np.uint8]) -> str:
    from pymatgen.core.periodic_table import Element

    symbols = ", ".join(Element.from_Z(int(number)).symbol for number in np.unique(numbers))
    return f"{symbols} did not occur in the training of {card.model_id}; add such data and retrain"


def _schema(card: ModelCard) -> pa.Schema:
    fields = [pa.field(KEY, pa.string())]
    fields += [pa.field(name, pa.float64()) for name in card.scaler.targets]
    return pa.schema(fields)


@lru_cache(maxsize=4)
def _cached_bundle(
    folder: str, weights_sha256: str, device: str
) -> tuple[nn.Module, ModelCard]:
    """Load a bundle once a process; the digest in the key sees a replaced file."""
    network, card = load_bundle(Path(folder), choose_device(device))
    if card.weights_sha256 != weights_sha256:
        raise ModelError(f"{folder} was replaced while it was being loaded; run again")
    return network, card
