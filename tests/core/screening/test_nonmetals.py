"""Gaps of models that saw non-metals alone."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from crystalgnn_core.learning.cards import read_card
from crystalgnn_core.learning.checkpoints import load_bundle, write_bundle
from crystalgnn_core.learning.conversion import convert
from crystalgnn_core.learning.pretrained import download_folder
from crystalgnn_core.learning.registry import Registry
from crystalgnn_core.reporting.screen import report_screen
from crystalgnn_core.screening.config import ScoreConfig
from crystalgnn_core.screening.nonmetals import (
    add_chance_of_gap,
    chance_by_formula,
    columns_with_chance,
    describe_chance,
)
from crystalgnn_core.screening.ranking import score_candidates
from tests.core import worlds
from tests.published import put_in_cache

ENERGY, GAP = "formation_energy_per_atom", "band_gap"


def card(*targets: str, nonzero_only: tuple[str, ...] = ()) -> Any:
    scaler = SimpleNamespace(targets=targets)
    return SimpleNamespace(scaler=scaler, nonzero_only=nonzero_only)


PUBLISHED = (card(ENERGY), card(GAP, nonzero_only=(GAP,)))


def predicted(**more):
    return pd.DataFrame(
        {
            "formula": ["NaCl", "NaCl", "NiAl", "BaYS3", "Cu2O", "Fe3O4"],
            ENERGY: -2.0,
            GAP: [2.0, np.nan, 2.0, 2.0, 2.0, 2.0],
        }
        | more
    )


def test_a_formula_says_how_likely_a_gap_is():
    found = add_chance_of_gap(predicted(), PUBLISHED)
    chance = found["band_gap_nonzero_probability"]
    # states of the sulfur of BaYS3 differ, as those of the iron of Fe3O4
    assert chance.tolist() == pytest.approx([0.8, np.nan, 0.05, 0.3, 0.4, 0.3], nan_ok=True)
    assert found["band_gap_if_nonzero"].equals(predicted()[GAP])
    assert found[GAP].tolist() == pytest.approx([2.0, np.nan, 0, 0, 0, 0], nan_ok=True)
    score = score_candidates(found, ScoreConfig().resolve())
    assert score[0] > score[4] > score[3] > score[2]


def test_a_model_of_metals_knows_better_than_the_formula():
    cards = (*PUBLISHED, card("is_metal"))
    found = add_chance_of_gap(predicted(is_metal=[0.9, 0.1, 0.2, 0.0, 1.0, 0.5]), cards)
    assert found["band_gap_nonzero_probability"][2:].tolist() == pytest.approx(
        [0.8, 1.0, 0.0, 0.5]
    )
    assert found[GAP].tolist() == pytest.approx([0, np.nan, 2, 2, 0, 0], nan_ok=True)
    assert "the model of is_metal" in describe_chance(cards)


def test_other_models_are_left_alone():
    cards = (card(ENERGY), card(GAP))
    frame = predicted()
    assert add_chance_of_gap(frame, cards) is frame
    assert describe_chance(cards) == ""
    energies = (card(ENERGY), card("bulk_modulus"))
    assert add_chance_of_gap(frame.drop(columns=GAP), energies).columns.tolist() == [
        "formula",
        ENERGY,
    ]


def test_the_parts_stand_behind_the_gap():
    assert columns_with_chance([ENERGY, GAP, "novelty"]) == (
        ENERGY,
        GAP,
        "band_gap_nonzero_probability",
        "band_gap_if_nonzero",
        "novelty",
    )
    assert columns_with_chance([ENERGY]) == (ENERGY,)


def test_equal_formulas_are_read_once_and_come_back_in_order():
    assert chance_by_formula(["NaCl", "Cu", "NaCl"]).tolist() == [0.8, 0.05, 0.8]
    assert chance_by_formula([]).tolist() == []


def test_crystals_without_a_metal_are_not_taken_for_metals():
    assert (chance_by_formula(["Si", "C", "S8", "Ar", "BN", "P4S3"]) > 0.9).all()


def test_an_interval_reaches_down_to_zero_as_a_metal_is_possible():
    ends = {"band_gap_low": 1.5, "band_gap_high": 2.5}
    found = add_chance_of_gap(predicted(**ends), PUBLISHED)
    assert found["band_gap_low"].tolist() == pytest.approx(
        [0, np.nan, *[0] * 4], nan_ok=True
    )
    assert (found["band_gap_high"] == 2.5).all()


@pytest.mark.parametrize(
    ("name", "is_gap"),
    [
        ("megnet-mp2018-band-gap", True),
        ("cgcnn-mp2018-band-gap", True),
        ("megnet-mp2018-formation-energy", False),
    ],
)
def test_gap_models_say_that_they_saw_non_metals_alone(tmp_path, name, is_gap):
    entry = put_in_cache(name)
    file = download_folder(entry) / entry.files[0].name
    named, by_path = (
        Registry(tmp_path).resolve(name),
        convert(file, target=entry.target),  # the same file, without its name
    )
    for card in map(read_card, (named, by_path)):
        assert card.nonzero_only == ((entry.target,) if is_gap else ())
        assert any("gives a metal a gap" in remark for remark in card.remarks) == is_gap


def test_a_screen_counts_the_chance_unless_the_filter_is_off(store, tmp_path):
    stored = next((store / "models").glob("cgcnn-*"))
    network, own = load_bundle(stored)
    write_bundle(
        tmp_path / "gaps", network, own.model_copy(update={"nonzero_only": (GAP,)})
    )
    off = worlds.SCREENING.model_copy(update={"metal_filter": False})
    plain, filtered, as_it_is = (
        worlds.screen(store, model, config)
        for model, config in (
            (stored, worlds.SCREENING),
            (tmp_path / "gaps", worlds.SCREENING),
            (tmp_path / "gaps", off),
        )
    )
    assert filtered.screen_id not in {plain.screen_id, as_it_is.screen_id}
    first, second, third = (
        pd.read_parquet(f"{one.folder}/ranking.parquet").set_index("candidate_id")
        for one in (plain, filtered, as_it_is)
    )
    assert third.columns.tolist() == first.columns.tolist()
    assert third["score"].equals(first["score"])
    chance = second["band_gap_nonzero_probability"]
    assert chance.tolist() == chance_by_formula(second["formula"].tolist()).tolist()
    assert (second["band_gap_if_nonzero"] == first[GAP].loc[second.index]).all()
    assert (second.loc[chance < 1 / 2, GAP] == 0).all()
    page = report_screen(store, worlds.SCREENING, filtered, ()).page.path
    assert "oxidation states of the formula balance" in Path(page).read_text()
