"""The 564 settings of the space groups, each called by several names.

The places are those that gemmi's operations make, applied here one by one; the operations
of our reader come by other ways (symbols, cells and atoms), which is what is tested.
"""

from __future__ import annotations

import gemmi
import numpy as np
import pytest

from crystalgnn_core.errors import RecordError
from crystalgnn_core.sources.formats.cif import resolve
from crystalgnn_core.sources.formats.cif.reader import crystal_from_cif
from tests.core.sources.formats.cif.peers import are_same_atoms, cif_text

GROUPS = list(gemmi.spacegroup_table())
GENERAL = {"Na": (0.113, 0.207, 0.341), "Cl": (0.377, 0.083, 0.459)}
SPECIAL = {"Na": (0.0, 0.0, 0.0), "Cl": (0.13, 0.0, 0.0), "Br": (0.25, 0.25, 0.18)}
SPELLINGS = ("full", "short", "underscores", "capitals", "suffix", "number", "hall")


def cell_of(group):
    """Make a cell with just the symmetry of a group, by averaging its metric."""
    vectors = np.array([[9.1, 0.0, 0.0], [0.7, 10.3, 0.0], [0.9, 1.1, 11.7]])
    rotations = [np.array(op.rot) / gemmi.Op.DEN for op in group.operations()]
    metric = np.mean([r.T @ vectors @ vectors.T @ r for r in rotations], axis=0)
    lengths = np.sqrt(np.diag(metric))
    cosines = [metric[i, j] / lengths[i] / lengths[j] for i, j in ((1, 2), (0, 2), (0, 1))]
    return tuple(np.round([*lengths, *np.degrees(np.arccos(cosines))], 6).tolist())


def atoms_of(group, places):
    """Apply every operation to every place, and keep each image once."""
    numbers, found = [], []
    for symbol, place in places.items():
        own: list[np.ndarray] = []
        for op in group.operations():
            image = np.array(op.apply_to_xyz(list(place))) % 1.0
            offsets = np.array(own).reshape(-1, 3) - image
            if not (np.abs(offsets - np.rint(offsets)).max(axis=1) < 1e-4).any():
                own.append(image)
        found += own
        numbers += [gemmi.Element(symbol).atomic_number] * len(own)
    return numbers, np.array(found)


def entries_of(group, spelling):
    """Name a setting."""
    full = group.hm
    entries = {
        "full": {"symbol": full},
        "short": {"symbol": group.short_name()},
        "underscores": {"symbol": full.replace(" ", "_")},
        "capitals": {"symbol": full.upper()},
        "suffix": {"symbol": group.xhm()},
        "number": {"number": group.number},
        "hall": {"hall": group.hall},
    }
    return entries[spelling]


def judge(group, spelling, places, *, with_z=True):
    """Read a CIF without operations; return right, refused or wrong."""
    numbers, images = atoms_of(group, places)
    counts = {
        symbol: numbers.count(gemmi.Element(symbol).atomic_number) for symbol in places
    }
    units = np.gcd.reduce(list(counts.values()))
    text = cif_text(
        *(f"{symbol}1 {symbol} {x} {y} {z}" for symbol, (x, y, z) in places.items()),
        cell=cell_of(group),
        formula=" ".join(f"{symbol}{n // units}" for symbol, n in counts.items()),
        z=units if with_z else None,
        **entries_of(group, spelling),
    )
    try:
        crystal = crystal_from_cif(text)
    except RecordError:
        return "refused"
    return "right" if are_same_atoms(crystal, numbers, images) else "wrong"


@pytest.fixture(autouse=True)
def in_the_order_of_the_table(monkeypatch):
    """Leave out pymatgen's order of operations, which takes a second for cubic groups."""
    monkeypatch.setattr(resolve, "in_pymatgens_order", lambda setting: setting.operations)


def check(groups, places, **options):
    """Judge groups in all spellings; return the number of right answers by spelling.

    The number 1 alone always means a primitive cell, so it names none of the centred ones.
    """
    found = {
        (group.xhm(), spelling): judge(group, spelling, places, **options)
        for group in groups
        for spelling in SPELLINGS
        if not (spelling == "number" and group.number == 1)
    }
    assert [key for key, answer in found.items() if answer == "wrong"] == []
    return {
        spelling: sum(found.get((group.xhm(), spelling)) == "right" for group in groups)
        for spelling in SPELLINGS
    }


def test_a_sample_of_settings_is_read_or_refused_by_every_name():
    sample = GROUPS[::11]
    right = check(sample, GENERAL)
    assert right["suffix"] == right["hall"] == len(sample)


def test_a_sample_of_settings_has_its_special_positions():
    sample = GROUPS[4::19]
    right = check(sample, SPECIAL)
    assert right["suffix"] == right["hall"] == len(sample)


@pytest.mark.slow
@pytest.mark.parametrize("with_z", [True, False])
@pytest.mark.parametrize(("places", "least"), [(GENERAL, 490), (SPECIAL, 545)])
def test_all_settings_are_read_or_refused_by_every_name(places, least, with_z):
    right = check(GROUPS, places, with_z=with_z)
    assert right.pop("hall") == len(GROUPS)
    # two that gemmi calls by names of its own are refused
    assert right.pop("suffix") == len(GROUPS) - 2
    del right["number"]  # most groups have several settings
    assert min(right.values()) >= least
