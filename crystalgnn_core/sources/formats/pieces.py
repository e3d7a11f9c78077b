"""Structures that are to be read, whatever file or row they stand in."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from crystalgnn_core.errors import RecordError
from crystalgnn_core.records.schema import RawRecord, RejectReason
from crystalgnn_core.sources.formats.cif.reader import crystals_from_cifs
from crystalgnn_core.sources.formats.parsing import unreadable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from crystalgnn_core.records.crystal import Crystal

_NONE: Mapping[str, Any] = MappingProxyType({})


class Piece(NamedTuple):
    """A structure that is to be read.

    Attributes:
        material_id: Identifier, empty if the source gives none.
        where: File, or file and row, for messages.
        content: CIF text, or a reader of anything else.
        values: What stands beside the structure, by name.
    """

    material_id: str
    where: str
    content: str | Callable[[], Crystal]
    values: Mapping[str, Any] = _NONE


def read_pieces(pieces: Sequence[Piece]) -> list[RawRecord]:
    """Read structures; what is refused becomes the error of its record.

    CIF texts are read together, so a call for each piece would be slower.
    """
    texts = [piece.content for piece in pieces if isinstance(piece.content, str)]
    crystals = iter(crystals_from_cifs(texts))
    records = []
    for piece in pieces:
        content = piece.content
        found = next(crystals) if isinstance(content, str) else _call(content)
        if not (piece.material_id or isinstance(found, RecordError)):
            found = RecordError("missing_id", "the id is empty; give every row its own id")
        records.append(_record(piece, found))
    return records


def refuse(message: str) -> Crystal:
    """Stand in for the reader of a structure that is not there.

    Raises:
        RecordError: Always, with this message.
    """
    raise unreadable(message)


def _call(reader: Callable[[], Crystal]) -> Crystal | RecordError:
    try:
        return reader()
    except RecordError as error:
        return error


def _record(piece: Piece, found: Crystal | RecordError) -> RawRecord:
    if not isinstance(found, RecordError):
        return RawRecord(piece.material_id, found)
    name = f"{piece.material_id}: {piece.where}" if piece.material_id else piece.where
    reason = cast("RejectReason", found.reason)
    return RawRecord(piece.material_id, None, error=(reason, f"{name}: {found}"))
