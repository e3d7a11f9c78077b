"""What a potential is; a package registers its own by an entry point."""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from typing import TYPE_CHECKING, ClassVar

from crystalgnn_core.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray
    from pymatgen.core.structure import Structure

GROUP = "crystalgnn.potentials"
_BUILTIN = {"chgnet": "crystalgnn_core.models.potential.chgnet:CHGNet"}


class Potential(ABC):
    """Describes atoms by the numbers that a trained potential computes on its way.

    Nothing is loaded before the first call of `features`, so that settings are read without
    the potential's package.

    Attributes:
        version: Of the weights; another one is another model, and is computed again.
        width: Numbers per atom.
        elements: Atomic numbers that the potential knows.
        package: Module that must be importable.
        install: Command that installs it.
        remark: What the weights have seen, in one sentence; stands in every model card.
    """

    version: ClassVar[str]
    width: ClassVar[int]
    elements: ClassVar[tuple[int, ...]]
    package: ClassVar[str]
    install: ClassVar[str]
    remark: ClassVar[str]

    @abstractmethod
    def features(self, structures: Sequence[Structure]) -> NDArray[np.float64]:
        """Describe the atoms of some structures, which are not changed.

        The numbers of an atom must not depend on the orientation, the origin, the order of
        the atoms, the choice of the cell, or the other structures.

        Returns:
            Atom after atom in the order of the structures, shape (n_atoms, width); with NaN
            for a structure that cannot be described, which gets no prediction then.
        """

    def check_installed(self) -> None:
        """Refuse to begin without the potential's package.

        Raises:
            ModelError: It cannot be imported.
        """
        if find_spec(self.package) is None:
            raise ModelError(
                f"features of this potential need the package {self.package}, which is not "
                f"installed; run: {self.install}"
            )


def potential_names() -> list[str]:
    """Return the names of the potentials there are, without loading any."""
    return sorted({*_BUILTIN, *(entry.name for entry in entry_points(group=GROUP))})


@cache
def find_potential(name: str) -> Potential:
    """Return the potential of a name; its weights are loaded when they are needed.

    Raises:
        ModelError: No installed package has one of this name, or it cannot be imported.
    """
    found = list(entry_points(group=GROUP, name=name))
    if name in _BUILTIN:
        module, _, attribute = _BUILTIN[name].partition(":")
        made = getattr(import_module(module), attribute)
    elif found:
        made = _load(found[0])
    else:
        raise ModelError(
            f"no installed package has a potential {name!r}; there are "
            f"{', '.join(potential_names())}"
        )
    potential: Potential = made()
    return potential


def _load(entry: EntryPoint) -> type[Potential]:
    try:
        loaded: type[Potential] = entry.load()
    except Exception as error:  # whatever a foreign package does on import
        raise ModelError(f"{entry.value} cannot be used ({error})") from error
    return loaded
