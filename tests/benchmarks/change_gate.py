"""How often the change gate alarms, for and without a cause, on real data.

Each draw splits a data set into rows that were there before and further ones, and changes
the first as `gate_cases` says. Sound changes must not alarm, faults must:

    python -m tests.benchmarks.change_gate [DRAWS [SEED]]     (default 5 0)
"""

import sys
from collections import defaultdict

import numpy as np
import pyarrow as pa

from crystalgnn_core.records.gate.report import GateReport
from crystalgnn_core.targets import TARGETS
from deployments.tables import show_line, show_rows
from tests.benchmarks.gate_cases import Case, cases_of
from tests.benchmarks.gate_data import read_sets
from tests.core.records.made_rows import judge_tables

SHARE_BEFORE = 0.85
Tally = dict[tuple[str, bool | None], dict[str, list[bool]]]


def main(n_draws: int = 5, seed: int = 0) -> None:
    """Judge all cases on all sets; print the shares of alarms, and what was missed."""
    by_case: Tally = defaultdict(lambda: defaultdict(list))
    missed: list[str] = []
    sets = read_sets(seed)
    for name, table in sets.items():
        for target in (
            target for target in TARGETS if table[target].null_count < len(table)
        ):
            column = f"{name} {target}"
            for draw in range(n_draws):
                for case in cases_of(target):
                    report = judge_draw(table, target, case, seed + draw)
                    by_case[case.name, case.is_fault][column].append(report.is_suspicious)
                    if case.is_fault is not None and report.is_suspicious != case.is_fault:
                        missed.append(
                            f"{column}, {case.name}: {report.verdict}: {report.reasons[0]}"
                        )
    _print(by_case, missed, n_draws, seed)


def judge_draw(table: pa.Table, target: str, case: Case, seed: int) -> GateReport:
    """Judge a case on one random division of a data set."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(table))
    n_before = round(SHARE_BEFORE * len(table))
    before, more = table.take(order[:n_before]), table.take(order[n_before:])
    after, rejected = case.make(before, more, target, rng)
    return judge_tables(before, after, rejected)


def _print(by_case: Tally, missed: list[str], n_draws: int, seed: int) -> None:
    for is_fault, title in (
        (False, "Sound changes: false alarms"),
        (True, "Faults: found"),
        (None, "Either is right: alarms"),
    ):
        rows = []
        all_found: list[bool] = []
        for (name, kind), columns in by_case.items():
            if kind is not is_fault:
                continue
            found = [entry for column in columns.values() for entry in column]
            all_found += found
            odd = [
                f"{column} {sum(entries)}/{len(entries)}"
                for column, entries in columns.items()
                if not all(entry is is_fault for entry in entries)
            ]
            told = "; ".join(odd) if is_fault is not None else f"{len(odd)} sets"
            rows.append((name, f"{sum(found)} / {len(found)}", told))
        rows.append(("in all", f"{sum(all_found)} / {len(all_found)}", ""))
        show_rows(
            f"{title} ({n_draws} draws, seed {seed})",
            ("case", "#alarms", "sets that differ"),
            rows,
        )
    for line in missed[:: n_draws or 1]:
        show_line(line)


if __name__ == "__main__":
    main(*(int(word) for word in sys.argv[1:]))
