"""Rows that neither model has learned from, in stores to which rows came."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from crystalgnn_core.learning.cards import read_card
from crystalgnn_core.learning.comparison import compare_models, promote_if_better
from crystalgnn_core.learning.config import RetrainingConfig
from crystalgnn_core.learning.metrics import scaled_error
from crystalgnn_core.learning.promotion.approval import is_waiting
from crystalgnn_core.learning.promotion.decision import DECISION, Decision
from crystalgnn_core.learning.promotion.noise import noise_of_retraining
from crystalgnn_core.learning.promotion.rows import count_earlier, find_rows
from crystalgnn_core.learning.registry import Registry
from crystalgnn_core.sources.synthetic.source import SyntheticSource
from crystalgnn_core.storage.files import write_text
from tests.core.worlds import TRAINING, build_graphs, copy, ingest, train

RULE = RetrainingConfig(require_floor=False, max_target_loss=100.0)
EASY = RULE.model_copy(update={"level": 0.5, "retraining_noise": 0.0})


@pytest.fixture(scope="module")
def grown(trained_store, trained, tmp_path_factory):
    """A store in which the champion meets challengers, the last trained on more rows."""
    store = copy(trained_store, tmp_path_factory.mktemp("grown") / "store")
    Registry(store).promote(trained.model_id, "the first")
    alike = Path(train(store, epochs=1).folder)
    better = Path(train(store, epochs=30).folder)
    ingest(store, SyntheticSource(n_structures=240, part_size=40))
    build_graphs(store)
    larger = Path(train(store, epochs=3).folder)
    return store, store / "models" / trained.model_id, alike, better, larger


@pytest.fixture
def models(grown, tmp_path):
    """Copies of store, champion, a worse, a better and a later challenger."""
    store = copy(grown[0], tmp_path / "store")
    return store, *(store / "models" / folder.name for folder in grown[1:])


def test_rows_that_came_later_are_judged_apart(models):
    store, champion, _, _, larger = models
    rows = find_rows(store, champion, larger, TRAINING)
    assert len(rows.frozen) == rows.cards[0].data.n_rows["test"]
    ids = np.array([name for _, name in rows.ids])
    n_tested = rows.cards[1].data.n_rows["test"]
    assert 0 < len(rows.newest) <= n_tested - len(rows.frozen)
    assert len(set(ids)) == len(rows.positions)
    # the synthetic source numbers its crystals: the champion saw the first 80
    numbers = np.array([int(name.rpartition("-")[2]) for name in ids])
    assert (numbers[: len(rows.frozen)] < 80).all()
    assert (numbers[len(rows.frozen) :] >= 80).all()
    elements = set(rows.cards[0].elements)
    held = rows.data.rows.take(rows.newest)["atomic_numbers"].to_pylist()
    assert all(elements.issuperset(numbers) for numbers in held)

    found = compare_models(store, champion, larger, TRAINING, RULE)
    assert found.n_test == len(rows.frozen)
    assert found.evidence["newest"].n == len(rows.newest)
    assert found.evidence["together"].n == len(rows.positions)
    assert Decision.model_validate_json(found.model_dump_json()) == found


def test_the_decision_says_what_both_cost_and_which_rows_they_put_first(models):
    store, champion, _, better, _ = models
    found = compare_models(store, champion, better, TRAINING, RULE)
    assert set(found.usage) == {champion.name, better.name}
    assert all(one.structures_per_second > 0 for one in found.usage.values())
    n_bytes = (better / "model.safetensors").stat().st_size
    assert found.usage[better.name].n_bytes == n_bytes
    assert found.top_overlap is not None
    assert found.top_overlap.target == "formation_energy_per_atom"
    assert found.top_overlap.k == found.n_test // 2
    same = compare_models(store, champion, champion, TRAINING, RULE)
    assert same.top_overlap is not None
    assert same.top_overlap.n_shared == same.top_overlap.k
    assert same.evidence["together"].improvement == 0.0


def test_every_comparison_on_the_same_rows_lowers_the_level(models):
    store, champion, alike, better, larger = models
    first = promote_if_better(store, alike, TRAINING, RULE)
    assert not first.is_promoted
    assert (first.n_reused, first.level) == (0.0, 0.05)
    second = promote_if_better(store, better, TRAINING, RULE)
    assert (second.n_reused, second.level) == (1.0, 0.025)
    # part of the rows have judged before
    rows = find_rows(store, champion, larger, TRAINING)
    share = len(rows.frozen) / len(rows.positions)
    assert count_earlier(store, rows) == pytest.approx(2 * share)
    # what is not there, or damaged, is not counted and stops nothing
    write_text(better / DECISION, "{")
    shutil.rmtree(alike)
    assert count_earlier(store, rows) == 0.0


def test_trainings_that_differ_in_the_seed_show_how_much_chance_makes(store, model):
    cards = read_card(model), train(store, epochs=1).card
    # trained for other numbers of epochs: no replicates
    assert noise_of_retraining(store, cards, 0.02) == pytest.approx(0.02 * 2**0.5)
    errors = [scaled_error(list(cards[0].metrics["test"].values()))]
    for seed in (1, 2):
        made = train(store, epochs=3, seed=seed)
        errors.append(scaled_error(list(made.card.metrics["test"].values())))
    scatter = float(np.std(errors, ddof=1) / np.mean(errors))
    expected = np.hypot(max(0.02, scatter), 0.02)
    assert noise_of_retraining(store, cards, 0.02) == pytest.approx(expected)
    assert noise_of_retraining(store, cards, 0.9) == pytest.approx(0.9 * 2**0.5)


def test_comparisons_of_other_targets_do_not_count(models):
    store, champion, alike, better, _ = models
    promote_if_better(store, alike, TRAINING, RULE)
    path = alike / DECISION
    content = json.loads(path.read_text())
    content["champion_metrics"].popitem()
    write_text(path, json.dumps(content))
    assert count_earlier(store, find_rows(store, champion, better, TRAINING)) == 0.0


def test_judging_again_gives_the_decision_that_is_there_until_something_changes(models):
    store, _, alike, better, _ = models
    first = promote_if_better(store, alike, TRAINING, RULE)
    kept = (alike / DECISION).read_bytes()
    promote_if_better(
        store, better, TRAINING, RULE.model_copy(update={"min_improvement": 0.9})
    )
    assert promote_if_better(store, alike, TRAINING, RULE) == first
    assert (alike / DECISION).read_bytes() == kept
    changed = promote_if_better(store, alike, TRAINING, EASY)
    assert changed.judged_digest != first.judged_digest
    assert changed.n_reused == 1.0


def test_a_promotion_that_was_killed_before_the_pointer_moved_is_completed(models):
    store, champion, _, better, _ = models
    pointers = (store / "models" / "champions.json").read_text()
    assert promote_if_better(store, better, TRAINING, EASY).is_promoted
    write_text(store / "models" / "champions.json", pointers)
    assert champion.name in Registry(store).champions().values()
    assert promote_if_better(store, better, TRAINING, EASY).is_promoted
    assert better.name in Registry(store).champions().values()


def test_a_challenger_that_has_won_waits_for_a_person(models):
    store, champion, alike, better, _ = models
    rule = EASY.model_copy(update={"approval": True})
    found = promote_if_better(store, better, TRAINING, rule)
    assert (found.is_promoted, found.awaits_approval) == (False, True)
    assert found.reason.startswith("awaits approval: it has won (scaled test error ")
    assert f"models promote {better.name}" in found.reason
    registry = Registry(store)
    cards = {card.model_id: card for card in registry.models()}
    assert [name for name, card in cards.items() if is_waiting(registry, card)] == [
        better.name
    ]
    assert champion.name in registry.champions().values()
    assert promote_if_better(store, better, TRAINING, rule) == found
    # one that has lost waits for nothing, and who is promoted waits no more
    assert not promote_if_better(store, alike, TRAINING, rule).awaits_approval
    registry.promote(better.name, "seen")
    assert not is_waiting(registry, cards[better.name])


def test_a_first_model_needs_no_approval(store, model):
    rule = RULE.model_copy(update={"approval": True})
    assert promote_if_better(store, model, TRAINING, rule).is_promoted
