import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from crystalgnn_core.errors import InputError, IntegrityError, ModelError
from crystalgnn_core.learning.checkpoints import load_bundle, write_bundle
from crystalgnn_core.records.crystal import Crystal
from crystalgnn_core.records.labels import LabelRequirement
from crystalgnn_core.screening import screen as module
from crystalgnn_core.screening.config import ScoreConfig, ScreeningConfig
from crystalgnn_core.screening.result import previous_screen
from crystalgnn_core.screening.screen import rank_screen
from crystalgnn_core.sources.synthetic.source import SyntheticSource
from crystalgnn_core.storage.files import write_text
from tests.core.random_crystals import with_lonely_atom
from tests.core.worlds import (
    SCREENING,
    build_graphs,
    ingest,
    predict_candidates,
    screen,
)

N = 12
UNKNOWN = 94  # plutonium is not in the synthetic world


class Mixed(SyntheticSource):
    """Candidates with a twin, an element that no model knows, and a lone atom."""

    name: str = "mixed"
    n_structures: int = N
    seed: int = 5
    with_labels: bool = False
    require_labels: LabelRequirement = "none"
    stretch: float = 1.0

    def read(self, part):
        rows: list[Any] = list(super().read(part))
        first = rows[0].crystal
        double = Crystal(
            np.tile(first.atomic_numbers, 2),
            first.lattice * np.array([[2.0], [1.0], [1.0]]),
            np.concatenate(
                [
                    first.frac_coords * [0.5, 1, 1],
                    first.frac_coords * [0.5, 1, 1] + [0.5, 0, 0],
                ]
            ),
        )
        numbers = rows[1].crystal.atomic_numbers.copy()
        numbers[0] = UNKNOWN
        alone = with_lonely_atom(11)
        last = rows[2].crystal
        stretched = last._replace(lattice=last.lattice * self.stretch)
        return iter(
            [
                *rows[:1],
                rows[1]._replace(crystal=rows[1].crystal._replace(atomic_numbers=numbers)),
                rows[2]._replace(crystal=stretched),
                *rows[3:],
                rows[0]._replace(material_id="twin", crystal=double),
                rows[0]._replace(material_id="alone", crystal=alone),
            ]
        )

    def plan(self, stored):
        plan = super().plan(stored)
        parts = tuple(
            part.model_copy(update={"digest": f"{part.digest}-{self.stretch}"})
            for part in plan.parts
        )
        return plan.model_copy(update={"parts": parts})


MIXED = ScreeningConfig(name="mixed", sources=("mixed",), top_k=3, device="cpu")


@pytest.fixture
def screened(store, model):
    ingest(store, Mixed())
    return screen(store, model, MIXED)


def latest(store, name):
    return previous_screen(store, name)


def table(result, name):
    return pd.read_parquet(Path(result.folder) / name)


def test_every_candidate_is_scored_rejected_or_a_duplicate(screened):
    assert screened.n_in == N + 2
    assert screened.n_duplicates == 1
    assert screened.rejected["isolated_atom"] == 1
    assert screened.rejected["unseen_element"] >= 1
    assert screened.n_in == (
        screened.n_scored + sum(screened.rejected.values()) + screened.n_duplicates
    )
    outcome = table(screened, "candidates.parquet").set_index("candidate_id")["outcome"]
    assert len(outcome) == screened.n_in
    assert outcome["alone"] == outcome[Mixed().material_id(1)] == "rejected"
    assert outcome["twin"] == "duplicate"
    assert outcome[Mixed().material_id(0)] == "scored"
    assert (
        (outcome == "scored").sum()
        == screened.n_scored
        == len(table(screened, "ranking.parquet"))
    )


def test_rejects_say_why(screened):
    rejects = table(screened, "rejects.parquet").set_index("material_id")
    assert "no neighbour within" in rejects.loc["alone", "message"]
    assert rejects.loc[Mixed().material_id(1), "reason"] == "unseen_element"
    assert "Pu" in rejects.loc[Mixed().material_id(1), "message"]
    assert set(rejects["stage"]) == {"screen"}


def test_files_agree_and_the_best_have_cifs(screened):
    ranking = table(screened, "ranking.parquet")
    assert ranking["rank"].tolist() == list(range(1, len(ranking) + 1))
    assert ranking["score"].is_monotonic_decreasing
    csv = pd.read_csv(Path(screened.folder) / "ranking.csv", keep_default_na=False)
    assert csv["candidate_id"].tolist() == ranking["candidate_id"].tolist()
    cifs = sorted(path.name[:4] for path in (Path(screened.folder) / "cif").iterdir())
    assert cifs == ["0001", "0002", "0003"]


def test_an_equal_screen_is_not_ranked_again(store, model, screened, monkeypatch):
    def fail(*args):
        raise AssertionError("ranked")

    monkeypatch.setattr(module, "_rank", fail)
    again = rank_screen(store, MIXED, [model])
    assert not again.was_ranked
    assert again.model_copy(update={"was_ranked": True}) == screened
    other_batches = MIXED.model_copy(update={"batch_size": 3, "device": "auto"})
    assert not rank_screen(store, other_batches, [model]).was_ranked


@pytest.mark.parametrize(
    "change", [{"score": ScoreConfig(gap_width=0.4)}, {"top_k": 4}, {"name": "other"}]
)
def test_other_settings_are_another_screen(store, model, screened, change):
    other = rank_screen(store, MIXED.model_copy(update=change), [model])
    assert other.screen_id != screened.screen_id
    assert other.was_ranked


def test_other_weights_are_another_screen(store, model, screened):
    network, card = load_bundle(model)
    next(network.parameters()).data.mul_(1.01)
    write_bundle(model, network, card)
    with pytest.raises(IntegrityError, match="neither predicted"):
        rank_screen(store, MIXED, [model])
    assert screen(store, model, MIXED).screen_id != screened.screen_id


def test_a_changed_candidate_makes_a_new_screen_that_knows_what_changed(
    store, model, screened
):
    assert (screened.changes, screened.previous) == (None, None)
    ingest(store, Mixed(stretch=1.01))
    after = screen(store, model, MIXED)
    assert after.screen_id != screened.screen_id
    assert after.previous == screened.screen_id
    changes = after.changes
    assert (changes.n_new, changes.n_changed, changes.n_removed) == (0, 1, 0)
    assert changes.n_unchanged == N + 1
    assert latest(store, "mixed").screen_id == after.screen_id


def test_a_screen_that_returns_to_old_candidates_is_compared_with_the_latest(
    store, model, screened
):
    ingest(store, Mixed(stretch=1.01))
    between = screen(store, model, MIXED)
    ingest(store, Mixed())
    back = screen(store, model, MIXED)
    assert (back.screen_id, back.was_ranked) == (screened.screen_id, False)
    assert back.previous == between.screen_id
    assert back.changes.n_changed == 1


@pytest.mark.parametrize(
    "name", ["ranking.parquet", "ranking.csv", "candidates.parquet", "cif", "screen.json"]
)
def test_a_damaged_screen_is_made_again_the_same(store, model, screened, name):
    ingest(store, Mixed(stretch=1.01))
    after = screen(store, model, MIXED)
    path = Path(after.folder) / name
    if name == "cif":
        next(path.iterdir()).unlink()
    else:
        path.write_bytes(path.read_bytes()[:-5])
    again = rank_screen(store, MIXED, [model])
    assert again.was_ranked
    assert again == after


@pytest.mark.parametrize("step", ["write_outcome", "write_cifs", "write_model"])
def test_a_kill_leaves_a_state_from_which_a_rerun_gives_the_same(
    store, model, screened, monkeypatch, step
):
    ingest(store, Mixed(stretch=1.01))
    build_graphs(store)
    predict_candidates(store, model, MIXED.sources)
    real = getattr(module, step)

    def die(*args):
        real(*args)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(module, step, die)
        with pytest.raises(KeyboardInterrupt):
            rank_screen(store, MIXED, [model])
    assert latest(store, "mixed").screen_id == screened.screen_id
    result = screen(store, model, MIXED)
    assert result.previous == screened.screen_id
    assert result.changes.n_changed == 1
    assert latest(store, "mixed").screen_id == result.screen_id


def test_candidates_that_are_all_refused_are_all_rejected(store, model):
    class Alone(Mixed):
        def read(self, part):
            return (row for row in super().read(part) if row.material_id == "alone")

    ingest(store, Alone(name="lonely"))
    result = screen(store, model, MIXED.model_copy(update={"sources": ("lonely",)}))
    assert (result.n_in, result.n_scored, result.rejected) == (1, 0, {"isolated_atom": 1})


def test_a_prediction_that_is_no_number_is_a_reject(store, model):
    network, card = load_bundle(model)
    next(network.parameters()).data.fill_(float("nan"))
    write_bundle(model, network, card)
    result = screen(store, model, SCREENING)
    assert result.n_scored == 0
    assert set(result.rejected) <= {"invalid_prediction", "unseen_element"}
    assert result.rejected["invalid_prediction"] > 30


def test_candidates_that_were_not_predicted_are_an_error(store, model):
    with pytest.raises(IntegrityError, match="predict the candidates before ranking"):
        rank_screen(store, SCREENING, [model])


def test_two_models_share_the_targets(store, model, trained):
    network, card = load_bundle(model)
    whole = screen(store, model, SCREENING)
    halves = []
    for column, name in enumerate(card.scaler.targets):
        half = card.scaler.model_copy(
            update={
                "targets": (name,),
                "mean": card.scaler.mean[column : column + 1],
                "std": card.scaler.std[column : column + 1],
            }
        )
        single = card.model.build(1)
        state = network.state_dict()
        for key in ("fc_out.weight", "fc_out.bias"):
            state[key] = state[key][column : column + 1]
        single.load_state_dict(state)
        folder = store / "models" / name
        write_bundle(
            folder, single, card.model_copy(update={"scaler": half, "model_id": name})
        )
        predict_candidates(store, folder)
        halves.append(folder)
    both = rank_screen(store, SCREENING, halves)
    assert both.n_scored == whole.n_scored
    joined, single = (table(result, "ranking.parquet") for result in (both, whole))
    assert joined["candidate_id"].tolist() == single["candidate_id"].tolist()
    # float32
    assert joined["score"].to_numpy() == pytest.approx(single["score"].to_numpy(), rel=1e-4)
    with pytest.raises(ModelError, match="band_gap is predicted by 0 of the models"):
        rank_screen(store, SCREENING, halves[:1])
    with pytest.raises(ModelError, match="predicted by 2 of the models"):
        rank_screen(store, SCREENING, [model, halves[0]])


def test_screens_of_two_names_do_not_move_each_others_pointer(store, model):
    first = screen(store, model, SCREENING)
    second = rank_screen(store, SCREENING.model_copy(update={"name": "other"}), [model])
    assert latest(store, "default").screen_id == first.screen_id
    assert latest(store, "other").screen_id == second.screen_id
    assert second.previous is None
    assert latest(store, "never") is None


def test_flags_reach_the_ranking(store, model):
    card = json.loads((model / "card.json").read_text())
    card["label_range"]["formation_energy_per_atom"] = [100.0, 101.0]
    write_text(model / "card.json", json.dumps(card))
    ranking = table(screen(store, model, SCREENING), "ranking.parquet")
    assert ranking["flags"].str.contains("extrapolation").all()


def test_no_candidates_is_an_input_error(store, model):
    with pytest.raises(InputError, match=r"screening\.sources"):
        rank_screen(store, SCREENING.model_copy(update={"sources": ()}), [model])
