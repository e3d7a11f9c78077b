"""A few kinds of damaged files are named, then rebuilt or refused (see tests/campaigns)."""

import pytest

from crystalgnn_core.config import PipelineConfig
from crystalgnn_core.errors import IntegrityError
from crystalgnn_core.graphs.shards import (
    STRUCTURE_COLUMNS,
    build_graph_shard,
    plan_graph_shards,
)
from crystalgnn_core.learning.registry import Registry
from crystalgnn_core.learning.training import train_model
from crystalgnn_core.records.table.store import RecordStore
from crystalgnn_core.sources.ingest.run import ingest_source
from crystalgnn_core.storage.files import file_sha256
from tests.campaigns.damage import DAMAGES, DELETED, damage, pick
from tests.tiny import TINY

REFUSED = {
    "records/_delta_log/*.json": "delete it and ingest all sources again",
    "records/*.parquet[newest]": "delete it and ingest all sources again",
    "models/champions.json": "delete it and rerun",
}
REBUILT = ("graphs/*/*.json", "graphs/*/*.parquet", "models/*/history.parquet")


def run_again(store):
    """Do what a pipeline does, by core alone; return what it comes to."""
    training = TINY["training"] | {"epochs": 1}
    config = PipelineConfig.model_validate(
        TINY | {"store": str(store), "sources": TINY["sources"][:1], "training": training}
    )
    ingest_source(store, config.sources[0])
    structures = RecordStore(store).scan(["synthetic"], STRUCTURE_COLUMNS)
    for job in plan_graph_shards(store, config.graph, structures, shard_size=64)[0]:
        build_graph_shard(job, config.graph)
    weights = []
    for seed in (0, 1):
        settings = config.training.model_copy(update={"seed": seed})
        model = train_model(store, config.model, settings, config.graph)
        weights.append(model.card.weights_sha256)
    files = [file_sha256(path) for path in sorted(store.glob("models/*/history.parquet"))]
    return weights, files, Registry(store).champions()


@pytest.mark.parametrize("how", DAMAGES)
@pytest.mark.parametrize("kind", [*REFUSED, *REBUILT])
def test_damage_is_named_and_then_rebuilt_or_refused(run, own_store, kind, how):
    expected = run_again(own_store.path)
    path = pick(own_store.path, kind)
    damage(path, how)
    checked = run("store", "check", "--store", own_store.path)
    assert checked.code == 1
    assert any(line.startswith(f"{path}: ") for line in checked.out.splitlines())
    if kind not in REFUSED:
        assert run_again(own_store.path) == expected
        assert run("store", "check", "--store", own_store.path).code == 0
    elif (kind, how) == ("models/champions.json", DELETED):
        assert run_again(own_store.path)[2] == {}  # as after the advice was followed
    else:
        with pytest.raises(IntegrityError) as error:
            run_again(own_store.path)
        assert str(path) in str(error.value)
        assert REFUSED[kind] in str(error.value)
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("how", DAMAGES)
@pytest.mark.parametrize(
    "command",
    [
        ("records", "show"),
        ("records", "changes", "synthetic", "--since", "0"),
        ("records", "rejects", "other"),
        ("records", "link"),
        ("evaluate", "--model", "champion"),
        ("store", "compact"),
    ],
)
def test_commands_end_in_one_line_at_a_damaged_record_table(run, own_store, command, how):
    path = pick(own_store.path, "records/_delta_log/*.json")
    damage(path, how)
    outcome = run(*command, "--store", own_store.path)
    assert outcome.code == 1
    [line] = outcome.err.splitlines()
    assert str(path) in line
    assert "delete it and ingest all sources again" in line
