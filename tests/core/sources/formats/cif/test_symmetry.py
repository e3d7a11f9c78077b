from __future__ import annotations

import numpy as np
import pytest
from pymatgen.core.operations import SymmOp
from pymatgen.symmetry.groups import SpaceGroup

from crystalgnn_core.sources.formats.cif.symmetry import read_operations

IDENTITY = "x, y, z"


@pytest.mark.parametrize("number", [2, 14, 62, 88, 148, 166, 194, 206, 225, 227])
def test_operations_of_a_space_group_are_read_as_by_pymatgen(number):
    group = SpaceGroup.from_int_number(number)
    texts = [operation.as_xyz_str() for operation in group.symmetry_ops]
    texts.sort(key=lambda text: text != IDENTITY)
    operations = read_operations(tuple(texts))
    assert operations is not None
    for text, rotation, translation in zip(texts, *operations, strict=True):
        expected = SymmOp.from_xyz_str(text)
        assert np.array_equal(rotation, expected.rotation_matrix)
        assert np.array_equal(translation, expected.translation_vector)


@pytest.mark.parametrize("text", ["1/2+x,-y,z-1/4", "'X, Y+.5, -Z'", "x-y,x,z+0.25"])
def test_spellings_are_read_as_by_pymatgen(text):
    operations = read_operations((IDENTITY, text))
    assert operations is not None
    expected = SymmOp.from_xyz_str(text.strip("'"))
    assert np.array_equal(operations.rotations[1], expected.rotation_matrix)
    assert np.array_equal(operations.translations[1], expected.translation_vector)


@pytest.mark.parametrize(
    "text", ["", "x,y", "x,y,z,1", "2x,y,z", "x+x,y,z", "x1/2,y,z", "x,y,q", "x;y;z"]
)
def test_unusual_operations_are_refused(text):
    assert read_operations((IDENTITY, text)) is None
    assert read_operations((text,)) is None


def test_the_identity_comes_first():
    assert read_operations(("-x,-y,-z", IDENTITY)) is None
    assert read_operations(()) is None
