"""Ways in which a source changes, for better or worse, for `change_gate`.

A case takes the rows before, further rows of the same set, the target and a generator, and
returns the rows after, with the number of rows refused before and after.
"""

from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from crystalgnn_core.targets import scheme_column
from tests.core.records.made_rows import plausible, with_columns

Values = np.ndarray
Outcome = tuple[pa.Table, tuple[int, int]]
Make = Callable[[pa.Table, pa.Table, str, np.random.Generator], Outcome]
Conversion = Callable[[Values, Values], Values]

EV = {"meV": 1e3, "kJ/mol": 96.48533, "Ry": 1 / 13.605693, "Ha": 1 / 27.211386}
GPA = {"kbar": 10.0, "Pa": 1e9, "Mbar": 0.01}


class Case(NamedTuple):
    """A change of a source.

    Attributes:
        name: What happened.
        is_fault: Whether it should be noticed; None where either is right.
        make: Makes the rows after.
    """

    name: str
    is_fault: bool | None
    make: Make


def cases_of(target: str) -> list[Case]:
    """List the changes that can happen to a target."""
    slips = [
        Case(f"{name}, {where}", None if where == "in 1 % more" else True, _slip(by, where))
        for name, by in _conversions(target).items()
        for where in ("in all", "in 20 %", "in 10 % more", "in 1 % more")
    ]
    return [*SOUND, *FAULTS, *slips]


def _conversions(target: str) -> dict[str, Conversion]:
    def factor(number: float) -> Conversion:
        return lambda values, _: values * number

    if target == "is_metal":
        return {"exchanged": lambda values, _: 1.0 - values}
    if target == "poisson_ratio":
        return {"sign": factor(-1.0), "percent": factor(100.0)}
    if target.endswith("modulus"):
        named = {name: factor(number) for name, number in GPA.items()}
        return named | {"log10": lambda values, _: np.log10(values)}
    named = {name: factor(number) for name, number in EV.items()}
    if target.endswith("per_atom") or target == "energy_above_hull":
        named["eV/cell"] = lambda values, n_sites: values * n_sites
    if target in ("formation_energy_per_atom", "fermi_energy"):
        named["sign"] = factor(-1.0)
    return named


def _slip(convert: Conversion, where: str) -> Make:
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


def _same(
    before: pa.Table, more: pa.Table, target: str, rng: np.random.Generator
) -> Outcome:
    return before.take(rng.permutation(len(before))), (0, 0)


def _more(share: float, *, with_labels: bool = True) -> Make:
    def make(
        before: pa.Table, more: pa.Table, target: str, rng: np.random.Generator
    ) -> Outcome:
        new = more.take(rng.permutation(len(more))).slice(0, round(share * len(before)))
        if not with_labels:
            new = _with(new, target, np.full(len(new), np.nan))
        return pa.concat_tables([before, new]), (0, 0)

    return make


def _noisy(share: float, size: float) -> Make:
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


def _relaxed(
    before: pa.Table, more: pa.Table, target: str, rng: np.random.Generator
) -> Outcome:
    digests = [f"{name}-relaxed" for name in before["structure_digest"].to_pylist()]
    return with_columns(before, structure_digest=digests), (0, 0)


def _renamed(
    before: pa.Table, more: pa.Table, target: str, rng: np.random.Generator
) -> Outcome:
    names = [f"other-{name}" for name in before["material_id"].to_pylist()]
    return with_columns(before, material_id=names), (0, 0)


def _replaced(
    before: pa.Table, more: pa.Table, target: str, rng: np.random.Generator
) -> Outcome:
    n = min(len(before) // 10, len(more))
    return pa.concat_tables([before.slice(n), more.slice(0, n)]), (0, 0)


def _fewer(share: float) -> Make:
    def make(
        before: pa.Table, more: pa.Table, target: str, rng: np.random.Generator
    ) -> Outcome:
        kept = rng.permutation(len(before))[: round((1 - share) * len(before))]
        return before.take(np.sort(kept)), (0, 0)

    return make


def _shuffled(
    before: pa.Table, more: pa.Table, target: str, rng: np.random.Generator
) -> Outcome:
    return _with(before, target, rng.permutation(_values(before, target))), (0, 0)


def _new_shuffled(
    before: pa.Table, more: pa.Table, target: str, rng: np.random.Generator
) -> Outcome:
    new = more.slice(0, len(before) // 10)
    mixed = _with(new, target, rng.permutation(_values(new, target)))
    return pa.concat_tables([before, mixed]), (0, 0)


def _shifted_by_one(
    before: pa.Table, more: pa.Table, target: str, rng: np.random.Generator
) -> Outcome:
    return _with(before, target, np.roll(_values(before, target), 1)), (0, 0)


def _constant(
    before: pa.Table, more: pa.Table, target: str, rng: np.random.Generator
) -> Outcome:
    values = _values(before, target)
    return _with(
        before, target, np.where(np.isnan(values), values, values[~np.isnan(values)][0])
    ), (0, 0)


def _new_constant(
    before: pa.Table, more: pa.Table, target: str, rng: np.random.Generator
) -> Outcome:
    new = more.slice(0, len(before) // 10)
    values = np.full(len(new), np.nanmedian(_values(before, target)))
    return pa.concat_tables([before, _with(new, target, values)]), (0, 0)


def _new_zero(
    before: pa.Table, more: pa.Table, target: str, rng: np.random.Generator
) -> Outcome:
    new = more.slice(0, len(before) // 10)
    after, n = plausible(pa.concat_tables([before, _with(new, target, np.zeros(len(new)))]))
    return after, (0, n)


def _unlabelled(
    before: pa.Table, more: pa.Table, target: str, rng: np.random.Generator
) -> Outcome:
    values = _values(before, target)
    return _with(before, target, np.where(rng.random(len(values)) < 0.3, np.nan, values)), (
        0,
        0,
    )


def _scheme(share: float) -> Make:
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


def _license(share: float) -> Make:
    def make(
        before: pa.Table, more: pa.Table, target: str, rng: np.random.Generator
    ) -> Outcome:
        n = round(share * len(before))
        licenses = ["CC-BY-NC-4.0"] * n + before["license"].to_pylist()[n:]
        return with_columns(before, license=licenses), (0, 0)

    return make


def _element(
    before: pa.Table, more: pa.Table, target: str, rng: np.random.Generator
) -> Outcome:
    parts = [name.split("-") for name in before["chemsys"].to_pylist()]
    counts = Counter(element for part in parts for element in part)
    # in some 5 % of the rows, so that the loss of rows alone is no alarm
    wanted = max(20.0, 0.05 * len(parts))
    gone = min(sorted(counts), key=lambda element: abs(counts[element] - wanted))
    return before.filter(pa.array([gone not in part for part in parts])), (0, 0)


def _rejects(
    before: pa.Table, more: pa.Table, target: str, rng: np.random.Generator
) -> Outcome:
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


SOUND = [
    Case("same, other order", False, _same),
    *[Case(f"{share} % more alike", False, _more(share / 100)) for share in (1, 3, 10)],
    *[
        Case(
            f"{share} % of labels moved by {size} std", is_fault, _noisy(share / 100, size)
        )
        for share, size, is_fault in ((1, 0.1, False), (5, 0.1, False), (5, 1.0, None))
    ],
    Case("10 % of rows replaced", False, _replaced),
    Case("structures relaxed", False, _relaxed),
    Case("5 % of rows lost", False, _fewer(0.05)),
]
FAULTS = [
    Case("30 % of rows lost", True, _fewer(0.3)),
    Case("30 % of labels lost", True, _unlabelled),
    Case("10 % more, no labels", True, _more(0.1, with_labels=False)),
    Case("labels shuffled", True, _shuffled),
    Case("labels one row off", True, _shifted_by_one),
    Case("labels shuffled in 10 % more", None, _new_shuffled),
    Case("labels constant", True, _constant),
    Case("labels constant in 10 % more", True, _new_constant),
    Case("labels zero in 10 % more", True, _new_zero),
    Case("scheme switched in all", True, _scheme(1.0)),
    Case("scheme switched in half", True, _scheme(0.5)),
    Case("licence changed in all", True, _license(1.0)),
    Case("licence changed in 5 %", True, _license(0.05)),
    Case("an element vanished", True, _element),
    Case("refused rows tripled", True, _rejects),
    Case("all ids renamed", True, _renamed),
]
