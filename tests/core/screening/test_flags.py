import pandas as pd

from crystalgnn_core.reporting.facts import novelty_facts
from crystalgnn_core.screening.criteria import Below, Window
from crystalgnn_core.screening.flags import flag_candidates

ENERGY = "formation_energy_per_atom"
LOW = Below(column=ENERGY, midpoint=-1.0, width=0.5)


def flags(card, *rows, unusual=None):
    predicted = pd.DataFrame(rows, columns=["chemsys", ENERGY])
    predicted["structure_digest"] = [f"digest {row}" for row in range(len(rows))]
    cards = card if isinstance(card, list) else [card]
    return flag_candidates(predicted, cards, [LOW], unusual or {})


def card_with(trained, **changes):
    known = {"element_counts": {8: 5, 11: 4, 17: 90}, "label_range": {ENERGY: (-3.0, 0.5)}}
    return trained.card.model_copy(update=known | changes)


def test_an_element_of_fewer_than_five_rows_is_rare(trained):
    rows = [("Na-O", -1.0), ("Cl-O", -1.0), ("O", -1.0), ("N-O", -1.0)]
    assert flags(card_with(trained), *rows) == ["rare_element", "", "", ""]


def test_an_energy_outside_the_training_labels_is_extrapolated(trained):
    energies = [-3.0, -3.001, 0.5, 0.501]
    assert flags(card_with(trained), *(("O", energy) for energy in energies)) == [
        "",
        "extrapolation",
        "",
        "extrapolation",
    ]


def test_several_flags_are_joined(trained):
    assert flags(card_with(trained), ("Na-O", 9.0)) == ["rare_element;extrapolation"]


def test_a_card_that_does_not_hold_the_numbers_raises_no_flag(trained):
    silent = card_with(trained, element_counts={}, label_range={})
    assert flags(silent, ("Na-O", 9.0)) == [""]


def test_every_model_is_asked(trained):
    silent = card_with(trained, element_counts={}, label_range={})
    assert flags([silent, card_with(trained)], ("Na", 9.0)) == [
        "rare_element;extrapolation"
    ]


def test_what_is_wanted_in_a_window_is_not_called_extrapolated(trained):
    # a gap that is predicted slightly below 0 lies outside all labels and means 0
    card = card_with(trained, label_range={"band_gap": (0.0, 6.0)})
    predicted = pd.DataFrame(
        {"chemsys": ["O"], "band_gap": [-0.01], "structure_digest": ["a"]}
    )
    window = Window(column="band_gap", low=1, high=3, width=0.5)
    assert flag_candidates(predicted, [card], [window], {}) == [""]


def test_an_unusual_geometry_is_named_last(trained):
    unusual = {"digest 1": ("sparse_cell",)}
    rows = [("Na", -1.0), ("Na", -1.0), ("O", -1.0)]
    assert flags(card_with(trained), *rows, unusual=unusual) == [
        "rare_element",
        "rare_element;sparse_cell",
        "",
    ]


def test_a_candidate_farther_away_than_most_validation_rows_is_unlike_training(trained):
    predicted = pd.DataFrame(
        {"chemsys": ["O"] * 3, ENERGY: [-1.0] * 3, "novelty": [0.3, 1.0, 1.01]}
    ).assign(structure_digest=["a", "b", "c"])
    found = flag_candidates(predicted, [card_with(trained)], [LOW], {})
    assert found == ["", "", "unlike_training"]
    assert novelty_facts(predicted, n_top=2) == {
        "unlike the training rows (novelty above 1)": "1 of 3, 0 of the best 2"
    }
    assert novelty_facts(predicted.drop(columns="novelty"), n_top=2) == {}
