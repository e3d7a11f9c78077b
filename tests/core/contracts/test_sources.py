"""The suite for sources sees what a new source can get wrong."""

from typing import ClassVar, Literal

import pytest

from crystalgnn_core.contracts.sources import SourceContract
from crystalgnn_core.sources.synthetic.source import SyntheticSource


class Broken(SyntheticSource):
    kind: Literal["broken"] = "broken"  # type: ignore[assignment]  # a kind of its own


class Forgetful(Broken):
    """Leaves out the second row of every part."""

    def read(self, part):
        yield from (row for i, row in enumerate(super().read(part)) if i != 1)


class Nameless(Broken):
    def read(self, part):
        yield from (row._replace(material_id="") for row in super().read(part))


class Unstable(Broken):
    """Reads something else each time."""

    n_read: ClassVar[list[int]] = []

    def read(self, part):
        self.n_read.append(1)
        number = len(self.n_read)
        yield from (row._replace(run_type=str(number)) for row in super().read(part))


class Restless(Broken):
    """Gives its parts new digests each time."""

    n_planned: ClassVar[list[int]] = []

    def plan(self, stored):
        self.n_planned.append(1)
        plan = super().plan(stored)
        parts = [
            part.model_copy(update={"digest": f"{part.digest}-{len(self.n_planned)}"})
            for part in plan.parts
        ]
        return plan.model_copy(update={"parts": tuple(parts)})


class Alike(Broken):
    def plan(self, stored):
        plan = super().plan(stored)
        return plan.model_copy(update={"parts": plan.parts + plan.parts[:1]})


class Talkative(Broken):
    """Holds labels that it does not name."""

    def target_names(self):
        return ("band_gap",)


class Schemeless(Broken):
    def read(self, part):
        yield from (row._replace(label_schemes={}) for row in super().read(part))


class Returning(Broken):
    """Yields the payload of a part in place of the part."""

    def read(self, part):
        yield from super().read(part)
        yield part.payload


class Unready(Broken):
    def check_ready(self):
        raise FileNotFoundError


class Moving(Broken):
    """Counts the size of its parts as content."""

    def reading_digest(self):
        return self.settings_digest()


class Kindless(SyntheticSource):
    kind: str = "kindless"  # type: ignore[assignment]  # as a beginner writes it


@pytest.mark.parametrize(
    ("broken", "test"),
    [
        (Forgetful, "every_row_arrives_and_unreadable_ones_with_an_error"),
        (Forgetful, "rows_in_are_rows_kept_plus_rows_rejected"),
        (Nameless, "every_row_arrives_and_unreadable_ones_with_an_error"),
        (Nameless, "rows_in_are_rows_kept_plus_rows_rejected"),
        (Unstable, "parts_can_be_read_in_any_order_and_again"),
        (Restless, "its_plan_is_the_same_when_asked_again"),
        (Alike, "its_parts_differ_in_index_and_digest"),
        (Talkative, "its_labels_are_those_that_it_names"),
        (Schemeless, "its_labels_are_those_that_it_names"),
        (Returning, "every_row_arrives_and_unreadable_ones_with_an_error"),
        (Unready, "it_is_ready_where_the_example_is"),
        (Moving, "places_do_not_count_as_content"),
        (Kindless, "it_has_a_kind_of_its_own"),
    ],
)
def test_a_broken_source_fails(tmp_path, broken, test):
    class Mine(SourceContract):
        source = broken(n_structures=5, part_size=2)
        n_rows = 5

    run = getattr(Mine(), f"test_{test}")
    with pytest.raises((AssertionError, TypeError, FileNotFoundError)):
        run(tmp_path) if "tmp_path" in run.__code__.co_varnames else run()
