import json
from pathlib import Path

import pytest

from crystalgnn_core.learning.comparison import Decision
from crystalgnn_core.learning.config import RetrainingConfig
from crystalgnn_core.learning.promotion import DECISION, promote_if_better
from crystalgnn_core.learning.registry import Registry
from tests.core.worlds import TRAINING, train

ANY_IMPROVEMENT = RetrainingConfig(max_target_loss=100.0)


def promote(store, challenger, config=ANY_IMPROVEMENT):
    return promote_if_better(store, challenger, TRAINING, config)


def champions(store):
    return list(Registry(store).champions().values())


def kept(folder):
    return Decision.model_validate_json((folder / DECISION).read_text())


def test_the_first_model_becomes_champion_and_is_then_not_compared_with_itself(
    store, model
):
    first = promote(store, model)
    assert (first.is_promoted, first.champion, first.challenger) == (True, None, model.name)
    assert champions(store) == [model.name]
    again = promote(store, model)
    assert (again.is_promoted, again.champion) == (False, model.name)
    assert "is the champion already" in again.reason
    assert kept(model) == first  # of how it became champion


@pytest.fixture
def challenger(store, model):
    promote(store, model)
    return Path(train(store, epochs=30).folder)


def test_a_challenger_that_is_not_better_leaves_the_champion(store, model, challenger):
    decision = promote(store, challenger, RetrainingConfig(min_improvement=0.99))
    assert not decision.is_promoted
    assert decision.champion == model.name
    assert champions(store) == [model.name]
    assert kept(challenger) == decision


def test_a_better_challenger_replaces_the_champion_and_says_why(store, model, challenger):
    decision = promote(store, challenger)
    assert decision.is_promoted
    assert champions(store) == [challenger.name]
    key = next(iter(Registry(store).champions()))
    assert Registry(store).history(key)[-1].reason == decision.reason
    assert json.loads((challenger / DECISION).read_text())["champion"] == model.name
