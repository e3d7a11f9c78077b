"""Pre-screens by gaps of models that saw non-metals alone."""

from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from crystalgnn_core.learning.checkpoints import load_bundle, write_bundle
from crystalgnn_core.screening import prescreening
from crystalgnn_core.screening.config import PrescreenConfig, ScoreConfig
from crystalgnn_core.screening.prescreening import _join, prescreen
from tests.core import worlds


def test_the_filter_is_part_of_what_names_a_pre_screen(store, model, tmp_path):
    network, own = load_bundle(model)
    gaps = tmp_path / "gaps"
    write_bundle(gaps, network, own.model_copy(update={"nonzero_only": ("band_gap",)}))
    worlds.build_graphs(store)
    worlds.predict_candidates(store, model)
    config = worlds.SCREENING.model_copy(
        update={"prescreen": PrescreenConfig(models=("fast",), keep=4)}
    )
    unfiltered = config.model_copy(update={"metal_filter": False})
    made = [
        prescreen(store, settings, [bundle])
        for settings, bundle in ((config, gaps), (unfiltered, gaps), (config, model))
    ]
    assert [one.desirability for one in made] == ["mean", "value", "value"]
    assert made[0].file.path != made[1].file.path
    assert made[1].file.path == made[2].file.path  # equal weights, judged alike


@pytest.mark.parametrize("knows_metals", [True, False])
def test_a_model_of_metals_decides_where_there_is_one(tmp_path, monkeypatch, knows_metals):
    candidates = pd.DataFrame(
        {
            "formula": ["NaCl", "NiAl"],
            "formation_energy_per_atom": -1.0,
            "band_gap": 2.0,
            "is_metal": [0.9, 0.1],
        }
    )
    monkeypatch.setattr(
        prescreening,
        "join_predictions",
        lambda _store, _cards, given, names: (given[["formula", *names]], []),
    )
    metals = [("is_metal",)] if knows_metals else []
    cards: Any = [
        SimpleNamespace(scaler=SimpleNamespace(targets=targets), nonzero_only=("band_gap",))
        for targets in [("formation_energy_per_atom",), ("band_gap",), *metals]
    ]
    found = _join(tmp_path, cards, candidates, ScoreConfig(), with_chance=True)
    chance = found["band_gap_nonzero_probability"].tolist()
    assert chance == pytest.approx([0.1, 0.9] if knows_metals else [0.8, 0.05])
