"""What every source offers: parts that can be read one by one, in any order."""

from __future__ import annotations

from abc import abstractmethod
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, TypeVar

from pydantic import Field

from crystalgnn_core.base import FrozenModel

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from crystalgnn_core.records.schema import RawRecord

T = TypeVar("T")
BATCH_SIZE = 250  # records that are read and checked together
LabelRequirement = Literal["all", "any", "none"]


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


class SourceConfig(FrozenModel):
    """Base of a source's configuration, which also reads it.

    Attributes:
        name: Name under which the records are stored (`source` column).
        require_labels: Whether a row must carry all, any or none of the source's targets;
            a row that falls short is rejected as `missing_label`.
        part_size: Rows a part, about.
        trainable: Whether the records may be trained on or enter a hull.
    """

    trainable: ClassVar[bool] = True

    name: Annotated[str, Field(min_length=1, pattern=r"^[A-Za-z0-9._-]+$")]
    require_labels: LabelRequirement = "any"
    part_size: Annotated[int, Field(ge=1)] = 2000

    @abstractmethod
    def parts(self) -> list[SourcePart]:
        """List the parts without reading structures.

        Raises:
            SourceError: The source is missing or empty.
            TransientError: The source did not answer; a second try may succeed.
        """

    @abstractmethod
    def read(self, part: SourcePart) -> Iterator[RawRecord]:
        """Yield one raw record for every row of a part, unreadable rows included."""

    @abstractmethod
    def target_names(self) -> tuple[str, ...]:
        """Name the targets for which this source can hold labels."""


def in_chunks(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Yield the items in lists of a size, the last one shorter."""
    iterator = iter(items)
    while chunk := list(islice(iterator, size)):
        yield chunk
