"""Which elements may take the roles of a prototype, with charges in balance."""

from __future__ import annotations

from functools import cache
from itertools import product
from typing import TYPE_CHECKING

from pymatgen.core.periodic_table import Element

from crystalgnn_core.sources.synthetic.model.binary_prototypes import BINARY
from crystalgnn_core.sources.synthetic.model.emt import BETA, EMT_METALS, PARAMETER_TABLE
from crystalgnn_core.sources.synthetic.model.ions import IONS, Ion
from crystalgnn_core.sources.synthetic.model.metallic_prototypes import METALLIC
from crystalgnn_core.sources.synthetic.model.ternary_prototypes import TERNARY

if TYPE_CHECKING:
    from crystalgnn_core.sources.synthetic.model.prototypes import Prototype

PROTOTYPES: dict[str, Prototype] = {**BINARY, **TERNARY, **METALLIC}
Decoration = tuple[tuple[str, int], ...]


@cache
def decorations(name: str) -> tuple[Decoration, ...]:
    """List the decorations of a prototype in a fixed order.

    Args:
        name: Key of `PROTOTYPES`.

    Returns:
        Decorations as pairs of role and atomic number; elements are distinct.
    """
    prototype = PROTOTYPES[name]
    choose = _metals if prototype.is_metallic else _ions
    return tuple(
        tuple((role, Element(ion.symbol).Z) for role, ion in choice.items())
        for choice in choose(prototype)
        if _is_allowed(prototype, choice)
    )


def _ions(prototype: Prototype) -> list[dict[str, Ion]]:
    counts = prototype.roles()
    by_charge: dict[int, list[Ion]] = {}
    for ion in IONS:
        by_charge.setdefault(ion.charge, []).append(ion)
    signs = [-1 if role in prototype.anions else 1 for role in counts]
    options = [[charge for charge in by_charge if charge * sign > 0] for sign in signs]
    return [
        dict(zip(counts, ions, strict=True))
        for charges in product(*options)
        if sum(q * n for q, n in zip(charges, counts.values(), strict=True)) == 0
        for ions in product(*(by_charge[charge] for charge in charges))
    ]


def _metals(prototype: Prototype) -> list[dict[str, Ion]]:
    # a metal is written as an uncharged ion with half the distance of neighbours in fcc
    metals = [
        Ion(symbol, 0, 0.5 * BETA * float(PARAMETER_TABLE[number, 1]))
        for number, symbol in EMT_METALS.items()
    ]
    roles = prototype.roles()
    return [
        dict(zip(roles, choice, strict=True))
        for choice in product(metals, repeat=len(roles))
    ]


def _is_allowed(prototype: Prototype, choice: dict[str, Ion]) -> bool:
    if len({ion.symbol for ion in choice.values()}) < len(choice):
        return False
    if not prototype.larger:
        return True
    first, second = (choice[role] for role in prototype.larger)
    return (first.radius, first.symbol) > (second.radius, second.symbol)
