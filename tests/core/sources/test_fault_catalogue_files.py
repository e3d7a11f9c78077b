"""The fault catalogue in files of many structures, folders of CIFs, and runs of VASP."""

import csv
import gzip
import re

import ase.db
import numpy as np
import pytest
from ase import Atoms
from ase.cell import Cell
from pymatgen.core.structure import Structure

from crystalgnn_core.sources.energies.formation import ElementalReferences, FormationEnergy
from crystalgnn_core.sources.files.source import FilesSource
from crystalgnn_core.sources.formats.columns import TargetColumn
from crystalgnn_core.sources.vasp import VaspSource
from tests.core.sources.faults import (
    FAULTS,
    PRIMITIVE,
    check_all_are_told,
    reasons_for,
    rows_with,
)
from tests.core.sources.vasprun_texts import vasprun_text

TARGETS = {
    name: TargetColumn(column=name, label_scheme="test")
    for name in ("formation_energy_per_atom", "band_gap")
}
# files and frames without an id of their own are named by file and place
NAMED_BY_FILE = {"id missing", "id empty", "id of blanks"}
NO_ROWS = {"row is null", "row is a text"}  # what holds a structure is a text
NO_ELEMENTS = (
    *("element_unknown", "element_is_a_hydroxyl", "element_is_water"),
    *("element_is_a_ligand", "element_beyond_the_table"),
)
# a frame lists three numbers and one symbol an atom, under a lattice of nine numbers
NOT_IN_A_FRAME = {"site is partly empty", "site is mixed"}


def frame_of(row):
    """Write a frame of extended XYZ, whatever the row holds."""
    lattice = row.lattice
    keys = [f'{name}="{value}"' for name, value in row.labels.items() if value is not None]
    if lattice is not None and not row.is_empty:
        numbers = " ".join(str(number) for vector in lattice for number in vector)
        keys.append(f'Lattice="{numbers}" pbc="T T T"')
    symbols = [symbol for species in row.species for symbol in species]
    atoms = [
        " ".join([symbol, *map(str, position(lattice, coords))])
        for symbol, coords in zip(
            [*symbols, *["Na"] * (len(row.coords) - len(symbols))], row.coords, strict=True
        )
    ]
    comment = f'Properties=species:S:1:pos:R:3 id="{row.material_id}" {" ".join(keys)}'
    return "\n".join([str(len(symbols)), comment, *atoms, ""])


def position(lattice, coords):
    """Return a Cartesian position, or the coordinates where there is none."""
    try:
        return np.array(coords, dtype=float) @ np.array(lattice, dtype=float)
    except (TypeError, ValueError):
        return coords


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
def test_frames_of_extended_xyz(tmp_path):
    # an atom too many is the beginning of the next frame, so it is told as its own row;
    # a fourth number of an atom stands behind the columns that are named
    left_out = NAMED_BY_FILE | NO_ROWS | NOT_IN_A_FRAME
    left_out |= {"more coordinates than species", "coordinates in four dimensions"}
    rows = rows_with(FAULTS, left_out=left_out)
    path = tmp_path / "rows.extxyz"
    path.write_text("".join(frame_of(row) for _, row in rows))
    # ASE refuses such a symbol with the rest of the frame, and skips an underscore
    refused = dict.fromkeys(NO_ELEMENTS, "unreadable_structure")
    refused["energy_with_an_underscore"] = "implausible_label"
    reasons = reasons_for(rows, **refused)
    source = FilesSource(name="rows", path=str(path), targets=TARGETS, part_size=7)
    check_all_are_told(tmp_path / "store", source, rows, reasons)


def test_rows_of_an_ase_database(tmp_path):
    # rows are of the shape that ASE gives them: numbers, three coordinates, three vectors
    wrong_shape = {
        *("more coordinates than species", "coordinates in two dimensions"),
        *("coordinate is a word", "lattice entry is a word", "lattice of two vectors"),
        *("coordinate is missing", "lattice entry is missing", "lattice of four vectors"),
        *("coordinates in four dimensions", "lattice vector of two numbers"),
    }
    left_out = NAMED_BY_FILE | NO_ROWS | wrong_shape | NOT_IN_A_FRAME
    left_out |= {name.replace("_", " ") for name in NO_ELEMENTS} | {"structure missing"}
    rows = rows_with(FAULTS, left_out=left_out)
    path = tmp_path / "rows.db"
    with np.errstate(invalid="ignore"), connect(path) as database:
        for _, row in rows:
            database.write(atoms_of(row), data={"id": row.material_id, **row.labels})
    source = FilesSource(name="rows", path=str(path), targets=TARGETS, part_size=7)
    check_all_are_told(tmp_path / "store", source, rows, reasons_for(rows))


def connect(path):
    return ase.db.connect(str(path), type="db")


def atoms_of(row):
    """Make ASE's atoms, which hold anything of the right shape."""
    symbols = [symbol for species in row.species for symbol in species]
    lattice = None if row.lattice is None else np.array(row.lattice)
    positions = np.reshape([position(row.lattice, x) for x in row.coords], (-1, 3))
    pbc = lattice is not None
    return Atoms(symbols, positions=positions, cell=lattice, pbc=pbc)


def cif_of(row):
    """Write a CIF, whatever the row holds; `#` stands where there is no structure."""
    if row.is_empty:
        return "# nothing\n"
    lines = ["data_row"]
    if row.lattice is not None:
        lengths, angles = cell_of(row.lattice)
        lines += [f"_cell_length_{x} {y}" for x, y in zip("abc", lengths, strict=True)]
        names = ("alpha", "beta", "gamma")
        lines += [f"_cell_angle_{x} {y}" for x, y in zip(names, angles, strict=True)]
    lines += ["loop_", *(f"_atom_site_{x}" for x in ("label", "type_symbol", "occupancy"))]
    lines += [f"_atom_site_fract_{x}" for x in "xyz"]
    for number, (species, coords) in enumerate(zip(row.species, row.coords, strict=False)):
        lines += [
            f"{kind}{number} {kind} {share} {' '.join(map(str, coords))}"
            for kind, share in species.items()
        ]
    return "\n".join([*lines, ""])


def cell_of(lattice):
    """Return lengths and angles of a cell, words where the lattice holds words."""
    try:
        with np.errstate(invalid="ignore"):
            cell = Cell(np.array(lattice, dtype=float)).cellpar()
    except (TypeError, ValueError):
        return ("long", 4.0, 4.0), (60.0, 60.0, 60.0)
    return cell[:3], cell[3:]


def test_a_folder_of_cgcnn(tmp_path):
    # a file name is one text and there once; a CIF without atoms is no structure
    left_out = (
        NAMED_BY_FILE | NO_ROWS | {"id of another row", "more coordinates than species"}
    )
    left_out |= {"lattice of two vectors", "lattice of four vectors", "energy is a list"}
    left_out |= {"lattice vector of two numbers"}
    rows = rows_with(FAULTS, left_out=left_out)
    folder = tmp_path / "folder"
    folder.mkdir()
    with (folder / "id_prop.csv").open("w", newline="") as stream:
        for _, row in rows:
            csv.writer(stream).writerow([row.material_id, *row.labels.values()])
            (folder / f"{row.material_id}.cif").write_text(cif_of(row))
    columns = {
        name: TargetColumn(column=place, label_scheme="test")
        for place, name in enumerate(TARGETS, start=1)
    }
    reasons = reasons_for(  # a CIF has no vectors, and without atoms it holds no structure
        rows,
        no_atoms="unreadable_structure",
        cell_is_flat="unreadable_structure",
        cell_is_zero="unreadable_structure",
    )
    source = FilesSource(name="rows", path=str(folder), targets=columns, part_size=7)
    check_all_are_told(tmp_path / "store", source, rows, reasons)


def test_runs_of_vasp(tmp_path):
    # a run is named by its folder, and says of each site one element and three numbers; its
    # gap is never below zero and always in eV, and a run without an energy is not finished
    expressible = {
        *("structure missing", "coordinate is NaN", "coordinate is infinite"),
        *("coordinate is a word", "lattice missing", "lattice of two vectors"),
        *("lattice entry is NaN", "lattice entry is a word"),
        *("cell is flat", "cell is zero", "cell in nanometres", "cell in picometres"),
        *("cell of micrometres", "atoms on top of each other", "atom meets its image"),
        *("energy is infinite", "energy is a word", "energy of the whole crystal"),
        *("coordinate is missing", "coordinates in four dimensions"),
        *("lattice of four vectors", "lattice vector of two numbers"),
        *("lattice entry is infinite", "lattice entry is missing"),
    }
    rows = rows_with(FAULTS, left_out=FAULTS.keys() - expressible)
    for _, row in rows:
        path = tmp_path / "runs" / str(row.material_id) / "vasprun.xml.gz"
        path.parent.mkdir(parents=True)
        path.write_bytes(gzip.compress(run_of(row).encode()))
    elements = ElementalReferences(energies={"Na": -1.0, "Cl": -2.0}, label_scheme="test")
    formation = FormationEnergy(corrections="none", references=elements, run_types=("GGA",))
    source = VaspSource(
        name="rows", path=str(tmp_path / "runs"), formation_energy=formation, part_size=7
    )
    reasons = reasons_for(  # the energy of a run is text of the same file
        rows,
        energy_is_a_word="unreadable_structure",
        energy_is_infinite="incompatible_settings",
    )
    check_all_are_told(tmp_path / "store", source, rows, reasons)


def run_of(row):
    """Write a run of sodium chloride, and then what the row holds in its place."""
    per_atom = row.labels["formation_energy_per_atom"]
    energy = -3.0 + 2 * per_atom if isinstance(per_atom, float) else 4711.0
    structure = Structure(PRIMITIVE, ["Na", "Cl"], [[0.0] * 3, [0.5] * 3])
    text = vasprun_text(structure, energy)
    given = [] if row.lattice is None else row.lattice
    text = replaced(text, "basis", given)
    text = replaced(text, "positions", row.coords)
    return "" if row.is_empty else text.replace("4711.00000000", str(per_atom))


def replaced(text, name, vectors):
    """Write vectors in place of those of an array, wherever it stands."""
    rows = "".join(f"<v> {' '.join(map(str, vector))} </v>" for vector in vectors)
    return re.sub(
        rf'(<varray name="{name}" >).*?(</varray>)', rf"\g<1>{rows}\g<2>", text, flags=re.S
    )
