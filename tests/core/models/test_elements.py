"""What is known of the elements, against tables printed elsewhere."""

import numpy as np
import pytest

from crystalgnn_core.models.elements import (
    element_table,
    elements_in,
    feature_table,
    property_of_elements,
)
from crystalgnn_core.records.elements import NUMBER_OF_SYMBOL


def of(name, *symbols):
    values = property_of_elements(name)
    return [values[NUMBER_OF_SYMBOL[symbol]].item() for symbol in symbols]


def test_element_table_describes_one_hundred_elements():
    table = element_table()
    assert table.shape == (101, 92)
    assert not table[0].any()
    assert table[1:].any(axis=1).all()
    group, period = slice(0, 19), slice(19, 27)  # one-hot, Xie & Grossman 2018, Table S2
    sodium, potassium, magnesium = table[11], table[19], table[12]
    assert (sodium[group] == potassium[group]).all()
    assert (sodium[period] == magnesium[period]).all()
    assert (sodium[group] != magnesium[group]).any()
    assert (sodium[period] != potassium[period]).any()
    assert sodium[group].sum() == 1


def test_properties_are_those_of_the_handbooks():
    # Pauling's scale; Cordero et al., Dalton Trans. 2832 (2008); standard atomic weights
    assert of("electronegativity", "F", "Cs") == [3.98, 0.79]
    assert of("covalent_radius", "C", "Fe") == pytest.approx([0.76, 1.32], abs=0.11)
    assert of("atomic_mass", "O", "U") == pytest.approx([15.999, 238.029], abs=1e-3)
    assert of("ionization_energy", "H", "Na") == pytest.approx([13.598, 5.139], abs=1e-3)
    assert of("row", "He", "Li", "La", "U") == [1, 2, 6, 7]
    assert of("group", "Na", "Fe", "Cl") == [1, 8, 17]


def test_oxidation_state_is_the_usual_one():
    common = {"Na": 1, "Mg": 2, "Ti": 4, "O": -2, "F": -1, "La": 3, "U": 6, "Au": 3}
    assert of("oxidation_state", *common) == list(common.values())
    assert np.isnan(of("oxidation_state", "He", "Og")).all()


def test_valence_electrons_are_counted_as_in_textbooks():
    # main groups: last digit of the group; d block: the group; f block: from 3 (La) to 16
    counts = {"H": 1, "He": 2, "Na": 1, "O": 6, "Xe": 8, "Ga": 3, "Fe": 8, "Zn": 12}
    heavy = {"La": 3, "Yb": 16, "Lu": 3, "Hf": 4, "Hg": 12, "Pb": 4, "U": 6}
    assert of("valence_electrons", *counts) == list(counts.values())
    assert of("valence_electrons", *heavy) == list(heavy.values())


def test_radii_that_pymatgen_has_no_value_for_are_unknown():
    assert np.isnan(of("ionic_radius", "H", "Ar")).all()  # 0 angstrom in pymatgen
    assert of("ionic_radius", "Na", "O") == pytest.approx([1.16, 1.26])  # Shannon's, VI


def test_properties_are_standardised_over_the_elements_that_have_them():
    table = feature_table(("electronegativity", "row"))
    assert table.shape == (119, 4)
    values, is_known = table[1:, :2], table[1:, 2:].astype(bool)
    for column in range(2):
        known = values[is_known[:, column], column]
        assert known.mean() == pytest.approx(0, abs=1e-6)
        assert known.std() == pytest.approx(1, abs=1e-6)
    assert is_known.sum(axis=0).tolist() == [100, 118]
    assert (values[~is_known] == 0).all()


def test_an_element_is_known_by_any_of_its_properties():
    argon = NUMBER_OF_SYMBOL["Ar"]
    assert argon not in elements_in(feature_table(("electronegativity",)))
    assert argon in elements_in(feature_table(("electronegativity", "atomic_mass")))
    assert elements_in(feature_table("table")) == tuple(range(1, 101))
