"""The whole job, wired: sources to report, and again with everything reused."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pandas as pd
import pytest

from crystalgnn_core.screening.ranking import ranking_schema

if TYPE_CHECKING:
    from prefect.client.schemas.objects import Artifact as StoredArtifact

pytestmark = pytest.mark.xdist_group("prefect")


def scored_by(config, target):
    """Change the score of a configuration to one criterion."""
    above = {"kind": "above", "column": target, "midpoint": 1.0, "width": 0.1}
    settings = config.screening.model_dump() | {"score": {"criteria": [above]}}
    screening = type(config.screening).model_validate(settings)
    return config.model_copy(update={"screening": screening})


@pytest.mark.usefixtures("prefect_api")
def test_pipeline_makes_a_report_and_a_second_run_reuses_all(first_run):
    from prefect.artifacts import Artifact

    from crystalgnn_core.errors import ModelError
    from flows.pipeline import pipeline
    from flows.screening import screen

    tiny_config, first = first_run
    assert first.screened is not None
    folder = Path(first.screened.result.folder)
    page = (folder / "report.html").read_text()
    ranking = pd.read_parquet(folder / "ranking.parquet")
    targets = tiny_config.screening.score.targets
    assert list(ranking.columns) == ranking_schema([*targets, "novelty"]).names
    assert ranking["rank"].tolist() == list(range(1, len(ranking) + 1))
    assert ranking["score"].is_monotonic_decreasing
    result = first.screened.result
    assert result.n_in == 50
    assert result.n_in == result.n_scored + result.n_duplicates + sum(
        result.rejected.values()
    )
    assert "ynthetic" in page
    assert ranking["candidate_id"][0] in page
    assert len(list((folder / "cif").glob("*.cif"))) == 5
    assert [report.n_in for report in first.ingested.reports] == [120, 50]
    assert first.decision.is_promoted

    before = (folder / "ranking.csv").read_bytes()
    second = pipeline(tiny_config)
    assert second.screened is not None
    assert not any(report.was_read for report in second.ingested.reports)
    assert second.built.n_shards == 0
    assert not second.trained.was_trained
    assert not second.screened.result.was_ranked
    assert second.screened.n_predicted == 0
    assert all("skipped" in note.note or note.stage == "compare" for note in second.stages)
    assert (folder / "ranking.csv").read_bytes() == before

    with pytest.raises(ModelError, match="bulk_modulus is predicted by 0 of the models"):
        screen(scored_by(tiny_config, "bulk_modulus"))

    table = cast("StoredArtifact | None", Artifact.get("pipeline"))
    assert table is not None
    rows = json.loads(str(table.data))
    assert [row["stage"] for row in rows] == [
        "ingest",
        "graphs",
        "train",
        "compare",
        "screen",
    ]
    summary = cast("StoredArtifact | None", Artifact.get("pipeline-summary"))
    assert summary is not None
    assert result.screen_id in str(summary.data)


@pytest.mark.usefixtures("prefect_api")
def test_a_criterion_that_nothing_would_predict_is_refused_before_anything_runs(
    tiny_config,
):
    from crystalgnn_core.errors import ModelError
    from flows.pipeline import pipeline

    config = scored_by(tiny_config, "bulk_modulus")
    with pytest.raises(ModelError, match=r"add bulk_modulus to training\.targets"):
        pipeline(config)
    assert not config.store_path.exists()


@pytest.mark.usefixtures("prefect_api")
def test_damaged_shard_alone_is_rebuilt(tiny_config):
    from flows.graphs import build_graphs
    from flows.records import ingest

    ingest(tiny_config)
    built = build_graphs(tiny_config)
    assert built.n_shards == 3  # 170 structures in shards of 64
    shards = sorted(Path(tiny_config.store, "graphs").glob("*/*.parquet"))
    content = {shard.name: shard.read_bytes() for shard in shards}
    damaged = shards[1]
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"\0")
    again = build_graphs(tiny_config)
    assert again.n_shards == 1
    assert {shard.name: shard.read_bytes() for shard in shards} == content


@pytest.mark.usefixtures("prefect_api")
def test_user_error_keeps_its_type_through_a_flow(tiny_config):
    from crystalgnn_core.errors import ModelError
    from flows.screening import rescreen

    with pytest.raises(ModelError, match="train a model first"):
        rescreen(tiny_config)
