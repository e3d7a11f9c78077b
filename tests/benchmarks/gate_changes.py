"""What becomes of a source in the cases of `gate_cases`.

Each change takes the rows before, further rows of the same set, the target and a generator,
and returns the rows after, with the number of rows refused before and after.
"""

from collections import Counter
from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from crystalgnn_core.targets import scheme_column
from tests.core.records.made_rows import plausible, with_columns

Values = np.ndarray
Outcome = tuple[pa.Table, tuple[int, int]]
Make = Callable[[pa.Table, pa.Table, str, np.random.Generator], Outcome]
Conversion = Callable[[Values, Values], Values]


def unit_error(convert: Conversion, where: str) -> Make:
    """Convert the labels of all rows, some, or new ones."""

    def make(
        before: pa.Table, more: pa.Table, target: str, rng: np.random.Generator
    ) -> Outcome:
        n = len(before)
        table = before
        if where.endswith("more"):
            table = pa.concat_tables(
                [before, more.slice(0, n // (100 if "1 %" in where else 10))]
            )
            chosen = np.arange(len(table)) >= n
        else:
            chosen = rng.random(n) < (1.0 if where == "in all" else 0.2)
        values = _values(table, target)
        wrong = convert(values, table["n_sites"].to_numpy())
        after, n_rejected = plausible(_with(table, target, np.where(chosen, wrong, values)))
        return after, (0, n_rejected)

    return make


def reorder(
    before: pa.Table, more: pa.Table, target: str, rng: np.random.Generator
) -> Outcome:
    """Put the rows into another order."""
    return before.take(rng.permutation(len(before))), (0, 0)


def add_alike(share: float, *, with_labels: bool = True) -> Make:
    """Add rows of the same set, a share of those before."""

    def make(
        before: pa.Table, more: pa.Table, target: str, rng: np.random.Generator
    ) -> Outcome:
        new = more.take(rng.permutation(len(more))).slice(0, round(share * len(before)))
        if not with_labels:
            new = _with(new, target, np.full(len(new), np.nan))
        return pa.concat_tables([before, new]), (0, 0)

    return make


def move_labels(share: float, size: float) -> Make:
    """Move labels other than zero; those that cannot be negative stay so.

    Of classes half as many are exchanged, as each moves by more than a standard deviation.
    """

    def make(
        before: pa.Table, more: pa.Table, target: str, rng: np.random.Generator
    ) -> Outcome:
        values = _values(before, target)
        chosen = rng.random(len(before)) < share
        if target == "is_metal":
            chosen &= rng.random(len(before)) < 0.5
            return _with(before, target, np.where(chosen, 1.0 - values, values)), (0, 0)
        chosen &= values != 0.0
        moved = values + chosen * rng.normal(0.0, size * np.nanstd(values), len(values))
        if np.nanmin(values) >= 0.0:
            moved = np.maximum(moved, np.minimum(values, np.nanquantile(values, 0.01)))
        after, n_rejected = plausible(_with(before, target, moved))
        return after, (0, n_rejected)

    return make


def relax(
    before: pa.Table, more: pa.Table, target: str, rng: np.random.Generator
) -> Outcome:
    """Change all structures and no label."""
    digests = [f"{name}-relaxed" for name in before["structure_digest"].to_pylist()]
    return with_columns(before, structure_digest=digests), (0, 0)


def rename_ids(
    before: pa.Table, more: pa.Table, target: str, rng: np.random.Generator
) -> Outcome:
    """Give other ids to the same rows."""
    names = [f"other-{name}" for name in before["material_id"].to_pylist()]
    return with_columns(before, material_id=names), (0, 0)


def replace_rows(
    before: pa.Table, more: pa.Table, target: str, rng: np.random.Generator
) -> Outcome:
    """Exchange a tenth of the rows."""
    n = min(len(before) // 10, len(more))
    return pa.concat_tables([before.slice(n), more.slice(0, n)]), (0, 0)


def lose_rows(share: float) -> Make:
    """Lose a share of the rows at random."""

    def make(
        before: pa.Table, more: pa.Table, target: str, rng: np.random.Generator
    ) -> Outcome:
        kept = rng.permutation(len(before))[: round((1 - share) * len(before))]
        return before.take(np.sort(kept)), (0, 0)

    return make


def shuffle(
    before: pa.Table, more: pa.Table, target: str, rng: np.random.Generator
) -> Outcome:
    """Give the labels to other rows."""
    return _with(before, target, rng.permutation(_values(before, target))), (0, 0)


def shuffle_new(
    before: pa.Table, more: pa.Table, target: str, rng: np.random.Generator
) -> Outcome:
    """Give the labels of new rows to others of these."""
    new = more.slice(0, len(before) // 10)
    mixed = _with(new, target, rng.permutation(_values(new, target)))
    return pa.concat_tables([before, mixed]), (0, 0)


def shift_by_one(
    before: pa.Table, more: pa.Table, target: str, rng: np.random.Generator
) -> Outcome:
    """Give each row the label of the one before."""
    return _with(before, target, np.roll(_values(before, target), 1)), (0, 0)


def make_constant(
    before: pa.Table, more: pa.Table, target: str, rng: np.random.Generator
) -> Outcome:
    """Give all rows one label."""
    values = _values(before, target)
    return _with(
        before, target, np.where(np.isnan(values), values, values[~np.isnan(values)][0])
    ), (0, 0)


def make_new_constant(
    before: pa.Table, more: pa.Table, target: str, rng: np.random.Generator
) -> Outcome:
    """Give all new rows the median label."""
    new = more.slice(0, len(before) // 10)
    values = np.full(len(new), np.nanmedian(_values(before, target)))
    return pa.concat_tables([before, _with(new, target, values)]), (0, 0)


def make_new_zero(
    before: pa.Table, more: pa.Table, target: str, rng: np.random.Generator
) -> Outcome:
    """Give all new rows the label zero."""
    new = more.slice(0, len(before) // 10)
    after, n = plausible(pa.concat_tables([before, _with(new, target, np.zeros(len(new)))]))
    return after, (0, n)


def lose_labels(
    before: pa.Table, more: pa.Table, target: str, rng: np.random.Generator
) -> Outcome:
    """Lose three in ten labels."""
    values = _values(before, target)
    return _with(before, target, np.where(rng.random(len(values)) < 0.3, np.nan, values)), (
        0,
        0,
    )


def switch_scheme(share: float) -> Make:
    """Switch the label scheme of a share of the rows."""

    def make(
        before: pa.Table, more: pa.Table, target: str, rng: np.random.Generator
    ) -> Outcome:
        column = scheme_column(target)
        schemes = [
            "r2SCAN" if scheme and rng.random() < share else scheme
            for scheme in before[column].to_pylist()
        ]
        return with_columns(before, **{column: schemes}), (0, 0)

    return make


def change_license(share: float) -> Make:
    """Change the licence of a share of the rows."""

    def make(
        before: pa.Table, more: pa.Table, target: str, rng: np.random.Generator
    ) -> Outcome:
        n = round(share * len(before))
        licenses = ["CC-BY-NC-4.0"] * n + before["license"].to_pylist()[n:]
        return with_columns(before, license=licenses), (0, 0)

    return make


def lose_element(
    before: pa.Table, more: pa.Table, target: str, rng: np.random.Generator
) -> Outcome:
    """Lose all rows that contain an element."""
    parts = [name.split("-") for name in before["chemsys"].to_pylist()]
    counts = Counter(element for part in parts for element in part)
    # in some 5 % of the rows, so that the loss of rows alone is no alarm
    wanted = max(20.0, 0.05 * len(parts))
    gone = min(sorted(counts), key=lambda element: abs(counts[element] - wanted))
    return before.filter(pa.array([gone not in part for part in parts])), (0, 0)


def triple_rejects(
    before: pa.Table, more: pa.Table, target: str, rng: np.random.Generator
) -> Outcome:
    """Refuse three times as many rows."""
    n = round(0.04 * len(before))
    return before.slice(2 * n), (n, 3 * n)


def _values(table: pa.Table, target: str) -> Values:
    filled = pc.fill_null(table[target], float("nan"))
    return filled.to_numpy().copy()


def _with(table: pa.Table, target: str, values: Values) -> pa.Table:
    """Exchange the labels of a target; NaN is none."""
    is_known = ~np.isnan(values)
    labels = [float(v) if ok else None for v, ok in zip(values, is_known, strict=True)]
    schemes = ["PBE" if ok else None for ok in is_known]
    return with_columns(table, **{target: labels, scheme_column(target): schemes})
