"""Another pymatgen: labels that move are named and asked about, others are not."""

import numpy as np
import pytest
from pymatgen.core.structure import Structure

from crystalgnn_core.errors import SuspiciousDataError
from crystalgnn_core.records.gate.acceptance import require_accepted
from crystalgnn_core.records.gate.log import GateLog
from crystalgnn_core.records.label_schemes import MP_2020
from crystalgnn_core.sources.energies import engine, mp2020
from crystalgnn_core.sources.energies.engine import correction_engine
from crystalgnn_core.sources.energies.formation import FormationEnergy
from crystalgnn_core.sources.ingest.run import ingest_source
from crystalgnn_core.sources.vasp import VaspSource
from tests.core.sources.vasprun_texts import vasprun_text

FCC = 2.8 * np.array([[0, 1, 1], [1, 0, 1], [1, 1, 0]])
PLACES = np.array([[0.0] * 3, [0.5] * 3])
SALT = Structure(FCC, ["Na", "Cl"], PLACES)
OXIDE = Structure(FCC, ["Fe", "O"], PLACES)
REFERENCES = {"Na": -1.3, "Cl": -1.8, "Fe": -8.0, "O": -4.9}


@pytest.fixture
def source(tmp_path):
    put(tmp_path, "salt", vasprun_text(SALT, -6.8))
    put(tmp_path, "oxide", vasprun_text(OXIDE, -14.0, hubbard={"Fe": 5.3}))
    references = {"energies": REFERENCES, "label_scheme": MP_2020}
    return VaspSource.model_validate(
        {
            "name": "runs",
            "path": str(tmp_path / "runs"),
            "formation_energy": {"references": references},
            "label_schemes": {"band_gap": "ours"},
        }
    )


def put(tmp_path, name, text):
    folder = tmp_path / "runs" / name
    folder.mkdir(parents=True)
    (folder / "vasprun.xml").write_text(text)


@pytest.fixture
def upgrade(monkeypatch):
    """Another release of pymatgen, in which the correction of chlorine is another."""

    def change(shift):
        known = correction_engine(FormationEnergy())
        monkeypatch.setattr(engine, "_engine", lambda: known | {"pymatgen": "2099.1.1"})
        real = mp2020.mp2020_correction

        def shifted(calculation):
            has_chlorine = 17 in calculation.crystal.atomic_numbers
            return real(calculation) + shift * has_chlorine

        monkeypatch.setattr(mp2020, "mp2020_correction", shifted)

    return change


def test_labels_that_an_upgrade_moves_are_named_and_asked_about(source, tmp_path, upgrade):
    store = tmp_path / "store"
    assert ingest_source(store, source).n_kept == 2
    assert not ingest_source(store, source).was_read
    upgrade(-0.4)
    report = ingest_source(store, source)
    assert report.was_read
    assert report.gate is not None
    [reason] = report.gate.reasons
    moved = "formation_energy_per_atom: 1 labels moved by up to 0.2 eV/atom"
    assert reason.startswith(f"{moved} though their structures stayed (salt)")
    assert "-> 2099.1.1" in reason
    with pytest.raises(SuspiciousDataError, match="2099"):
        require_accepted(store, ["runs"])
    # a new run does not hide what moved before
    put(tmp_path, "later", vasprun_text(SALT, -6.9))
    again = ingest_source(store, source)
    assert again.gate is not None
    assert again.gate.is_suspicious
    GateLog(store, "runs").accept("checked")
    require_accepted(store, ["runs"])
    put(tmp_path, "last", vasprun_text(SALT, -7.0))
    last = ingest_source(store, source)
    assert last.gate is not None
    assert not last.gate.is_suspicious


def test_an_upgrade_that_moves_nothing_asks_nothing(source, tmp_path, upgrade):
    store = tmp_path / "store"
    ingest_source(store, source)
    upgrade(0.0)
    report = ingest_source(store, source)
    assert (report.was_read, report.gate and report.gate.verdict) == (True, "unchanged")
    assert not ingest_source(store, source).was_read


def test_a_store_of_an_older_version_is_asked_about_what_moves(source, tmp_path, upgrade):
    """Its reports name no engine."""
    store = tmp_path / "store"
    ingest_source(store, source)
    log = GateLog(store, "runs")
    history = log.history()
    known = history.entries[-1].engine
    assert set(known) >= {"pymatgen", "MP2020 tables", "reader of runs"}
    old = history.entries[-1].model_copy(update={"engine": {}})
    log._write(history, entries=(old,))
    upgrade(-0.4)
    report = ingest_source(store, source)
    assert report.gate is not None
    assert "pymatgen not noted -> 2099.1.1" in report.gate.reasons[0]


def test_what_computes_no_corrections_depends_on_no_release():
    references = {"energies": {"Na": -1.3}, "label_scheme": "ours"}
    plain = {"corrections": "none", "references": references, "run_types": ["GGA"]}
    stored = {"corrections": "stored", "references": references}
    for settings in (plain, stored):
        assert correction_engine(FormationEnergy.model_validate(settings)) == {}
    assert correction_engine(None) == {}
    checked = stored | {"references": references | {"label_scheme": MP_2020}}
    assert correction_engine(FormationEnergy.model_validate(checked)) == correction_engine(
        FormationEnergy()
    )


def test_the_digest_is_that_of_the_tables_which_pymatgen_reads(monkeypatch):
    assert len(engine._digest_of_tables([])) == 16
    found = correction_engine(FormationEnergy())["MP2020 tables"]
    assert found != engine._digest_of_tables([])  # both files are there
