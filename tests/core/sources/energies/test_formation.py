"""Formation energies against numbers that were worked out by hand.

The corrections are those of Wang et al., Sci. Rep. 11, 15496 (2021), as pymatgen tabulates
them: Cl -0.614, O in oxides -0.687, Fe in oxides with U -2.256 eV an atom.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError
from pymatgen.core.lattice import Lattice
from pymatgen.core.structure import Structure

from crystalgnn_core.errors import RecordError
from crystalgnn_core.records.crystal import Crystal, crystal_from_structure
from crystalgnn_core.records.label_schemes import MP_2020
from crystalgnn_core.sources.energies.formation import (
    FormationEnergy,
    correction_of,
    formation_energy_of,
    formation_energy_per_atom,
)
from crystalgnn_core.sources.energies.mp2020 import mp2020_correction
from crystalgnn_core.sources.formats.calculation import Calculation, RunInputs

SALT = Crystal(
    np.array([11, 17], dtype=np.int16),
    2.82 * np.array([[0.0, 1, 1], [1, 0, 1], [1, 1, 0]]),
    np.array([[0.0] * 3, [0.5] * 3]),
)
TITLES = ("PAW_PBE Na_pv 19Sep2006", "PAW_PBE Cl 06Sep2000")
RUN = Calculation(SALT, -6.8, run_type="GGA", potcars=TITLES)
REFERENCES = {"Na": -1.3, "Cl": -1.8}
WUSTITE = crystal_from_structure(
    Structure.from_spacegroup(
        "Fm-3m", np.eye(3) * 4.3, ["Fe", "O"], [[0] * 3, [0.5] * 3]
    ).get_primitive_structure()
)
IRON_OXIDE = Calculation(
    WUSTITE,
    -13.0,
    run_type="GGA+U",
    hubbards={"Fe": 5.3, "O": 0.0},
    potcars=("PAW_PBE Fe_pv 02Aug2007", "PAW_PBE O 08Apr2002"),
)


def config(corrections="MP2020", scheme=MP_2020, **settings):
    references = {"energies": REFERENCES, "label_scheme": scheme}
    return FormationEnergy.model_validate(
        {"corrections": corrections, "references": references} | settings
    )


def plain(**settings):
    return config("none", "ours", run_types=["GGA"], **settings)


def refusal(function, *args):
    with pytest.raises(RecordError) as caught:
        function(*args)
    return caught.value.reason, str(caught.value)


def test_energy_above_the_elements_by_hand():
    # (-6.8 + 1.3 + 1.8) / 2
    assert formation_energy_per_atom(SALT, -6.8, REFERENCES) == pytest.approx(-1.85)
    four = Crystal(np.array([11, 17] * 2, dtype=np.int16), SALT.lattice, np.zeros((4, 3)))
    assert formation_energy_per_atom(four, -13.6, REFERENCES) == pytest.approx(-1.85)


def test_an_element_at_its_reference_has_none():
    sodium = Crystal(np.array([11, 11], dtype=np.int16), np.eye(3), np.zeros((2, 3)))
    assert formation_energy_per_atom(sodium, -2.6, REFERENCES) == 0.0


def test_missing_references_are_named():
    reason, message = refusal(formation_energy_per_atom, SALT, -6.8, {"Na": -1.3})
    assert reason == "missing_reference"
    assert "no energy of Cl to" in message
    assert "no energy of Cl, Na to" in refusal(formation_energy_per_atom, SALT, -6.8, {})[1]


def test_corrections_of_the_materials_project_by_hand():
    assert mp2020_correction(RUN) == pytest.approx(-0.614)
    assert mp2020_correction(IRON_OXIDE) == pytest.approx(-2.256 - 0.687)
    # (-6.8 - 0.614 + 1.3 + 1.8) / 2
    assert formation_energy_of(RUN, config(), REFERENCES) == pytest.approx(-2.157)
    assert formation_energy_of(RUN, plain(), REFERENCES) == pytest.approx(-1.85)


def test_a_peroxide_has_a_correction_of_its_own():
    lithium = Structure.from_spacegroup(  # Li2O2, O-O 1.55 angstrom
        "P6_3/mmc",
        Lattice.hexagonal(3.142, 7.65),
        ["Li", "Li", "O"],
        [[0, 0, 0], [1 / 3, 2 / 3, 0.75], [1 / 3, 2 / 3, 0.149]],
    )
    run = Calculation(
        crystal_from_structure(lithium),
        -38.0,
        run_type="GGA",
        potcars=("PAW_PBE Li_sv 23Jan2001", "PAW_PBE O 08Apr2002"),
    )
    assert mp2020_correction(run) == pytest.approx(4 * -0.465)
    stated = run._replace(data={"oxide_type": "oxide"})
    assert mp2020_correction(stated) == pytest.approx(4 * -0.687)


INCOMPATIBLE: dict[str, tuple[dict[str, Any], str]] = {
    "potential": ({"potcars": ("PAW_PBE Na 08Apr2002", TITLES[1])}, "PAW_PBE Na_pv"),
    "family": ({"potcars": ("PAW Na_pv 19Sep2006", "PAW Cl 1")}, "PAW_PBE Cl"),
    "no potentials": ({"potcars": ()}, "not stated"),
    "too many": ({"potcars": (*TITLES, "PAW_PBE O 08Apr2002")}, "PAW_PBE O"),
    "functional": ({"run_type": "r2SCAN"}, "r2SCAN, expected GGA or GGA+U"),
    "unknown functional": ({"run_type": None}, "not stated"),
    "cut-off": ({"inputs": RunInputs(cutoff=400.0)}, "cut-off is 400 eV, below 520"),
    "k-points": ({"inputs": RunInputs(n_kpoints=27)}, "27 k-points, fewer than 308"),
    "spin-orbit": ({"inputs": RunInputs(unusual=("LSORBIT",))}, "settings: LSORBIT;"),
    "hubbard": ({"hubbards": {"Na": 2.0}, "run_type": "GGA+U"}, "U value of 2.0 on Na"),
}


@pytest.mark.parametrize("name", INCOMPATIBLE)
def test_other_settings_are_not_corrected(name):
    changes, words = INCOMPATIBLE[name]
    reason, message = refusal(
        formation_energy_of, RUN._replace(**changes), config(), REFERENCES
    )
    assert reason == "incompatible_settings"
    assert words in message
    assert len(message) < 300


def test_settings_no_coarser_than_those_of_the_materials_project_are_corrected():
    """Its relaxations take 520 eV, and 7 x 7 x 7 k-points for this cell."""
    for n_kpoints in (343, 308, None):
        fine = RUN._replace(inputs=RunInputs(cutoff=520.0, n_kpoints=n_kpoints))
        assert mp2020_correction(fine) == pytest.approx(-0.614)


def test_a_cell_with_a_place_that_is_no_number_ends_no_process():
    """As `0.5*` in a vasprun.xml is read; spglib would take the process with it."""
    nowhere = SALT._replace(frac_coords=np.array([[np.nan, 0.0, 0.0], [0.5] * 3]))
    run = RUN._replace(crystal=nowhere, inputs=RunInputs(n_kpoints=343))
    assert refusal(correction_of, run, config())[0] == "unreadable_structure"


def test_an_oxide_that_lacks_its_u_is_not_corrected():
    without = IRON_OXIDE._replace(hubbards={}, run_type="GGA")
    reason, message = refusal(mp2020_correction, without)
    assert reason == "incompatible_settings"
    assert "expected 5.3" in message


def test_stored_corrections_are_taken_and_under_the_mp_scheme_checked():
    ours = config("stored", "ours")
    stored = RUN._replace(correction=-0.5)
    assert formation_energy_of(stored, ours, REFERENCES) == pytest.approx(-2.1)
    reason, message = refusal(formation_energy_of, RUN, ours, REFERENCES)
    assert reason == "incompatible_settings"
    assert "no correction" in message
    checked = config("stored")
    same = RUN._replace(correction=-0.614)
    assert formation_energy_of(same, checked, REFERENCES) == pytest.approx(-2.157)
    reason, message = refusal(formation_energy_of, stored, checked, REFERENCES)
    assert reason == "incompatible_settings"
    assert "-0.6140" in message
    # an uncorrected entry among corrected ones
    assert refusal(formation_energy_of, RUN._replace(correction=0.0), checked, REFERENCES)


def test_any_functional_passes_where_none_is_named():
    anything = config("stored", "ours", run_types=[])
    run = RUN._replace(correction=0.0, run_type=None)
    assert formation_energy_of(run, anything, REFERENCES) == pytest.approx(-1.85)
    assert correction_of(run, plain()) == 0.0


def test_schemes_are_those_of_the_references_or_as_stated():
    assert config().scheme == MP_2020
    assert plain().scheme == "ours"
    assert config("MP2020", "ours", label_scheme="mixed").scheme == "mixed"
    assert FormationEnergy().scheme == ""


MIXED: dict[str, tuple[dict[str, Any], str]] = {
    "uncorrected under the scheme": (
        {"corrections": "none", "run_types": ["GGA"], "scheme": MP_2020},
        "uncorrected energies are not of the scheme",
    ),
    "uncorrected and stated": (
        {"corrections": "none", "scheme": "ours", "run_types": ["GGA"],
         "label_scheme": MP_2020},
        "uncorrected energies are not of the scheme",
    ),
    "uncorrected of two functionals": (
        {"corrections": "none", "scheme": "ours"}, "name the only one"
    ),
    "references of another scheme": (
        {"scheme": "ours", "label_scheme": MP_2020}, "the references are of ours"
    ),
    "corrected against others": ({"scheme": "ours"}, "state the label_scheme"),
    "corrected r2SCAN": ({"run_types": ["r2SCAN"]}, "GGA and GGA\\+U only"),
}  # fmt: skip


@pytest.mark.parametrize("name", MIXED)
def test_mixtures_of_schemes_are_refused_as_settings(name):
    settings, words = MIXED[name]
    with pytest.raises(ValidationError, match=words):
        config(**settings)


def test_references_are_of_elements_and_of_a_scheme():
    for references, words in (
        ({"energies": {"Xx": 1.0}, "label_scheme": "ours"}, "no element symbol"),
        ({"energies": REFERENCES}, "state the label_scheme"),
        ({"energies": REFERENCES, "path": "x", "label_scheme": "ours"}, "not both"),
    ):
        with pytest.raises(ValidationError, match=words):
            FormationEnergy.model_validate({"references": references})
