"""Seconds and parsed runs of ingests of VASP runs: first, same, one more, one less.

python -m tests.benchmarks.one_new_file [RUNS]     (default 2000)
"""

import shutil
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch

import numpy as np
from pymatgen.core.structure import Structure

from crystalgnn_core.sources import vasp
from crystalgnn_core.sources.formats.vasprun import VaspRun, read_vasp_run
from crystalgnn_core.sources.ingest.run import ingest_source
from deployments.tables import show_rows
from tests.core.sources.vasprun_texts import vasprun_text

FCC = np.array([[0, 1, 1], [1, 0, 1], [1, 1, 0]])
REFERENCES = {"energies": {"Na": -1.3, "Cl": -1.8}, "label_scheme": "MP GGA/GGA+U MP2020"}


def main(n_runs: int = 2000) -> None:
    """Ingest a folder again and again; print what each ingest read."""
    rows: list[tuple[object, ...]] = []
    parsed: list[Path] = []

    def counting(path: Path) -> VaspRun:
        parsed.append(path)
        return read_vasp_run(path)

    with TemporaryDirectory() as name, patch.object(vasp, "read_vasp_run", counting):
        folder = Path(name)
        for number in range(n_runs):
            _write_run(folder / "runs", number)
        source = vasp.VaspSource.model_validate(
            {
                "name": "runs",
                "path": str(folder / "runs"),
                "formation_energy": {"references": REFERENCES},
            }
        )
        for what in ("first", "same", "one more", "one less"):
            if what == "one more":
                _write_run(folder / "runs", n_runs)
            if what == "one less":
                shutil.rmtree(folder / "runs" / "r00003")
            parsed.clear()
            start = time.perf_counter()
            report = ingest_source(folder / "store", source)
            seconds = f"{time.perf_counter() - start:.1f}"
            rows.append((what, seconds, len(parsed), report.n_in, report.n_kept))
    columns = ("ingest", "seconds", "runs parsed", "rows in", "rows kept")
    show_rows(f"{n_runs:,} runs", columns, rows)


def _write_run(folder: Path, number: int) -> None:
    a = 2.6 + 1e-4 * number
    salt = Structure(a * FCC, ["Na", "Cl"], np.array([[0.0] * 3, [0.5] * 3]))
    text = vasprun_text(salt, -6.8 + 1e-4 * number)
    path = folder / f"r{number:05d}" / "vasprun.xml"
    path.parent.mkdir(parents=True)
    path.write_text(text[:-900] if number % 50 == 7 else text)


if __name__ == "__main__":
    main(*(int(word) for word in sys.argv[1:]))
