"""Which recipes there are; the settings of the rest of the package are not loaded."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

DEFAULT = "default"


def recipe_path(name: str) -> Path:
    """Return the file of a recipe."""
    return Path(str(files(__package__))) / f"{name}.yaml"


def recipe_names() -> list[str]:
    """Return the names of the recipes, the default first."""
    names = sorted(path.stem for path in recipe_path(DEFAULT).parent.glob("*.yaml"))
    return [DEFAULT, *(name for name in names if name != DEFAULT)]


def describe_recipe(name: str) -> str:
    """Return the line that says what a recipe is for."""
    first, *_ = recipe_path(name).read_text(encoding="utf-8").splitlines()
    return first.removeprefix("# ")
