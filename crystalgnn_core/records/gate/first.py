"""Checks of the gate on a first version, by what is known of inorganic crystals."""

from __future__ import annotations

import math
from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from crystalgnn_core.records.elements import ELECTRONEGATIVITY, SYMBOLS
from crystalgnn_core.records.gate.report import Finding, alarm, named, percent
from crystalgnn_core.records.gate.thresholds import (
    FIRST_IMPLAUSIBLE,
    FIRST_REFUSED,
    FIRST_UNLABELLED,
    LARGE_ENERGY,
    MIN_IMPLAUSIBLE,
    MIN_LABELS,
    MIN_REFUSED,
    USUAL_GAPS,
    USUAL_MODULI,
    USUAL_SIZES,
)
from crystalgnn_core.records.gate.unit_errors import UNIT_ERRORS
from crystalgnn_core.records.labels import implausible_value
from crystalgnn_core.records.schema import record_schema
from crystalgnn_core.targets import TARGETS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from crystalgnn_core.records.gate.distribution import Distribution
    from crystalgnn_core.records.gate.profile import RecordProfile
    from crystalgnn_core.records.gate.unit_errors import Values
    from crystalgnn_core.records.table.store import RecordStore

ENERGY, GAP = "formation_energy_per_atom", "band_gap"
MODULI = ("bulk_modulus", "shear_modulus")
# usual sizes of labels other than zero, in the unit of the target, for a guess at the unit
TYPICAL = {ENERGY: 0.8, GAP: 1.5, "energy_above_hull": 0.1, **dict.fromkeys(MODULI, 80.0)}
MAX_JUDGED = 20_000  # rows of a larger source that are looked at, evenly spread
MAX_GUESSES = 3
NEAR = math.log(2.5)  # factors in which a guess at the unit may be off
MIN_POLARITY = 0.02  # below it the sign and size of an energy are anybody's guess
N_SITES = 8.0  # of a cell, where it is not known
COLUMNS = (*TARGETS, "n_sites", "atomic_numbers")


class FirstVersion(NamedTuple):
    """What a first version is judged by, beside its profile.

    Attributes:
        rows: Some of its rows, `COLUMNS`.
        refused: Target to the implausible labels of rows that were refused.
    """

    rows: pa.Table
    refused: Mapping[str, Values]


def read_first_version(
    records: RecordStore, rejects: pa.Table, profile: RecordProfile
) -> FirstVersion:
    """Read what a first version is judged by; `rejects` are its refused rows."""
    step = max(1, profile.n_rows // MAX_JUDGED)
    found = [
        table.take(pa.array(range(0, len(table), step))).replace_schema_metadata()
        for table in records.scan([profile.source], COLUMNS)
    ]
    is_implausible = pc.equal(rejects["reason"], "implausible_label")
    refused: dict[str, list[float]] = defaultdict(list)
    for message in rejects["message"].filter(is_implausible).to_pylist():
        target, value = implausible_value(message)
        refused[target].append(value)
    refused.pop("", None)
    return FirstVersion(
        pa.concat_tables([record_schema().empty_table().select(COLUMNS), *found]),
        {target: np.array(values) for target, values in refused.items()},
    )


def check_first(profile: RecordProfile, first: FirstVersion) -> Iterator[Finding]:
    """Find what no sound source begins with: wrong units, other quantities, lost rows."""
    yield from _check_refused(profile, first)
    yield from _check_energies(first)
    gaps = profile.targets.get(GAP)
    if gaps is not None and gaps.nonzero is not None:
        where = "the gaps other than zero"
        yield from _check_quantile(GAP, where, gaps.nonzero, USUAL_GAPS)
    for name in MODULI:
        if name in profile.targets:
            labels = profile.targets[name].labels
            yield from _check_quantile(name, "the labels", labels, USUAL_MODULI)


def _check_refused(profile: RecordProfile, first: FirstVersion) -> Iterator[Finding]:
    """Check whether most rows were refused, or many for labels that cannot be.

    Rows without a label are left out of that: a folder may hold many more structures than
    its table has lines. Hardly any label at all is another matter.
    """
    n_unlabelled = profile.rejected.get("missing_label", 0)
    others = {name: n for name, n in profile.rejected.items() if name != "missing_label"}
    n_refused, n_implausible = sum(others.values()), others.get("implausible_label", 0)
    n_read = profile.n_rows + n_refused
    is_most = n_refused >= MIN_REFUSED and n_refused > FIRST_REFUSED * n_read
    is_odd = n_implausible >= MIN_IMPLAUSIBLE and n_implausible > FIRST_IMPLAUSIBLE * n_read
    if is_most or is_odd:
        hint = _hint_of_refused(first) if is_odd else ""
        ordered = sorted(others.items(), key=lambda entry: -entry[1])
        yield alarm(
            "rejects",
            f"{n_refused:,} of {n_read:,} rows ({percent(n_refused / n_read)}) were "
            f"refused: {named([f'{name} {n:,}' for name, n in ordered])}{hint}",
        )
    n_all = profile.n_rows + profile.n_rejected
    if n_unlabelled >= MIN_REFUSED and n_unlabelled > FIRST_UNLABELLED * n_all:
        yield alarm(
            "rejects",
            f"{n_unlabelled:,} of {n_all:,} rows were refused as missing_label; do the ids "
            "of the label table and of the structures agree?",
        )


def _check_energies(first: FirstVersion) -> Iterator[Finding]:
    """Compare the size of formation energies with what the compositions let expect.

    Atoms that differ in electronegativity bind: the mean size of the energies of compounds
    is 0.2 to 1.5 times 0.2 eV + 2.2 eV times the variance of Pauling's electronegativity
    over the atoms, in 450 sets and single chemistries of six databases.
    """
    energies, expected, n_sites = _compounds(first.rows)
    if len(energies) < MIN_LABELS:
        return
    sizes = np.abs(energies)
    ratio, n_large = sizes.mean() / expected.mean(), int((sizes > LARGE_ENERGY).sum())
    low, high = USUAL_SIZES
    if low <= ratio <= high and n_large <= FIRST_IMPLAUSIBLE * len(sizes):
        return
    is_alike = sizes.mean() > max(2.0, 2.0 * sizes.std())
    is_total = (energies < 0).mean() > 0.95 and (is_alike or low <= ratio <= high)
    others = ("total energies instead of formation energies",) if is_total else ()
    large = f"; {n_large:,} are beyond {LARGE_ENERGY:g}" if n_large else ""
    yield alarm(
        "size",
        f"{ENERGY}: the mean size of {len(sizes):,} compounds is {sizes.mean():.3g} "
        f"eV/atom, where their elements let expect {expected.mean():.2g}{large}"
        f"{_hint(ENERGY, ratio, float(n_sites.mean()), others)}",
    )


def _check_quantile(
    name: str, whose: str, known: Distribution, usual: tuple[float, float]
) -> Iterator[Finding]:
    """Check whether the largest tenth of labels begins where that of no sound set does."""
    found, middle = known.quantile(0.9), known.quantile(0.5)
    if known.n < MIN_LABELS or usual[0] <= found <= usual[1]:
        return
    unit = TARGETS[name].unit
    yield alarm(
        "size",
        f"{name}: 90 % of {whose} ({known.n:,}) are below {found:.3g} {unit}, usual are "
        f"{usual[0]:g} to {usual[1]:g}{_hint(name, middle / TYPICAL[name])}",
    )


def _hint_of_refused(first: FirstVersion) -> str:
    """Name the unit error that fits the target of which most labels were refused."""
    if not first.refused:
        return ""
    target = max(first.refused, key=lambda name: len(first.refused[name]))
    if target not in TYPICAL:
        return f"; most of {target}"
    kept = first.rows[target].drop_null().to_numpy()
    values = np.abs(np.concatenate([kept, first.refused[target]]))
    size = float(np.median(values[values > 0.0]))
    kept_sites = float(pc.mean(first.rows["n_sites"]).as_py() or 0.0)
    n_sites = max(kept_sites, N_SITES)  # large cells are refused first
    hint = _hint(target, size / TYPICAL[target], n_sites)
    return f"; most of {target}, half of its labels are beyond {size:.3g}{hint}"


def _hint(
    target: str, factor: float, n_sites: float = N_SITES, others: tuple[str, ...] = ()
) -> str:
    """Name what makes labels about so many times as large, the likeliest first."""
    if factor <= 0.0:
        return ""
    typical, near = TYPICAL[target], []
    for entry in UNIT_ERRORS:
        if target in entry.targets:
            made = entry.apply(np.array([typical]), np.array([n_sites]))[0] / typical
            if made > 0.0 and (off := abs(math.log(made / factor))) < NEAR:
                near.append(("taken for" in entry.name, off, entry.name))  # rarer
    names = [*others, *(name for *_, name in sorted(near))][:MAX_GUESSES]
    return f"; it looks like {', or '.join(names)}" if names else ""


def _compounds(rows: pa.Table) -> tuple[Values, Values, Values]:
    """Return energies of compounds, sizes to expect, and atoms in the cell, each (n,)."""
    is_known = pc.greater(pc.list_value_length(rows["atomic_numbers"]), 0)
    rows = rows.filter(pc.and_(pc.is_valid(rows[ENERGY]), is_known))
    if not len(rows):
        return (np.empty(0),) * 3
    numbers = rows["atomic_numbers"].combine_chunks()
    n_atoms = pc.list_value_length(numbers).to_numpy()
    starts = np.cumsum(n_atoms) - n_atoms
    scale = np.array([math.nan, *(ELECTRONEGATIVITY[symbol] for symbol in SYMBOLS)])
    values = scale[numbers.flatten().to_numpy()]
    means = np.add.reduceat(values, starts) / n_atoms
    squares = (values - np.repeat(means, n_atoms)) ** 2
    polarity = np.add.reduceat(squares, starts) / n_atoms
    chosen = polarity >= MIN_POLARITY  # not where an element has no electronegativity
    energies = rows[ENERGY].to_numpy()[chosen]
    return energies, 0.2 + 2.2 * polarity[chosen], n_atoms[chosen].astype(np.float64)
