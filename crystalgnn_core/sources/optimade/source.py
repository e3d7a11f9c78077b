"""The source of OPTIMADE providers: any database that speaks the common interface."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from crystalgnn_core.base import NOT_CONTENT, digest_of
from crystalgnn_core.errors import RecordError, SourceError, TransientError
from crystalgnn_core.records.schema import RawRecord
from crystalgnn_core.remote.downloads import RetryPolicy
from crystalgnn_core.sources.base import SourceConfig, SourcePart, SourcePlan
from crystalgnn_core.sources.formats.columns import TargetColumn, read_id
from crystalgnn_core.sources.formats.parsing import as_mapping, parsing
from crystalgnn_core.sources.optimade.client import (
    fetch_page,
    find_database,
    structures_url,
)
from crystalgnn_core.sources.optimade.crawl import (
    Crawl,
    CrawlCursor,
    delete_state,
    new_crawl,
    nothing_fits,
    require_end,
    save_state,
    unfinished_crawl,
)
from crystalgnn_core.sources.optimade.providers import PROVIDERS, known_provider
from crystalgnn_core.sources.optimade.structures import (
    PROPERTIES,
    crystal_from_entry,
    last_updated,
    property_value,
)
from crystalgnn_core.targets import TargetName

if TYPE_CHECKING:
    from collections.abc import Iterator

    from crystalgnn_core.sources.ingest.stored import StoredSource

logger = logging.getLogger(__name__)
RETRY_POLICY = RetryPolicy(n_tries=5, jitter=0.5)


class OptimadeSource(SourceConfig):
    """Structures and labels of a database that speaks OPTIMADE, version 1.

    Pages are read one after the other, each naming the next. A crawl that is interrupted
    goes on where it stopped if it began less than a day ago; a crawl that is through is
    repeated by the next ingest.

    Attributes:
        provider: Shipped provider whose settings hold where none are given.
        url: Base address, with or without `/v1`.
        filter: Filter in OPTIMADE's language; empty takes all structures.
        targets: Target name to the property that holds it; dots lead into properties.
        missing: Numbers that stand for a missing label.
        page_limit: Rows per page; None leaves it to the provider.
        follow_other_hosts: Whether the next page may be on another host.
        patience: Times and tries of requests.
        source_version: Release of the data; None takes the entry's immutable id, else the
            day of the crawl.
    """

    kind: Literal["optimade"] = "optimade"
    provider: str | None = None
    url: Annotated[
        str, Field(description="a provider's base address; or --provider, a shipped one")
    ]
    filter: str = ""
    targets: dict[TargetName, TargetColumn] = Field(default_factory=dict)
    missing: tuple[float, ...] = ()
    page_limit: Annotated[int, Field(ge=1)] | None = 100
    follow_other_hosts: bool = False
    patience: Annotated[RetryPolicy, NOT_CONTENT] = RETRY_POLICY
    source_version: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _take_from_provider(cls, given: Any) -> Any:  # noqa: ANN401  any input
        if not isinstance(given, dict):
            return given
        name = given.get("provider")
        if isinstance(name, str):
            given = {"name": name, **PROVIDERS[known_provider(name)].settings(), **given}
        if "name" not in given and isinstance(given.get("url"), str):
            given = {"name": urlsplit(given["url"]).hostname or "optimade", **given}
        return given

    @field_validator("url")
    @classmethod
    def _is_web_address(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError(f"{url!r} is no address; give https://... of a provider")
        if parts.query or parts.fragment:
            raise ValueError(f"{url!r} holds a query; give the base address and `filter`")
        return url

    @field_validator("filter")
    @classmethod
    def _without_margins(cls, text: str) -> str:
        return text.strip()

    @model_validator(mode="after")
    def _targets_fit(self) -> OptimadeSource:
        for name, target in self.targets.items():
            target.check(name)
        return self

    def target_names(self) -> tuple[str, ...]:
        """Name the targets for which a property is given."""
        return tuple(self.targets)

    def plan(self, stored: StoredSource) -> SourcePlan:
        """Go on with the crawl that was interrupted, or begin one."""
        settings, last = self.reading_digest(), stored.last_version
        crawl = unfinished_crawl(stored.folder, settings, last) or self._begin()
        memory = save_state(stored.folder, crawl)
        cursor = CrawlCursor(
            crawl=crawl.id, memory=str(memory), license=crawl.license, url=crawl.url
        )
        return SourcePlan(
            parts=(self._part(0, cursor),), source_version=crawl.id, n_expected=crawl.n_rows
        )

    def read(self, part: SourcePart) -> Iterator[RawRecord | SourcePart]:
        """Yield the rows of some pages, then the part of those that follow."""
        cursor = CrawlCursor.model_validate(part.payload)
        n_read = 0
        while n_read < self.part_size:
            try:
                page = fetch_page(
                    cursor.url,
                    self.filter,
                    self.patience,
                    with_other_hosts=self.follow_other_hosts,
                )
                next_cursor = cursor.after(page)
            except SourceError:
                delete_state(cursor)
                raise
            for entry in page.entries:
                yield self._record(entry, cursor)
            n_read += len(page.entries)
            if page.next_url is None or not page.entries:
                try:
                    require_end(next_cursor, page)
                except (SourceError, TransientError):
                    delete_state(cursor)
                    raise
                return
            cursor = next_cursor
        yield self._part(part.index + 1, cursor)

    def _begin(self) -> Crawl:
        """Find the database, and ask for one row: a wrong filter is refused at once."""
        database = find_database(self.url, self.patience)
        probe = fetch_page(
            structures_url(database.url, self.filter, ("id",), 1),
            self.filter,
            self.patience,
            with_other_hosts=True,
        )
        if not probe.entries and not probe.has_more:
            raise nothing_fits(probe)
        where = f"{database.name or 'a provider without name'} at {database.url}"
        facts = (self.name, where, probe.n_rows, database.license)
        logger.info("source %s: %s, %s rows, licence %s", *facts)
        own = (target.column.partition(".")[0] for target in self.targets.values())
        url = structures_url(
            database.url,
            self.filter,
            tuple(dict.fromkeys((*PROPERTIES, *own))),
            self.page_limit,
        )
        return new_crawl(self.reading_digest(), url, database.license, probe.n_rows)

    def _part(self, index: int, cursor: CrawlCursor) -> SourcePart:
        payload = cursor.model_dump(mode="json", exclude=cursor.unused_fields())
        content = {name: value for name, value in payload.items() if name != "memory"}
        digest = digest_of([self.reading_digest(), self.part_size, content])
        return SourcePart(index=index, digest=digest, payload=payload)

    def _record(self, entry: object, cursor: CrawlCursor) -> RawRecord:
        """Turn an entry into a record; what is unreadable becomes its error."""
        content = as_mapping(entry)
        material_id = read_id(content.get("id"))
        attributes = content.get("attributes")
        updated = last_updated(attributes)
        try:
            with parsing("an OPTIMADE structure"):
                crystal = crystal_from_entry(content)
                labels = {
                    name: self._label(name, target, attributes, len(crystal.atomic_numbers))
                    for name, target in self.targets.items()
                }
        except RecordError as error:
            fault = (error.reason, str(error))
            return RawRecord(material_id, None, error=fault, last_updated=updated)
        return RawRecord(
            material_id,
            crystal,
            labels=labels,
            label_schemes={name: t.label_scheme for name, t in self.targets.items()},
            source_version=self._version_of(attributes, cursor),
            last_updated=updated,
            license=cursor.license or self.license,
        )

    def _label(
        self, name: str, target: TargetColumn, attributes: object, n_sites: int
    ) -> float | None:
        try:
            value = property_value(attributes, target.column)
            is_number = isinstance(value, int | float)
            is_missing = is_number and value in self.missing
            return None if is_missing else target.read(name, value, n_sites)
        except RecordError as error:
            raise RecordError(error.reason, f"{target.column}: {error}") from error

    def _version_of(self, attributes: object, cursor: CrawlCursor) -> str:
        own = as_mapping(attributes).get("immutable_id")
        return self.source_version or read_id(own) or cursor.crawl.partition("T")[0]
