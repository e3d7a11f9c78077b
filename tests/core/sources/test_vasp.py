from __future__ import annotations

import gzip
from pathlib import Path

import ase.test
import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError
from pymatgen.core.structure import Structure

from crystalgnn_core.errors import SourceError
from crystalgnn_core.records.checks.validation import validate
from crystalgnn_core.records.label_schemes import MP_2020
from crystalgnn_core.records.schema import REJECT_REASONS
from crystalgnn_core.sources import AnySource
from crystalgnn_core.sources.ingest.run import read_source
from crystalgnn_core.sources.vasp import VaspSource, run_ids
from tests.core.sources.plans import parts_of
from tests.core.sources.vasprun_texts import vasprun_text

REAL = Path(ase.test.__file__).parent / "testdata" / "vasp"
FCC = np.array([[0, 1, 1], [1, 0, 1], [1, 1, 0]])
SALT = Structure(2.8 * FCC, ["Na", "Cl"], np.array([[0.0] * 3, [0.5] * 3]))
SODIUM = Structure(2.1 * (1 - 2 * np.eye(3)), ["Na"], np.zeros((1, 3)))
CHLORINE = Structure(np.eye(3) * 4.5, ["Cl", "Cl"], np.array([[0.0] * 3, [0.45, 0, 0]]))
REFERENCES = {"energies": {"Na": -1.3, "Cl": -1.8}, "label_scheme": MP_2020}
GAPS = {"band_gap": "PBE ours", "fermi_energy": "PBE ours", "is_metal": "PBE ours"}


def source(path, **settings):
    values = {"formation_energy": {"references": REFERENCES}, "label_schemes": GAPS}
    return VaspSource.model_validate(
        {"name": "runs", "path": str(path)} | values | settings
    )


def read(config):
    return list(read_source(config))


def put(folder, name, text):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(
        gzip.compress(text.encode()) if name.endswith(".gz") else text.encode()
    )
    return path


@pytest.fixture
def runs(tmp_path):
    """Runs of which two are good."""
    good = vasprun_text(SALT, -6.8)
    folder = tmp_path / "runs"
    put(folder, "good/vasprun.xml", good)
    put(folder, "deep/er/vasprun.xml.gz", good)
    put(folder, "cut/vasprun.xml", good[:-900])
    put(folder, "electrons/vasprun.xml", vasprun_text(SALT, -6.8, n_electronic=60))
    put(folder, "scan/vasprun.xml", vasprun_text(SALT, -9.0, incar={"METAGGA": "R2SCAN"}))
    others = {"Na": "PAW_PBE Na 08Apr2002", "Cl": "PAW_PBE Cl 06Sep2000"}
    put(folder, "soft/vasprun.xml", vasprun_text(SALT, -6.8, titles=others))
    oxide = Structure(SALT.lattice, ["Na", "O"], SALT.frac_coords)
    put(folder, "oxide/vasprun.xml", vasprun_text(oxide, -6.8))
    put(folder, ".hidden/vasprun.xml", good)
    return folder


def test_a_folder_of_runs_becomes_records_and_rejects(runs):
    config = source(runs)
    records = {record.material_id: record for record in read(config)}
    reasons = {name: record.error and record.error[0] for name, record in records.items()}
    assert reasons == {
        "good": None,
        "deep/er": None,
        "cut": "unreadable_structure",
        "electrons": "not_converged",
        "scan": "incompatible_settings",
        "soft": "incompatible_settings",
        "oxide": "missing_reference",
    }
    assert set(reasons.values()) - {None} <= set(REJECT_REASONS)
    assert "no energy of O" in records["oxide"].error[1]
    assert records["soft"].error[1].startswith("soft: soft/vasprun.xml: the potentials are")


def test_a_run_becomes_a_row_with_energy_gap_and_schemes(runs):
    checked = validate(
        read(source(runs, license="CC0")),
        source="runs",
        targets=source(runs).target_names(),
        require_labels="all",
    )
    assert (checked.records.num_rows, len(checked.rejects)) == (2, 5)
    for row in checked.records.to_pylist():
        # (-6.8 - 0.614 + 1.3 + 1.8) / 2
        assert row["formation_energy_per_atom"] == pytest.approx(-2.157)
        assert row["formation_energy_per_atom_scheme"] == MP_2020
        assert (row["band_gap"], row["band_gap_scheme"]) == (3.5, "PBE ours")
        assert (row["fermi_energy"], row["is_metal"]) == (0.5, 0.0)
        assert (row["run_type"], row["license"], row["formula"]) == ("GGA", "CC0", "NaCl")
        assert len(row["source_version"]) == 16


def test_a_real_run_becomes_a_record():
    """The potential of sodium is not that of the Materials Project, so no MP2020."""
    path = REAL / "vasprun_dfpt.xml"
    if not path.is_file():
        pytest.skip("this release of ASE comes without its test data")
    [refused] = read(source(path))
    assert refused.error[0] == "incompatible_settings"
    own = {
        "corrections": "none",
        "references": {"energies": {"Na": -1.3, "Cl": -1.8}, "label_scheme": "ours"},
        "run_types": ["GGA"],
    }
    [record] = read(source(path, formation_energy=own))
    row = validate([record], source="runs", targets=(), require_labels="all").records
    [row] = row.to_pylist()
    assert (row["material_id"], row["formula"], row["n_sites"]) == (
        "vasprun_dfpt",
        "NaCl",
        2,
    )
    # (-6.74587304 + 3.1) / 2
    assert row["formation_energy_per_atom"] == pytest.approx(-1.82293652)
    assert row["formation_energy_per_atom_scheme"] == "ours"
    assert row["band_gap"] == pytest.approx(5.4988)


def test_without_references_every_run_says_what_is_missing(runs):
    records = read(source(runs / "good", formation_energy={}))
    assert records[0].error[0] == "missing_reference"
    assert "Cl, Na" in records[0].error[1]
    assert "formation_energy.references" in records[0].error[1]
    [record] = read(source(runs / "good", formation_energy=None))
    assert record.labels == {"band_gap": 3.5, "fermi_energy": 0.5, "is_metal": 0.0}


def test_functionals_are_accepted_by_name(runs):
    only = {"formation_energy": None, "run_types": ["r2SCAN"]}
    records = read(source(runs / "scan", **only))
    assert [record.run_type for record in records] == ["r2SCAN"]
    [refused] = read(source(runs / "good", **only))
    assert "the run type is GGA, expected r2SCAN" in refused.error[1]
    with pytest.raises(ValidationError, match="run_types is empty"):
        source(runs, run_types=[])


def test_a_run_without_a_gap_keeps_its_other_labels_or_says_why(tmp_path):
    put(tmp_path, "full/vasprun.xml", vasprun_text(SALT, -6.8, bands=[[-1.0], [-2.0]]))
    [kept] = read(source(tmp_path))
    assert kept.labels["band_gap"] is None
    assert kept.labels["is_metal"] is None
    assert kept.labels["formation_energy_per_atom"] == pytest.approx(-2.157)
    gaps = {"band_gap": "PBE ours"}
    for settings in (
        {"formation_energy": None, "label_schemes": gaps},
        {"require_labels": "all"},
    ):
        [refused] = read(source(tmp_path, **settings))
        assert refused.error[0] == "missing_label"
        assert "no band gap: all 1 bands are filled; raise NBANDS" in refused.error[1]


def test_dispersion_without_a_name_is_refused_unless_it_is_named(tmp_path):
    put(tmp_path, "d2/vasprun.xml", vasprun_text(SALT, -9.8, added=-3.47))
    [refused] = read(source(tmp_path))
    assert refused.error[0] == "incompatible_settings"
    assert "run type is GGA+vdW? (the energy of the step (-9.800 eV)" in refused.error[1]
    [kept] = read(source(tmp_path, formation_energy=None, run_types=["GGA+vdW?"]))
    assert kept.run_type == "GGA+vdW?"


def test_coarse_runs_are_not_corrected(tmp_path):
    put(tmp_path, "coarse/vasprun.xml", vasprun_text(SALT, -6.8, ENMAX=400.0))
    spin_orbit = vasprun_text(SALT, -6.8, LSORBIT=True)
    put(tmp_path, "soc/vasprun.xml", spin_orbit)
    messages = [record.error[1] for record in read(source(tmp_path))]
    assert "the cut-off is 400 eV, below 520" in messages[0]
    assert "the run type is GGA+SOC, expected GGA or GGA+U" in messages[1]


def test_references_are_read_from_runs_of_the_elements(runs, tmp_path):
    elements = tmp_path / "elements"
    put(elements, "Na/vasprun.xml", vasprun_text(SODIUM, -1.3))
    put(elements, "Na-high/vasprun.xml.gz", vasprun_text(SODIUM, -1.0))
    put(elements, "Na-low/vasprun.xml", vasprun_text(SODIUM, -9.9, n_electronic=60))
    put(elements, "Cl2/vasprun.xml", vasprun_text(CHLORINE, -3.6))
    put(elements, "Cl-cut/vasprun.xml", vasprun_text(CHLORINE, -9.6)[:-700])
    scan = vasprun_text(CHLORINE, -9.6, incar={"METAGGA": "SCAN"})
    put(elements, "Cl-scan/vasprun.xml", scan)
    put(elements, "NaCl/vasprun.xml", vasprun_text(SALT, -6.8))
    references = {"path": str(elements), "label_scheme": MP_2020}
    config = source(runs / "good", formation_energy={"references": references})
    [part] = parts_of(config)
    assert part.payload["references"] == {"Cl": -1.8, "Na": -1.3}
    given = source(runs / "good")
    assert [r.labels for r in config.read(part)] == [r.labels for r in read(given)]
    # other references are another part, wherever they are kept
    elements.rename(tmp_path / "moved")
    moved = references | {"path": str(tmp_path / "moved")}
    [same] = parts_of(source(runs / "good", formation_energy={"references": moved}))
    assert same.digest == part.digest
    put(tmp_path / "moved", "Na/vasprun.xml", vasprun_text(SODIUM, -1.4))
    [other] = parts_of(source(runs / "good", formation_energy={"references": moved}))
    assert other.digest != part.digest


def test_references_that_are_not_there_are_one_error(runs, tmp_path):
    for path, words in ((tmp_path / "none", "no such file or folder"), (runs, "no usable")):
        references = {"path": str(path), "label_scheme": MP_2020}
        with pytest.raises(SourceError, match=words):
            parts_of(source(runs, formation_energy={"references": references}))


def test_parts_are_groups_of_runs_that_know_their_content(runs, tmp_path):
    config = source(runs, part_size=3)
    parts = parts_of(config)
    assert [len(part.payload["runs"]) for part in parts] == [3, 3, 1]
    assert len({part.digest for part in parts}) == 3
    ids = [record.material_id for part in reversed(parts) for record in config.read(part)]
    assert sorted(ids) == sorted(record.material_id for record in read(config))
    assert parts_of(source(runs, part_size=3, license="CC0"))[0].digest != parts[0].digest
    moved = runs.rename(tmp_path / "moved")
    assert parts_of(source(moved, part_size=3)) == parts
    put(moved, "cut/vasprun.xml", vasprun_text(SALT, -6.9))
    errors = {record.material_id: record.error for record in source(moved).read(parts[0])}
    assert "changed or vanished" in errors["cut"][1]


def test_folders_without_runs_are_clear_errors(tmp_path):
    with pytest.raises(SourceError, match="no VASP runs"):
        parts_of(source(tmp_path))
    with pytest.raises(SourceError, match="no such file"):
        parts_of(source(tmp_path / "nowhere"))


def test_of_a_calculation_in_steps_the_last_is_the_run(tmp_path):
    """Names of custodian's double relaxation, of atomate and of AFLOW."""
    early, late = vasprun_text(SALT, -6.0), vasprun_text(SALT, -6.8)
    put(tmp_path, "double/vasprun.xml.relax1.gz", early)
    put(tmp_path, "double/vasprun.xml.relax2.gz", late)
    put(tmp_path, "double/vasprun.xml.relax2", early)  # unpacked once, and left there
    put(tmp_path, "many/vasprun.xml.relax10", late)
    put(tmp_path, "many/vasprun.xml.relax9", early)
    put(tmp_path, "static/vasprun.xml.relax2", early)
    put(tmp_path, "static/vasprun.xml.static.gz", late)
    put(tmp_path, "static/vasprun.xml.bands.gz", early)
    put(tmp_path, "whole/vasprun.xml", late)
    put(tmp_path, "whole/vasprun.xml.relax3", early)
    put(tmp_path, "whole/vasprun_more.xml.relax1", early)  # else the id of the run changes
    put(tmp_path, "saved/vasprun.xml.orig", late)
    put(tmp_path, "other/NaCl_vasprun.xml", late)
    put(tmp_path, "other/POSCAR", "")
    config = source(tmp_path)
    records = {record.material_id: record for record in read(config)}
    assert sorted(records) == ["double", "many", "static", "whole"]
    energies = [one.labels["formation_energy_per_atom"] for one in records.values()]
    assert energies == pytest.approx([-2.157] * 4)  # that of the last step, see above
    left_out = dict(config.unsupported_files())
    assert sorted(left_out) == [
        "double/vasprun.xml.relax1.gz",
        "double/vasprun.xml.relax2",
        "many/vasprun.xml.relax9",
        "other/NaCl_vasprun.xml",
        "saved/vasprun.xml.orig",
        "static/vasprun.xml.bands.gz",
        "static/vasprun.xml.relax2",
        "whole/vasprun.xml.relax3",
        "whole/vasprun_more.xml.relax1",
    ]
    assert "the run is vasprun.xml.relax2.gz" in left_out["double/vasprun.xml.relax1.gz"]
    assert "rename it" in left_out["saved/vasprun.xml.orig"]
    assert source(tmp_path, pattern=["*.orig"]).unsupported_files() == []
    [saved] = read(source(tmp_path, pattern=["*.orig"]))
    assert saved.material_id == "saved"


def test_a_folder_of_left_out_runs_says_so(tmp_path):
    put(tmp_path, "vasprun.xml.orig", vasprun_text(SALT, -6.8))
    with pytest.raises(SourceError, match=r"vasprun\.xml\.orig: not read; runs are named"):
        parts_of(source(tmp_path))


def test_references_may_be_last_steps(tmp_path):
    put(tmp_path, "runs/vasprun.xml", vasprun_text(SALT, -6.8))
    put(tmp_path, "elements/Na/vasprun.xml.relax1", vasprun_text(SODIUM, -1.9))
    put(tmp_path, "elements/Na/vasprun.xml.relax2", vasprun_text(SODIUM, -1.3))
    put(tmp_path, "elements/Cl/vasprun.xml.static.gz", vasprun_text(CHLORINE, -3.6))
    references = {"path": str(tmp_path / "elements"), "label_scheme": MP_2020}
    [part] = parts_of(
        source(tmp_path / "runs", formation_energy={"references": references})
    )
    assert part.payload["references"] == {"Cl": -1.8, "Na": -1.3}


def test_ids_are_folders_unless_one_holds_several():
    names = ["a/vasprun.xml.gz", "b/vasprun.xml", "b/vasprun2.xml", "vasprun.xml"]
    assert run_ids(names) == ["a", "b/vasprun", "b/vasprun2", "vasprun"]


def test_it_is_a_kind_of_source():
    entry = {"kind": "vasp", "name": "runs", "path": "runs"}
    config = TypeAdapter(AnySource).validate_python(entry)
    assert isinstance(config, VaspSource)
    assert config.target_names() == ("formation_energy_per_atom",)
