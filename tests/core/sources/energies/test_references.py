"""Energies of the elements from a folder: the lowest of each, whatever else lies there."""

from __future__ import annotations

import gzip
import logging

import numpy as np
import pytest
from pymatgen.core.structure import Structure

from crystalgnn_core.errors import SourceError
from crystalgnn_core.sources.energies.formation import FormationEnergy
from crystalgnn_core.sources.energies.references import reference_energies
from tests.core.sources.vasprun_texts import vasprun_text

CUBE = 4.2 * np.eye(3)
SODIUM = Structure(CUBE, ["Na", "Na"], [[0.0] * 3, [0.5] * 3])
SALT = Structure(5.6 * np.eye(3), ["Na", "Cl"], [[0.0] * 3, [0.5] * 3])


@pytest.fixture
def energies(tmp_path):
    def read(**files):
        runs = tmp_path / "runs"
        for name, content in files.items():
            path = runs / name / "vasprun.xml"
            path.parent.mkdir(parents=True)
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        settings = {"references": {"path": str(runs), "label_scheme": "ours"}}
        config = FormationEnergy.model_validate(
            settings | {"corrections": "none", "run_types": ["GGA"]}
        )
        (tmp_path / "notes").mkdir(exist_ok=True)
        return reference_energies(config, tmp_path / "notes")

    return read


def test_the_lowest_run_of_each_element_counts_and_compounds_do_not(energies):
    runs = {"high": -2.0, "low": -2.6}
    texts = {name: vasprun_text(SODIUM, energy) for name, energy in runs.items()}
    assert energies(**texts, salt=vasprun_text(SALT, -90.0)) == {"Na": -1.3}


BROKEN = {
    "cut off": vasprun_text(SODIUM, -90.0)[:-900],
    "empty": "",
    "no XML": "energy of sodium: -90",
    "a cut archive": gzip.compress(vasprun_text(SODIUM, -90.0).encode())[:-20],
    "a zip of nothing": b"PK\x05\x06" + bytes(18),
    "not converged": vasprun_text(SODIUM, -90.0, n_electronic=60),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_run_that_cannot_be_used_costs_no_other(energies, name, caplog):
    caplog.set_level(logging.WARNING)
    assert energies(bad=BROKEN[name], good=vasprun_text(SODIUM, -2.6)) == {"Na": -1.3}
    assert energies() == {"Na": -1.3}  # as noted
    assert any("left out" in entry.getMessage() for entry in caplog.records)


def test_runs_of_no_element_are_an_error(energies):
    with pytest.raises(SourceError, match="holds no usable calculation of an element"):
        energies(bad=BROKEN["cut off"])
