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
    Prototype,
    Sites,
    both_signs,
)


def rocksalt() -> Sites:
    """Return B1 in the face-centred cell."""
    return {"A": [ORIGIN], "X": [CENTRE]}


def caesium_chloride() -> Sites:
    """Return B2; the sites of rocksalt in a primitive cell."""
    return rocksalt()


def zincblende() -> Sites:
    """Return B3 in the face-centred cell."""
    return {"A": [ORIGIN], "X": [QUARTER]}


def wurtzite(u: float) -> Sites:
    """Return B4."""
    return {
        "A": [(THIRD, TWO_THIRDS, 0.0), (TWO_THIRDS, THIRD, 0.5)],
        "X": [(THIRD, TWO_THIRDS, u), (TWO_THIRDS, THIRD, 0.5 + u)],
    }


def nickel_arsenide() -> Sites:
    """Return B8_1."""
    return {
        "A": [ORIGIN, (0.0, 0.0, 0.5)],
        "X": [(THIRD, TWO_THIRDS, 0.25), (TWO_THIRDS, THIRD, 0.75)],
    }


def fluorite() -> Sites:
    """Return C1 in the face-centred cell."""
    return {"A": [ORIGIN], "X": [QUARTER, THREE_QUARTERS]}


def rutile(u: float) -> Sites:
    """Return C4."""
    return {
        "A": [ORIGIN, CENTRE],
        "X": [*both_signs((u, u, 0.0)), (0.5 + u, 0.5 - u, 0.5), (0.5 - u, 0.5 + u, 0.5)],
    }


def cadmium_iodide(z: float) -> Sites:
    """Return C6."""
    return {"A": [ORIGIN], "X": both_signs((THIRD, TWO_THIRDS, z))}


def cuprite() -> Sites:
    """Return C3, with the anion on the body-centred positions."""
    metals = [QUARTER, (0.75, 0.75, 0.25), (0.75, 0.25, 0.75), (0.25, 0.75, 0.75)]
    return {"A": metals, "X": [ORIGIN, CENTRE]}


def rhenium_trioxide() -> Sites:
    """Return D0_9."""
    return {"A": [ORIGIN], "X": EDGES}


def bismuth_trifluoride() -> Sites:
    """Return D0_3 in the face-centred cell, with three A for one X."""
    return {"A": [QUARTER, THREE_QUARTERS, CENTRE], "X": [ORIGIN]}


def lanthanum_sesquioxide(z_metal: float, z_anion: float) -> Sites:
    """Return D5_2, the A type of the rare-earth sesquioxides."""
    return {
        "A": both_signs((THIRD, TWO_THIRDS, z_metal)),
        "X": [ORIGIN, *both_signs((THIRD, TWO_THIRDS, z_anion))],
    }


def corundum(z: float, x: float) -> Sites:
    """Return D5_1 in the rhombohedral cell."""
    return {
        "A": both_signs((0.0, 0.0, z), (0.0, 0.0, 0.5 - z)),
        "X": both_signs((x, 0.0, 0.25), (0.0, x, 0.25), (-x, -x, 0.25)),
    }


BINARY_PROTOTYPES: tuple[Prototype, ...] = (
    Prototype("rocksalt", 225, "cubic", "F", rocksalt),
    Prototype("caesium_chloride", 221, "cubic", "P", caesium_chloride),
    Prototype("zincblende", 216, "cubic", "F", zincblende),
    Prototype("wurtzite", 186, "hexagonal", "P", wurtzite, (1.58, 1.66), ((0.370, 0.385),)),
    Prototype("nickel_arsenide", 194, "hexagonal", "P", nickel_arsenide, (1.45, 1.70)),
    Prototype("fluorite", 225, "cubic", "F", fluorite),
    Prototype("antifluorite", 225, "cubic", "F", fluorite, anions="A"),
    Prototype("rutile", 136, "tetragonal", "P", rutile, (0.63, 0.70), ((0.298, 0.310),)),
    Prototype(
        "cadmium_iodide", 164, "hexagonal", "P", cadmium_iodide, (1.5, 1.7), ((0.23, 0.27),)
    ),
    Prototype("cuprite", 224, "cubic", "P", cuprite, weight=0.5),
    Prototype("rhenium_trioxide", 221, "cubic", "P", rhenium_trioxide, weight=0.7),
    Prototype(
        "bismuth_trifluoride",
        225,
        "cubic",
        "F",
        bismuth_trifluoride,
        anions="A",
        weight=0.5,
    ),
    Prototype(
        "anti_bismuth_trifluoride", 225, "cubic", "F", bismuth_trifluoride, weight=0.7
    ),
    Prototype(
        "lanthanum_sesquioxide",
        164,
        "hexagonal",
        "P",
        lanthanum_sesquioxide,
        (1.50, 1.62),
        ((0.240, 0.252), (0.640, 0.652)),
    ),
    Prototype(
        "corundum",
        167,
        "hexagonal",
        "R",
        corundum,
        (2.65, 2.85),
        ((0.345, 0.357), (0.298, 0.314)),
    ),
)
