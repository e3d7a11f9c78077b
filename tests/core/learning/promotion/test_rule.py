import pytest

from crystalgnn_core.learning.config import RetrainingConfig
from crystalgnn_core.learning.metrics import Metrics, scaled_error
from crystalgnn_core.learning.promotion.decision import (
    FROZEN,
    NEWEST,
    TOGETHER,
    Decision,
    Slice,
)
from crystalgnn_core.learning.promotion.evidence import Evidence
from crystalgnn_core.learning.promotion.rule import decide, describe_evidence
from crystalgnn_core.learning.scores import ClassMetrics

ENERGY, GAP = "formation_energy_per_atom", "band_gap"


def errors(energy, gap):
    return {
        name: Metrics(n=9, mae=mae, rmse=mae, r2=None, mad=mad)
        for name, mae, mad in ((ENERGY, energy, 0.5), (GAP, gap, 2.0))
    }


def of_class(brier):
    scores = ClassMetrics(share=0.5, accuracy=0.9, brier=brier)
    classes = Metrics(n=9, mae=0.3, rmse=0.5, r2=None, mad=0.5, classes=scores)
    return errors(0.1, 0.4) | {"is_metal": classes}


def evidence(improvement, reach=0.1, *, before=0.2, n_groups=90):
    return Evidence(
        n=100,
        n_groups=n_groups,
        champion_error=before,
        challenger_error=before * (1 - improvement),
        improvement=improvement,
        uncertainty=reach / 2,
        low=improvement - reach,
        high=improvement + reach,
    )


def judge(before, after, config=None, *, reach=0.1, **measured):
    """Decide by metrics, with evidence that fits them unless other is given."""
    old, new = (scaled_error(list(each.values())) for each in (before, after))
    parts = {TOGETHER: evidence(1 - new / old, reach, before=old)}
    decision = Decision(
        is_promoted=False,
        reason="",
        champion="old",
        challenger="new",
        n_test=100,
        champion_metrics=before,
        challenger_metrics=after,
        **{"evidence": parts | measured.pop("parts", {})} | measured,
    )
    return decide(decision, config or RetrainingConfig())


def test_an_improvement_beyond_chance_wins():
    # (0.1 / 0.5 + 0.4 / 2) / 2 = 0.2 against (0.05 / 0.5 + 0.4 / 2) / 2 = 0.15
    found = judge(errors(0.1, 0.4), errors(0.05, 0.4))
    assert found.is_promoted
    assert found.reason == (
        "promoted: scaled test error 0.1500 against the champion's 0.2000, 25.0% less; "
        "chance makes up to 10.0%"
    )
    assert not judge(errors(0.05, 0.4), errors(0.1, 0.4)).is_promoted


def test_an_improvement_that_may_be_chance_does_not():
    found = judge(errors(0.1, 0.4), errors(0.05, 0.4), reach=0.3)
    assert not found.is_promoted
    assert "25.0% less; chance makes up to 30.0%" in found.reason
    assert not judge(errors(0.1, 0.4), errors(0.1, 0.4), reach=0.0).is_promoted
    worse = judge(errors(0.1, 0.4), errors(0.104, 0.4))
    assert "2.0% more; chance" in worse.reason


def test_what_these_rows_have_judged_before_is_said():
    found = judge(errors(0.1, 0.4), errors(0.05, 0.4), reach=0.3, n_reused=2.2)
    assert found.reason.endswith("as these rows have judged 2 times before")


def test_the_improvement_must_be_as_large_as_asked_for():
    config = RetrainingConfig(min_improvement=0.3)
    found = judge(errors(0.1, 0.4), errors(0.05, 0.4), config)  # 25 % less
    assert not found.is_promoted
    assert "30.0% less is needed" in found.reason
    config = RetrainingConfig(min_improvement=0.2)
    assert judge(errors(0.1, 0.4), errors(0.05, 0.4), config).is_promoted


def test_one_target_may_not_pay_for_the_other():
    found = judge(errors(0.1, 0.4), errors(0.02, 0.43))
    assert not found.is_promoted
    assert "MAE of band_gap rose from 0.4000 to 0.4300, more than 5%" in found.reason
    config = RetrainingConfig(max_target_loss=0.1)
    assert judge(errors(0.1, 0.4), errors(0.02, 0.43), config).is_promoted


def test_a_challenger_that_predicts_no_numbers_is_not_promoted():
    found = judge(
        errors(0.1, 0.4), errors(float("nan"), 0.1), parts={TOGETHER: evidence(0.5)}
    )
    assert not found.is_promoted


def test_classes_are_compared_by_their_brier_score():
    found = judge(of_class(0.1), of_class(0.05))
    assert found.is_promoted
    # (0.1 / 0.5 + 0.4 / 2 + 0.1 / 0.25) / 3 = 0.2667
    assert "0.2667" in found.reason
    better = of_class(0.11) | errors(0.02, 0.4)
    found = judge(of_class(0.1), better)
    assert not found.is_promoted
    assert "Brier score of is_metal rose from 0.1000 to 0.1100" in found.reason


@pytest.mark.parametrize(
    ("worse", "words"),
    [(NEWEST, "rows that came after the champion"), (FROZEN, "the champion's test split")],
)
def test_who_is_worse_on_the_new_or_the_old_is_refused_though_better_on_all(worse, words):
    parts = {worse: evidence(-0.3), (FROZEN if worse == NEWEST else NEWEST): evidence(0.6)}
    found = judge(errors(0.1, 0.4), errors(0.05, 0.4), parts=parts)
    assert not found.is_promoted
    assert "worse beyond chance on the 100 " in found.reason
    assert words in found.reason
    parts[worse] = evidence(-0.05)  # chance makes as much
    assert judge(errors(0.1, 0.4), errors(0.05, 0.4), parts=parts).is_promoted
    parts[worse] = evidence(-0.3, n_groups=19)  # too few to say
    assert judge(errors(0.1, 0.4), errors(0.05, 0.4), parts=parts).is_promoted


def test_a_slice_that_got_much_worse_refuses_and_a_little_worse_is_named_alone():
    def on_slice(loss):
        part = Slice(name="with Fe", target=GAP, evidence=evidence(-loss, 0.05))
        return judge(errors(0.1, 0.4), errors(0.05, 0.4), worse_slices=(part,))

    found = on_slice(0.3)
    assert not found.is_promoted
    assert (
        "error of band_gap rose by 30% on the 100 rows with Fe, more than 25%"
        in found.reason
    )
    found = on_slice(0.2)
    assert found.is_promoted
    assert "| with Fe, band_gap | 100 |" in describe_evidence(found)


def test_rows_of_one_composition_are_no_evidence():
    measured = judge(errors(0.1, 0.4), errors(0.05, 0.4)).model_copy(
        update={"evidence": {}}
    )
    found = decide(measured, RetrainingConfig())
    assert not found.is_promoted
    assert "fewer than two compositions" in found.reason
    assert describe_evidence(found) == ""


def test_a_decision_of_an_older_version_is_read():
    found = Decision.model_validate(
        {
            "is_promoted": True,
            "reason": "promoted: scaled test error 0.1 against the champion's 0.2",
            "champion": "old",
            "challenger": "new",
            "n_test": 9,
            "champion_metrics": {},
            "challenger_metrics": {},
        }
    )
    assert (found.awaits_approval, found.evidence, found.level) == (False, {}, None)
