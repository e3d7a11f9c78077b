"""`FilesSource` on files of many structures with values, and on CGCNN's folders."""

from __future__ import annotations

import gzip
import json
from typing import Any

import ase.db
import numpy as np
import pytest
from ase import Atoms
from monty.json import MontyEncoder
from pydantic import ValidationError
from pymatgen.core.structure import Structure
from pymatgen.entries.computed_entries import ComputedStructureEntry

from crystalgnn_core.errors import ConfigError, SourceError
from crystalgnn_core.records.checks.validation import validate
from crystalgnn_core.records.label_schemes import MP_2020
from crystalgnn_core.sources.files.source import FilesSource
from crystalgnn_core.sources.formats.columns import TargetColumn
from crystalgnn_core.sources.ingest.run import read_source
from tests.core.sources.plans import parts_of

SALT = Structure(
    2.8 * np.array([[0, 1, 1], [1, 0, 1], [1, 1, 0]]),
    ["Na", "Cl"],
    np.array([[0.0] * 3, [0.5] * 3]),
)
CIF = SALT.to(fmt="cif")
FRAME = (
    '2\nLattice="4.0 0 0 0 4.0 0 0 0 4.0" Properties=species:S:1:pos:R:3 {values}\n'
    "Cs 0 0 0\nCl 2.0 2.0 2.0\n"
)
GAP = {"band_gap": {"column": "gap", "label_scheme": "PBE"}}
SODIUM = Structure(2.1 * (1 - 2 * np.eye(3)), ["Na"], np.zeros((1, 3)))
POTCARS = ["PAW_PBE Na_pv 19Sep2006", "PAW_PBE Cl 06Sep2000"]
REFERENCES = {"energies": {"Na": -1.3, "Cl": -1.8}, "label_scheme": MP_2020}


def source(path, **settings):
    return FilesSource.model_validate({"name": "mine", "path": str(path)} | settings)


def read(config):
    return list(read_source(config))


def counts(config, require_labels="any"):
    """Return how many rows are kept, and the reasons of the others."""
    records = read(config)
    targets = config.target_names()
    checked = validate(
        records, source="mine", targets=targets, require_labels=require_labels
    )
    assert checked.records.num_rows + len(checked.rejects) == len(records)
    return checked.records.num_rows, sorted(reject.reason for reject in checked.rejects)


def entry(structure=SALT, energy=-6.8, potcars=POTCARS, **settings):
    parameters = {"run_type": "GGA", "hubbards": {}, "potcar_symbols": potcars}
    values: dict[str, Any] = {
        "parameters": parameters,
        "data": {"gap": 5.0},
        "correction": -0.614,
    }
    return ComputedStructureEntry(structure, energy, **(values | settings))


def put(path, value):
    path.write_text(json.dumps(value, cls=MontyEncoder))
    return path


@pytest.fixture
def cgcnn(tmp_path):
    """Three structures, three lines, two of them of one another; and what CGCNN needs."""
    for name in ("a", "b", "c"):
        (tmp_path / f"{name}.cif").write_text(CIF)
    (tmp_path / "id_prop.csv").write_text("a,-2.1,5.0\nb,-2.0,\ngone,-1.0,1.0\n")
    (tmp_path / "atom_init.json").write_text('{"1": [0, 1]}')
    return tmp_path


def test_a_folder_of_cgcnn_is_read_by_places(cgcnn):
    targets = {
        "formation_energy_per_atom": {"column": 1, "label_scheme": "PBE"},
        "band_gap": {"column": "2", "label_scheme": "PBE"},
    }
    config = source(cgcnn, targets=targets)
    records = {record.material_id: record for record in read(config)}
    assert list(records) == ["a", "b", "c", "gone"]
    assert records["a"].labels == {"formation_energy_per_atom": -2.1, "band_gap": 5.0}
    assert records["b"].labels == {"formation_energy_per_atom": -2.0, "band_gap": None}
    assert "no file gone.cif" in records["gone"].error[1]
    assert counts(config) == (2, ["missing_label", "unreadable_structure"])
    assert counts(config, "all")[0] == 1
    assert counts(config, "none") == (3, ["unreadable_structure"])


def test_lines_of_another_length_are_told(cgcnn):
    """A decimal comma makes three fields of two, and the second another number."""
    (cgcnn / "id_prop.csv").write_text("a,1.5\nb,2,5\nc\ngone,3,5\n   \n")
    targets = {"band_gap": {"column": 1, "label_scheme": "PBE"}}
    records = {
        record.material_id: record for record in read(source(cgcnn, targets=targets))
    }
    assert records["a"].labels == {"band_gap": 1.5}
    for name in ("b", "c"):
        assert records[name].error[0] == "invalid_label"
        assert "uneven line of id_prop.csv" in records[name].error[1]
    assert "no file gone.cif" in records["gone"].error[1]
    assert len(records) == 4


def test_the_table_of_cgcnn_may_stand_elsewhere_and_may_have_names(cgcnn, tmp_path):
    table = tmp_path / "elsewhere" / "id_prop.csv"
    table.parent.mkdir()
    (cgcnn / "id_prop.csv").rename(table)
    targets = {"band_gap": {"column": 2, "label_scheme": "PBE"}}
    pattern = ["*.cif"]
    config = source(cgcnn, targets=targets, labels=str(table), pattern=pattern)
    assert counts(config) == (1, ["missing_label"] * 2 + ["unreadable_structure"])
    table.write_text("id,e,gap\na,-2.1,5.0\ngone,1,2\n")
    config = source(cgcnn, targets=GAP, labels=str(table), pattern=pattern)
    assert counts(config) == (1, ["missing_label"] * 2)


def test_places_that_are_not_there_are_named(cgcnn):
    targets = {"band_gap": {"column": 7, "label_scheme": "PBE"}}
    with pytest.raises(ConfigError, match="no column 7; its columns are 0, 1, 2"):
        parts_of(source(cgcnn, targets=targets))
    (cgcnn / "id_prop.csv").write_text("")
    with pytest.raises(SourceError, match="the file is empty"):
        parts_of(source(cgcnn, targets=targets))


def test_a_changed_table_of_cgcnn_is_another_part(cgcnn):
    targets = {"band_gap": {"column": 2, "label_scheme": "PBE"}}
    config = source(cgcnn, targets=targets)
    [before] = parts_of(config)
    (cgcnn / "id_prop.csv").write_text("a,-2.1,5.1\n")
    assert parts_of(config)[0].digest != before.digest
    with pytest.raises(SourceError, match="changed"):
        list(config.read(before))


def test_the_table_of_atoms_is_no_structure(cgcnn):
    assert [record.material_id for record in read(source(cgcnn))] == ["a", "b", "c"]
    (cgcnn / "id_prop.csv").unlink()
    assert "atom_init" in [record.material_id for record in read(source(cgcnn))]


@pytest.fixture
def frames(tmp_path):
    path = tmp_path / "run.extxyz"
    texts = [FRAME.format(values=f"gap={i}.5 energy=-{i}.0 key=k{i}") for i in range(6)]
    path.write_text("".join(texts))
    return path


def test_frames_are_labelled_by_their_keys_in_parts_that_add_up(frames):
    energy = {"column": "energy", "divide_by_n_sites": True, "label_scheme": "PBE"}
    targets = GAP | {"formation_energy_per_atom": energy}
    settings = {"targets": targets, "columns": {"material_id": "key"}}
    whole = read(source(frames, **settings))
    assert [record.material_id for record in whole] == [f"k{i}" for i in range(6)]
    assert [record.labels["band_gap"] for record in whole] == [i + 0.5 for i in range(6)]
    energies = [record.labels["formation_energy_per_atom"] for record in whole]
    assert energies == [-0.5 * i for i in range(6)]  # two sites
    for part_size in (1, 4):
        config = source(frames, part_size=part_size, **settings)
        assert len(parts_of(config)) == -(-6 // part_size)
        assert [r.labels for r in read(config)] == [r.labels for r in whole]
        assert len({part.digest for part in parts_of(config)}) == len(parts_of(config))
    [part] = parts_of(source(frames, **settings))
    frames.write_text(frames.read_text() + "1\n")
    with pytest.raises(SourceError, match="changed"):
        list(source(frames, **settings).read(part))


def test_a_value_that_no_frame_has_is_one_error(frames):
    targets = {"band_gap": {"column": "gapp", "label_scheme": "PBE"}}
    with pytest.raises(ConfigError, match=r"holds gapp; the first has energy, gap, key"):
        parts_of(source(frames, targets=targets))
    with frames.open("a") as stream:
        stream.write(FRAME.format(values="gapp=1"))
    assert counts(source(frames, targets=targets)) == (1, ["missing_label"] * 6)
    frames.write_text("")
    with pytest.raises(SourceError, match="no rows"):
        parts_of(source(frames))


def test_dividing_a_class_by_sites_needs_a_bound():
    metal = {"column": "m", "label_scheme": "PBE", "divide_by_n_sites": True}
    with pytest.raises(ValidationError, match="divide_by_n_sites needs at_most"):
        source("x", targets={"is_metal": metal})


@pytest.mark.parametrize("suffix", ["db", "json"])
def test_rows_of_an_ase_database_are_labelled_by_key_and_data(tmp_path, suffix):
    path = tmp_path / f"mine.{suffix}"
    atoms = Atoms("NaCl", cell=[4, 4, 8], scaled_positions=[[0] * 3, [0.5] * 3], pbc=True)
    with ase.db.connect(path) as database:
        database.write(atoms, gap=1.5, data={"e_form": -2.0})
        database.write(atoms, gap=2.5, data={"e_form": "na"})
        database.write(atoms, data={"e_form": "much"})
    energy = {"column": "e_form", "label_scheme": "PBE"}
    config = source(path, targets=GAP | {"formation_energy_per_atom": energy})
    records = read(config)
    assert [record.labels.get("band_gap") for record in records] == [1.5, 2.5, None]
    assert records[0].labels["formation_energy_per_atom"] == -2.0
    assert counts(config) == (2, ["invalid_label"])


def test_a_folder_may_hold_frames_and_entries_beside_structures(tmp_path):
    (tmp_path / "bare.cif").write_text(CIF)
    texts = [FRAME.format(values=f"gap={i}") for i in (1, 2)]
    (tmp_path / "many.xyz").write_text("".join(texts))
    packed = gzip.compress(json.dumps([entry(entry_id="mp-1")], cls=MontyEncoder).encode())
    (tmp_path / "e.json.gz").write_bytes(packed)
    records = {record.material_id: record for record in read(source(tmp_path, targets=GAP))}
    gaps = {name: record.labels["band_gap"] for name, record in records.items()}
    assert gaps == {"bare": None, "mp-1": 5.0, "many-1": 1.0, "many-2": 2.0}
    assert records["mp-1"].run_type == "GGA"
    assert records["bare"].run_type is None
    labels = tmp_path / "labels.csv"
    labels.write_text("id,gap\nbare,7\nmany-2,8\n")
    records = {
        r.material_id: r for r in read(source(tmp_path, targets=GAP, labels=str(labels)))
    }
    assert records["bare"].labels == {"band_gap": 7.0}
    assert records["many-1"].labels == {"band_gap": None}


def formation(**settings):
    return {"formation_energy": {"references": REFERENCES} | settings}


def test_entries_become_formation_energies(tmp_path):
    others = ["PAW_PBE Na 08Apr2002", "PAW_PBE Cl 06Sep2000"]
    oxide = Structure(SALT.lattice, ["Na", "O"], SALT.frac_coords)
    oxygen = [POTCARS[0], "PAW_PBE O 08Apr2002"]
    path = put(
        tmp_path / "e.json",
        [
            entry(entry_id="good"),
            entry(entry_id="uncorrected", correction=0.0),
            entry(entry_id="soft", potcars=others),
            entry(entry_id="scan", parameters={"run_type": "R2SCAN"}),
            entry(oxide, entry_id="oxide", potcars=oxygen),
        ],
    )
    config = source(path, targets=GAP, **formation())
    records = {record.material_id: record for record in read(config)}
    reasons = {name: r.error and r.error[0] for name, r in records.items()}
    other = "incompatible_settings"
    assert reasons == {
        "good": None,
        "uncorrected": None,
        "soft": other,
        "scan": other,
        "oxide": "missing_reference",
    }
    for name in ("good", "uncorrected"):  # corrections are computed again
        # (-6.8 - 0.614 + 1.3 + 1.8) / 2
        energy = records[name].labels["formation_energy_per_atom"]
        assert energy == pytest.approx(-2.157)
        schemes = records[name].label_schemes
        assert schemes == {"band_gap": "PBE", "formation_energy_per_atom": MP_2020}
    stored = {
        r.material_id: r for r in read(source(path, **formation(corrections="stored")))
    }
    assert stored["good"].labels["formation_energy_per_atom"] == pytest.approx(-2.157)
    assert stored["uncorrected"].error[0] == other
    assert counts(config)[0] == 2


def test_references_may_be_entries(tmp_path):
    path = put(tmp_path / "e.json", [entry()])
    chlorine = Structure(np.eye(3) * 4.5, ["Cl", "Cl"], np.array([[0.0] * 3, [0.45, 0, 0]]))
    elements = [
        entry(SODIUM, -1.3, POTCARS[:1], correction=0.0),
        entry(SODIUM, -1.1, POTCARS[:1], correction=0.0),
        entry(SODIUM, -7.0, ["PAW_PBE Na 08Apr2002"]),
        entry(chlorine, -3.6, POTCARS[1:], correction=0.0),
        entry(),
        {"energy": "low", "structure": SODIUM.as_dict()},
        {"energy": -9.0, "structure": SODIUM.as_dict() | {"sites": []}},
        entry(SODIUM, -9.0).as_dict() | {"parameters": {"potcar_spec": 5}},
    ]
    put(tmp_path / "elements.json", elements)
    references = {"path": str(tmp_path / "elements.json"), "label_scheme": MP_2020}
    config = source(path, formation_energy={"references": references})
    [part] = parts_of(config)
    assert part.payload["references"] == {"Cl": -1.8, "Na": -1.3}
    [record] = config.read(part)
    assert record.labels["formation_energy_per_atom"] == pytest.approx(-2.157)


OURS = {"energies": REFERENCES["energies"], "label_scheme": "ours"}
STATED = {"structure": SALT.as_dict(), "run_type": "GGA", "energy": -8.0}


@pytest.mark.parametrize(
    ("values", "corrections", "expected"),
    [  # the elements have -3.1 eV, and a cell two sites
        ({"uncorrected_energy": -7.5, "correction": -0.5}, "stored", -2.45),
        ({"uncorrected_energy": -7.5, "correction": -0.5}, "none", -2.2),
        ({"uncorrected_energy": -7.5}, "none", -2.2),
        ({"uncorrected_energy": -7.5, "energy": None}, "none", -2.2),
        ({}, "none", -2.45),
        ({"run_type": None, "parameters": {"run_type": "GGA"}}, "none", -2.45),
        ({"run_type": None, "data": {"run_type": "GGA"}}, "none", -2.45),
    ],
)
def test_what_a_document_states_of_its_energy_counts(
    tmp_path, values, corrections, expected
):
    """As documents of mp-api give both energies, and the run type at the top."""
    document = {name: value for name, value in (STATED | values).items() if value}
    path = put(tmp_path / "e.json", [document | {"material_id": "mp-1"}])
    settings = {"corrections": corrections, "references": OURS, "run_types": ["GGA"]}
    [record] = read(source(path, formation_energy=settings))
    assert record.labels == {"formation_energy_per_atom": pytest.approx(expected)}
    assert record.run_type == "GGA"


def test_a_corrected_energy_is_corrected_once(tmp_path):
    given = STATED | {"uncorrected_energy": -7.5, "correction": -0.5, "id": "a"}
    path = put(tmp_path / "e.json", [given])
    column = {"column": "corrected_energy", "label_scheme": "PBE"}
    [record] = read(source(path, targets={"formation_energy_per_atom": column}))
    assert record.labels == {"formation_energy_per_atom": -8.0}


def test_old_names_of_potentials_are_those_of_the_materials_project(tmp_path):
    """As in its old entries; pymatgen corrects one with them by -0.614 eV."""
    path = put(tmp_path / "e.json", [entry(potcars=["PBE Na_pv", "PBE Cl"])])
    [record] = read(source(path, **formation()))
    assert record.labels["formation_energy_per_atom"] == pytest.approx(-2.157)
    put(path, [entry(potcars=["PBE Na_pv", "LDA Cl"])])
    [record] = read(source(path, **formation()))
    assert "LDA Cl, PAW_PBE Na_pv" in record.error[1]


EMPTY = SALT.as_dict() | {"sites": []}
FAULTS_BESIDE: dict[str, tuple[dict[str, Any], str]] = {
    "no sites": ({"structure": EMPTY}, "no_atoms"),
    "potentials that are a number": ({"parameters": {"potcar_symbols": 5}}, "not stated"),
    "potentials that are blank": (
        {"parameters": {"potcar_symbols": [" "]}},
        "expected PAW",
    ),
    "a specification that is a number": ({"parameters": {"potcar_spec": 5}}, "not stated"),
    "a specification that is true": ({"parameters": {"potcar_spec": True}}, "not stated"),
    "Hubbard U that are words": ({"parameters": {"hubbards": {"Na": "U"}}}, "Hubbard U"),
    "an energy in a list": ({"energy": [-8.0]}, "label [-8.0] is not a number"),
}


def test_rows_that_are_refused_are_rejects_though_no_value_is_there(tmp_path):
    """As a key given twice, beside which nothing is read, and no row with the value."""
    text = json.dumps(STATED)[:-1] + ', "gap": 1, "gap": 2}'
    path = tmp_path / "e.json"
    for content in (text, f"[{text}]", text + text):
        path.write_text(content)
        assert counts(source(path, targets=GAP)) == (0, ["unreadable_structure"])
    path.write_text(json.dumps([STATED]))
    with pytest.raises(ConfigError, match="no row of this JSON file holds gap"):
        parts_of(source(path, targets=GAP))


@pytest.mark.parametrize("name", FAULTS_BESIDE)
def test_what_stands_beside_a_structure_costs_no_other_row(tmp_path, name):
    values, reason = FAULTS_BESIDE[name]
    bad = STATED | {"material_id": "bad", "gap": "wide"} | values
    path = put(tmp_path / "e.json", [entry(entry_id="good"), bad])
    good, refused = read(source(path, **formation()))
    assert good.labels["formation_energy_per_atom"] == pytest.approx(-2.157)
    assert reason in ": ".join(refused.error)
    per_site = {"column": "energy", "label_scheme": "PBE", "divide_by_n_sites": True}
    config = source(path, targets={"formation_energy_per_atom": per_site})
    assert [record.material_id for record in read(config)] == ["good", "bad"]


def test_a_cell_without_sites_in_a_table_is_named_by_its_checks(tmp_path):
    cells = [json.dumps(value).replace('"', '""') for value in (SALT.as_dict(), EMPTY)]
    rows = [f'{name},"{cell}",-6.8' for name, cell in zip("ab", cells, strict=True)]
    path = tmp_path / "t.csv"
    path.write_text("\n".join(["id,structure,energy", *rows]))
    per_site = {"column": "energy", "label_scheme": "PBE", "divide_by_n_sites": True}
    config = source(path, targets={"formation_energy_per_atom": per_site})
    assert counts(config) == (1, ["no_atoms"])


@pytest.mark.parametrize("number", [0, 300])
def test_an_atom_that_is_no_element_has_no_energy(tmp_path, number):
    """ASE stores any number, and 0 for a site without an element."""
    path = tmp_path / "rows.json"
    with ase.db.connect(path) as database:
        for numbers in ([11, 17], [11, 18]):
            atoms = Atoms(numbers, 5.6 * SALT.frac_coords, cell=5.6 * np.eye(3), pbc=True)
            database.write(atoms, data={"energy": -6.8})
    path.write_text(path.read_text().replace("18", str(number)))
    settings = {"corrections": "none", "references": OURS, "run_types": []}
    config = source(path, formation_energy=settings)
    assert counts(config) == (1, ["unknown_element"])


def test_energies_of_frames_become_formation_energies(frames):
    references = {"energies": {"Cs": -1.0, "Cl": -2.0}, "label_scheme": "ours"}
    settings = {"corrections": "stored", "references": references, "run_types": []}
    [first, *_] = read(source(frames, formation_energy=settings))
    assert first.error[0] == "incompatible_settings"  # none is stored
    settings |= {"corrections": "none", "run_types": ["GGA"]}
    texts = [FRAME.format(values="energy=-4.0 run_type=PBE"), FRAME.format(values="x=1")]
    frames.write_text("".join(texts))
    good, bare = read(source(frames, formation_energy=settings))
    assert good.labels == {"formation_energy_per_atom": pytest.approx(-0.5)}
    assert good.label_schemes == {"formation_energy_per_atom": "ours"}
    assert bare.error[0] == "missing_label"
    frames.write_text(FRAME.format(values="energy=-4.0"))
    [unstated] = read(source(frames, formation_energy=settings))
    assert unstated.error[0] == "incompatible_settings"
    [vouched] = read(source(frames, formation_energy=settings | {"run_types": []}))
    assert vouched.labels == {"formation_energy_per_atom": pytest.approx(-0.5)}


def test_formation_energies_need_total_energies(tmp_path):
    (tmp_path / "a.cif").write_text(CIF)
    (tmp_path / "t.csv").write_text("id,cif\na,x\n")
    for path in (tmp_path, tmp_path / "a.cif", tmp_path / "t.csv"):
        with pytest.raises(ConfigError, match="holds no total energies"):
            parts_of(source(path, **formation()))
    target = {"formation_energy_per_atom": TargetColumn(column="e", label_scheme="PBE")}
    with pytest.raises(ValidationError, match="not in both"):
        source(tmp_path, targets=target, **formation())


def test_an_unused_division_keeps_the_digests(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("id,cif,gap\na,x,1\n")
    gap = GAP["band_gap"] | {"divide_by_n_sites": False}
    # as the version before there was a division computed it
    assert parts_of(source(path, targets={"band_gap": gap}))[0].digest == "afed6af15074ed08"
    gap |= {"divide_by_n_sites": True}
    assert parts_of(source(path, targets={"band_gap": gap}))[0].digest != "afed6af15074ed08"
