"""The base of JSON files whose members are rows."""

from __future__ import annotations

from abc import abstractmethod
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any

from crystalgnn_core.errors import RecordError
from crystalgnn_core.sources.formats.archives import merge_if_packed
from crystalgnn_core.sources.formats.documents import Document
from crystalgnn_core.sources.formats.json_text import DuplicateKeyError
from crystalgnn_core.sources.formats.parsing import describe_cause, read_row, refuse
from crystalgnn_core.sources.formats.row_file import RowFile, cut
from crystalgnn_core.sources.formats.structure_input import StructureInput

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from crystalgnn_core.sources.formats.json_stream.members import Member


class JsonRows(RowFile):
    """Members of a JSON list or object that are rows."""

    def slices(self, size: int) -> list[dict[str, Any]]:
        """List ranges of rows with the byte at which the first begins."""
        members = self._members()
        parts = cut((("offset", member.offset) for member in members), size)
        return merge_if_packed(self.path, parts)

    def rows(
        self, part: Mapping[str, Any], id_key: str | None = None
    ) -> Iterator[StructureInput]:
        """Yield the rows of a range."""
        members = self._members(part["offset"])
        for row, member in enumerate(islice(members, part["n_rows"]), part["row"] + 1):
            found = read_row(partial(self._document, member, row, part), "a document")
            if isinstance(found, RecordError):
                found = None, Document("", partial(refuse, found), {})
            key, document = found
            name = self._name_of(part, row, key, document, id_key)
            where = f"{self.path.name} row {row}"
            yield StructureInput(name, where, document.content, document.values)

    def _document(
        self, member: Member, row: int, part: Mapping[str, Any]
    ) -> tuple[str | None, Document]:
        try:
            return self._read(member, row, part)
        except (ValueError, RecursionError) as error:
            return None, Document("", partial(refuse, invalid(error)), {})

    @abstractmethod
    def _members(self, offset: int | None = None) -> Iterator[Member]:
        """Yield the texts of the rows, all or from a byte on."""

    @abstractmethod
    def _read(
        self, member: Member, row: int, part: Mapping[str, Any]
    ) -> tuple[str | None, Document]:
        """Return the key of a row, None if it has none, and what it says.

        Raises:
            ValueError: It is not valid JSON.
            RecursionError: It is nested too deeply.
        """

    def _name_of(
        self,
        part: Mapping[str, Any],
        row: int,
        key: str | None,
        found: Document,
        id_key: str | None,
    ) -> str:
        return self.id_of(part, found.values, row if key is None else key, id_key)


def invalid(error: Exception) -> str:
    """Say why a text is no JSON."""
    if isinstance(error, DuplicateKeyError):
        return str(error)
    return f"not valid JSON ({describe_cause(error)}); fix the file"
