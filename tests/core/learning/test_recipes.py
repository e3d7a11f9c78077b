"""Recipes: every one fits, and lies below what the settings say."""

import pytest
from pydantic import ValidationError

from crystalgnn_core.config import PipelineConfig, load_config
from crystalgnn_core.errors import ConfigError
from crystalgnn_core.learning.recipes.names import describe_recipe, recipe_names
from crystalgnn_core.learning.recipes.reading import default_model, read_recipe
from crystalgnn_core.models.cgcnn.config import CGCNNConfig
from crystalgnn_core.models.schnet.config import SchNetConfig


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_fits_and_says_what_it_is_for(name):
    config = PipelineConfig.model_validate({"recipe": name})
    assert set(read_recipe(name)) <= {"model", "graph", "training"}
    assert config.model.kind == read_recipe(name)["model"]["kind"]
    assert config.training.epochs == read_recipe(name)["training"]["epochs"]
    assert describe_recipe(name).endswith(".")
    assert 40 < len(describe_recipe(name)) < 100


def test_settings_without_a_model_take_the_default_recipe():
    assert PipelineConfig() == load_config() == load_config(options={"recipe": "default"})
    assert PipelineConfig().model == default_model() != CGCNNConfig()


def test_a_model_in_the_settings_is_taken_as_it_is_written():
    config = load_config(overrides=["model.atom_width=16"])
    assert config.model == CGCNNConfig(atom_width=16)
    assert PipelineConfig(model=SchNetConfig()).model == SchNetConfig()
    assert load_config(overrides=["recipe=null"]).model == CGCNNConfig()


def test_the_settings_lie_over_the_recipe(tmp_path):
    file = tmp_path / "job.yaml"
    file.write_text("recipe: accurate\nmodel: {atom_width: 80}\ntraining: {epochs: 7}\n")
    recipe = read_recipe("accurate")
    config = load_config(file, ["training.seed=3"])
    assert config.model.composition is not None
    assert config.model.composition.width == recipe["model"]["composition"]["width"]
    assert config.model.model_dump()["atom_width"] == 80
    assert (config.training.epochs, config.training.seed) == (7, 3)
    assert config.training.members == recipe["training"]["members"]
    assert load_config(file, options={"recipe": "default"}).training.epochs == 7


def test_settings_that_were_composed_are_not_changed_by_a_later_default():
    config = load_config(overrides=["recipe=schnet-matbench"])
    assert PipelineConfig.model_validate(config.model_dump()) == config
    assert PipelineConfig.model_validate_json(config.model_dump_json()) == config


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"recipe": "acurate"}, "no recipe 'acurate'.*did you mean accurate"),
        ({"recipe": 3}, "no recipe 3; choose from default"),
        (
            {"recipe": "accurate", "model": {"kind": "schnet"}},
            "accurate is one of the network cgcnn, but model.kind is 'schnet'",
        ),
        ({"recipe": "accurate", "model": SchNetConfig()}, "of the network cgcnn"),
    ],
)
def test_what_fits_no_recipe_is_refused(settings, message):
    with pytest.raises(ValidationError, match=message):
        PipelineConfig.model_validate(settings)
    if not isinstance(settings.get("model"), SchNetConfig):
        with pytest.raises(ConfigError, match=message):
            load_config(options=settings)
