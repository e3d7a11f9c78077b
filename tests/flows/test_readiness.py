"""What a job lacks is said before its work starts, not after hours of training."""

import json
from pathlib import Path

import pandas as pd
import pytest

from crystalgnn_core.config import PipelineConfig
from crystalgnn_core.errors import InputError, ModelError
from crystalgnn_core.learning.registry import Registry
from crystalgnn_core.records.checks.validation import rejects_table
from crystalgnn_core.records.schema import RejectedRecord
from crystalgnn_core.records.table.store import RecordStore
from crystalgnn_core.reporting.screen import report_screen
from crystalgnn_core.screening.config import ScoreConfig
from crystalgnn_core.storage.paths import require_writable
from deployments.options import require_stored
from flows.readiness import check_screening, check_training
from tests.core.worlds import SCREENING, screen, train

ENERGY, GAP = "formation_energy_per_atom", "band_gap"
MINE = {
    "kind": "files",
    "name": "mine",
    "path": "runs",
    "targets": {ENERGY: {"column": "e", "label_scheme": "mine"}},
}


def config_of(store, **settings):
    base = {
        "store": str(store),
        "sources": [{"kind": "synthetic", "name": "labelled"}, MINE],
        "training": {"sources": ["labelled"]},
        "screening": {"sources": ["mine"]},
    }
    return PipelineConfig.model_validate(base | settings)


def check(config):
    check_training(config)
    check_screening(config, trains=True)


def test_a_job_that_has_all_it_needs_passes_and_leaves_no_trace(tmp_path):
    check(config_of(tmp_path / "store"))
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize("name", ["champion", "champion:band_gap [synthetic]"])
def test_a_champion_may_be_named_before_the_first_training(tmp_path, name):
    settings = {
        "sources": ["mine"],
        "models": [name],
        "prescreen": {"models": [name], "keep": 5},
    }
    config = config_of(tmp_path / "store", screening=settings)
    check_screening(config, trains=True)
    with pytest.raises(ModelError, match="no champion"):
        check_screening(config)


def test_a_source_of_which_all_was_refused_is_known(store):
    reject = RejectedRecord("bad", "a.cif", "ingest", "no_atoms", "empty")
    rejects = rejects_table([reject])
    RecordStore(store).replace_rejects("bad", "ingest", rejects)
    config = config_of(store, sources=[], screening={"sources": ["bad"]})
    check_screening(config, trains=True)
    require_stored(config, ["bad"], "screening.sources")


@pytest.mark.parametrize("weight", [0.0, 1.0])
def test_a_score_of_one_target_needs_no_model_of_the_other(tmp_path, weight):
    target = ENERGY if weight else GAP
    score = {"energy_weight": weight}
    assert ScoreConfig.model_validate(score).targets == (target,)
    needed = config_of(
        tmp_path / "store",
        training={"sources": ["labelled"], "targets": [target]},
        screening={"sources": ["mine"], "score": score},
    )
    check(needed)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (
            {"training": {"sources": ["labelled"], "targets": [ENERGY]}},
            "band_gap is predicted by 0 of the models (the model to be trained)",
        ),
        (
            {"training": {"sources": ["mine"]}},
            "no training source (mine) holds labels of band_gap; name the column",
        ),
        (
            {"training": {"sources": ["labeled"]}},
            "training.sources names 'labeled', which is neither among `sources` nor in",
        ),
        (
            {"screening": {"sources": ["mien"]}},
            "screening.sources names 'mien', which is neither among `sources` nor in",
        ),
        ({"screening": {"sources": ["mine"], "models": ["nobody"]}}, "no model 'nobody'"),
        (
            {
                "screening": {
                    "sources": ["mine"],
                    "prescreen": {"models": ["nobody"], "keep": 5},
                }
            },
            "no model 'nobody'",
        ),
    ],
)
def test_what_is_missing_is_named_before_anything_is_made(tmp_path, settings, expected):
    with pytest.raises(InputError) as caught:
        check(config_of(tmp_path / "store", **settings))
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "store").exists()


def test_a_device_that_is_not_there_is_refused_for_training_and_screen(
    tmp_path, monkeypatch
):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    for settings in (
        {"training": {"sources": ["labelled"], "device": "cuda"}},
        {"screening": {"sources": ["mine"], "device": "cuda"}},
    ):
        with pytest.raises(ModelError, match="torch finds none"):
            check(config_of(tmp_path / "store", **settings))


def test_named_models_must_together_predict_what_is_judged(store, model):
    names = {"training": {"sources": ["synthetic"]}}
    screening = {"sources": ["candidates"], "models": [model.name]}
    check_screening(config_of(store, **names, screening=screening))
    card = json.loads((model / "card.json").read_text())
    bulk = {"kind": "above", "column": "bulk_modulus", "midpoint": 1, "width": 1}
    other = config_of(store, **names, screening=screening | {"score": {"criteria": [bulk]}})
    with pytest.raises(ModelError, match=f"bulk_modulus.*{card['model_id']}"):
        check_screening(other)
    # one that is given in the command takes the place of the configured ones
    absent = config_of(store, screening=screening | {"models": ["nobody"]})
    check_screening(absent, [model.name])
    with pytest.raises(ModelError, match="no champion"):
        check_screening(config_of(store, screening={"sources": ["candidates"]}))
    Registry(store).promote(model.name, "by hand")
    check_screening(config_of(store, screening={"sources": ["candidates"]}))


def test_a_store_that_cannot_be_made_is_refused(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="file is a file; choose another place"):
        check(config_of(tmp_path / "file" / "store"))
    with monkeypatch.context() as patched:
        patched.setattr("os.access", lambda *_: False)  # root may write anywhere
        with pytest.raises(InputError, match="may not be written"):
            require_writable(tmp_path / "new" / "table.csv")
    require_writable(tmp_path / "new" / "table.csv")


def test_a_screen_by_the_energy_alone_comes_to_its_report(store):
    only = Path(train(store, targets=(ENERGY,), epochs=1).folder)
    score = ScoreConfig(energy_weight=1.0)
    result = screen(store, only, SCREENING.model_copy(update={"score": score}))
    ranking = pd.read_parquet(Path(result.folder) / "ranking.parquet")
    assert GAP not in ranking
    assert ranking[ENERGY].is_monotonic_increasing
    config = SCREENING.model_copy(update={"score": score})
    page = Path(report_screen(store, config, result, ()).page.path).read_text()
    assert "ormation energy" in page
