"""Ways in which a source changes, for better or worse, for `change_gate`."""

from typing import NamedTuple

import numpy as np

from tests.benchmarks.gate_changes import (
    Conversion,
    Make,
    add_alike,
    change_license,
    lose_element,
    lose_labels,
    lose_rows,
    make_constant,
    make_new_constant,
    make_new_zero,
    move_labels,
    relax,
    rename_ids,
    reorder,
    replace_rows,
    shift_by_one,
    shuffle,
    shuffle_new,
    switch_scheme,
    triple_rejects,
    unit_error,
)

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
    unit_errors = [
        Case(
            f"{name}, {where}",
            None if where == "in 1 % more" else True,
            unit_error(by, where),
        )
        for name, by in _conversions(target).items()
        for where in ("in all", "in 20 %", "in 10 % more", "in 1 % more")
    ]
    return [*SOUND, *FAULTS, *unit_errors]


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


SOUND = [
    Case("same, other order", False, reorder),
    *[Case(f"{share} % more alike", False, add_alike(share / 100)) for share in (1, 3, 10)],
    *[
        Case(
            f"{share} % of labels {size} std off", is_fault, move_labels(share / 100, size)
        )
        for share, size, is_fault in ((1, 0.1, False), (5, 0.1, False), (5, 1.0, None))
    ],
    Case("10 % of rows replaced", False, replace_rows),
    Case("structures relaxed", False, relax),
    Case("5 % of rows lost", False, lose_rows(0.05)),
]
FAULTS = [
    Case("30 % of rows lost", True, lose_rows(0.3)),
    Case("30 % of labels lost", True, lose_labels),
    Case("10 % more, no labels", True, add_alike(0.1, with_labels=False)),
    Case("labels shuffled", True, shuffle),
    Case("labels one row off", True, shift_by_one),
    Case("labels shuffled in 10 % more", None, shuffle_new),
    Case("labels constant", True, make_constant),
    Case("labels constant in 10 % more", True, make_new_constant),
    Case("labels zero in 10 % more", True, make_new_zero),
    Case("scheme switched in all", True, switch_scheme(1.0)),
    Case("scheme switched in half", True, switch_scheme(0.5)),
    Case("licence changed in all", True, change_license(1.0)),
    Case("licence changed in 5 %", True, change_license(0.05)),
    Case("an element vanished", True, lose_element),
    Case("refused rows tripled", True, triple_rejects),
    Case("all ids renamed", True, rename_ids),
]
