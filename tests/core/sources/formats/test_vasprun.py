from __future__ import annotations

import bz2
import gzip
import re
import zipfile
from pathlib import Path
from typing import Any

import ase.test
import numpy as np
import pytest
from pymatgen.core.structure import Structure

from crystalgnn_core.errors import RecordError
from crystalgnn_core.sources.formats.vasprun import (
    may_be_of_one_element,
    read_final_structure,
    read_vasp_run,
)
from tests.core.sources.vasprun_texts import vasprun_text

REAL = Path(ase.test.__file__).parent / "testdata" / "vasp"
SALT = Structure(
    2.8 * np.array([[0, 1, 1], [1, 0, 1], [1, 1, 0]]),
    ["Na", "Cl"],
    np.array([[0.0] * 3, [0.5] * 3]),
)


@pytest.fixture
def written(tmp_path):
    def write(energy=-6.8, **settings):
        path = tmp_path / "vasprun.xml"
        path.write_text(vasprun_text(SALT, energy, **settings))
        return path

    return write


def real(name):
    path = REAL / name
    if not path.is_file():
        pytest.skip("this release of ASE comes without its test data")
    return path


def test_a_real_run_of_sodium_chloride_is_read():
    """Expected values stand in the file: energy, Fermi energy, and edges of the bands."""
    run = read_vasp_run(real("vasprun_dfpt.xml"))
    assert run.calculation.crystal.atomic_numbers.tolist() == [11, 17]
    assert run.calculation.energy == -6.74587304
    assert run.calculation.run_type == "GGA"
    assert run.calculation.potcars == ("PAW_PBE Na 08Apr2002", "PAW_PBE Cl 06Sep2000")
    assert run.calculation.hubbards == {}
    assert run.fermi_energy == 0.65337127
    assert run.band_gap == pytest.approx(5.6402 - 0.1414)


def test_a_real_run_with_potentials_of_the_lda_is_no_gga():
    run = read_vasp_run(real("vasprun_pstress.xml"))
    assert run.calculation.run_type == "LDA"  # no GGA tag; potential `PAW C 22Mar2012`
    assert run.band_gap == pytest.approx(14.5994 - 9.0490)
    assert may_be_of_one_element(real("vasprun_pstress.xml"))
    assert not may_be_of_one_element(real("vasprun_dfpt.xml"))


def test_the_energy_under_pressure_is_no_enthalpy(written):
    """The file ends with E + PV; E stands in its last electronic step."""
    energy = read_vasp_run(real("vasprun_pstress.xml")).calculation.energy
    assert energy == pytest.approx(-20.24720095, abs=1e-7)
    work = SALT.volume / 160.21766  # at 1 GPa
    pressed = read_vasp_run(written(-6.8 + work, added=work, PSTRESS=10.0)).calculation
    assert pressed.energy == pytest.approx(-6.8, abs=1e-6)
    assert pressed.run_type == "GGA"
    # of dispersion and enthalpy together nobody knows whether the latter is there
    both = written(-6.8 + work, added=work - 3.0, PSTRESS=10.0, incar={"IVDW": 11})
    with pytest.raises(RecordError, match="without PSTRESS"):
        read_vasp_run(both)
    # not every file has the enthalpy
    assert read_vasp_run(written(PSTRESS=10.0)).calculation.energy == -6.8


def test_a_written_run_gives_back_what_was_written(written):
    run = read_vasp_run(written())
    assert np.allclose(run.calculation.crystal.lattice, SALT.lattice.matrix)
    assert run.calculation.energy == -6.8
    assert run.calculation.run_type == "GGA"
    assert (run.band_gap, run.fermi_energy) == (3.5, 0.5)


def test_a_compressed_run_is_the_same(written):
    path = written()
    packed = path.with_name("vasprun.xml.gz")
    packed.write_bytes(gzip.compress(path.read_bytes()))
    plain, unpacked = read_vasp_run(path), read_vasp_run(packed)
    assert unpacked.calculation.energy == plain.calculation.energy
    assert unpacked.band_gap == plain.band_gap


@pytest.mark.parametrize("name", ["vasprun.xml", "vasprun.xml.gz", "vasprun.xml.gz.txt"])
@pytest.mark.parametrize("pack", [bytes, gzip.compress, bz2.compress])
def test_a_run_is_unpacked_by_its_content_whatever_its_name(written, tmp_path, name, pack):
    content = written().read_bytes()
    path = tmp_path / "other" / name
    path.parent.mkdir()
    path.write_bytes(pack(content))
    assert read_vasp_run(path).calculation.energy == -6.8


def test_an_archive_of_other_things_and_one_that_expands_are_refused(written, tmp_path):
    text = written().read_bytes()
    path = tmp_path / "vasprun.xml"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("notes.txt", "x")
    with pytest.raises(RecordError, match="not a whole vasprun"):
        read_vasp_run(path)
    head, end, rest = text.partition(b"</atominfo>")
    path.write_bytes(gzip.compress(head + end + b" " * 2**25 + rest))
    with pytest.raises(RecordError, match="expands"):
        read_vasp_run(path)


RUN_TYPES: dict[str, dict[str, Any]] = {
    "GGA+U": {"hubbard": {"Na": 4.0}},
    "GGA": {"hubbard": {"Na": 0.0}},
    "r2SCAN": {"incar": {"METAGGA": "R2SCAN"}},
    "SCAN": {"incar": {"METAGGA": "SCAN"}},
    "PBEsol": {"GGA": "PS"},
    "HSE06": {"HFSCREEN": 0.2, "LHFCALC": True, "AEXX": 0.25},
    "GGA+vdW-DFT-D3": {"incar": {"IVDW": 11}},
    "LDA": {"GGA": "--", "titles": {"Na": "PAW Na 1", "Cl": "PAW Cl 1"}},
    "of PAW_PBE and PAW": {
        "GGA": "--",
        "titles": {"Na": "PAW_PBE Na 1", "Cl": "PAW Cl 1"},
    },
    "GGA+vdW-DFT-D2": {"incar": {"LVDW": True}},
    "PBEsol+U+vdW-DFT-D3-BJ": {
        "GGA": "PS",
        "hubbard": {"Na": 4.0},
        "incar": {"IVDW": 12},
    },
    "optB86b+rVV10": {"GGA": "MK", "LUSE_VDW": True},
    "AM05": {"GGA": "AM"},
    "PBEO or other Hybrid Functional": {"LHFCALC": True, "AEXX": 0.25},
    "PBEO or other Hybrid Functional (AEXX=0.2)": {"LHFCALC": True, "AEXX": 0.2},
    "PBEO or other Hybrid Functional (HFSCREEN=0.11)": {
        "LHFCALC": True,
        "AEXX": 0.25,
        "HFSCREEN": 0.11,
    },
    "GGA+SOC": {"LSORBIT": True},
    "B3LYP": {"LHFCALC": True, "AEXX": 0.2, "GGA": "B3"},
    "HSE06 (AEXX=0.375)": {"HFSCREEN": 0.2, "LHFCALC": True, "AEXX": 0.375},
    "HSE06 (GGA=PS)": {"HFSCREEN": 0.2, "LHFCALC": True, "AEXX": 0.25, "GGA": "PS"},
}


SAME: dict[str, dict[str, Any]] = {
    "a screening without exchange": {"HFSCREEN": 0.2, "AEXX": 0.25},
    "no dispersion": {"incar": {"IVDW": 0}},
    "U of no orbital": {"hubbard": {"Na": 4.0}, "incar": {"LDAUL": [-1.0, -1.0]}},
}


@pytest.mark.parametrize("name", SAME)
def test_idle_tags_leave_the_functional_as_it_is(written, name):
    assert read_vasp_run(written(**SAME[name])).calculation.run_type == "GGA"


@pytest.mark.parametrize("name", RUN_TYPES)
def test_functional_is_named_as_the_materials_project_does(written, name):
    assert read_vasp_run(written(**RUN_TYPES[name])).calculation.run_type == name


def test_hubbard_u_is_read(written):
    run = read_vasp_run(written(hubbard={"Cl": 2.5}))
    assert run.calculation.hubbards == {"Na": 0.0, "Cl": 2.5}
    negative = read_vasp_run(written(hubbard={"Cl": -1.0})).calculation
    assert (negative.run_type, negative.hubbards["Cl"]) == ("GGA+U", -1.0)


def test_bands_that_are_filled_at_some_points_only_close_the_gap(written):
    assert read_vasp_run(written(bands=[[-1, 1], [0.6, 2]])).band_gap == 0.0


def test_a_fermi_energy_within_a_band_does_not_close_the_gap(written):
    """As VASP 6.1 and later place it with tetrahedra, pymatgen#2303."""
    filled = [[1.0, 0.0], [1.0, 0.0]]
    for fermi in (2.5018, -1.0005, 9.0):
        assert read_vasp_run(written(shares=filled, fermi=fermi)).band_gap == 3.5


def test_a_run_without_empty_bands_says_why_it_has_no_gap(written):
    run = read_vasp_run(written(bands=[[-1], [-2]]))
    assert run.band_gap is None
    assert "raise NBANDS" in run.no_gap


CASES = Path(__file__).parents[5] / "shared" / "faults" / "cases"


def case(name):
    [path] = CASES.glob(f"{name}-*/vasprun.xml.gz") if CASES.is_dir() else [None]
    if path is None:
        pytest.skip("the shared inputs are not at hand")
    return path


@pytest.mark.slow
def test_gap_of_gallium_arsenide_is_that_of_its_occupations():
    """VASP 6.3.1, PBEsol: 36 bands filled at 365 points, gap 0.084 eV; emmet's mp-2534."""
    run = read_vasp_run(case("V01"))
    assert run.band_gap == pytest.approx(0.0843)
    assert run.fermi_energy is not None
    assert run.fermi_energy > 3.4245  # the lowest empty band


def test_a_charged_cell_is_refused(written, refused):
    """Of pymatgen#2579: silicon with 9 electrons, pymatgen's vasprun.charged.xml."""
    reason, message = refused(read_vasp_run, case("V03"))
    assert (reason, "charged (-1): NELECT is 9, the atoms bring 8" in message) == (
        "incompatible_settings",
        True,
    )
    assert "charged (+1)" in refused(read_vasp_run, written(NELECT=13.0))[1]
    assert read_vasp_run(written(NELECT=14.0005)).calculation.energy == -6.8


def test_parts_of_hydrogen_at_a_surface_are_no_atoms(tmp_path, refused):
    path = tmp_path / "vasprun.xml"
    hydride = Structure(SALT.lattice, ["Na", "H"], SALT.frac_coords)
    for name, is_atom in (("H", True), ("H_h", True), ("H.75", False), ("H1.25", False)):
        titles = {"Na": "PAW_PBE Na 08Apr2002", "H": f"PAW_PBE {name} 07Jul2010"}
        path.write_text(vasprun_text(hydride, -6.0, titles=titles))
        for read in (read_vasp_run, read_final_structure):
            if is_atom:
                read(path)
            else:
                assert refused(read, path)[0] == "unknown_element"


def test_the_structure_is_that_of_the_last_energy(written):
    """A run that was asked to stop ends with the positions of the step to come."""
    path = written()
    before, after = path.read_text().rsplit("0.50000000       0.50000000 </v>", 1)
    path.write_text(f"{before}0.60000000       0.60000000 </v>{after}")
    found = read_vasp_run(path).calculation.crystal.frac_coords[1]
    assert found.tolist() == [0.5, 0.5, 0.5]


def test_dispersion_that_no_tag_names_is_part_of_the_run_type(written):
    """CsCl by VASP 5.3.5 with DFT-D2, which names it nowhere; pymatgen#2370."""
    calculation = read_vasp_run(case("V07")).calculation
    assert calculation.run_type == "GGA+vdW?"
    assert "(-9.783 eV)" in calculation.remark
    assert "(-6.313 eV)" in calculation.remark
    unnamed = read_vasp_run(written(added=-0.0011)).calculation
    assert unnamed.run_type == "GGA+vdW?"
    assert read_vasp_run(written(added=-0.0009)).calculation.run_type == "GGA"
    for incar in ({"IVDW": 12}, {"METAGGA": "MBJ"}):
        assert read_vasp_run(written(added=-3.0, incar=incar)).calculation.remark == ""


REFUSED: dict[str, tuple[dict[str, Any], str, str]] = {
    "electrons": ({"n_electronic": 60}, "not_converged", "NELM = 60"),
    "ions": ({"n_ionic": 5, "NSW": 5, "IBRION": 2}, "not_converged", "NSW = 5"),
    "dynamics": ({"n_ionic": 5, "NSW": 5, "IBRION": 0}, "not_converged", "dynamics"),
    "displaced": ({"NSW": 1, "IBRION": 6}, "incompatible_settings", "displaced"),
    "bands": ({"ICHARG": 11}, "incompatible_settings", "ICHARG"),
    "infinite": ({"energy": float("inf")}, "incompatible_settings", "no total energy"),
    "image": ({"incar": {"IMAGES": 5}}, "incompatible_settings", "image of a path"),
    "U of types": (
        {"hubbard": {"Na": 4.0}, "incar": {"LDAUU": [4.0]}},
        "incompatible_settings",
        "LDAUU has 1 values for 2 potentials",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_runs_without_a_final_energy_are_refused(written, refused, name):
    settings, reason, words = REFUSED[name]
    found, message = refused(read_vasp_run, written(**settings))
    assert found == reason
    assert words in message


def test_a_relaxation_that_ended_early_is_converged(written):
    assert read_vasp_run(written(n_ionic=4, NSW=99, IBRION=2)).calculation.energy == -6.8


DAMAGED = {
    "cut": lambda text: text[: len(text) // 2],
    "empty": lambda _: b"",
    "other": lambda _: b"<html><body>502</body></html>",
    "no numbers": lambda text: text.replace(b"-6.80000000", b"***********"),
    "junk": lambda _: bytes(range(256)) * 20,
    "no position": lambda text: re.sub(rb"<v>( +0.50000000){3} </v>\n", b"", text),
}


@pytest.mark.parametrize("name", DAMAGED)
@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_damaged_runs_are_refused_in_one_line(written, refused, name, suffix):
    path = written()
    content = DAMAGED[name](path.read_bytes())
    damaged = path.with_name(f"vasprun.xml{suffix}")
    damaged.write_bytes(gzip.compress(content) if suffix else content)
    reason, message = refused(read_vasp_run, damaged)
    # stars stand for an energy that overflowed
    assert reason == (
        "incompatible_settings" if name == "no numbers" else "unreadable_structure"
    )
    assert "\n" not in message


def test_a_cut_archive_is_refused(written, refused):
    path = written()
    damaged = path.with_name("vasprun.xml.gz")
    damaged.write_bytes(gzip.compress(path.read_bytes())[:-200])
    assert refused(read_vasp_run, damaged)[0] == "unreadable_structure"
    assert may_be_of_one_element(damaged)  # its reader says what is wrong


def test_final_structure_is_read_of_unconverged_runs(written):
    path = written(n_electronic=60)
    assert read_final_structure(path).atomic_numbers.tolist() == [11, 17]
