"""The walk from CIF to prediction of SrTiO3, against facts from elsewhere."""

import json
import subprocess
import sys
from collections import Counter

import numpy as np
import pytest
from pymatgen.core.structure import Structure

from crystalgnn_core.errors import ModelError
from crystalgnn_core.storage.files import write_text
from tests.docs.pages import DOCS, ROOT, load_script

walkthrough = load_script(DOCS / "examples" / "srtio3_walkthrough.py")
CIF, FEATURES = walkthrough.CIF, walkthrough.FEATURES
angles_of, walk = walkthrough.angles_of, walkthrough.walk
WEIGHTS = ROOT.parent / "shared" / "pretrained" / "cgcnn"
PUBLISHED = WEIGHTS / "formation-energy-per-atom.pth.tar"
A = 3.905


@pytest.fixture(scope="module")
def walked(tmp_path_factory):
    return walk(None, tmp_path_factory.mktemp("no-store"))


def lengths(graph, center):
    return graph.edge_vector.norm(dim=1).numpy()[graph.edge_index[1].numpy() == center]


def test_neighbours_are_those_of_pymatgen(walked):
    structure = Structure.from_str(CIF, fmt="cif")
    assert [site.specie.symbol for site in structure] == ["Sr", "Ti", "O", "O", "O"]
    for atom, found in enumerate(structure.get_all_neighbors(4.0)):
        near = np.sort([neighbor.nn_distance for neighbor in found])
        twelfth = near[11]
        nearest = np.sort(lengths(walked.nearest, atom))
        assert nearest == pytest.approx(near[:12], abs=1e-5)
        shells = np.sort(lengths(walked.shells, atom))
        assert shells == pytest.approx(near[near < twelfth + 0.01], abs=1e-5)


def test_coordination_is_that_of_a_perovskite(walked):
    strontium, titanium = lengths(walked.shells, 0), lengths(walked.shells, 1)
    assert strontium == pytest.approx([A / np.sqrt(2)] * 12)  # twelve O
    assert titanium[titanium < 2.0] == pytest.approx([A / 2] * 6)  # six O
    numbers = walked.shells.atomic_numbers[walked.shells.edge_index[0]].numpy()
    center = walked.shells.edge_index[1].numpy()
    assert set(numbers[center == 0]) == {8}
    assert Counter(numbers[center == 1].tolist()) == {8: 6, 38: 8}


def test_every_property_of_an_element_has_one_feature(walked):
    assert walked.features.shape == (3, 92)
    assert sum(FEATURES.values()) == 92
    groups = np.split(walked.features, np.cumsum(list(FEATURES.values()))[:-1], axis=1)
    assert len(groups) == 9
    assert all((group.sum(axis=1) == 1).all() for group in groups)
    block = dict(zip(FEATURES, groups, strict=True))["block"]
    assert block.argmax(axis=1).tolist() == [0, 2, 1]  # Sr s, Ti d, O p


def test_distances_become_41_gaussians(walked):
    values = walked.expansion[1.9525]
    expected = np.exp(-(((1.9525 - 0.2 * np.arange(41)) / 0.2) ** 2))
    assert values == pytest.approx(expected, abs=1e-5)
    assert sorted(walked.expansion) == [1.9525, 2.7613, 3.3818]


def test_angles_are_those_of_octahedron_and_cuboctahedron(walked):
    # Ti-O bonds alone; near 180 degrees a cosine in float32 is good to 0.02 degrees
    degrees, centers = angles_of(walked.shells, 2.0)
    found = Counter(zip(centers, degrees.round(1).tolist(), strict=True))
    # every ordered pair: 12 right and 3 straight angles, and one straight one at each O
    assert found == {("Ti", 90.0): 24, ("Ti", 180.0): 6, ("O", 180.0): 6}
    degrees, centers = walked.angles
    at_strontium = degrees[np.array(centers) == "Sr"].round(1)
    expected = {60.0: 48, 90.0: 24, 120.0: 48, 180.0: 12}
    assert Counter(at_strontium.tolist()) == expected


def test_published_weights_give_the_number_of_the_authors_code(tmp_path, monkeypatch):
    if not PUBLISHED.is_file():
        pytest.skip(f"published weights are not at hand: {PUBLISHED.name}")
    monkeypatch.setenv("CRYSTALGNN_CACHE", str(tmp_path / "cache"))
    prediction = walk(str(PUBLISHED), tmp_path).prediction
    value, unit = prediction.values["formation_energy_per_atom"]
    assert value == pytest.approx(-3.53978, abs=1e-4)  # by github.com/txie-93/cgcnn
    assert (unit, prediction.scheme) == ("eV/atom", "MP legacy")


def test_a_champion_predicts_what_it_has_elements_for(own_store):
    path = own_store.path / "models" / own_store.champion / "card.json"
    card = json.loads(path.read_text())
    write_text(path, json.dumps(card | {"elements": [8, 22, 38]}))
    prediction = walk(None, own_store.path).prediction
    assert prediction.network == own_store.champion
    assert set(prediction.values) == {"formation_energy_per_atom", "band_gap"}
    write_text(path, json.dumps(card | {"elements": [8, 22]}))
    with pytest.raises(ModelError, match="has not learned of Sr"):
        walk(None, own_store.path)


def test_the_script_draws_what_the_page_shows(tmp_path):
    script = DOCS / "examples" / "srtio3_walkthrough.py"
    done = subprocess.run(
        [sys.executable, str(script), "--pictures", "drawn", "--store", "none"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "an UNTRAINED CGCNN (random weights)" in done.stdout
    page = (DOCS / "walkthrough.md").read_text(encoding="utf-8")
    told = done.stdout.split("7. prediction")[0].strip().splitlines()
    assert len(told) > 25
    for line in told:  # the numbers on the page are those of the script
        assert line in page
    drawn = sorted((tmp_path / "drawn").glob("*.png"))
    assert len(drawn) == 5
    for picture in drawn:
        assert picture.read_bytes().startswith(b"\x89PNG")
        assert f"(examples/{picture.name})" in page
        assert (DOCS / "examples" / picture.name).stat().st_size < 100_000
