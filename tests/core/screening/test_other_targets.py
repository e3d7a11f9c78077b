"""A screen by criteria on other targets than formation energy and band gap, end to end."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from crystalgnn_core.errors import ModelError
from crystalgnn_core.records.crystal import structure_from_crystal
from crystalgnn_core.reporting.screen import report_screen
from crystalgnn_core.screening.config import PrescreenConfig, ScoreConfig, ScreeningConfig
from crystalgnn_core.screening.prescreening import prescreen
from crystalgnn_core.screening.screen import rank_screen
from crystalgnn_core.sources.files.source import FilesSource
from crystalgnn_core.sources.synthetic.model.labels import compute_labels
from crystalgnn_core.sources.synthetic.source import SyntheticSource
from tests.core import worlds

WINDOW = {"kind": "window", "column": "band_gap", "low": 1, "high": 3, "width": 0.5}
HARD = {"kind": "above", "column": "bulk_modulus", "midpoint": 100, "width": 20}
LOW = {"kind": "below", "column": "poisson_ratio", "midpoint": 0.25, "width": 0.02}


def screening(*criteria, **changes):
    score = ScoreConfig.model_validate({"criteria": criteria})
    settings = {"sources": ("table",), "top_k": 5, "device": "cpu", "score": score}
    return ScreeningConfig(**settings | changes)


@pytest.fixture(scope="module")
def elastic(tmp_path_factory):
    """A store with crystals and invented moduli, and a model of all but the energy."""
    world = SyntheticSource(n_structures=60, seed=3, prefix="t")
    rows = []
    for index in range(world.n_structures):
        crystal = world.crystal(index)
        labels = compute_labels(crystal)
        volume = abs(np.linalg.det(crystal.lattice)) / len(crystal.atomic_numbers)
        rows.append(
            {
                "material_id": world.material_id(index),
                "cif": structure_from_crystal(crystal).to(fmt="cif"),
                "band_gap": labels.band_gap,
                "bulk_modulus": 2000.0 / volume,
                "poisson_ratio": 0.2 + volume / 300.0,
            }
        )
    folder = tmp_path_factory.mktemp("elastic")
    pd.DataFrame(rows).to_parquet(folder / "table.parquet")
    targets = ("band_gap", "bulk_modulus", "poisson_ratio")
    source = FilesSource(
        name="table",
        path=str(folder / "table.parquet"),
        targets={name: {"column": name, "label_scheme": "invented"} for name in targets},
    )
    store = folder / "store"
    worlds.ingest(store, source)
    worlds.build_graphs(store)
    trained = worlds.train(store, sources=("table",), targets=targets, epochs=2)
    return store, Path(trained.folder)


@pytest.fixture(scope="module")
def screened(elastic):
    store, model = elastic
    return worlds.screen(store, model, screening(WINDOW, HARD, LOW))


def table(result):
    return pd.read_parquet(Path(result.folder) / "ranking.parquet")


def test_the_ranking_holds_what_the_criteria_judge_and_no_empty_column(screened):
    ranking = table(screened)
    assert list(ranking) == [
        *("rank", "candidate_id", "formula"),
        *("band_gap", "bulk_modulus", "poisson_ratio"),
        *("novelty", "score", "flags", "source"),
    ]
    assert ranking["score"].is_monotonic_decreasing
    gap = np.exp(
        -0.5 * (np.maximum(1 - ranking["band_gap"], 0) / 0.5) ** 2
        - 0.5 * (np.maximum(ranking["band_gap"] - 3, 0) / 0.5) ** 2
    )
    hard = 1 / (1 + np.exp((100 - ranking["bulk_modulus"]) / 20))
    low = 1 / (1 + np.exp((ranking["poisson_ratio"] - 0.25) / 0.02))
    assert ranking["score"].to_numpy() == pytest.approx((gap * hard * low) ** (1 / 3))
    assert screened.n_in_window == ranking["band_gap"].between(1, 3).sum()


def test_what_no_criterion_judges_stands_last(elastic):
    store, model = elastic
    result = worlds.screen(store, model, screening(HARD))
    assert list(table(result))[3:] == [
        *("bulk_modulus", "novelty", "score", "flags", "source"),
        *("band_gap", "poisson_ratio"),
    ]
    assert result.n_in_window == result.n_scored  # there is no window


def test_the_page_is_about_the_criteria(elastic, screened):
    store, _ = elastic
    config = screening(WINDOW, HARD, LOW)
    state = report_screen(store, config, screened, ())
    page = Path(state.page.path).read_text()
    for text in (
        "bulk modulus above 100 GPa, as 1 / (1 + exp(",
        "Band gap and bulk modulus",
        "Poisson ratio and bulk modulus",
        "wanted: Poisson ratio \\u2264 0.25",
        "predicted band gap 1\N{EN DASH}3 eV",
        "criterion 3, weight 1",
    ):
        assert text in page
    assert "formation energy" not in page
    assert state.quality is not None
    assert list(state.quality.targets) == ["band_gap", "bulk_modulus", "poisson_ratio"]
    assert not report_screen(store, config, screened, ()).was_written
    one = screening(HARD)
    alone = report_screen(store, one, worlds.screen(store, elastic[1], one), ())
    page = Path(alone.page.path).read_text()
    assert "Bulk modulus and score" in page
    assert "predicted band gap 1" not in page
    assert alone.quality is not None
    assert alone.quality.in_window is None


def test_another_criterion_is_another_screen_and_the_same_one_is_kept(elastic, screened):
    store, model = elastic
    again = rank_screen(store, screening(WINDOW, HARD, LOW), [model])
    assert (again.was_ranked, again.screen_id) == (False, screened.screen_id)
    heavier = screening(WINDOW, HARD | {"weight": 2}, LOW, name="heavier")
    assert rank_screen(store, heavier, [model]).screen_id != screened.screen_id


def test_a_pre_screen_judges_by_the_same_criteria(elastic):
    store, model = elastic
    fast = PrescreenConfig(models=("fast",), keep=9)
    config = screening(HARD, prescreen=fast)
    kept = prescreen(store, config, [model])
    rows = pd.read_parquet(kept.file.path)
    result = rank_screen(store, config, [model], kept)
    assert result.n_scored == kept.n_kept - kept.n_unjudged == 9
    assert (
        table(result)["score"].min() >= rows.loc[~rows["is_kept"], "prescreen_score"].max()
    )


def test_models_that_do_not_predict_a_column_are_refused_by_name(elastic):
    store, model = elastic
    hull = {"kind": "below", "column": "energy_above_hull", "midpoint": 0.1, "width": 0.02}
    with pytest.raises(ModelError) as caught:
        rank_screen(store, screening(WINDOW, hull), [model])
    message = str(caught.value)
    assert message.startswith("energy_above_hull is predicted by 0 of the models (cgcnn-")
    assert "add energy_above_hull to training.targets and train" in message
