import logging
import shutil

import pytest

from crystalgnn_core.errors import IntegrityError, ModelError, TransientError
from crystalgnn_core.learning import registry as module
from crystalgnn_core.learning.registry import Registry, champion_key

KEY = "band_gap [synthetic-1] & formation_energy_per_atom [synthetic-1]"
OTHER = "band_gap [PBE] & formation_energy_per_atom [synthetic-1]"


@pytest.fixture
def registry(trained, tmp_path):
    """Models a and b of one key, and c of another label scheme."""
    for name, scheme in (("a", "synthetic-1"), ("b", "synthetic-1"), ("c", "PBE")):
        schemes = trained.card.label_schemes | {"band_gap": scheme}
        card = trained.card.model_copy(update={"model_id": name, "label_schemes": schemes})
        folder = tmp_path / "models" / name
        folder.mkdir(parents=True)
        (folder / "card.json").write_text(card.model_dump_json())
    return Registry(tmp_path)


def test_a_key_holds_targets_and_label_schemes(trained):
    assert champion_key(trained.card) == KEY


def test_promotion_moves_the_pointer_of_one_key_alone(registry):
    assert registry.champions() == {}
    assert registry.promote("a", "first") == KEY
    assert registry.promote("c", "first") == OTHER
    registry.promote("b", "better")
    assert registry.champions() == {KEY: "b", OTHER: "c"}
    assert [entry.reason for entry in registry.history(KEY)] == ["first", "better"]


def test_promoting_the_champion_again_changes_nothing(registry):
    registry.promote("a", "first")
    registry.promote("a", "again")
    assert [entry.reason for entry in registry.history(KEY)] == ["first"]


def test_rollback_returns_to_the_champion_before(registry):
    registry.promote("a", "first")
    registry.promote("b", "better")
    assert registry.rollback(KEY) == "a"
    assert registry.champion(KEY) == "a"
    with pytest.raises(ModelError, match="no earlier champion"):
        registry.rollback(KEY)
    assert registry.champion(KEY) == "a"


def test_rollback_to_a_model_that_is_gone_changes_nothing(registry):
    registry.promote("a", "first")
    registry.promote("b", "better")
    shutil.rmtree(registry.folder / "a")
    with pytest.raises(ModelError, match="no model bundle"):
        registry.rollback(KEY)
    assert registry.champion(KEY) == "b"


def test_every_form_of_reference_is_resolved(registry, tmp_path):
    registry.promote("b", "first")
    folder = registry.folder / "b"
    outside = shutil.copytree(folder, tmp_path / "outside")
    assert registry.resolve("champion") == folder
    assert registry.resolve(f"champion:{KEY}") == folder
    assert registry.resolve("b") == folder
    assert registry.resolve(str(outside)) == outside


def test_champion_is_refused_when_it_is_none_or_several(registry):
    with pytest.raises(ModelError, match=r"no champion in store .*; train a model first"):
        registry.resolve("champion")
    registry.promote("a", "first")
    registry.promote("c", "first")
    with pytest.raises(ModelError, match=r"champion:KEY") as caught:
        registry.resolve("champion")
    assert KEY in str(caught.value)
    assert OTHER in str(caught.value)
    assert registry.resolve(f"champion:{OTHER}").name == "c"


def test_an_unknown_reference_is_answered_with_what_there_is(registry):
    with pytest.raises(ModelError, match=r"no model 'z'.*a, b, c"):
        registry.resolve("z")
    with pytest.raises(ModelError, match="no champion for 'nothing'"):
        registry.resolve("champion:nothing")
    with pytest.raises(ModelError):
        registry.promote("z", "by hand")
    with pytest.raises(ModelError, match=r"did you mean champion\?"):
        registry.resolve("champoin")
    nowhere = Registry(registry.folder / "nowhere")
    with pytest.raises(ModelError, match=r"nowhere, which does not exist"):
        nowhere.resolve("a")


def test_an_unreadable_card_hides_no_other_model(registry, caplog):
    (registry.folder / "b" / "card.json").write_text("{}")
    with caplog.at_level(logging.WARNING):
        assert [card.model_id for card in registry.models()] == ["a", "c"]
    assert "card format None" in caplog.text


@pytest.mark.parametrize("text", ["{", "[]", '{"key": [{"model": "a"}]}'])
def test_damaged_pointers_are_an_error_that_names_the_file(registry, text):
    registry.pointers.write_text(text)
    with pytest.raises(IntegrityError, match=r"champions\.json"):
        registry.champions()


def test_a_registry_held_by_another_process_is_transient(registry, monkeypatch):
    monkeypatch.setattr(module, "LOCK_SECONDS", 0.01)
    with registry._lock(), pytest.raises(TransientError, match="held by another process"):
        registry.promote("a", "first")
