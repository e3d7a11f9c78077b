"""A store with two trained models, made once by core alone, and copies to change."""

import shutil
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from crystalgnn_core.config import PipelineConfig
from crystalgnn_core.graphs.shards import (
    STRUCTURE_COLUMNS,
    build_graph_shard,
    plan_graph_shards,
)
from crystalgnn_core.learning.registry import Registry
from crystalgnn_core.learning.training import train_model
from crystalgnn_core.records.table.store import RecordStore
from crystalgnn_core.sources.ingest.run import ingest_source
from deployments.cli import main
from tests.processes import Outcome
from tests.tiny import TINY


class TrainedStore(NamedTuple):
    """A store with records, graphs and two models; the first is the champion."""

    path: Path
    champion: str
    other: str


@pytest.fixture(scope="session")
def trained_store(tmp_path_factory):
    store = tmp_path_factory.mktemp("trained") / "store"
    training = TINY["training"] | {"epochs": 1}
    config = PipelineConfig.model_validate(
        TINY | {"store": str(store), "sources": TINY["sources"][:1], "training": training}
    )
    [source] = config.sources
    ingest_source(store, source)
    structures = RecordStore(store).scan([source.name], STRUCTURE_COLUMNS)
    for job in plan_graph_shards(store, config.graph, structures, shard_size=64)[0]:
        build_graph_shard(job, config.graph)
    ids = []
    for seed in (0, 1):
        settings = config.training.model_copy(update={"seed": seed})
        ids.append(train_model(store, config.model, settings, config.graph).model_id)
    Registry(store).promote(ids[0], "the first")
    return TrainedStore(store, *ids)


@pytest.fixture
def own_store(trained_store, tmp_path):
    """Copy the trained store, for tests that change it."""
    path = tmp_path / "own-store"
    shutil.copytree(trained_store.path, path)
    return trained_store._replace(path=path)


@pytest.fixture
def run(monkeypatch, capsys, tmp_path):
    """Run a command in this process, in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: object) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["crystalgnn", *map(str, arguments)])
        code: object = 0
        try:
            main()
        except SystemExit as end:
            code = end.code
        assert isinstance(code, int | None)
        return Outcome(code or 0, *capsys.readouterr())

    return call
