"""A pre-screen, wired: a fast model trained and used before the champion."""

from pathlib import Path

import pandas as pd
import pytest

from crystalgnn_core.config import PipelineConfig
from crystalgnn_core.graphs.config import GraphConfig
from crystalgnn_core.graphs.shards import graph_folder
from crystalgnn_core.storage.shards import ShardSet

pytestmark = pytest.mark.xdist_group("prefect")


def changed(config, **settings):
    return PipelineConfig.model_validate(
        config.model_dump(exclude={"graph"}, exclude_unset=True) | settings
    )


@pytest.mark.usefixtures("prefect_api")
def test_a_pre_screen_spares_the_champion_most_candidates(tiny_config):
    from flows.learning import train
    from flows.pipeline import pipeline
    from flows.records import ingest

    ingest(tiny_config)
    fast = train(changed(tiny_config, model={"kind": "composition_trees", "n_trees": 20}))
    prescreen = {"models": [fast.model_id], "keep": 0.2}
    screening = tiny_config.screening.model_dump(exclude_unset=True)
    config = changed(tiny_config, screening=screening | {"prescreen": prescreen})
    first = pipeline(config)
    assert first.screened is not None
    result = first.screened.result
    assert result.n_in == 50
    assert result.prescreened is not None
    assert result.prescreened.models == (fast.model_id,)
    assert result.prescreened.n_kept >= 10
    n_kept = result.prescreened.n_kept
    assert first.screened.n_predicted <= n_kept
    assert f" duplicates + {50 - n_kept} prescreened; " in first.screened.note
    page = (Path(result.folder) / "report.html").read_text()
    assert f"50 candidates scored by {fast.model_id}, {n_kept} kept" in page
    assert f"<b>{50 - n_kept}</b> prescreened" in page
    # of the candidates, the network's graphs are those that were kept
    known = ShardSet(graph_folder(config.store_path, GraphConfig())).known_digests()
    assert len(known) <= 120 + n_kept
    ranking = pd.read_parquet(Path(result.folder) / "ranking.parquet")
    assert len(ranking) == result.n_scored <= n_kept

    second = pipeline(config)
    assert second.screened is not None
    assert not second.screened.result.was_ranked
    assert second.screened.n_predicted == 0
