"""The table of targets: one row each; adding a target is adding a row."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator

from crystalgnn_core.base import FrozenModel
from crystalgnn_core.errors import ConfigError


class Target(FrozenModel):
    """A property that is stored as a label and can be learned.

    Attributes:
        name: Column name in records, predictions and rankings.
        unit: Unit of the stored value.
        title: Name for axes and tables.
        minimum: Smallest plausible stored value; a smaller one is rejected.
        maximum: Largest plausible stored value; a larger one is rejected.
        transform: Scale on which the model learns; predictions are mapped back.
    """

    name: str
    unit: str
    title: str
    minimum: float
    maximum: float
    transform: Literal["identity", "log10"] = "identity"


TARGETS: dict[str, Target] = {
    target.name: target
    for target in (
        Target(
            name="formation_energy_per_atom",
            unit="eV/atom",
            title="formation energy",
            minimum=-10.0,
            maximum=10.0,
        ),
        Target(name="band_gap", unit="eV", title="band gap", minimum=0.0, maximum=25.0),
        Target(
            name="bulk_modulus",
            unit="GPa",
            title="bulk modulus",
            minimum=0.1,
            maximum=1000.0,
            transform="log10",
        ),
        Target(
            name="shear_modulus",
            unit="GPa",
            title="shear modulus",
            minimum=0.1,
            maximum=1000.0,
            transform="log10",
        ),
    )
}


def get_target(name: str) -> Target:
    """Look a target up by name.

    Raises:
        ConfigError: No target has this name.
    """
    try:
        return TARGETS[_known(name)]
    except ValueError as error:
        raise ConfigError(str(error)) from error


def _known(name: str) -> str:
    if name not in TARGETS:
        known = ", ".join(TARGETS)
        raise ValueError(f"unknown target {name!r}; known targets: {known}")
    return name


TargetName = Annotated[str, AfterValidator(_known)]


def scheme_column(target: str) -> str:
    """Name the record column that holds the label scheme of a target."""
    return f"{target}_scheme"
