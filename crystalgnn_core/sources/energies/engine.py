"""What computes energy corrections: releases of pymatgen and the tables in them."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution
from typing import TYPE_CHECKING

from crystalgnn_core.base import DIGEST_LENGTH
from crystalgnn_core.records.label_schemes import MP_2020

if TYPE_CHECKING:
    from importlib.metadata import Distribution

    from crystalgnn_core.sources.energies.formation import FormationEnergy

_PACKAGES = ("pymatgen", "pymatgen-core")  # the second holds the code since 2026
_TABLES = ("MP2020Compatibility.yaml", "MPRelaxSet.yaml")


def correction_engine(config: FormationEnergy | None) -> dict[str, str]:
    """Return what decides the corrections of a formation energy; nothing where none are.

    Releases count beside the tables, because oxidation states and kinds of anions, which
    choose a correction, are guessed by code.
    """
    if config is None or config.corrections == "none":
        return {}
    is_checked = config.corrections == "stored" and config.scheme == MP_2020
    return dict(_engine()) if config.corrections == "MP2020" or is_checked else {}


@cache
def _engine() -> dict[str, str]:
    found = {name: package for name in _PACKAGES if (package := _distribution(name))}
    versions = {name: package.version for name, package in found.items()}
    return versions | {"MP2020 tables": _digest_of_tables(list(found.values()))}


def _distribution(name: str) -> Distribution | None:
    try:
        return distribution(name)
    except PackageNotFoundError:
        return None


def _digest_of_tables(packages: list[Distribution]) -> str:
    """Return a digest of the tables, found without loading pymatgen."""
    paths = [
        path for package in packages for path in package.files or () if path.name in _TABLES
    ]
    content = hashlib.sha256()
    for path in sorted(paths, key=lambda path: path.name):
        content.update(path.read_binary())
    return content.hexdigest()[:DIGEST_LENGTH]
