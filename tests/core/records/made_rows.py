"""Record tables made from random numbers, and ways in which a source goes wrong."""

import re

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from crystalgnn_core.records.checks.validation import rejects_table
from crystalgnn_core.records.gate.judge import judge
from crystalgnn_core.records.gate.log import Ledger
from crystalgnn_core.records.gate.profile import profile_rows
from crystalgnn_core.records.gate.report import GateConfig
from crystalgnn_core.records.schema import RejectedRecord, record_schema
from crystalgnn_core.records.table.diff import ROW_COLUMNS, RowChanges
from crystalgnn_core.records.table.rows import content_digest
from crystalgnn_core.records.table.store import RecordStore
from crystalgnn_core.targets import TARGETS, scheme_column
from tests.core.worlds import in_memory

ENERGY, GAP = "formation_energy_per_atom", "band_gap"
ELEMENTS = np.array(["Li", "Na", "Mg", "Al", "Si", "Fe", "O", "S", "F", "Cl"])
SCHEME = "MP GGA/GGA+U MP2020"


def rows(n=600, seed=0, **facts):
    """Make rows whose labels are spread as those of Materials Project."""
    rng = np.random.default_rng(seed)
    pairs = [sorted(rng.choice(ELEMENTS, 2, replace=False)) for _ in range(n)]
    gaps = np.where(rng.random(n) < 0.6, 0.0, rng.gamma(2.0, 1.0, n))
    columns = {
        "source": ["s"] * n,
        "material_id": [f"{seed}-{index}" for index in range(n)],
        "formula": ["".join(pair) for pair in pairs],
        "chemsys": ["-".join(pair) for pair in pairs],
        "n_sites": rng.integers(2, 20, n),
        ENERGY: np.clip(rng.normal(-1.0, 0.9, n), -4.0, 0.3),
        GAP: gaps,
        scheme_column(ENERGY): [SCHEME] * n,
        scheme_column(GAP): [SCHEME] * n,
        "license": ["CC-BY-4.0"] * n,
        "source_version": ["2026.1"] * n,
        "structure_digest": [f"{seed}-{index}" for index in range(n)],
    }
    return with_columns(None, **columns, **facts)


def with_columns(table, **columns):
    """Exchange columns of a table, or make one; digests follow."""
    known = {} if table is None else dict(zip(table.column_names, table, strict=True))
    known |= columns
    n = len(known["source"])
    names = ("atomic_numbers", "lattice", "frac_coords")
    lists: dict[str, list[list[float]]] = {name: [[]] * n for name in names}
    known = lists | {"content_digest": [""] * n} | known
    arrays = {
        field.name: pa.array(known[field.name], field.type)
        if field.name in known and not isinstance(known[field.name], pa.ChunkedArray)
        else known.get(field.name, pa.nulls(n, field.type))
        for field in record_schema()
    }
    light = [name for name in arrays if name not in lists]
    found = pa.table({name: arrays[name] for name in light}).to_pylist()
    digests = pa.array([content_digest(row) for row in found])
    return pa.table(arrays | {"content_digest": digests}, schema=record_schema())


def plausible(table):
    """Drop the rows that validation rejects for their labels; return how many."""
    keep = pa.array([True] * len(table))
    for name, target in TARGETS.items():
        is_in = pc.and_(
            pc.greater_equal(table[name], target.minimum),
            pc.less_equal(table[name], target.maximum),
        )
        keep = pc.and_(keep, pc.fill_null(is_in, True))
    return table.filter(keep), len(table) - pc.sum(keep, min_count=0).as_py()


def slipped(table, factors, first=0):
    """Multiply the energies of the rows from `first` on."""
    energies = table[ENERGY].to_numpy().copy()
    energies[first:] *= np.broadcast_to(factors, energies.shape)[first:]
    return with_columns(table, **{ENERGY: energies})


def ingest(store, table, n_rejected=0):
    """Do to a store what an ingest of these rows does; return the verdict."""
    ledger = Ledger(store, "s")
    ledger.begin()
    commit(store, table, n_rejected)
    return ledger.judge()


def commit(store, table, n_rejected=0):
    """Commit rows without a verdict."""
    records = RecordStore(store)
    records.replace_records("s", in_memory(table))
    rejects = [
        RejectedRecord("s", f"r{index}", "ingest", "implausible_label", "out of range")
        for index in range(n_rejected)
    ]
    records.replace_rejects("s", "ingest", rejects_table(rejects))


def compare_tables(before, after):
    """Compare two tables as `compare_versions` does, without a store."""
    columns = ["content_digest", *ROW_COLUMNS]
    then, now = (t.select(columns).sort_by("material_id") for t in (before, after))
    is_there = pc.is_in(now["material_id"], value_set=then["material_id"])
    stays = pc.is_in(then["material_id"], value_set=now["material_id"])
    first, last = then.filter(stays), now.filter(is_there)
    is_other = pc.not_equal(first["content_digest"], last["content_digest"])
    return RowChanges(
        new=now.filter(pc.invert(is_there)),
        before=first.filter(is_other),
        after=last.filter(is_other),
        removed=then["material_id"].filter(pc.invert(stays)),
        n_same=len(last) - pc.sum(is_other, min_count=0).as_py(),
    )


def judge_tables(before, after, rejected=(0, 0)):
    """Judge two tables, the second as the version that follows the first."""
    profiles = [
        profile_rows("s", version, [table], {"invalid_label": n} if n else {})
        for version, (table, n) in enumerate(zip((before, after), rejected, strict=True))
    ]
    changes = compare_tables(before, after)
    return judge(profiles[0], profiles[1], changes, GateConfig())


def read_formula(text):
    """Read the formula of a CIF text, and its atoms, element by element."""
    line = next(line for line in text.splitlines() if "_chemical_formula_sum" in line)
    words = re.findall("([A-Z][a-z]?)([0-9]*)", line.split(None, 1)[1])
    elements = [element for element, n in words for _ in range(int(n or 1))]
    return "".join(element + n for element, n in words), elements
