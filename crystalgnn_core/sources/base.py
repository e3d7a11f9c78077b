"""What every source offers: parts that can be read one by one, in any order."""

from __future__ import annotations

from abc import abstractmethod
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, TypeVar

from pydantic import Field, field_validator

from crystalgnn_core.base import LATER, FrozenModel
from crystalgnn_core.records.checks.plausibility import ImplausibleLabels
from crystalgnn_core.records.labels import LabelRequirement
from crystalgnn_core.storage.files import FileRef

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from crystalgnn_core.records.schema import RawRecord
    from crystalgnn_core.sources.ingest.stored import StoredSource

T = TypeVar("T")
BATCH_SIZE = 250  # records that are read and checked together


class SourcePart(FrozenModel):
    """A piece of a source, read by one task.

    Attributes:
        index: Position among the parts.
        digest: Digest of everything that decides what reading this part yields.
        payload: What the source needs to find the part again.
    """

    index: int
    digest: str
    payload: dict[str, Any]


class SourcePlan(FrozenModel):
    """What is to be read of a source.

    Attributes:
        parts: Pieces that are known beforehand; a chain of pages begins with one.
        kept: Ids of stored rows, kept and rejected ones, that stay as they are: a Parquet
            file with a column `material_id`. They count as rows in.
        source_version: Release that is read.
        n_expected: Rows of the parts and of what follows them, where it is known.
        is_unchanged: Whether the source is as it was at the last ingest.
    """

    parts: tuple[SourcePart, ...] = ()
    kept: FileRef | None = None
    source_version: str | None = None
    n_expected: int | None = None
    is_unchanged: bool = False


class SourceConfig(FrozenModel):
    """Base of a source's configuration, which also reads it.

    A source whose pieces are known beforehand lists them in `parts`; one that compares
    itself with what is stored, or that only knows its first page, has a `plan` of its own.

    Attributes:
        name: Name under which the records are stored (`source` column).
        require_labels: Whether a row must carry all, any or none of the source's targets;
            a row that falls short is rejected as `missing_label`.
        part_size: Rows a part, about.
        license: Licence of the rows.
        citation: What to cite for the data.
        implausible: What becomes of a row with a label outside the range of its target: it
            is rejected, or it goes on without that label if others are left.
        trainable: Whether the records may be trained on or enter a hull.
    """

    trainable: ClassVar[bool] = True

    name: Annotated[str, Field(min_length=1, pattern=r"^[A-Za-z0-9._-]+$")]
    require_labels: LabelRequirement = "any"
    part_size: Annotated[int, Field(ge=1)] = 2000
    license: Annotated[str | None, LATER] = None
    citation: Annotated[str | None, LATER] = None
    implausible: Annotated[ImplausibleLabels, LATER] = "reject_row"

    @field_validator("name")
    @classmethod
    def _names_files(cls, name: str) -> str:
        if not name.strip(".") or name.endswith(".pending"):
            raise ValueError(
                f"{name!r} names other files of a store; take a name that is not of dots "
                "alone and does not end in .pending"
            )
        return name

    def plan(self, stored: StoredSource) -> SourcePlan:
        """Tell what is to be read.

        Args:
            stored: What the store holds of this source.

        Raises:
            SourceError: The source is missing or empty.
            TransientError: The source did not answer; a second try may succeed.
        """
        del stored  # a source that is read whole need not know
        return SourcePlan(parts=tuple(self.parts()))

    def parts(self) -> list[SourcePart]:
        """List the parts without reading structures.

        Raises:
            SourceError: The source is missing or empty.
            TransientError: The source did not answer; a second try may succeed.
        """
        raise NotImplementedError(f"{type(self).__name__} has a plan of its own")

    @abstractmethod
    def read(self, part: SourcePart) -> Iterator[RawRecord]:
        """Yield one raw record for every row of a part, unreadable rows included.

        A generator may return the part that follows, as a page that names the next one.
        """

    @abstractmethod
    def target_names(self) -> tuple[str, ...]:
        """Name the targets for which this source can hold labels."""

    def reading_digest(self) -> str:
        """Return a digest of the settings that decide how rows are read."""
        return self.settings_digest(exclude=("part_size", "citation"))


def in_chunks(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Yield the items in lists of a size, the last one shorter."""
    iterator = iter(items)
    while chunk := list(islice(iterator, size)):
        yield chunk
