"""The prototypes of the ionic family with two or three cations, or two anions."""

from __future__ import annotations

from crystalgnn_core.sources.synthetic.model.prototypes import (
    CENTRE,
    CUBIC,
    EDGES,
    ORIGIN,
    QUARTER,
    THREE_QUARTERS,
    Family,
    Sites,
    both_signs,
)

TERNARY = Family(anions="X")


@TERNARY.prototype(148, "R", (2.65, 2.85), (0.350, 0.361), (0.141, 0.151), weight=1.5)
def ilmenite(z_a: float, z_b: float) -> Sites:
    """Return E2_2, corundum with ordered layers; anions as in FeTiO3."""
    x, y, z = 0.317, 0.023, 0.245
    return {
        "A": both_signs((0.0, 0.0, z_a)),
        "B": both_signs((0.0, 0.0, z_b)),
        "X": both_signs((x, y, z), (-y, x - y, z), (y - x, -x, z)),
    }


@TERNARY.prototype(221, "P", name="antiperovskite", anions="AB", larger="AB", weight=0.7)
@TERNARY.prototype(221, "P", larger="AB", weight=2.5)
def perovskite() -> Sites:
    """Return E2_1, cubic."""
    return {"A": [CENTRE], "B": [ORIGIN], "X": EDGES}


@TERNARY.prototype(227, "F", CUBIC, (0.255, 0.265), weight=2.0)
def spinel(u: float) -> Sites:
    """Return H1_1, normal, in the face-centred cell of 14 atoms."""
    v = 0.5 - 3.0 * u
    octahedral = [CENTRE, (0.25, 0.25, 0.5), (0.25, 0.5, 0.25), (0.5, 0.25, 0.25)]
    # 32e in primitive coordinates (u,u,u), (u,u,v) ..., here in the conventional basis
    primitive = both_signs((u, u, u), (u, u, v), (u, v, u), (v, u, u))
    anions = [(0.5 * (q + r), 0.5 * (p + r), 0.5 * (p + q)) for p, q, r in primitive]
    return {"A": both_signs((0.125, 0.125, 0.125)), "B": octahedral, "X": anions}


@TERNARY.prototype(
    139, "I", (3.05, 3.35), (0.350, 0.360), (0.150, 0.162), larger="AB", weight=1.5
)
def potassium_nickel_fluoride(z_a: float, z_x: float) -> Sites:
    """Return K2NiF4, one layer of perovskite between layers of rocksalt."""
    return {
        "A": both_signs((0.0, 0.0, z_a)),
        "B": [ORIGIN],
        "X": [(0.5, 0.0, 0.0), (0.0, 0.5, 0.0), *both_signs((0.0, 0.0, z_x))],
    }


@TERNARY.prototype(122, "I", (1.90, 2.02), (0.21, 0.27))
def chalcopyrite(u: float) -> Sites:
    """Return E1_1 in the body-centred cell of 8 atoms."""
    return {
        "A": [ORIGIN, (0.0, 0.5, 0.25)],
        "B": [(0.0, 0.0, 0.5), (0.5, 0.0, 0.25)],
        "X": [(u, 0.25, 0.125), (-u, 0.75, 0.125), (0.75, u, 0.875), (0.25, -u, 0.875)],
    }


@TERNARY.prototype(166, "R", (4.7, 5.4), (0.235, 0.265), weight=1.5)
def sodium_ferrite(z: float) -> Sites:
    """Return alpha-NaFeO2, rocksalt ordered along [111]."""
    return {"A": [ORIGIN], "B": [(0.0, 0.0, 0.5)], "X": both_signs((0.0, 0.0, z))}


@TERNARY.prototype(123, "P", (1.37, 1.46), larger="AB")
def layered_rocksalt() -> Sites:
    """Return rocksalt with cations ordered along [001] as in L1_0."""
    return {"A": [ORIGIN], "B": [CENTRE], "X": [(0.5, 0.5, 0.0), (0.0, 0.0, 0.5)]}


@TERNARY.prototype(216, "F", larger="AB")
def half_heusler() -> Sites:
    """Return C1_b in the face-centred cell; A and B are equivalent."""
    return {"A": [ORIGIN], "B": [CENTRE], "X": [QUARTER]}


@TERNARY.prototype(225, "F", weight=0.5)
def full_heusler() -> Sites:
    """Return L2_1 in the face-centred cell."""
    return {"A": [QUARTER, THREE_QUARTERS], "B": [CENTRE], "X": [ORIGIN]}


@TERNARY.prototype(225, "F", CUBIC, (0.22, 0.25), larger="AB")
def antifluorite_hexahalide(u: float) -> Sites:
    """Return K2PtCl6 in the face-centred cell."""
    octahedron = both_signs((u, 0.0, 0.0), (0.0, u, 0.0), (0.0, 0.0, u))
    return {"A": [QUARTER, THREE_QUARTERS], "B": [ORIGIN], "X": octahedron}


@TERNARY.prototype(225, "F", CUBIC, (0.235, 0.265), larger="AB", weight=2.5)
def elpasolite(u: float) -> Sites:
    """Return the double perovskite A2BCX6 in the face-centred cell."""
    return {**antifluorite_hexahalide(u), "C": [CENTRE]}
