"""The tests that every criterion passes: subclass `CriterionContract` and run pytest."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np
import pandas as pd
import yaml
from pydantic import TypeAdapter

from crystalgnn_core.screening.config import AnyCriterion
from crystalgnn_core.screening.ranking import score_candidates

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from crystalgnn_core.screening.criteria import Criterion


class CriterionContract:
    """Base of a test class, whose name begins with `Test` and which sets `criterion`."""

    criterion: ClassVar[Criterion]

    def desirability(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Judge values; to change them, an overflow or an invalid operation is an error."""
        values = values.copy()
        values.setflags(write=False)
        with np.errstate(over="raise", invalid="raise"):
            return np.exp(self.criterion.log_desirability(values))

    def sample(self) -> NDArray[np.float64]:
        """Return plausible values of the target, and the ends of what is wanted."""
        target, ends = self.criterion.target, self.criterion.wanted()
        plausible = np.linspace(target.minimum, target.maximum, 2001)
        return np.concatenate([plausible, np.array(ends)[np.isfinite(ends)]])

    def test_desirabilities_lie_between_0_and_1_and_differ(self) -> None:
        found = self.desirability(np.concatenate([self.sample(), [-1e12, 1e12]]))
        assert ((found >= 0) & (found <= 1)).all()
        assert np.ptp(found) > 0

    def test_no_value_outside_the_wanted_range_beats_one_inside(self) -> None:
        low, high = self.criterion.wanted()
        values = self.sample()
        is_inside = (values >= low) & (values <= high)
        assert is_inside.any()
        inside, outside = (self.desirability(values[i]) for i in (is_inside, ~is_inside))
        assert inside.min() >= outside.max(initial=0.0) * (1 - 1e-12)  # rounding

    def test_every_value_is_judged_by_itself(self) -> None:
        values, rng = self.sample(), np.random.default_rng(0)
        whole = self.desirability(values)
        order = rng.permutation(len(values))
        parts = [self.desirability(part) for part in np.array_split(values[order], 7)]
        # vectors of other lengths may round the last digit in another way
        np.testing.assert_allclose(np.concatenate(parts), whole[order], rtol=1e-13)

    def test_a_missing_value_stays_missing(self) -> None:
        column, judged = (
            self.criterion.column,
            self.criterion.model_copy(update={"weight": 1}),
        )
        candidates = pd.DataFrame({column: [np.nan, self.sample()[0]]})
        assert np.isnan(score_candidates(candidates, [judged])).tolist() == [True, False]

    def test_the_sentence_names_the_target_and_its_unit(self) -> None:
        target = self.criterion.target
        assert target.title in self.criterion.sentence()
        assert target.unit in self.criterion.sentence()

    def test_settings_survive_yaml_and_keep_their_digest(self) -> None:
        text = yaml.safe_dump(self.criterion.model_dump(mode="json"))
        loaded = TypeAdapter(AnyCriterion).validate_python(yaml.safe_load(text))
        assert loaded == self.criterion
        assert loaded.settings_digest() == self.criterion.settings_digest()
        heavier = loaded.model_copy(update={"weight": loaded.weight + 1})
        assert heavier.settings_digest() != loaded.settings_digest()
