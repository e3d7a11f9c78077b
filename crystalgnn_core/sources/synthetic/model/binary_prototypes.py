"""The prototypes of the ionic family with one cation and one anion."""

from __future__ import annotations

from crystalgnn_core.sources.synthetic.model.prototypes import (
    CENTRE,
    EDGES,
    ORIGIN,
    QUARTER,
    THIRD,
    THREE_QUARTERS,
    TWO_THIRDS,
    Family,
    Sites,
    both_signs,
)

BINARY = Family(anions="X")


@BINARY.prototype(225, "F")
def rocksalt() -> Sites:
    """Return B1 in the face-centred cell."""
    return {"A": [ORIGIN], "X": [CENTRE]}


@BINARY.prototype(221, "P")
def caesium_chloride() -> Sites:
    """Return B2; the sites of rocksalt in a primitive cell."""
    return rocksalt()


@BINARY.prototype(216, "F")
def zincblende() -> Sites:
    """Return B3 in the face-centred cell."""
    return {"A": [ORIGIN], "X": [QUARTER]}


@BINARY.prototype(186, "P", (1.58, 1.66), (0.370, 0.385))
def wurtzite(u: float) -> Sites:
    """Return B4."""
    return {
        "A": [(THIRD, TWO_THIRDS, 0.0), (TWO_THIRDS, THIRD, 0.5)],
        "X": [(THIRD, TWO_THIRDS, u), (TWO_THIRDS, THIRD, 0.5 + u)],
    }


@BINARY.prototype(194, "P", (1.45, 1.70))
def nickel_arsenide() -> Sites:
    """Return B8_1."""
    return {
        "A": [ORIGIN, (0.0, 0.0, 0.5)],
        "X": [(THIRD, TWO_THIRDS, 0.25), (TWO_THIRDS, THIRD, 0.75)],
    }


@BINARY.prototype(225, "F", name="antifluorite", anions="A")
@BINARY.prototype(225, "F")
def fluorite() -> Sites:
    """Return C1 in the face-centred cell."""
    return {"A": [ORIGIN], "X": [QUARTER, THREE_QUARTERS]}


@BINARY.prototype(136, "P", (0.63, 0.70), (0.298, 0.310))
def rutile(u: float) -> Sites:
    """Return C4."""
    return {
        "A": [ORIGIN, CENTRE],
        "X": [*both_signs((u, u, 0.0)), (0.5 + u, 0.5 - u, 0.5), (0.5 - u, 0.5 + u, 0.5)],
    }


@BINARY.prototype(164, "P", (1.5, 1.7), (0.23, 0.27))
def cadmium_iodide(z: float) -> Sites:
    """Return C6."""
    return {"A": [ORIGIN], "X": both_signs((THIRD, TWO_THIRDS, z))}


@BINARY.prototype(224, "P", weight=0.5)
def cuprite() -> Sites:
    """Return C3, with the anion on the body-centred positions."""
    metals = [QUARTER, (0.75, 0.75, 0.25), (0.75, 0.25, 0.75), (0.25, 0.75, 0.75)]
    return {"A": metals, "X": [ORIGIN, CENTRE]}


@BINARY.prototype(221, "P", weight=0.7)
def rhenium_trioxide() -> Sites:
    """Return D0_9."""
    return {"A": [ORIGIN], "X": EDGES}


@BINARY.prototype(225, "F", name="anti_bismuth_trifluoride", weight=0.7)
@BINARY.prototype(225, "F", anions="A", weight=0.5)
def bismuth_trifluoride() -> Sites:
    """Return D0_3 in the face-centred cell, with three A for one X."""
    return {"A": [QUARTER, THREE_QUARTERS, CENTRE], "X": [ORIGIN]}


@BINARY.prototype(164, "P", (1.50, 1.62), (0.240, 0.252), (0.640, 0.652))
def lanthanum_sesquioxide(z_metal: float, z_anion: float) -> Sites:
    """Return D5_2, the A type of the rare-earth sesquioxides."""
    return {
        "A": both_signs((THIRD, TWO_THIRDS, z_metal)),
        "X": [ORIGIN, *both_signs((THIRD, TWO_THIRDS, z_anion))],
    }


@BINARY.prototype(167, "R", (2.65, 2.85), (0.345, 0.357), (0.298, 0.314))
def corundum(z: float, x: float) -> Sites:
    """Return D5_1 in the rhombohedral cell."""
    return {
        "A": both_signs((0.0, 0.0, z), (0.0, 0.0, 0.5 - z)),
        "X": both_signs((x, 0.0, 0.25), (0.0, x, 0.25), (-x, -x, 0.25)),
    }
