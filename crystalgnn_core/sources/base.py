"""The contract of a source: parts that can be read one by one, in any order."""

from __future__ import annotations

from abc import abstractmethod
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, TypeVar

from pydantic import Field, field_validator

from crystalgnn_core.base import ADDED_LATER, NOT_CONTENT, FrozenModel, digest_of
from crystalgnn_core.errors import SourceError
from crystalgnn_core.records.checks.plausibility import ImplausibleLabels
from crystalgnn_core.records.labels import LabelRequirement
from crystalgnn_core.storage.files import FileRef
from crystalgnn_core.storage.paths import local_path
from crystalgnn_core.wording import near_path

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from crystalgnn_core.records.schema import RawRecord
    from crystalgnn_core.sources.ingest.stored import StoredSource

T = TypeVar("T")
SourceName = Annotated[str, Field(min_length=1, pattern=r"^[A-Za-z0-9._-]+$")]
RESERVED = (".pending", ".gate")  # ends of names of other files beside the reports
BATCH_SIZE = 250  # records that are read and checked together


class SourcePart(FrozenModel):
    """A share of the rows of a source, read by one task.

    Attributes:
        index: Position among the parts, different for each.
        digest: Digest of everything that decides what reading this part yields.
        payload: What the source needs to find the part again.
    """

    index: int
    digest: str
    payload: dict[str, Any]


class SourcePlan(FrozenModel):
    """What is to be read of a source.

    Attributes:
        parts: Parts that are known beforehand; a chain of pages begins with one.
        kept: Ids of stored rows, kept and rejected ones, that stay as they are: a Parquet
            file with a column `material_id`. They count as rows in.
        whole: Where rows stay because their files are as they were: digests of the parts
            if all files were read, which stand for the content in place of `parts` and
            `kept`. A row that is read under the id of one that stays is rejected as
            `duplicate_id`.
        source_version: Release that is read.
        n_expected: Rows of the parts and of what follows them, where it is known.
        is_unchanged: Whether the source is as it was at the last ingest.
    """

    parts: tuple[SourcePart, ...] = ()
    kept: FileRef | None = None
    whole: tuple[str, ...] = ()
    source_version: str | None = None
    n_expected: int | None = None
    is_unchanged: bool = False


class SourceConfig(FrozenModel):
    """The contract of a source: its settings, what it will read, and the reading itself.

    A source is one class with a field `kind` of one literal string. It says what there is
    to read (`plan`), reads one part at a time in any order and in any process (`read`), and
    names its targets. Everything else, from validation to the change gate, follows.
    `crystalgnn_core.contracts.sources` tests whether a class keeps the contract.

    Settings that do not change what a row holds, such as a path or a time limit, are marked
    as `NOT_CONTENT`: another value of them causes no new reading.

    Attributes:
        trainable: Whether the records may be trained on or enter a hull.
        synthetic: Whether the records are examples, not data on materials; such records are
            never linked with those of other sources.
        reading_version: Raise it when the same rows are read in another way.
        name: Name under which the records are stored (`source` column).
        require_labels: Whether a row must carry all, any or none of the source's targets;
            a row that falls short is rejected as `missing_label`.
        part_size: Rows per part, about.
        license: Licence of the rows.
        citation: What to cite for the data.
        implausible: What becomes of a row with a label outside the range of its target: it
            is rejected, or it goes on without that label if others are left.
    """

    trainable: ClassVar[bool] = True
    synthetic: ClassVar[bool] = False
    reading_version: ClassVar[int] = 0

    name: SourceName
    require_labels: LabelRequirement = "any"
    part_size: Annotated[int, Field(ge=1), NOT_CONTENT] = 2000
    license: Annotated[str | None, ADDED_LATER] = None
    citation: Annotated[str | None, ADDED_LATER, NOT_CONTENT] = None
    implausible: Annotated[ImplausibleLabels, ADDED_LATER] = "reject_row"

    @field_validator("name")
    @classmethod
    def _names_files(cls, name: str) -> str:
        if not name.strip(".") or name.endswith(RESERVED):
            raise ValueError(
                f"{name!r} names other files of a store; take a name that is not of dots "
                f"alone and does not end in {' or '.join(RESERVED)}"
            )
        return name

    def check_ready(self) -> None:
        """Check what can be checked before a run starts: a path exists, a key is set.

        Raises:
            SourceError: Something is missing; the message says what to do.
        """

    @abstractmethod
    def plan(self, stored: StoredSource) -> SourcePlan:
        """List what is to be read, without reading structures.

        A source whose parts are known lists all of them; one that knows only its first page
        lists that. One that can ask for changes compares itself with what is stored.

        Args:
            stored: What the store holds of this source, and a folder for notes.

        Raises:
            SourceError: The source is missing or empty.
            TransientError: The source did not answer; a second try may succeed.
        """

    @abstractmethod
    def read(self, part: SourcePart) -> Iterator[RawRecord | SourcePart]:
        """Yield one raw record for every row of a part, unreadable rows included.

        A part that becomes known only here, such as the next page, is yielded like a row,
        with an index of its own.

        Raises:
            SourceError: The source changed after its parts were listed.
            TransientError: The source did not answer; a second try may succeed.
        """

    def unsupported_files(self) -> Iterable[tuple[str, str]]:
        """Name what lies beside the files of this source and is not read, and say why.

        It holds no rows, but a screen of the source reports it among the rejects.
        """
        return ()

    @abstractmethod
    def target_names(self) -> tuple[str, ...]:
        """Return the targets for which this source can hold labels."""

    def label_engine(self) -> dict[str, str]:
        """Name what computes the labels here, such as releases and digests of tables.

        Where one of them is another than at the last version that was accepted, the change
        gate asks about every label that moved. Parts of the source should depend on it.
        """
        return {}

    def place(self) -> str | None:
        """Return the address or path that is kept with the records as their provenance."""
        found = (getattr(self, name, None) for name in ("url", "endpoint", "path"))
        return next((value for value in found if isinstance(value, str) and value), None)

    def reading_digest(self) -> str:
        """Return a digest of the settings that decide how rows are read."""
        digest = self.settings_digest(exclude=not_content(self))
        if self.reading_version == 0:
            return digest
        return digest_of([self.reading_version, digest])

    def make_part(self, index: int, payload: dict[str, Any], **places: str) -> SourcePart:
        """Make a part whose digest is that of settings and payload.

        Args:
            index: Position among the parts.
            payload: What `read` needs to find the part and what decides its content, JSON.
            places: What joins the payload without a change of the digest.
        """
        digest = digest_of([self.reading_digest(), payload])
        return SourcePart(index=index, digest=digest, payload=payload | places)


def not_content(config: FrozenModel) -> dict[str, Any]:
    """Return the settings marked as `NOT_CONTENT`, nested ones too, in pydantic's form.

    A subclass that gives a setting another default inherits its mark.
    """
    return config.select_fields(_is_not_content)


def _is_not_content(config: FrozenModel, name: str) -> bool:
    models = [cls for cls in type(config).mro() if issubclass(cls, FrozenModel)]
    fields = (cls.model_fields[name] for cls in models if name in cls.model_fields)
    return any(NOT_CONTENT in field.metadata for field in fields)


def require_paths(source: str, *paths: str | None) -> None:
    """Check that the paths of a source exist, those that are given.

    Raises:
        SourceError: One does not.
    """
    for path in paths:
        if path is not None and not local_path(path).exists():
            raise SourceError(
                f"source {source}: no file or folder {path}{near_path(Path(path))}"
            )


def in_chunks(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Yield the items in lists of a size, the last one shorter."""
    iterator = iter(items)
    while chunk := list(islice(iterator, size)):
        yield chunk
