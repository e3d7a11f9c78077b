"""Settings that a recipe holds, and settings laid over them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter

from crystalgnn_core.learning.recipes.names import DEFAULT, recipe_names, recipe_path
from crystalgnn_core.models import ModelConfig
from crystalgnn_core.settings import merge, read_yaml
from crystalgnn_core.wording import did_you_mean, show_value

if TYPE_CHECKING:
    from collections.abc import Mapping

    from crystalgnn_core.models.base import NetworkConfig

KEY = "recipe"


def read_recipe(name: object) -> dict[str, Any]:
    """Return the settings of a recipe, those of `model`, `graph` and `training`.

    Raises:
        ValueError: There is no such recipe.
    """
    names = recipe_names()
    if name not in names:
        raise ValueError(
            f"there is no recipe {show_value(name)}; choose from {', '.join(names)}, or "
            f"null for the settings of the paper{did_you_mean(name, names)}"
        )
    return read_yaml(recipe_path(str(name)))


def apply_recipe(given: Mapping[str, Any]) -> dict[str, Any]:
    """Lay settings over those of the recipe that they name.

    Settings that name neither a recipe nor a model take the default recipe; those that name
    a model alone take it as it is.

    Args:
        given: Settings, perhaps with a `recipe`, which may be None.

    Returns:
        Settings without a `recipe`.

    Raises:
        ValueError: There is no such recipe, or it is one of another network.
    """
    own = {key: value for key, value in given.items() if key != KEY}
    name = given.get(KEY, None if "model" in given else DEFAULT)
    if name is None:
        return own
    recipe = read_recipe(name)
    model = given.get("model", {})
    kind = model.get("kind") if isinstance(model, dict) else getattr(model, "kind", None)
    if kind not in {None, recipe["model"]["kind"]}:
        raise ValueError(
            f"the recipe {name} is one of the network {recipe['model']['kind']}, but "
            f"model.kind is {show_value(kind)}; leave one of the two out"
        )
    return merge(recipe, own)


def default_model() -> NetworkConfig:
    """Return the network of settings that name neither a recipe nor a model."""
    return TypeAdapter(ModelConfig).validate_python(read_recipe(DEFAULT)["model"])
