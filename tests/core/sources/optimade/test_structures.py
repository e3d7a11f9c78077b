import copy
from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pytest

from crystalgnn_core.errors import RecordError
from crystalgnn_core.records.crystal import structure_from_crystal
from crystalgnn_core.sources.optimade.structures import (
    crystal_from_entry,
    last_updated,
    property_value,
)
from tests.core.sources.optimade.provider import SALT, entry


def species(name="Na", **changes):
    """Return the species of rock salt, one of them changed."""
    own = {"name": name, "chemical_symbols": [name], "concentration": [1.0]} | changes
    return [own, SALT["species"][1]]


def test_rock_salt_is_read():
    crystal = crystal_from_entry(entry("a"))
    assert crystal.atomic_numbers.tolist() == [11, 17]
    np.testing.assert_allclose(
        crystal.frac_coords, [[0.0, 0.0, 0.0], [0.5, 0.5, 0.5]], atol=1e-12
    )
    structure = structure_from_crystal(crystal)
    assert structure.get_distance(0, 1) == pytest.approx(2.82, abs=1e-9)


def test_positions_are_cartesian_in_a_skewed_cell():
    lattice = [[3.0, 0.0, 0.0], [-1.2, 2.9, 0.0], [0.4, 0.7, 5.1]]
    places = [[0.1, 0.2, 0.3], [1.5, 1.0, 2.0]]
    crystal = crystal_from_entry(
        entry("a", lattice_vectors=lattice, cartesian_site_positions=places)
    )
    np.testing.assert_allclose(crystal.frac_coords @ np.array(lattice), places, atol=1e-12)


def test_names_of_species_need_not_be_symbols():
    named = species("sodium on A", chemical_symbols=["Na"])
    crystal = crystal_from_entry(
        entry("a", species=named, species_at_sites=["sodium on A", "Cl"])
    )
    assert crystal.atomic_numbers.tolist() == [11, 17]


def test_without_species_the_symbols_at_the_sites_count():
    crystal = crystal_from_entry(entry("a", species=None))
    assert crystal.atomic_numbers.tolist() == [11, 17]


def test_deuterium_and_unused_species_do_no_harm():
    unused = {
        "name": "mixed",
        "chemical_symbols": ["Fe", "Ni"],
        "concentration": [0.5, 0.5],
    }
    mine = [*species("D"), unused]
    crystal = crystal_from_entry(
        entry(
            "a", species=mine, species_at_sites=["D", "Cl"], structure_features=["_x_new"]
        )
    )
    assert crystal.atomic_numbers.tolist() == [1, 17]


FAULTS = {
    "no attributes": ("unreadable_structure", "no attributes", None),
    "features: disorder": (
        "disordered_site",
        "disorder",
        {"structure_features": ["disorder"]},
    ),
    "features: implicit atoms": (
        "unreadable_structure",
        "implicit_atoms.*no site",
        {"structure_features": ["implicit_atoms"]},
    ),
    "features: attachments": (
        "unreadable_structure",
        "attached without positions",
        {"structure_features": ["site_attachments"]},
    ),
    "features: assemblies": (
        "disordered_site",
        "occupied alternatively",
        {"structure_features": ["assemblies"]},
    ),
    "features: unknown positions": (
        "unreadable_structure",
        "no positions",
        {"structure_features": ["unknown_positions"]},
    ),
    "features: another": (
        "unreadable_structure",
        "not known",
        {"structure_features": ["time travel"]},
    ),
    "features: no list": ("unreadable_structure", "a list", {"structure_features": "none"}),
    "assemblies": (
        "disordered_site",
        "occupied alternatively",
        {
            "assemblies": [
                {"sites_in_groups": [[0], [1]], "group_probabilities": [0.5, 0.5]}
            ]
        },
    ),
    "a slab": ("unreadable_structure", r"\[1, 1, 0\]", {"dimension_types": [1, 1, 0]}),
    "a wire": (
        "unreadable_structure",
        "is 1, expected 3",
        {"nperiodic_dimensions": 1, "dimension_types": None},
    ),
    "a molecule": (
        "unreadable_structure",
        "lattice_vectors hold null",
        {"lattice_vectors": [[None] * 3] * 3, "dimension_types": None},
    ),
    "no lattice": (
        "unreadable_structure",
        "no lattice_vectors",
        {"lattice_vectors": None},
    ),
    "lattice of two vectors": (
        "unreadable_structure",
        r"\(2, 3\), expected \(3, 3\)",
        {"lattice_vectors": SALT["lattice_vectors"][:2]},
    ),
    "ragged lattice": (
        "unreadable_structure",
        "lattice_vectors: ValueError",
        {"lattice_vectors": [[1.0, 2.0, 3.0], [1.0], [2.0]]},
    ),
    "lattice of text": (
        "unreadable_structure",
        "other things than numbers",
        {"lattice_vectors": [["1", "0", "0"]] * 3},
    ),
    "flat cell": (
        "degenerate_cell",
        "cubic angstrom",
        {"lattice_vectors": [[1.0, 0, 0], [2.0, 0, 0], [0, 0, 3.0]]},
    ),
    "no positions": (
        "unreadable_structure",
        "no cartesian_site_positions",
        {"cartesian_site_positions": None},
    ),
    "a position too few": (
        "unreadable_structure",
        "2 species_at_sites but",
        {"cartesian_site_positions": [[0.0, 0.0, 0.0]]},
    ),
    "a null position": (
        "unreadable_structure",
        "hold null",
        {"cartesian_site_positions": [[0.0, 0.0, 0.0], [None, 1.0, 1.0]]},
    ),
    "no species at sites": (
        "unreadable_structure",
        "no species_at_sites; without",
        {"species_at_sites": None},
    ),
    "sites that are no names": (
        "unreadable_structure",
        "no list of species names",
        {"species_at_sites": [11, 17]},
    ),
    "empty cell": (
        "no_atoms",
        "no sites",
        {"species_at_sites": [], "cartesian_site_positions": [], "nsites": 0},
    ),
    "another nsites": ("unreadable_structure", "nsites is 5, but 2", {"nsites": 5}),
    "a species that is not described": (
        "unreadable_structure",
        "'Na'.*describes 0 times",
        {"species": SALT["species"][1:]},
    ),
    "a species that is described twice": (
        "unreadable_structure",
        "describes 2 times",
        {"species": [*species(), *species()]},
    ),
    "species are no list": ("unreadable_structure", "no list", {"species": {"Na": "Na"}}),
    "no symbols": (
        "unreadable_structure",
        "lacks chemical_symbols",
        {"species": species(chemical_symbols=[])},
    ),
    "no concentration": (
        "unreadable_structure",
        "lacks chemical_symbols or concentration",
        {"species": species(concentration=None)},
    ),
    "more symbols than concentrations": (
        "unreadable_structure",
        "2 chemical_symbols and 1 concentrations",
        {"species": species(chemical_symbols=["Na", "K"])},
    ),
    "attached atoms": (
        "unreadable_structure",
        "attached atoms",
        {"species": species(attached=["H"], nattached=[3])},
    ),
    "a mixed site": (
        "disordered_site",
        "Na 0.5, K 0.5",
        {"species": species(chemical_symbols=["Na", "K"], concentration=[0.5, 0.5])},
    ),
    "a partly filled site": (
        "disordered_site",
        "Na 0.9",
        {"species": species(concentration=[0.9])},
    ),
    "a partial vacancy": (
        "disordered_site",
        "vacancy 0.1",
        {"species": species(chemical_symbols=["Na", "vacancy"], concentration=[0.9, 0.1])},
    ),
    "a vacancy": (
        "disordered_site",
        "vacancy 1",
        {"species": species(chemical_symbols=["vacancy"])},
    ),
    "an unknown element": (
        "unknown_element",
        "'X'",
        {"species": species(chemical_symbols=["X"])},
    ),
    "no symbol and no species": (
        "unreadable_structure",
        "no species, and 'Na1'",
        {"species": None, "species_at_sites": ["Na1", "Cl"]},
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_what_is_no_ordered_crystal_is_refused_with_its_reason(name):
    reason, words, changes = FAULTS[name]
    faulty = {"id": "a"} if changes is None else entry("a", **changes)
    with pytest.raises(RecordError, match=words) as caught:
        crystal_from_entry(faulty)
    assert caught.value.reason == reason


@pytest.mark.parametrize("name", ["cartesian_site_positions", "species_at_sites"])
def test_partial_data_is_named(name):
    faulty = entry("a", **{name: None})
    link = {"format": "jsonlines", "link": "https://example.org/part"}
    faulty["meta"] = {"partial_data_links": {name: [link]}}
    with pytest.raises(RecordError, match=f"{name} is given as partial data"):
        crystal_from_entry(faulty)


def test_partial_data_of_other_properties_does_no_harm():
    good = entry("a", _x_dos=None)
    good["meta"] = {"partial_data_links": {"_x_dos": [{"link": "https://example.org"}]}}
    assert len(crystal_from_entry(good).atomic_numbers) == 2


def test_an_entry_is_left_as_it_is():
    given = entry("a")
    before = copy.deepcopy(given)
    crystal_from_entry(given)
    assert given == before


NESTED = {"_mp_stability": {"gga_gga+u": {"formation_energy_per_atom": -1.5}}, "_x": 1.0}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("_x", 1.0),
        ("_mp_stability.gga_gga+u.formation_energy_per_atom", -1.5),
        ("_mp_stability.r2scan.formation_energy_per_atom", None),
        ("_y", None),
        ("_y.z", None),
    ],
)
def test_dots_lead_into_properties(path, value):
    assert property_value(NESTED, path) == value


def test_a_path_into_a_number_is_refused():
    with pytest.raises(RecordError, match=r"^1\.0 has no part 'y'") as caught:
        property_value(NESTED, "_x.y")
    assert caught.value.reason == "invalid_label"


@pytest.mark.parametrize(
    ("text", "date"),
    [
        ("2024-05-06T07:08:09Z", datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC)),
        ("2024-05-06T07:08:09.5+02:00", datetime(2024, 5, 6, 5, 8, 9, 500000, tzinfo=UTC)),
        ("2024-05-06T07:08:09", datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC)),
        ("", None),
        ("yesterday", None),
        (None, None),
        ({"$date": 1}, None),
    ],
)
def test_dates_are_read_with_their_zone(text, date):
    assert last_updated({"last_modified": text}) == date


def test_a_date_keeps_its_zone():
    zone = timezone(timedelta(hours=2))
    date = last_updated({"last_modified": "2024-05-06T07:08:09+02:00"})
    assert date == datetime(2024, 5, 6, 7, 8, 9, tzinfo=zone)
    assert last_updated(None) is None
