"""A crawl through the pages of an OPTIMADE provider: where it stands, and its memory."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AwareDatetime, ValidationError

from crystalgnn_core.base import ADDED_LATER, FrozenModel, digest_of, short_digest
from crystalgnn_core.errors import IntegrityError, SourceError, TransientError
from crystalgnn_core.storage.checksums import remove_file
from crystalgnn_core.storage.files import read_json, write_text

if TYPE_CHECKING:
    from crystalgnn_core.sources.optimade.client import Page

logger = logging.getLogger(__name__)
MEMORY = "crawl.json"
LONGEST = timedelta(days=1)  # pages that are older may no longer fit together
MOST_PAGES = 10_000  # that are followed where their number is not known beforehand


class Crawl(FrozenModel):
    """One crawl through all pages; another one begins when it is through or too old.

    Attributes:
        id: Start and a random part; enters the digest of every part.
        started: When it began.
        settings: Digest of the settings of the source.
        url: Address of the first page.
        license: Licence that the provider states.
        n_rows: Rows the provider announces, or None.
    """

    id: str
    started: AwareDatetime
    settings: str
    url: str
    license: str | None = None
    n_rows: int | None = None


class CrawlCursor(FrozenModel):
    """Where a crawl stands: what the part of the next pages holds.

    Attributes:
        crawl: Id of the crawl.
        memory: File that remembers the crawl.
        license: Licence that the provider states.
        url: Address of the next page.
        n_seen: Rows of the pages before it.
        n_rows: Most rows that a page so far announced for all of them, or None.
        anchor: Digest of an earlier address, which must not come again.
        n_steps: Pages since the anchor.
        reach: Pages after which the anchor moves on; doubles each time.
        content: Digest of the ids of an earlier page, which must not come again; empty
            where they say nothing.
        longest: Rows of the longest page so far.
        n_pages: Pages before it.
        n_first: Rows that the first page announced for all of them; 0 for none.
    """

    crawl: str
    memory: str
    license: str | None
    url: str
    n_seen: int = 0
    n_rows: int | None = None
    anchor: str = ""
    n_steps: int = 0
    reach: int = 1
    content: str = ""
    longest: int = 0
    n_pages: Annotated[int, ADDED_LATER] = 0
    n_first: Annotated[int, ADDED_LATER] = 0

    def after(self, page: Page) -> CrawlCursor:
        """Return the cursor behind a page.

        A chain of pages that bites its tail is noticed with one address remembered: Brent,
        BIT Numerical Mathematics 20, 176 (1980).

        Raises:
            SourceError: The next page came before, the rows are those of an earlier page
                although the address is another, or there are far more than announced.
        """
        counts = [n for n in (self.n_rows, page.n_rows) if n is not None]
        changes: dict[str, Any] = {
            "n_seen": self.n_seen + len(page.entries),
            "n_rows": max(counts, default=None),
            "longest": max(self.longest, len(page.entries)),
            "n_pages": self.n_pages + 1,
        }
        if self.n_pages == 0:
            changes["n_first"] = max(page.n_rows or 0, page.n_stored or 0)
        if page.next_url is None:
            return self.model_copy(update=changes)
        content = _digest_of_ids(page)
        if content and content == self.content:
            raise SourceError(
                f"{page.url}: the pages repeat; these rows came before from another address"
            )
        following = self.model_copy(update=changes)
        following._require_bound(page)
        digest = short_digest(page.next_url)
        if digest == self.anchor:
            raise SourceError(
                f"{page.url}: the pages go in a circle; {page.next_url} came before"
            )
        changes |= {"url": page.next_url, "n_steps": self.n_steps + 1}
        if self.n_steps + 1 >= self.reach:
            changes |= {"anchor": digest, "n_steps": 0, "reach": 2 * self.reach}
            changes["content"] = content
        return self.model_copy(update=changes)

    def _require_bound(self, page: Page) -> None:
        """See that pages which go on are not without end.

        Databases grow during a crawl, and some count the rows of a page alone, or what
        came so far; such a count bounds nothing, so the number of pages is bounded then.
        """
        announced = max(self.n_rows or 0, page.n_stored or 0)
        if announced > self.longest and self.n_seen > 2 * announced:
            raise SourceError(
                f"{page.url}: {self.n_seen} rows came and more follow, but {announced} are "
                "announced; the provider leads in a circle or miscounts"
            )
        if self.n_pages >= MOST_PAGES and self.n_seen > 2 * self.n_first:
            raise SourceError(
                f"{page.url}: {self.n_pages:,} pages came and more follow, but the first "
                f"one announced {self.n_first or 'no number of'} rows; ask for more rows "
                "per page (page_limit), or narrow the filter"
            )


def _digest_of_ids(page: Page) -> str:
    """Digest the ids of a page; empty if some are none, or where one page may come twice.

    A row that is added during the crawl shows a page of one row again.
    """
    entries = [entry for entry in page.entries if isinstance(entry, Mapping)]
    ids = [name for entry in entries if isinstance(name := entry.get("id"), str)]
    return digest_of(ids) if len(ids) == len(page.entries) > 1 else ""


def new_crawl(settings: str, url: str, license_: str | None, n_rows: int | None) -> Crawl:
    """Begin a crawl now."""
    started = datetime.now(UTC)
    name = f"{started:%Y-%m-%dT%H:%M:%SZ}-{uuid.uuid4().hex[:8]}"
    return Crawl(
        id=name,
        started=started,
        settings=settings,
        url=url,
        license=license_,
        n_rows=n_rows,
    )


def unfinished_crawl(folder: Path, settings: str, finished: str | None) -> Crawl | None:
    """Return the remembered crawl if it may go on: with these settings, and unfinished."""
    path = folder / MEMORY
    if not path.is_file():
        return None
    try:
        crawl = Crawl.model_validate(read_json(path))
    except (IntegrityError, ValidationError):
        logger.warning("%s: damaged; the crawl starts again", path)
        return None
    is_young = datetime.now(UTC) - crawl.started < LONGEST
    is_same = crawl.settings == settings and crawl.id != finished
    return crawl if is_same and is_young else None


def save_state(folder: Path, crawl: Crawl) -> Path:
    """Write a crawl down; return the file."""
    path = folder / MEMORY
    write_text(path, crawl.model_dump_json(indent=1) + "\n")
    return path


def delete_state(cursor: CrawlCursor) -> None:
    """Let the next ingest start again, as this crawl leads nowhere."""
    remove_file(Path(cursor.memory))


def require_end(cursor: CrawlCursor, page: Page) -> None:
    """See that the last page is the end of all rows, not of a chain that broke.

    Raises:
        SourceError: There are no rows at all, or rows follow that no link leads to.
        TransientError: Rows are missing.
    """
    if cursor.n_rows is not None and cursor.n_seen < cursor.n_rows:
        raise TransientError(
            f"{page.url}: the pages end after {cursor.n_seen} of {cursor.n_rows} rows; the "
            "database changed meanwhile or pages are missing; the next ingest starts again"
        )
    if page.has_more:
        raise SourceError(
            f"{page.url}: more data is said to be available, but no next page follows"
        )
    if cursor.n_seen == 0:
        raise nothing_fits(page)
    if cursor.n_rows is None and page.has_more is None:
        logger.warning(
            "%s: the provider does not say how many rows there are; %d arrived",
            page.url,
            cursor.n_seen,
        )


def nothing_fits(page: Page) -> SourceError:
    """Make the error of a source without rows, which would remove all that are stored."""
    return SourceError(f"{page.url}: no structure fits the filter; change it")
