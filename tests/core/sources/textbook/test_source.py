from __future__ import annotations

import numpy as np
import pytest
import spglib

from crystalgnn_core.errors import InputError
from crystalgnn_core.records.checks.validation import validate
from crystalgnn_core.sources.textbook.source import (
    TEXTBOOK_NAMES,
    TextbookSource,
    textbook_reference,
    textbook_structure,
)

# shortest distance (angstrom) and coordination number of the named element, textbook values
NEIGHBORS = {
    "C-diamond": ("C", 1.544, 4),
    "C-graphite": ("C", 1.421, 3),
    "BN-hexagonal": ("B", 1.446, 3),
    "Si": ("Si", 2.352, 4),
    "Fe": ("Fe", 2.482, 8),
    "Cu": ("Cu", 2.556, 12),
    "Zn": ("Zn", 2.665, 6),
    "Sn-white": ("Sn", 3.022, 4),
    "Bi": ("Bi", 3.071, 3),
    "Te": ("Te", 2.835, 2),
    "NaCl": ("Na", 2.820, 6),
    "CsCl": ("Cs", 3.571, 8),
    "GaAs": ("Ga", 2.448, 4),
    "ZnO": ("Zn", 1.974, 4),
    "CaF2": ("Ca", 2.366, 8),
    "TiO2-rutile": ("Ti", 1.947, 6),
    "TiO2-anatase": ("Ti", 1.934, 6),
    "SiO2-quartz": ("Si", 1.605, 4),
    "FeS2": ("Fe", 2.262, 6),
    "MoS2": ("Mo", 2.417, 6),
    "Cu2O": ("Cu", 1.849, 2),
    "CuO": ("Cu", 1.951, 4),
    "MgB2": ("B", 1.782, 3),
    "Al2O3": ("Al", 1.855, 6),
    "Bi2Te3": ("Bi", 3.07, 3),
    "SrTiO3": ("Ti", 1.953, 6),
    "MgAl2O4": ("Al", 1.926, 6),
    "CuFeS2": ("Fe", 2.257, 4),
    "CaCO3": ("C", 1.281, 3),
    "LiCoO2": ("Co", 1.92, 6),
    "LiFePO4": ("P", 1.523, 4),
    "Nb3Sn": ("Nb", 2.645, 2),
    "LaB6": ("B", 1.657, 5),  # one bond between octahedra, four of 1.77 within
}

SPACE_GROUPS = {
    "Si": 227, "Fe": 229, "Cu": 225, "Mg": 194, "Bi": 166, "Te": 152, "Sn-white": 141,
    "NaCl": 225, "CsCl": 221, "GaAs": 216, "ZnO": 186, "CuO": 15, "CaF2": 225, "Mg2Si": 225,
    "TiO2-rutile": 136, "TiO2-anatase": 141, "SiO2-quartz": 154, "FeS2": 205, "MoS2": 194,
    "CdI2": 164, "Cu2O": 224, "MgB2": 191, "Al2O3": 167, "Bi2Te3": 166, "ReO3": 221,
    "LaB6": 221, "Nb3Sn": 223, "AuCu": 123, "Ni3Al": 221, "SrTiO3": 221, "MgAl2O4": 227,
    "Fe3O4": 227, "CuFeS2": 122, "CaCO3": 167, "LiCoO2": 166, "LiFePO4": 62, "NiAs": 194,
    "C-graphite": 194, "BN-hexagonal": 194,
}  # fmt: skip

# g/cm3 at room temperature, rounded handbook values
DENSITIES = {
    "Al": 2.70, "Cu": 8.96, "Ag": 10.5, "Au": 19.3, "Ni": 8.90, "Pt": 21.5, "Pb": 11.3,
    "Fe": 7.87, "W": 19.3, "Mo": 10.2, "Nb": 8.57, "Ta": 16.7, "Na": 0.97, "Mg": 1.74,
    "Ti": 4.51, "Zn": 7.13, "Zr": 6.52, "Be": 1.85, "Cd": 8.69, "C-diamond": 3.513,
    "Si": 2.33, "Ge": 5.323, "Bi": 9.79, "Sb": 6.68, "Te": 6.24, "Sn-white": 7.287,
    "NaCl": 2.17, "KCl": 1.988, "KBr": 2.74, "KI": 3.12, "NaF": 2.78, "LiF": 2.64,
    "LiCl": 2.07, "AgCl": 5.56, "MgO": 3.6, "CaO": 3.34, "MnO": 5.37, "CoO": 6.44,
    "PbS": 7.60, "TiC": 4.93, "CsCl": 3.988, "CsI": 4.51, "GaAs": 5.318, "GaP": 4.138,
    "InP": 4.81, "InAs": 5.67, "InSb": 5.775, "SiC": 3.21, "BeO": 3.01, "AlN": 3.255,
    "GaN": 6.1, "CaF2": 3.18, "SrF2": 4.24, "BaF2": 4.893, "UO2": 10.97, "ThO2": 10.0,
    "Li2O": 2.013, "Mg2Si": 1.99, "TiO2-rutile": 4.23, "TiO2-anatase": 3.9,
    "SiO2-quartz": 2.648, "FeS2": 5.02, "MoS2": 5.06, "Al2O3": 3.99, "Fe2O3": 5.25,
    "Cr2O3": 5.22, "Fe3O4": 5.17, "SrTiO3": 5.1, "BaTiO3": 6.02, "CaTiO3": 3.98,
    "MgAl2O4": 3.58, "CuFeS2": 4.2, "CaCO3": 2.71, "Pd": 12.0, "Cr": 7.15, "Co": 8.86,
    "Ca": 1.54, "CeO2": 7.217, "PbTe": 8.164, "GaSb": 5.614, "AlSb": 4.26, "CdI2": 5.64,
    "MgF2": 3.148, "CdS": 4.826,
}  # fmt: skip


def distances_from(structure, symbol):
    site = next(site for site in structure if site.species_string == symbol)
    return np.sort([neighbor.nn_distance for neighbor in structure.get_neighbors(site, 4)])


@pytest.mark.parametrize("name", NEIGHBORS)
def test_shortest_distance_and_coordination_are_known(name):
    symbol, expected, coordination = NEIGHBORS[name]
    distances = distances_from(textbook_structure(name), symbol)
    assert distances[0] == pytest.approx(expected, abs=0.006)
    assert (distances < distances[0] + 0.15).sum() == coordination


# spglib 2.8 warns at every call that its errors will change; the result is the same
@pytest.mark.filterwarnings("ignore:Set OLD_ERROR_HANDLING:DeprecationWarning")
@pytest.mark.parametrize("name", SPACE_GROUPS)
def test_space_group_and_primitive_cell_agree_with_spglib(name):
    structure = textbook_structure(name)
    cell = (
        structure.lattice.matrix.tolist(),
        structure.frac_coords.tolist(),
        structure.atomic_numbers,
    )
    dataset = spglib.get_symmetry_dataset(cell, symprec=1e-3)
    primitive = spglib.find_primitive(cell, symprec=1e-3)
    assert dataset is not None
    assert dataset.number == SPACE_GROUPS[name]
    assert primitive is not None
    assert len(primitive[2]) == len(structure)


@pytest.mark.parametrize("name", DENSITIES)
def test_density_is_known(name):
    assert textbook_structure(name).density == pytest.approx(DENSITIES[name], rel=0.015)


def test_every_crystal_is_a_valid_record_without_labels():
    source = TextbookSource(part_size=50)
    parts = source.parts()
    records = [record for part in parts for record in source.read(part)]
    table, rejects, _ = validate(
        records, source="textbook", targets=(), require_labels="none"
    )
    assert not rejects
    rows = table.to_pylist()
    assert [record.material_id for record in records] == list(TEXTBOOK_NAMES)
    for row in rows:  # AuCu and CuAu are one formula
        name = row["material_id"].partition("-")[0]
        assert sorted(row["formula"]) == sorted(name), row["material_id"]
    assert len({row["structure_digest"] for row in rows}) == len(rows)
    assert source.target_names() == ()
    assert source.require_labels == "none"
    assert not source.trainable


def test_digest_of_a_part_is_stable_and_depends_on_its_content():
    first = TextbookSource(part_size=50).parts()
    again = TextbookSource(part_size=50).parts()
    assert [part.digest for part in first] == [part.digest for part in again]
    assert len({part.digest for part in first}) == len(first) == 3


def test_returned_structure_may_be_changed():
    textbook_structure("Si").perturb(0.1)
    assert distances_from(textbook_structure("Si"), "Si")[0] == pytest.approx(
        2.351, abs=1e-3
    )


def test_unknown_name_lists_similar_ones():
    with pytest.raises(InputError, match="SrTiO3"):
        textbook_structure("srtio3")
    with pytest.raises(InputError, match="NaCl"):
        textbook_structure("?")


def test_every_crystal_is_called_a_rounded_textbook_value():
    assert all("rounded" in textbook_reference(name) for name in TEXTBOOK_NAMES)
    with pytest.raises(InputError, match="NaCl"):
        textbook_reference("?")
