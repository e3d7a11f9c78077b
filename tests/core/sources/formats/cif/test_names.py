from __future__ import annotations

import pytest

from crystalgnn_core.errors import RecordError
from crystalgnn_core.sources.formats.cif.names import element_of, is_group_of_atoms

TYPES = {
    "Fe": "Fe",
    "Fe3+": "Fe",
    "Fe+3": "Fe",
    "O2-": "O",
    "O-2": "O",
    "Fe(3+)": "Fe",
    "V3.67+": "V",
    "Na1": "Na",
    "C_R": "C",
    "CL": "Cl",
    "na": "Na",
    "D": "D",
    "2H": "H",
    "6Li": "Li",
    "Co": "Co",
    "No": "No",
    "Ho3+": "Ho",
    "Cn": None,
    "OH": None,
    "NH3": None,
    "H2O": None,
    "Wat": None,
    "CO": None,
    "HO": None,
    "T": None,
    "X": None,
    "M": None,
    "Ln": None,
    "RE": None,
    "Me": None,
    "Nh": None,
    "Cg": None,
    "Va": None,
    "Fe,Mn": None,
    "0.5Na+0.5K": None,
    "Fe3+O": None,
}
LABELS = {
    "Na1": "Na",
    "Si(1)": "Si",
    "O1A": "O",
    "Fe_2": "Fe",
    "C12'": "C",
    "W1": "W",
    "OH1": None,
    "O-H": None,
    "OW": None,
    "Ow1": None,
    "O1W": None,
    "Wat1": None,
    "T1": None,
    "T": None,
    "D1": None,
    "M1": None,
    "A1": None,
    "X1": None,
    "Q": None,
    "Vac1": None,
    "Cg1": None,
    "NaA": None,
    "CA1": None,
    "na1": None,
    "Oa": None,
    "C6H6": None,
    "NH4": None,
    "Fe/Mn": None,
    "1": None,
    "*": None,
    "D": "D",
}
WITH_FORMULA = {
    ("CA1", "Ca O"): "Ca",
    ("CA1", "C H4"): "C",
    ("CA1", "Ca C O3"): None,  # either
    ("na1", "Na Cl"): "Na",
    ("Oa", "Mg O"): "O",
    ("Oh", "Mg O"): None,  # a hydroxyl all the same
    ("NaA", "Na Cl"): "Na",
    ("D1", "Li D"): "D",
    ("T1", "Si O2"): None,
}


def check(type_symbol, label, formula, expected):
    if expected is None:
        with pytest.raises(RecordError) as caught:
            element_of(type_symbol, label, formula)
        assert caught.value.reason in {"unknown_element", "disordered_site"}
    else:
        assert element_of(type_symbol, label, formula) == expected


@pytest.mark.parametrize("name", TYPES)
def test_a_type_symbol_is_an_element_with_a_charge_or_refused(name):
    check(name, "A1", None, TYPES[name])


@pytest.mark.parametrize("name", LABELS)
def test_a_label_is_an_element_and_a_number_or_refused(name):
    check("", name, None, LABELS[name])


@pytest.mark.parametrize(("label", "formula"), WITH_FORMULA)
def test_the_formula_decides_about_a_label_that_may_be_two_elements(label, formula):
    elements = {word.rstrip("1234567890") for word in formula.split()}
    check("", label, elements, WITH_FORMULA[label, formula])


def test_labels_of_atoms_are_no_groups():
    assert not any(
        map(is_group_of_atoms, ["O1", "Ho1", "N2", "Co1", "C1", "Os", "No", "H1"])
    )
