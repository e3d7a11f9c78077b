"""New labelled records: the better model stays, and only what changed is screened."""

import json
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
from prefect import flow

from crystalgnn_core.config import PipelineConfig
from crystalgnn_core.errors import ModelError
from crystalgnn_core.learning.registry import Registry
from tests.tiny import TINY

pytestmark = pytest.mark.xdist_group("prefect")


def _with_new_data(config: PipelineConfig, n_candidates: int) -> PipelineConfig:
    fresh = {"kind": "synthetic", "name": "fresh", "n_structures": 60, "batch": 2}
    candidates = {**TINY["sources"][1], "n_structures": n_candidates}
    return PipelineConfig.model_validate(
        TINY
        | {
            "store": config.store,
            "sources": [TINY["sources"][0], candidates, fresh],
            "training": TINY["training"] | {"sources": ["synthetic", "fresh"]},
        }
    )


@pytest.mark.usefixtures("prefect_api")
def test_retrain_is_a_no_op_until_new_rows_arrive(own_run):
    from flows.learning import retrain

    tiny_config, first = own_run
    nothing = retrain(tiny_config)
    assert nothing.trained is None
    assert "already" in nothing.reason
    assert nothing.screened is not None
    assert not nothing.screened.result.was_ranked

    changed = _with_new_data(tiny_config, n_candidates=60)
    second = retrain(changed)
    assert second.trained is not None
    assert second.trained.model_id != first.trained.model_id
    decision = second.decision
    assert decision is not None
    assert decision.champion == first.trained.model_id
    assert decision.n_test == first.trained.card.data.n_rows["test"]
    champion = Registry(Path(tiny_config.store)).champions().popitem()[1]
    assert champion == (decision.challenger if decision.is_promoted else decision.champion)
    assert decision.reason.startswith(
        "promoted" if decision.is_promoted else "not promoted"
    )
    stored = json.loads((Path(second.trained.folder) / "decision.json").read_text())
    assert stored["reason"] == decision.reason
    # the screen that followed used the champion
    assert second.screened is not None
    assert [Path(model).name for model in second.screened.result.models] == [champion]


@pytest.mark.usefixtures("prefect_api")
def test_retrain_that_was_stopped_after_a_promotion_screens_at_the_next_start(
    tiny_config, monkeypatch
):
    from flows import learning

    def stop(
        config: PipelineConfig, models: tuple[str, ...], notes: tuple[object, ...]
    ) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(learning, "screen", flow(stop))
        with pytest.raises(KeyboardInterrupt):
            learning.retrain(tiny_config)
    [champion] = Registry(tiny_config.store_path).champions().values()
    assert not (tiny_config.store_path / "screens").exists()

    next_start = learning.retrain(tiny_config)
    assert next_start.trained is None
    assert next_start.screened is not None
    assert next_start.screened.result.n_scored > 0
    [model] = next_start.screened.result.models
    assert Path(model).name == champion


@pytest.mark.slow
@pytest.mark.usefixtures("prefect_api")
def test_models_without_a_common_test_row_are_a_verdict_and_the_run_goes_on(tiny_config):
    from flows.learning import retrain
    from flows.pipeline import pipeline

    first = pipeline(tiny_config).trained.model_id
    settings = _with_new_data(tiny_config, n_candidates=50).model_dump()
    settings["training"] |= {"sources": ["fresh"]}
    elsewhere = PipelineConfig.model_validate(settings)
    done = pipeline(elsewhere)
    assert done.screened is not None
    other = done.trained.model_id
    assert (done.decision.is_promoted, done.decision.champion) == (False, first)
    assert f"no row of the test split of {first} can judge {other}" in done.decision.reason
    assert done.screened.result.n_scored > 0
    [note] = [note.note for note in done.stages if note.stage == "compare"]
    assert note == done.decision.reason
    assert "no row of the test split" in Path(done.screened.report.page.path).read_text()

    again = retrain(elsewhere)
    assert again.decision == done.decision
    assert again.screened is not None
    assert [Path(model).name for model in again.screened.result.models] == [first]
    Registry(tiny_config.store_path).promote(other, "by hand")  # as the reason says


@pytest.mark.usefixtures("prefect_api")
def test_a_model_below_its_floor_is_not_promoted_and_every_place_says_so(tiny_config):
    from flows.learning import retrain
    from flows.pipeline import pipeline

    config = PipelineConfig.model_validate(tiny_config.model_dump() | {"retraining": {}})
    done = pipeline(config)
    assert done.screened is not None
    assert not done.decision.is_promoted
    for text in (done.decision.reason, Path(done.screened.report.page.path).read_text()):
        assert "worse than trees that see the composition alone" in text
    again = retrain(config)
    assert (again.decision, again.screened) == (done.decision, None)
    assert Registry(config.store_path).champions() == {}

    # a champion that is named is waited for, in place of an error after the training
    screening = config.screening.model_copy(update={"models": ("champion",)})
    waiting = config.model_copy(update={"screening": screening})
    done = pipeline(waiting)
    assert done.screened is None
    assert done.stages[-1].note == (
        "no champion yet (champions: none); nothing is screened (skipped)"
    )


def test_retrain_screens_with_the_champion_of_its_own_targets(tiny_config, monkeypatch):
    from flows import learning
    from flows.stages import Stopwatch

    asked = []

    def record(config, models, notes):
        asked.append(models)
        return SimpleNamespace(note="done")

    keys = {"band_gap [a]": "one", "bulk_modulus [a]": "other"}
    monkeypatch.setattr(learning, "with_runner", lambda *_: record)
    monkeypatch.setattr(Registry, "champions", lambda _: keys)
    for key in (*keys, "band_gap [b]"):
        learning._screen_with_champion(tiny_config, key, Stopwatch())
    assert asked == [(f"champion:{key}",) for key in keys]  # none has the last key


@pytest.mark.usefixtures("prefect_api")
def test_retrain_from_the_champion_keeps_its_network_and_graphs(tiny_config):
    from flows.learning import finetune, retrain
    from flows.pipeline import pipeline

    wide = TINY | {
        "store": tiny_config.store,
        "graph": {"n_neighbors": 8},
        "screening": TINY["screening"] | {"sources": ["candidates"]},
    }
    first = pipeline(PipelineConfig.model_validate(wide)).trained
    # network and graphs are not told again: the champion's are meant
    settings = _with_new_data(tiny_config, n_candidates=50).model_dump()
    settings |= {
        "model": {},
        "graph": {},
        "retraining": {"start": "champion", "require_floor": False},
        "screening": {},
        "finetuning": {"epochs": 1, "batch_size": 32},
    }
    config = PipelineConfig.model_validate(settings)
    summary = retrain(config)
    assert summary.trained is not None
    card = summary.trained.card
    assert card.base is not None
    assert card.base.model_id == first.model_id
    assert (card.model, card.graph) == (first.card.model, first.card.graph)
    assert card.data.sources == ("synthetic", "fresh")
    assert summary.decision is not None
    assert summary.decision.champion == first.model_id
    assert summary.decision.challenger == card.model_id

    again = finetune(config, first.model_id)
    assert not again.was_trained
    assert again.card == card
    # a champion that knows these rows is left alone
    Registry(Path(config.store)).promote(card.model_id, "to see that nothing is done")
    assert retrain(config).trained is None

    with pytest.raises(ModelError, match="graphs with n_neighbors 8, not 9"):
        finetune(
            PipelineConfig.model_validate(settings | {"graph": {"n_neighbors": 9}}),
            first.model_id,
        )


@pytest.mark.usefixtures("prefect_api")
def test_rescreen_scores_only_what_changed(own_run):
    from flows.screening import rescreen

    tiny_config, first = own_run
    assert first.screened is not None
    more = _with_new_data(tiny_config, n_candidates=57)
    second = rescreen(more)
    refused = [sum(run.result.rejected.values()) for run in (first.screened, second)]
    assert second.n_predicted + refused[1] - refused[0] == 7
    assert second.n_reused == 50
    changes = second.result.changes
    assert changes is not None
    assert (changes.n_new, changes.n_changed, changes.n_removed) == (7, 0, 0)
    before = pd.read_parquet(Path(first.screened.result.folder) / "ranking.parquet")
    after = pd.read_parquet(Path(second.result.folder) / "ranking.parquet")
    merged = before.merge(after, on="candidate_id", suffixes=("", "_after"))
    assert len(merged) == len(before)
    assert (merged["score"] == merged["score_after"]).all()  # scores are pointwise

    third = rescreen(more)
    assert third.n_predicted == 0
    assert not third.result.was_ranked

    fewer = rescreen(_with_new_data(tiny_config, n_candidates=30))
    assert fewer.n_predicted == 0
    assert fewer.result.changes is not None
    assert (fewer.result.changes.n_new, fewer.result.changes.n_removed) == (0, 27)
    left = pd.read_parquet(Path(fewer.result.folder) / "ranking.parquet")
    gone = set(after["candidate_id"]) - set(left["candidate_id"])
    assert {int(name.rpartition("-")[2]) for name in gone} <= set(range(30, 57))
