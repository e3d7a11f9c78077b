"""Read CIF texts: the plain ones fast, the others with all care."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING

from crystalgnn_core.errors import RecordError
from crystalgnn_core.sources.formats.cif.items import TEXT_FIELD, without_long_texts
from crystalgnn_core.sources.formats.parsing import unreadable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from crystalgnn_core.records.crystal import Crystal
    from crystalgnn_core.sources.formats.structure_input import Content

_BLOCK_START = re.compile(r"^[ \t]*data_", re.MULTILINE | re.IGNORECASE)
_CELL_ENTRY = re.compile(
    r"^(?:[^#\n]*[ \t])?"
    r"_(?:cell[._](?:length|angle)|atom_site[._](?:fract|cartn|label|type))",
    re.MULTILINE | re.IGNORECASE,
)
# within a text field nothing begins
_FIELD_OR_START = re.compile(rf"{TEXT_FIELD}|(^[ \t]*data_)", re.MULTILINE | re.IGNORECASE)
_TEXT_FIELD = re.compile(TEXT_FIELD, re.MULTILINE)
_LONG = 2**20  # characters; a text that is this long is not read with many others


def is_cif(text: str) -> bool:
    """Return whether in a text a data block begins, or an entry of a cell is named."""
    return bool(_BLOCK_START.search(text) or _CELL_ENTRY.search(text))


def cif_blocks(text: str) -> list[str]:
    """Split a CIF into its data blocks that describe a cell; mere texts are left out."""
    text = without_long_texts(_with_plain_line_ends(text))
    has_fields = text.startswith(";") or "\n;" in text
    pattern = _FIELD_OR_START if has_fields else _BLOCK_START
    starts = [match.start() for match in pattern.finditer(text) if match[match.re.groups]]
    blocks = [text[start:end] for start, end in pairwise([*starts, len(text)])]
    return [block.lstrip() for block in blocks if _describes_a_cell(block)]


def _describes_a_cell(block: str) -> bool:
    fields = _TEXT_FIELD.sub("", block) if "\n;" in block else block
    return _CELL_ENTRY.search(fields) is not None


def _with_plain_line_ends(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text


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

    is_long = [len(text) > _LONG for text in texts]
    fast = iter(
        crystals_with_gemmi([t for t, long in zip(texts, is_long, strict=True) if not long])
    )
    found = [None if long else next(fast) for long in is_long]
    return [
        _crystal_of_text(text) if crystal is None else crystal
        for text, crystal in zip(texts, found, strict=True)
    ]


def _crystal_of_text(text: str) -> Crystal | RecordError:
    try:
        blocks = cif_blocks(text)
        if len(blocks) != 1:
            raise unreadable(f"{len(blocks)} CIF data blocks describe a cell, expected one")
        from crystalgnn_core.sources.formats.cif.strict import crystal_of_block

        return crystal_of_block(blocks[0])
    except RecordError as error:
        return error
