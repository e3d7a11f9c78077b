"""How often the gate alarms on first versions, sound ones and those in wrong units.

Each draw takes rows of a data set, or of one chemistry of it, as the first version of a
source; implausible labels are refused as an ingest would. Fewer than 50 labels are not
judged by their size.

    python -m tests.benchmarks.first_versions [DRAWS [SEED]]     (default 5 0)
"""

import json
import sys
from collections import defaultdict
from collections.abc import Callable
from importlib.resources import files
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from crystalgnn_core.records.elements import SYMBOLS
from crystalgnn_core.records.gate.first import COLUMNS, FirstVersion
from crystalgnn_core.records.gate.judge import judge
from crystalgnn_core.records.gate.profile import profile_rows
from crystalgnn_core.records.gate.report import GateConfig, GateReport
from crystalgnn_core.targets import TARGETS
from deployments.tables import show_line, show_rows
from tests.benchmarks.gate_data import ENERGY, GAP, read_sets
from tests.core.records.made_rows import with_columns

if TYPE_CHECKING:
    from collections.abc import Iterator

    Values = np.ndarray
    Convert = Callable[[Values, pa.Table], Values]

SIZES = (20, 50, 100, 200, 400, 800)
NONMETALS = frozenset("H B C N O F Si P S Cl Ge As Se Br Sb Te I".split())  # noqa: SIM905  shorter
CHEMISTRIES: dict[str, Callable[[set[str]], bool]] = {
    "all": lambda _: True,
    "metals": lambda found: not found & NONMETALS,
    "oxides": lambda found: "O" in found,
    "halides": lambda found: bool(found & {"F", "Cl", "Br", "I"}),
    "chalcogenides": lambda found: bool(found & {"S", "Se", "Te"}) and "O" not in found,
    "pnictides": lambda found: bool(found & {"N", "P", "As", "Sb"}) and "O" not in found,
    "binaries": lambda found: len(found) == 2,
}
SCALES = {
    "meV": 1e3,
    "kJ/mol": 96.48533,
    "kcal/mol": 23.06055,
    "hartree": 1 / 27.211386,
    "rydberg": 1 / 13.605693,
}


def main(n_draws: int = 5, seed: int = 0) -> None:
    """Judge first versions of all sets; print alarms by case and number of rows."""
    tally: dict[tuple[str, str], dict[int, list[bool]]] = defaultdict(
        lambda: defaultdict(list)
    )
    alarms: list[str] = []
    rng = np.random.default_rng(seed)
    for name, table in read_sets(seed).items():
        for chemistry, rows in chemistries_of(table):
            for n in (*SIZES, len(rows)):
                if n > len(rows):
                    continue
                for _ in range(n_draws if n < len(rows) else 1):
                    drawn = rows.take(rng.permutation(len(rows))[:n])
                    size = n if n in SIZES else max(SIZES) + 1
                    for target, case, convert in cases_of(drawn):
                        report = judge_first(converted(drawn, target, convert))
                        tally[target, case][size].append(report.is_suspicious)
                        if case == "sound" and report.is_suspicious:
                            found = f"{name} {chemistry} {n}: {report.reasons[0]}"
                            alarms.append(found)
    rows_out = [
        (target, case, *(_share(sizes.get(n)) for n in (*SIZES, max(SIZES) + 1)))
        for (target, case), sizes in sorted(tally.items(), key=_order)
    ]
    columns = ("target", "labels", *(f"{n} rows" for n in SIZES), "all rows")
    show_rows(f"First versions: alarms ({n_draws} draws, seed {seed})", columns, rows_out)
    for line in alarms:
        show_line(line)


def chemistries_of(table: pa.Table) -> "Iterator[tuple[str, pa.Table]]":
    """Yield the rows of each chemistry that has enough."""
    systems = [set(text.split("-")) for text in table["chemsys"].to_pylist()]
    for name, fits in CHEMISTRIES.items():
        rows = table.filter(pa.array([fits(system) for system in systems]))
        if len(rows) >= SIZES[0]:
            yield name, rows


def cases_of(table: pa.Table) -> "Iterator[tuple[str, str, Convert | None]]":
    """Yield target, case and conversion of what can be wrong with rows; first nothing."""
    yield "all", "sound", None
    for target in (ENERGY, GAP):
        if table[target].null_count < len(table):
            for name, factor in SCALES.items():
                yield target, name, _times(factor)
    if table[ENERGY].null_count < len(table):
        yield ENERGY, "per cell", lambda values, rows: values * rows["n_sites"].to_numpy()
        yield ENERGY, "per formula unit", lambda values, rows: values * _per_unit(rows)
        yield ENERGY, "total energies", lambda values, rows: values + _elements(rows)
        yield (
            ENERGY,
            "total energies per cell",
            lambda values, rows: (values + _elements(rows)) * rows["n_sites"].to_numpy(),
        )
    if table["bulk_modulus"].null_count < len(table):
        for name, change in {
            "kbar": lambda values, _: values * 10.0,
            "Mbar": lambda values, _: values / 100.0,
            "log10": lambda values, _: np.log10(values),
        }.items():
            yield "bulk_modulus", name, change


def converted(table: pa.Table, target: str, convert: "Convert | None") -> pa.Table:
    """Change the labels of a target."""
    if convert is None:
        return table
    known = table.filter(pc.is_valid(table[target]))
    values = convert(known[target].to_numpy(), known)
    return with_columns(known, **{target: [float(value) for value in values]})


def judge_first(table: pa.Table) -> GateReport:
    """Judge rows as the first version of a source, without those an ingest refuses."""
    keep, refused = np.ones(len(table), bool), {}
    for name, target in TARGETS.items():
        values = table[name].to_numpy(zero_copy_only=False).astype(float)
        is_out = (values < target.minimum) | (values > target.maximum)
        if is_out.any():
            refused[name] = values[is_out]
        keep &= ~is_out
    kept, n_refused = table.filter(pa.array(keep)), int((~keep).sum())
    rejected = {"implausible_label": n_refused} if n_refused else {}
    profile = profile_rows("s", 0, [kept], rejected)
    first = FirstVersion(kept.select(COLUMNS), refused)
    return judge(None, profile, None, GateConfig(), first=first)


def _times(factor: float) -> "Convert":
    return lambda values, _: values * factor


def _per_unit(rows: pa.Table) -> "Values":
    """Return the atoms of the formula unit of each row."""
    counts = [
        np.unique(numbers, return_counts=True)[1]
        for numbers in rows["atomic_numbers"].to_pylist()
    ]
    return np.array([each.sum() / np.gcd.reduce(each) for each in counts])


def _elements(rows: pa.Table) -> "Values":
    """Return the mean energy of the elements of each row in eV/atom, from JARVIS-DFT."""
    path = files("jarvis.analysis.thermodynamics") / "unary.json"
    known = {
        symbol: entry["energy"] for symbol, entry in json.loads(path.read_text()).items()
    }
    return np.array(
        [
            np.mean([known.get(SYMBOLS[number - 1], -4.0) for number in numbers])
            for numbers in rows["atomic_numbers"].to_pylist()
        ]
    )


def _order(entry: tuple[tuple[str, str], object]) -> tuple[bool, str]:
    (target, case), _ = entry
    return case != "sound", target


def _share(found: list[bool] | None) -> str:
    return "" if not found else f"{sum(found)} / {len(found)}"


if __name__ == "__main__":
    main(*(int(word) for word in sys.argv[1:]))
