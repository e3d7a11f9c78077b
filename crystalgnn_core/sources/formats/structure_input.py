"""Structures that are to be read, whatever file or row they stand in."""

from __future__ import annotations

from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from crystalgnn_core.errors import RecordError
from crystalgnn_core.records.schema import RawRecord
from crystalgnn_core.sources.formats.cif.reader import crystals_from_cifs
from crystalgnn_core.sources.formats.parsing import read_row, refused_row

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from crystalgnn_core.records.crystal import Crystal

    Content = str | Callable[[], Crystal]  # CIF text, or a reader of anything else

_NONE: Mapping[str, Any] = MappingProxyType({})


class StructureInput(NamedTuple):
    """A structure that is to be read.

    Attributes:
        material_id: Identifier, empty if the source gives none.
        where: File, or file and row, for messages.
        content: What holds it.
        values: What stands beside the structure, by name.
    """

    material_id: str
    where: str
    content: Content
    values: Mapping[str, Any] = _NONE


def read_structures(
    inputs: Sequence[StructureInput], *, strict: bool = False
) -> list[RawRecord]:
    """Read structures; what is refused becomes the error of its record.

    CIF texts are read together, so a call for each structure would be slower.

    Args:
        inputs: The structures.
        strict: Let errors that are no refusal through, for tests.
    """
    texts = [given.content for given in inputs if isinstance(given.content, str)]
    crystals = iter(_crystals_of(texts, strict=strict))
    records = []
    for given in inputs:
        content = given.content
        found = (
            next(crystals) if isinstance(content, str) else read_row(content, strict=strict)
        )
        if not (given.material_id or isinstance(found, RecordError)):
            found = RecordError("missing_id", "the id is empty; give every row its own id")
        if isinstance(found, RecordError):
            records.append(refused_row(given.material_id, given.where, found))
        else:
            records.append(RawRecord(given.material_id, found))
    return records


def _crystals_of(texts: Sequence[str], *, strict: bool) -> Sequence[Crystal | RecordError]:
    """Read CIF texts together, and one by one where that fails."""
    found = read_row(partial(crystals_from_cifs, texts), "a readable CIF", strict=strict)
    if not isinstance(found, RecordError):
        return found
    if len(texts) == 1:
        return [found]
    return [crystal for text in texts for crystal in _crystals_of([text], strict=strict)]
