"""Small stores made with the steps that the flows take, for tests of the later stages."""

import shutil

from crystalgnn_core.graphs.config import GraphConfig
from crystalgnn_core.graphs.shards import (
    STRUCTURE_COLUMNS,
    build_graph_shard,
    plan_graph_shards,
)
from crystalgnn_core.learning.config import TrainingConfig
from crystalgnn_core.learning.training import train_model
from crystalgnn_core.models.cgcnn.config import CGCNNConfig
from crystalgnn_core.records.table.store import RecordStore
from crystalgnn_core.screening.candidates import read_candidates
from crystalgnn_core.screening.config import ScreeningConfig
from crystalgnn_core.screening.prediction import plan_prediction_shards, predict_shard
from crystalgnn_core.screening.screen import rank_screen
from crystalgnn_core.sources.ingest.run import ingest_source
from crystalgnn_core.sources.synthetic.source import SyntheticSource
from crystalgnn_core.storage.shards import KEY

GRAPH = GraphConfig(cutoff=5.0, n_neighbors=6)
MODEL = CGCNNConfig(atom_width=8, n_convolutions=1, hidden_width=8)
TRAINING = TrainingConfig(sources=("synthetic",), epochs=3, batch_size=16, device="cpu")
SOURCE = SyntheticSource(n_structures=80, part_size=40)
CANDIDATES = SyntheticSource(name="candidates", prefix="c", seed=1, n_structures=40)
ingest = ingest_source
SCREENING = ScreeningConfig(sources=("candidates",), top_k=5, device="cpu")


def build_graphs(store, graph=GRAPH):
    records = RecordStore(store)
    tables = records.scan(sorted(records.source_counts()), STRUCTURE_COLUMNS)
    for job in plan_graph_shards(store, graph, tables, shard_size=1000)[0]:
        build_graph_shard(job, graph)


def predict_candidates(store, model, sources=("candidates",)):
    digests = read_candidates(store, sources)[KEY].to_list()
    for job in plan_prediction_shards(store, model, digests, shard_size=1000)[0]:
        predict_shard(job, store, model, batch_size=64, device="cpu")


def train(store, **changes):
    return train_model(store, MODEL, TRAINING.model_copy(update=changes), GRAPH)


def screen(store, model, config=SCREENING):
    build_graphs(store)
    predict_candidates(store, model, config.sources)
    return rank_screen(store, config, [model])


def copy(store, target):
    shutil.copytree(store, target, dirs_exist_ok=True)
    return target


def in_memory(table):
    """Hand a table out as the record store reads its rows: some columns or all."""
    return lambda columns: [table if columns is None else table.select(columns)]
