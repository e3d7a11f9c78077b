"""Configurations that other packages register."""

import sys
from typing import Literal

import pytest
from pydantic import TypeAdapter, ValidationError

from crystalgnn_core.base import FrozenModel, union_by_kind

MODULE = "from tests.core.test_base import FrozenModel, Literal\n"


class One(FrozenModel):
    kind: Literal["one"] = "one"


class Two(FrozenModel):
    kind: Literal["two"] = "two"


Builtin = One | Two


@pytest.fixture
def register(tmp_path, monkeypatch):
    """Register an object of a module of its own by an entry point."""

    def register(name, source):
        (tmp_path / f"{name}.py").write_text(MODULE + source)
        folder = tmp_path / f"{name}-1.0.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Name: {name}\nVersion: 1.0\n")
        (folder / "entry_points.txt").write_text(f"[tests.kinds]\n{name} = {name}:Config\n")
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.delitem(sys.modules, name, raising=False)

    return register


def make_union():
    return TypeAdapter(union_by_kind(Builtin, group="tests.kinds", default="one"))


def test_a_registered_class_is_one_of_the_union(register):
    register(
        "third_kind", "class Config(FrozenModel):\n    kind: Literal['third'] = 'third'\n"
    )
    union = make_union()
    found = union.validate_python({"kind": "third"})
    assert type(found).__module__ == "third_kind"
    assert union.validate_python(found) is found
    assert union.validate_python({}) == One()


@pytest.mark.parametrize(
    ("name", "source", "problem"),
    [
        ("broken_kind", "raise ImportError('no libfoo')\n", "cannot be used (no libfoo)"),
        ("plain_kind", "class Config: pass\n", "has no field `kind` of one literal"),
        (
            "same_kind",
            "class Config(FrozenModel):\n    kind: Literal['two'] = 'two'\n",
            "takes the kind 'two' of tests.core.test_base.Two",
        ),
    ],
)
def test_one_that_cannot_be_used_is_left_out_with_a_warning(
    register, name, source, problem
):
    register(name, source)
    with pytest.warns(RuntimeWarning) as caught:
        union = make_union()
    assert problem in str(caught[0].message)
    assert union.validate_python({"kind": "two"}) == Two()
    with pytest.raises(ValidationError, match="'one', 'two'"):
        union.validate_python({"kind": "third"})
