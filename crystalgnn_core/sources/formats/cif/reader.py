"""Read CIF texts: gemmi reads the plain ones, pymatgen decides about the others."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from crystalgnn_core.errors import RecordError
from crystalgnn_core.sources.formats.parsing import unreadable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from crystalgnn_core.records.crystal import Crystal
    from crystalgnn_core.sources.formats.structure_input import Content

_BLOCK_START = re.compile(r"^\s*data_", re.MULTILINE | re.IGNORECASE)
_CELL_ENTRY = re.compile(r"^\s*_(cell|atom_site)_", re.MULTILINE | re.IGNORECASE)


def is_cif(text: str) -> bool:
    """Return whether in a text a data block begins, or an entry of a cell is named."""
    return bool(_BLOCK_START.search(text) or _CELL_ENTRY.search(text))


def cif_blocks(text: str) -> list[str]:
    """Split a CIF into its data blocks that describe a cell; mere texts are left out."""
    blocks = _BLOCK_START.split(f"\n{text}")[1:]
    return [f"data_{block}" for block in blocks if _CELL_ENTRY.search(block)]


def structures_of_cif(text: str) -> list[tuple[str, Content]]:
    """List the data blocks that describe a cell; a text without any is refused whole."""
    return [("", block) for block in cif_blocks(text) or [text]]


def crystal_from_cif(text: str) -> Crystal:
    """Read a CIF that describes one crystal, the cell as given.

    Atoms stand in pymatgen's order, and coordinates are rounded and wrapped as it does,
    whichever of the two packages reads the text.

    Raises:
        RecordError: The text is damaged, holds no or several structures, or its sites do
            not add up to the formula it states.
    """
    [crystal] = crystals_from_cifs([text])
    if isinstance(crystal, RecordError):
        raise crystal
    return crystal


def crystals_from_cifs(texts: Sequence[str]) -> list[Crystal | RecordError]:
    """Read CIFs as `crystal_from_cif` does, some hundred at a time for speed.

    Returns:
        The crystals; in place of one that cannot be read, the error.
    """
    # it compiles, which settings need not wait for
    from crystalgnn_core.sources.formats.cif.gemmi import crystals_with_gemmi

    return [
        _crystal_by_pymatgen(text) if crystal is None else crystal
        for text, crystal in zip(texts, crystals_with_gemmi(texts), strict=True)
    ]


def _crystal_by_pymatgen(text: str) -> Crystal | RecordError:
    try:
        blocks = cif_blocks(text)
        if len(blocks) != 1:
            raise unreadable(f"{len(blocks)} CIF data blocks describe a cell, expected one")
        from crystalgnn_core.sources.formats.cif.pymatgen import crystal_with_pymatgen

        return crystal_with_pymatgen(blocks[0])
    except RecordError as error:
        return error
