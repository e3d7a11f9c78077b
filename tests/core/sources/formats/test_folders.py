import logging
from pathlib import Path

import pytest

from crystalgnn_core.errors import SourceError
from crystalgnn_core.sources.formats.folders import (
    count_left_out,
    find_files,
    find_unsupported,
    matches,
)


def names_in(folder):
    return [path.relative_to(folder).as_posix() for path in find_files(folder, ["*.cif"])]


def fill(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def test_links_to_folders_elsewhere_are_followed(tmp_path):
    fill(tmp_path, "ours/a.cif", "scratch/b.cif", "scratch/deep/c.cif")
    (tmp_path / "ours" / "linked").symlink_to(tmp_path / "scratch")
    (tmp_path / "ours" / "d.cif").symlink_to(tmp_path / "scratch" / "b.cif")
    expected = ["a.cif", "d.cif", "linked/b.cif", "linked/deep/c.cif"]
    assert names_in(tmp_path / "ours") == expected


def test_links_that_lead_back_add_nothing(tmp_path):
    fill(tmp_path, "ours/run1/a.cif", "scratch/b.cif")
    (tmp_path / "ours" / "latest").symlink_to(tmp_path / "ours" / "run1")
    (tmp_path / "ours" / "run1" / "up").symlink_to(tmp_path / "ours")
    (tmp_path / "ours" / "linked").symlink_to(tmp_path / "scratch")
    (tmp_path / "scratch" / "itself").symlink_to(tmp_path / "scratch")
    (tmp_path / "scratch" / "back").symlink_to(tmp_path / "ours")
    assert names_in(tmp_path / "ours") == ["linked/b.cif", "run1/a.cif"]


def test_a_link_to_nothing_is_told(tmp_path, caplog):
    fill(tmp_path, "a.cif")
    (tmp_path / "gone.cif").symlink_to(tmp_path / "nowhere.cif")
    with caplog.at_level(logging.WARNING):
        assert names_in(tmp_path) == ["a.cif"]
    assert "gone.cif: left out" in caplog.text


def test_a_folder_that_cannot_be_listed_is_an_error(tmp_path, monkeypatch):
    """Without it a release would seem to have lost the rows of that folder."""
    fill(tmp_path, "a.cif", "closed/b.cif")
    listed = Path.iterdir

    def refuse(folder):
        if folder.name == "closed":
            raise PermissionError(13, "Permission denied", str(folder))
        return listed(folder)

    monkeypatch.setattr(Path, "iterdir", refuse)  # whoever may read all would pass
    with pytest.raises(SourceError, match=r"closed: .* cannot be listed \(Permission"):
        names_in(tmp_path)


def test_a_file_is_either_found_or_named_unless_nobody_takes_it_for_a_structure(tmp_path):
    companions = ("INCAR", "run/OUTCAR", "README", "README.md", ".hidden.cif", ".git/x.cif")
    fill(tmp_path, *companions, "id_prop.csv", "atom_init.json")
    fill(tmp_path, "a.cif", "b.zip", "run/c.txt", "NaCl", "SI", "SI.dat")
    (tmp_path / "gone.cif").symlink_to(tmp_path / "nowhere")
    found = dict(find_unsupported(tmp_path, ["*.cif"]))
    assert sorted(found) == ["NaCl", "SI", "SI.dat", "b.zip", "gone.cif", "run/c.txt"]
    assert found["gone.cif"] == (
        "gone.cif: a link to a file that is not there; correct or remove it"
    )
    assert found["run/c.txt"] == (
        "run/c.txt: not read; structures in a folder are named *.cif"
    )
    assert names_in(tmp_path) == ["a.cif"]


def test_files_that_are_left_out_are_counted_by_their_ends():
    names = ["a.png", "run/b.CSV", "c.csv", "NaCl", "d.csv"]
    assert count_left_out(names) == ("5 files left out: *.csv 2, *.png 1, *.CSV 1, NaCl 1")
    assert count_left_out(["a.png"]) == "1 file left out: *.png 1"
    many = [f"a.{number}" for number in range(12)]
    assert count_left_out(many).endswith("*.7 1, others 4")


@pytest.mark.parametrize(
    ("name", "is_match"),
    [
        ("a.CIF", True),
        ("a.cif.gz", True),
        ("a.cif.bz2", True),
        ("a.Cif.XZ", True),
        ("a.cif.txt.gz", True),
        ("a.cif.bak", False),
        ("a.cif~", False),
        ("a.gz", False),
        ("cif.gz", False),
    ],
)
def test_a_packed_file_has_the_pattern_of_what_is_in_it(name, is_match):
    assert matches(name, ["*.cif"]) is is_match
