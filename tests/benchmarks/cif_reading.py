"""CIF texts to record rows: structures a second against pymatgen, and equal crystals.

Takes processor time on one core, in turns, so that a busy machine slows all alike: of
pymatgen's parser, of gemmi's text to a structure of its own, of `crystals_from_cifs`, of
texts to validated record rows, and of a whole part of a source (Parquet file to record
rows in a file). With `--all` every shared CIF is also read by both readers and compared.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
import warnings
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import gemmi
import pyarrow.parquet as pq
from gemmi import cif
from pymatgen.io.cif import CifParser

from crystalgnn_core.errors import RecordError
from crystalgnn_core.records.checks.validation import validate
from crystalgnn_core.records.crystal import structure_digest
from crystalgnn_core.records.formulas import name_composition
from crystalgnn_core.sources.base import BATCH_SIZE
from crystalgnn_core.sources.files.source import FilesSource
from crystalgnn_core.sources.formats.cif.gemmi import crystals_with_gemmi
from crystalgnn_core.sources.formats.cif.reader import crystals_from_cifs
from crystalgnn_core.sources.formats.columns import TargetColumn
from crystalgnn_core.sources.formats.structure_input import StructureInput, read_structures
from crystalgnn_core.sources.ingest.run import read_part
from deployments.tables import show_line, show_rows
from tests.core.sources.formats.cif.peers import crystal_with_pymatgen
from tests.core.sources.plans import parts_of
from tests.paths import DATA

if TYPE_CHECKING:
    from collections.abc import Callable

    from crystalgnn_core.sources.base import SourcePart

FILES = ("mp20", "wbm_candidates", "perov5_val", "aflow_elastic")
SCHEME = "MP 2021 (MP-20)"
N_PYMATGEN, N_FAST = 200, 2000


def run() -> None:
    """Print both tables, or say why there is nothing to read."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--all", action="store_true", help="compare all shared CIFs")
    parser.add_argument("--repeats", type=int, default=7)
    options = parser.parse_args()
    if not (DATA / "mp20.parquet").is_file():
        show_line("skipped: the CIFs are not in ../shared/data")
        return
    warnings.simplefilter("ignore")
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    show_rates(options.repeats)
    if options.all:
        show_comparison()


def show_rates(repeats: int) -> None:
    """Time every way in turns; the table holds medians, the ratio that of the rounds.

    Each round has other rows, so that no cache helps from one to the next.
    """
    texts, source = texts_of("mp20"), mp20_source()
    parts = parts_of(source)
    rounds = []
    for number in range(-1, repeats):  # the first one loads kernels, and is not counted
        part = parts[number % (len(parts) - 1)]  # the last one is short
        piece = texts[part.index * N_FAST :][:N_FAST]
        ways: dict[str, tuple[Callable[[], object], int]] = {
            "pymatgen, text to Structure": (
                partial(each, with_pymatgen, piece[:: N_FAST // N_PYMATGEN]),
                N_PYMATGEN,
            ),
            "gemmi, text to SmallStructure": (partial(each, with_gemmi, piece), N_FAST),
            "crystals_from_cifs": (partial(crystals_from_cifs, piece), N_FAST),
            "texts to record rows": (partial(to_rows, piece), N_FAST),
            "read_part, Parquet to Parquet": (
                partial(read_into_new_folder, source, part),
                N_FAST,
            ),
        }
        name_composition.cache_clear()
        rounds.append({name: seconds_of(way) / n for name, (way, n) in ways.items()})
    del rounds[0]
    slowest = next(iter(rounds[0]))
    rows = []
    for name in rounds[0]:
        times = [entry[name] for entry in rounds]
        ratio = statistics.median(entry[slowest] / entry[name] for entry in rounds)
        rate = 1 / statistics.median(times)
        span = f"{1 / max(times):,.0f} to {1 / min(times):,.0f}"
        rows.append((name, f"{rate:,.0f}", span, f"{ratio:.1f}"))
    columns = ("way", "#structures/s", "#range", "#times pymatgen")
    show_rows(f"MP-20 on one core, medians of {repeats} rounds", columns, rows)


def show_comparison() -> None:
    """Read every shared CIF in both ways."""
    columns = ("file", "#CIFs", "#fast path", "#equal to the bit", "#differ", "#refused")
    rows = [(name, *compare(texts_of(name))) for name in FILES]
    show_rows("Both readers on all shared CIFs", columns, rows)


def compare(texts: list[str]) -> tuple[int, int, int, int, int]:
    """Count texts, those of the fast path, equal and different ones, and refusals."""
    n_fast = n_equal = n_refused = 0
    for text, fast in zip(texts, crystals_with_gemmi(texts), strict=True):
        n_fast += fast is not None
        try:
            slow = crystal_with_pymatgen(text)
        except RecordError:
            n_refused += 1
            continue
        if fast is not None:
            n_equal += structure_digest(fast) == structure_digest(slow)
    return len(texts), n_fast, n_equal, n_fast - n_equal, n_refused


def texts_of(name: str) -> list[str]:
    """Return the CIF texts of a shared file."""
    return pq.read_table(DATA / f"{name}.parquet", columns=["cif"])["cif"].to_pylist()


def each(reader: Callable[[str], object], texts: list[str]) -> None:
    """Read every text."""
    for text in texts:
        reader(text)


def with_pymatgen(text: str) -> object:
    """Read a text as the reference does."""
    return CifParser.from_str(text).parse_structures(primitive=False)


def with_gemmi(text: str) -> object:
    """Read a text with gemmi alone, which neither checks nor expands."""
    return gemmi.make_small_structure_from_block(cif.read_string(text).sole_block())


def mp20_source() -> FilesSource:
    """Return MP-20 as a source with two targets."""
    targets = {
        name: TargetColumn(column=name, label_scheme=SCHEME)
        for name in ("formation_energy_per_atom", "band_gap")
    }
    path = str(DATA / "mp20.parquet")
    return FilesSource(name="mp20", path=path, targets=targets, part_size=N_FAST)


def to_rows(texts: list[str]) -> None:
    """Read texts and check what they hold, as sources and ingest do."""
    for start in range(0, len(texts), BATCH_SIZE):
        inputs = [
            StructureInput(str(row), f"row {row}", text)
            for row, text in enumerate(texts[start : start + BATCH_SIZE])
        ]
        validate(read_structures(inputs), source="mp20", targets=(), require_labels="none")


def read_into_new_folder(source: FilesSource, part: SourcePart) -> None:
    """Read, validate and write a part."""
    with tempfile.TemporaryDirectory() as folder:
        read_part(source, part, Path(folder))


def seconds_of(action: Callable[[], object]) -> float:
    """Return the processor time of an action, which other programs disturb less."""
    start = time.process_time()
    action()
    return time.process_time() - start


if __name__ == "__main__":
    run()
