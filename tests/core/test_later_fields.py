"""A setting that comes later, wherever it stands, renames nothing while it is not used."""

from copy import copy
from functools import reduce
from operator import or_
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import Field, create_model

from crystalgnn_core.base import ADDED_LATER, NOT_CONTENT, FrozenModel, digest_of
from crystalgnn_core.config import PipelineConfig
from crystalgnn_core.sources.base import not_content
from crystalgnn_core.storage.files import read_model, write_model

MADE: dict[type, type] = {}


def of_next_version(cls):
    """Return a class as a later version may have it: one field more, here and below."""
    if cls not in MADE:
        fields: dict[str, Any] = {"came_later": (Annotated[int, ADDED_LATER], 0)}
        for name, field in cls.model_fields.items():
            kind = rebuilt(field.annotation)
            if kind is not field.annotation:
                changed = copy(field)
                changed.annotation, changed.default = kind, remade(field.default)
                fields[name] = (kind, changed)
        MADE[cls] = create_model(cls.__name__, __base__=cls, **fields)
    return MADE[cls]


def rebuilt(kind):
    """Return a type with all configurations in it replaced."""
    if isinstance(kind, type) and issubclass(kind, FrozenModel):
        return of_next_version(kind)
    origin, members = get_origin(kind), get_args(kind)
    if origin is Annotated:
        inner = rebuilt(members[0])
        return kind if inner is members[0] else Annotated[inner, *members[1:]]
    new = tuple(map(rebuilt, members))
    if new == members:
        return kind
    return reduce(or_, new) if origin in (Union, UnionType) else origin[new]


def remade(value):
    if not isinstance(value, FrozenModel):
        return value
    return of_next_version(type(value)).model_validate(value.model_dump(exclude_unset=True))


def objects_in(value):
    """Yield a configuration and all that it holds, with the way to each."""
    yield (), value
    for name in type(value).model_fields:
        held = getattr(value, name)
        for key, one in enumerate(held) if isinstance(held, tuple) else [(None, held)]:
            if isinstance(one, FrozenModel):
                for way, nested in objects_in(one):
                    yield ((name,) if key is None else (name, key)) + way, nested


MODELS = (
    "alignn",
    "cgcnn",
    "cogn",
    "composition_gnn",
    "composition_mlp",
    "composition_trees",
    "megnet",
    "schnet",
)
SOURCES = [
    {"kind": "synthetic"},
    {"kind": "textbook"},
    {"kind": "jarvis", "release": "dft_3d_2021"},
    {"kind": "materials-project", "filter": {"elements": ["O"]}},
    {"kind": "optimade", "url": "https://a.b/v1"},
    {"kind": "vasp", "path": "runs"},
    {
        "kind": "files",
        "path": "p",
        "targets": {"band_gap": {"column": "gap", "label_scheme": "mine"}},
    },
]
CRITERIA = [
    {"kind": "window", "column": "band_gap", "low": 1, "high": 2, "width": 1},
    {"kind": "above", "column": "bulk_modulus", "midpoint": 90, "width": 5},
    {"kind": "below", "column": "band_gap", "midpoint": 1, "width": 1, "weight": 2},
]


def chosen(**values):
    """Draw some of the settings."""
    return st.fixed_dictionaries({}, optional=values)


SETTINGS = chosen(
    sources=st.lists(st.sampled_from(SOURCES), max_size=3, unique_by=lambda s: s["kind"]),
    model=st.sampled_from([{"kind": kind} for kind in MODELS]),
    training=chosen(
        epochs=st.integers(1, 9),
        bucket_size=st.integers(0, 2),
        split=chosen(seed=st.integers(0, 9)),
        optimizer=chosen(clip_norm=st.sampled_from([0.5, 1.0])),
    ),
    finetuning=chosen(optimizer=chosen(learning_rate=st.sampled_from([3e-5, 1e-4]))),
    screening=chosen(
        score=chosen(energy_weight=st.floats(0, 1))
        | chosen(criteria=st.lists(st.sampled_from(CRITERIA), min_size=1)),
        prescreen=st.none() | st.just({"models": ["a"], "keep": 5}),
    ),
    gate=chosen(max_rejects=st.just(0.5)),
    linking=chosen(after_ingest=st.booleans()),
)


def with_names(given):
    sources = [{"name": one["kind"], **one} for one in given.get("sources", ())]
    return {**given, "sources": sources}


@settings(deadline=None, max_examples=60)
@given(SETTINGS)
def test_a_field_that_comes_later_changes_no_digest_at_any_depth(given_settings):
    content = with_names(given_settings)
    now = PipelineConfig.model_validate(content)
    next_version = of_next_version(PipelineConfig).model_validate(content)
    pairs = list(zip(objects_in(now), objects_in(next_version), strict=True))
    assert len(pairs) > 10
    for (way, before), (same_way, after) in pairs:
        assert way == same_way
        assert after.model_dump().keys() - before.model_dump().keys() == {"came_later"}
        assert after.settings_digest() == before.settings_digest(), way


@settings(deadline=None, max_examples=30)
@given(SETTINGS, st.data())
def test_a_field_that_comes_later_counts_where_it_is_used(given_settings, data):
    content = with_names(given_settings)
    config = of_next_version(PipelineConfig).model_validate(content)
    ways = [way for way, _ in objects_in(config)]
    used = _use(config, data.draw(st.sampled_from(ways)))
    assert used.settings_digest() != config.settings_digest()


def _use(value, way):
    if not way:
        return value.model_copy(update={"came_later": 1})
    name, *rest = way
    held = getattr(value, name)
    if isinstance(held, tuple):
        place, *rest = rest
        changed = tuple(
            _use(one, rest) if i == place else one for i, one in enumerate(held)
        )
    else:
        changed = _use(held, rest)
    return value.model_copy(update={name: changed})


class Leaf(FrozenModel):
    value: int = 1
    later: Annotated[int, ADDED_LATER] = 0
    place: Annotated[str, NOT_CONTENT] = "here"


class Holder(FrozenModel):
    by_name: dict[str, Leaf] = Field(default_factory=dict)
    in_order: tuple[Leaf, ...] = ()
    nested: tuple[dict[str, Leaf], ...] = ()


LEAVES = Holder(
    by_name={"a": Leaf()}, in_order=(Leaf(), Leaf(later=2)), nested=({"b": Leaf()},)
)


def test_members_of_sequences_and_mappings_are_looked_through():
    leaf = {"value": 1, "place": "here"}
    assert LEAVES.settings_digest() == digest_of(
        {
            "by_name": {"a": leaf},
            "in_order": [leaf, leaf | {"later": 2}],
            "nested": [{"b": leaf}],
        }
    )


def test_what_is_left_out_on_request_joins_what_is_not_used():
    without = {"by_name": {"a": {"value"}}, "in_order": True, "nested": True}
    assert LEAVES.settings_digest(exclude=without) == digest_of(
        {"by_name": {"a": {"place": "here"}}}
    )


def test_settings_that_are_no_content_are_found_in_sequences_and_mappings():
    moved = Holder(by_name={"a": Leaf(place="there")}, in_order=(Leaf(place="there"),))
    still = Holder(by_name={"a": Leaf()}, in_order=(Leaf(),))
    assert not_content(moved) == not_content(still)
    digests = {one.settings_digest(exclude=not_content(one)) for one in (moved, still)}
    assert len(digests) == 1


def test_an_older_version_reads_what_was_written_without_use_of_a_later_field(tmp_path):
    class Older(FrozenModel):
        value: int = 1
        place: str = "here"

    class OlderHolder(FrozenModel):
        in_order: tuple[Older, ...] = ()
        by_name: dict[str, Older] = Field(default_factory=dict)
        nested: tuple[dict[str, Older], ...] = ()

    write_model(tmp_path / "holder.json", Holder(in_order=(Leaf(value=3),)))
    found = read_model(tmp_path / "holder.json", OlderHolder)
    assert found is not None
    assert found.in_order[0].value == 3


@pytest.mark.parametrize("way", ["split", "optimizer"])
def test_settings_of_training_can_grow(way):
    training = of_next_version(PipelineConfig)().training
    assert training.result_digest() == PipelineConfig().training.result_digest()
    used = _use(training, [way])
    assert used.result_digest() != training.result_digest()
