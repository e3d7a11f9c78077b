"""A fast model chooses the candidates that the models of the screen get to see."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from crystalgnn_core.errors import InputError, IntegrityError, ModelError
from crystalgnn_core.graphs.shards import (
    STRUCTURE_COLUMNS,
    build_graph_shard,
    plan_graph_shards,
)
from crystalgnn_core.learning.training import train_model
from crystalgnn_core.maintenance.integrity import check_store
from crystalgnn_core.models.composition.config import (
    CompositionMLPConfig,
    CompositionTreesConfig,
)
from crystalgnn_core.records.table.store import RecordStore
from crystalgnn_core.reporting.screen import report_screen
from crystalgnn_core.screening.candidates import read_candidates
from crystalgnn_core.screening.config import PrescreenConfig, ScoreConfig, ScreeningConfig
from crystalgnn_core.screening.prediction import plan_prediction_shards, predict_shard
from crystalgnn_core.screening.prescreening import kept_digests, only_kept, prescreen
from crystalgnn_core.screening.quality import true_best_kept
from crystalgnn_core.screening.ranking import score_candidates
from crystalgnn_core.screening.screen import rank_screen
from crystalgnn_core.storage.shards import KEY
from tests.core import worlds
from tests.core.screening.test_screen import MIXED, Mixed, N

TREES = CompositionTreesConfig(n_trees=30, min_leaf_rows=3)
NONE = TREES.default_graph()


@pytest.fixture(scope="module")
def fast_store(trained_store, tmp_path_factory):
    """A store with a trained network, a composition model, and mixed candidates."""
    store = worlds.copy(trained_store, tmp_path_factory.mktemp("fast") / "store")
    worlds.ingest(store, Mixed())
    worlds.build_graphs(store, NONE)
    train_model(store, TREES, worlds.TRAINING, NONE)
    return store


@pytest.fixture
def store(fast_store, tmp_path):
    return worlds.copy(fast_store, tmp_path / "store")


@pytest.fixture
def fast(store):
    return next((store / "models").glob("composition_trees-*"))


def keeping(keep, config=MIXED):
    prescreen = PrescreenConfig(models=("fast",), keep=keep)
    return config.model_copy(update={"prescreen": prescreen})


def predict_all(store, model, config, *, shard_size=1000, batch_size=64):
    digests = read_candidates(store, config.sources)[KEY].to_list()
    for job in plan_prediction_shards(store, model, digests, shard_size=shard_size)[0]:
        predict_shard(job, store, model, batch_size=batch_size, device="cpu")


def screen(store, fast, model, config):
    """Take the steps of the flow."""
    predict_all(store, fast, config)
    prescreened = prescreen(store, config, [fast])
    tables = only_kept(
        RecordStore(store).scan(config.sources, STRUCTURE_COLUMNS), prescreened
    )
    for job in plan_graph_shards(store, worlds.GRAPH, tables, shard_size=1000)[0]:
        build_graph_shard(job, worlds.GRAPH)
    kept = kept_digests(prescreened).to_pylist()
    for job in plan_prediction_shards(store, model, kept, shard_size=1000)[0]:
        predict_shard(job, store, model, batch_size=64, device="cpu")
    return rank_screen(store, config, [model], prescreened)


def table(result, name):
    return pd.read_parquet(Path(result.folder) / name)


@pytest.mark.parametrize("keep", [5, 0.4])
def test_every_candidate_is_counted(store, fast, model, keep):
    result = screen(store, fast, model, keeping(keep))
    n_kept = result.prescreened.n_kept
    # Pu, which no model knows, is not judged and goes on
    assert result.prescreened.n_unjudged >= 1
    assert n_kept == (5 if keep == 5 else 6) + result.prescreened.n_unjudged
    assert result.n_in == N + 2
    assert result.n_in == (
        result.n_scored
        + sum(result.rejected.values())
        + result.n_duplicates
        + result.n_prescreened
    )
    assert result.rejected["unseen_element"] >= 1
    outcome = table(result, "candidates.parquet")
    assert (outcome["outcome"] == "prescreened").sum() == result.n_prescreened > 0
    assert (outcome["outcome"] == "scored").sum() == result.n_scored
    assert outcome["prescreen_score"].notna().sum() == N + 2 - result.prescreened.n_unjudged


def test_the_best_by_the_fast_model_go_on(store, fast):
    config = keeping(4)
    predict_all(store, fast, config)
    prescreened = prescreen(store, config, [fast])
    rows = pd.read_parquet(prescreened.file.path)
    left, kept = (rows[rows["is_kept"] == flag] for flag in (False, True))
    assert kept["prescreen_score"].min() >= left["prescreen_score"].max()
    assert rows["candidate_id"].tolist() == (
        read_candidates(store, config.sources)["candidate_id"].tolist()
    )


def test_only_what_is_kept_gets_graphs_of_the_slow_model(store, fast, model):
    config = keeping(3)
    predict_all(store, fast, config)
    prescreened = prescreen(store, config, [fast])
    scan = RecordStore(store).scan(config.sources, STRUCTURE_COLUMNS)
    keys = (rows[KEY].to_pylist() for rows in only_kept(scan, prescreened))
    digests = {key for shard in keys for key in shard}
    assert digests == set(kept_digests(prescreened).to_pylist())
    assert len(digests) == prescreened.n_kept < prescreened.n_in


@pytest.mark.parametrize("kind", ["trees", "perceptron"])
def test_the_cut_does_not_depend_on_batches_and_shards(fast_store, tmp_path, kind):
    found = []
    for name, shard_size, batch_size in (("a", 1000, 64), ("b", 7, 3)):
        store = worlds.copy(fast_store, tmp_path / name)
        model = next((store / "models").glob("composition_trees-*"))
        if kind == "perceptron":
            config = CompositionMLPConfig(widths=(16,))
            model = Path(train_model(store, config, worlds.TRAINING, NONE).folder)
        config = keeping(0.3, worlds.SCREENING)
        predict_all(store, model, config, shard_size=shard_size, batch_size=batch_size)
        found.append(pd.read_parquet(prescreen(store, config, [model]).file.path))
    pd.testing.assert_frame_equal(found[0], found[1], check_exact=True)


def test_keeping_all_gives_the_ranking_without_a_pre_screen(store, fast, model):
    with_it = screen(store, fast, model, keeping(10**6))
    worlds.build_graphs(store)
    predict_all(store, model, MIXED)
    without = rank_screen(store, MIXED, [model])
    assert with_it.screen_id != without.screen_id
    assert (with_it.n_prescreened, with_it.rejected) == (0, without.rejected)
    for name in ("ranking.csv", "rejects.parquet"):
        first, second = (Path(r.folder) / name for r in (with_it, without))
        assert first.read_bytes() == second.read_bytes()


def test_without_a_pre_screen_names_and_files_are_what_they_were(store, model):
    # digests of settings and files of stores that exist
    score = ScoreConfig(energy_midpoint=-1.0, energy_width=0.5, gap_width=0.5)
    assert ScreeningConfig(score=score).settings_digest() == "1390b7062666b8c6"
    settings = ScreeningConfig(sources=("candidates",), top_k=5, score=score)
    assert settings.settings_digest(exclude={"device", "batch_size", "models"}) == (
        "d2c07217e0354891"
    )
    result = worlds.screen(store, model, worlds.SCREENING)
    written = json.loads((Path(result.folder) / "screen.json").read_text())
    assert "prescreened" not in written
    assert result.n_prescreened == 0
    assert "prescreen_score" not in table(result, "candidates.parquet")
    page = Path(report_screen(store, worlds.SCREENING, result, ()).page.path).read_text()
    assert "prescreened" not in page
    assert "pre-screen" not in page


def test_other_settings_of_the_pre_screen_are_another_screen(store, fast, model):
    config = keeping(4)
    first = screen(store, fast, model, config)
    again = screen(store, fast, model, config)
    assert (again.was_ranked, again.screen_id) == (False, first.screen_id)
    assert again.prescreened == first.prescreened
    other = screen(store, fast, model, keeping(5))
    assert other.screen_id != first.screen_id
    assert other.n_prescreened == first.n_prescreened - 1


def test_a_damaged_pre_screen_is_made_again(store, fast):
    config = keeping(4)
    predict_all(store, fast, config)
    first = prescreen(store, config, [fast])
    path = Path(first.file.path)
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(IntegrityError, match="missing or damaged"):
        kept_digests(first)
    assert prescreen(store, config, [fast]) == first
    path.with_suffix(".json").write_text("{")
    assert prescreen(store, config, [fast]) == first


def test_the_store_check_sees_a_damaged_pre_screen(store, fast):
    config = keeping(4)
    predict_all(store, fast, config)
    path = Path(prescreen(store, config, [fast]).file.path)

    def check():
        return next(c for c in check_store(store) if c.area == "prescreens")

    assert (check().n_sound, check().damages) == (2, ())
    path.write_bytes(path.read_bytes()[:-9])
    assert [damage.path for damage in check().damages] == [str(path)]
    path.with_suffix(".json").write_text("{")
    assert check().damages[0].problem.startswith("is not valid JSON")


def test_candidates_that_change_meanwhile_are_an_error(store, fast, model):
    config = keeping(4)
    predict_all(store, fast, config)
    prescreened = prescreen(store, config, [fast])
    worlds.ingest(store, Mixed(stretch=1.01))
    with pytest.raises(IntegrityError, match="changed since the pre-screen"):
        rank_screen(store, config, [model], prescreened)


def test_the_page_says_who_judged_and_what_was_lost(store, fast, model):
    config = keeping(0.25, worlds.SCREENING)
    result = screen(store, fast, model, config)
    state = report_screen(store, config, result, ())
    page = Path(state.page.path).read_text()
    assert fast.name in page
    assert "the best 25 %" in page
    assert f"<b>{result.n_prescreened}</b> prescreened" in page
    assert "kept by the pre-screen" in page
    assert not report_screen(store, config, result, ()).was_written
    candidates = read_candidates(store, config.sources)
    truth = score_candidates(candidates, config.score.resolve(), suffix="_true")
    rows = pd.read_parquet(result.prescreened.file.path)
    best = np.argsort(-truth, kind="stable")[: config.top_k]
    assert state.quality is not None
    assert state.quality.kept == pytest.approx(rows["is_kept"].to_numpy()[best].mean())


def test_what_was_lost_is_not_stated_where_the_truth_is_not_known(store, fast):
    config = keeping(4)
    predict_all(store, fast, config)
    assert true_best_kept(store, config, prescreen(store, config, [fast])) is None


def test_the_score_of_the_screen_makes_the_cut(store, fast):
    ways = []
    for midpoint in (-3.0, 1.0):
        score = ScoreConfig(energy_midpoint=midpoint, energy_width=0.1)
        config = keeping(12, worlds.SCREENING.model_copy(update={"score": score}))
        predict_all(store, fast, config)
        ways.append(pd.read_parquet(prescreen(store, config, [fast]).file.path))
    assert not ways[0]["prescreen_score"].equals(ways[1]["prescreen_score"])


@pytest.mark.parametrize("keep", [0, -3, 1.0, 0.0, 1.5, 20.0])
def test_a_share_of_nothing_or_of_more_than_all_is_refused(keep):
    with pytest.raises(ValidationError, match="whole number of candidates, or a fraction"):
        PrescreenConfig(models=("fast",), keep=keep)


def test_counts_of_fractions_are_rounded_up_but_not_by_rounding_errors():
    def count(keep, n):
        return PrescreenConfig(models=("fast",), keep=keep).count(n)

    assert [count(0.1, 30), count(0.1, 31), count(0.7, 10)] == [3, 4, 7]
    assert [count(4, 3), count(4, 9), count(0.5, 0)] == [3, 4, 0]


def test_a_pre_screen_that_is_not_there_is_an_error(store, fast, model):
    with pytest.raises(InputError, match="exactly when one is configured"):
        rank_screen(store, keeping(4), [model])
    with pytest.raises(InputError, match=r"set screening\.prescreen"):
        prescreen(store, MIXED, [fast])
    with pytest.raises(ModelError, match="predicted by 0 of the models"):
        prescreen(store, keeping(4), [])
    with pytest.raises(IntegrityError, match="predict the candidates"):
        prescreen(store, keeping(4), [model])
