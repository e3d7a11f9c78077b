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
    Family,
    Sites,
    both_signs,
)
from crystalgnn_core.sources.synthetic.model.ternary_prototypes import (
    full_heusler,
    half_heusler,
)

METALLIC = Family(anions="")


@METALLIC.prototype(221, "P", name="simple_cubic", weight=0.05)
@METALLIC.prototype(229, "I", name="bcc", weight=0.1)
@METALLIC.prototype(225, "F", name="fcc", weight=0.1)
def one_atom() -> Sites:
    """Return A1, A2 or A_h, as the centring decides."""
    return {"A": [ORIGIN]}


@METALLIC.prototype(194, "P", (1.58, 1.68), weight=0.1)
def hcp() -> Sites:
    """Return A3, the hexagonal close packing."""
    return {"A": [(THIRD, TWO_THIRDS, 0.25), (TWO_THIRDS, THIRD, 0.75)]}


@METALLIC.prototype(221, "P")
def l1_2() -> Sites:
    """Return Cu3Au."""
    return {"A": FACES, "B": [ORIGIN]}


@METALLIC.prototype(225, "F")
def d0_3() -> Sites:
    """Return Fe3Al in the face-centred cell."""
    return {"A": [QUARTER, THREE_QUARTERS, CENTRE], "B": [ORIGIN]}


@METALLIC.prototype(139, "I", (1.92, 2.12))
def d0_22() -> Sites:
    """Return Al3Ti in the body-centred cell."""
    return {"A": [(0.0, 0.0, 0.5), (0.0, 0.5, 0.25), (0.5, 0.0, 0.25)], "B": [ORIGIN]}


@METALLIC.prototype(139, "I", (2.6, 3.2), (0.32, 0.346))
def c11_b(z: float) -> Sites:
    """Return MoSi2 in the body-centred cell."""
    return {"A": both_signs((0.0, 0.0, z)), "B": [ORIGIN]}


@METALLIC.prototype(123, "P", (1.34, 1.48), name="l1_0", larger="AB", weight=0.7)
@METALLIC.prototype(221, "P", name="b2", larger="AB", weight=0.5)
def two_atoms() -> Sites:
    """Return B2 or L1_0, as the axial ratio decides; A and B are equivalent."""
    return {"A": [ORIGIN], "B": [CENTRE]}


METALLIC.prototype(225, "F", name="metallic_heusler", weight=1.5)(full_heusler)
METALLIC.prototype(216, "F", name="metallic_half_heusler", larger="AB", weight=0.7)(
    half_heusler
)
