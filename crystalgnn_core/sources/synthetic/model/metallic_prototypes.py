"""The prototypes of the metallic family: elements and ordered alloys."""

from __future__ import annotations

from crystalgnn_core.sources.synthetic.model.prototypes import (
    CENTRE,
    FACES,
    ORIGIN,
    QUARTER,
    THIRD,
    THREE_QUARTERS,
    TWO_THIRDS,
    Prototype,
    Sites,
    both_signs,
)
from crystalgnn_core.sources.synthetic.model.ternary_prototypes import (
    full_heusler,
    half_heusler,
)


def one_atom() -> Sites:
    """Return A1, A2 or A_h, as the centring decides."""
    return {"A": [ORIGIN]}


def hexagonal_close_packed() -> Sites:
    """Return A3."""
    return {"A": [(THIRD, TWO_THIRDS, 0.25), (TWO_THIRDS, THIRD, 0.75)]}


def two_atoms() -> Sites:
    """Return B2 or L1_0, as the axial ratio decides; A and B are equivalent."""
    return {"A": [ORIGIN], "B": [CENTRE]}


def l1_2() -> Sites:
    """Return Cu3Au."""
    return {"A": FACES, "B": [ORIGIN]}


def d0_3() -> Sites:
    """Return Fe3Al in the face-centred cell."""
    return {"A": [QUARTER, THREE_QUARTERS, CENTRE], "B": [ORIGIN]}


def d0_22() -> Sites:
    """Return Al3Ti in the body-centred cell."""
    return {"A": [(0.0, 0.0, 0.5), (0.0, 0.5, 0.25), (0.5, 0.0, 0.25)], "B": [ORIGIN]}


def c11_b(z: float) -> Sites:
    """Return MoSi2 in the body-centred cell."""
    return {"A": both_signs((0.0, 0.0, z)), "B": [ORIGIN]}


METALLIC_PROTOTYPES: tuple[Prototype, ...] = (
    Prototype("fcc", 225, "cubic", "F", one_atom, anions="", weight=0.1),
    Prototype("bcc", 229, "cubic", "I", one_atom, anions="", weight=0.1),
    Prototype("simple_cubic", 221, "cubic", "P", one_atom, anions="", weight=0.05),
    Prototype(
        "hcp",
        194,
        "hexagonal",
        "P",
        hexagonal_close_packed,
        (1.58, 1.68),
        anions="",
        weight=0.1,
    ),
    Prototype("l1_2", 221, "cubic", "P", l1_2, anions=""),
    Prototype("d0_3", 225, "cubic", "F", d0_3, anions=""),
    Prototype("d0_22", 139, "tetragonal", "I", d0_22, (1.92, 2.12), anions=""),
    Prototype(
        "c11_b", 139, "tetragonal", "I", c11_b, (2.6, 3.2), ((0.32, 0.346),), anions=""
    ),
    Prototype("b2", 221, "cubic", "P", two_atoms, anions="", larger="AB", weight=0.5),
    Prototype(
        "l1_0",
        123,
        "tetragonal",
        "P",
        two_atoms,
        (1.34, 1.48),
        anions="",
        larger="AB",
        weight=0.7,
    ),
    Prototype("metallic_heusler", 225, "cubic", "F", full_heusler, anions="", weight=1.5),
    Prototype(
        "metallic_half_heusler",
        216,
        "cubic",
        "F",
        half_heusler,
        anions="",
        larger="AB",
        weight=0.7,
    ),
)
