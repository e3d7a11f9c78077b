"""Talk to an OPTIMADE provider: versions, what it says of itself, pages of structures.

Follows the OPTIMADE specification, version 1.2 (Evans et al., Digital Discovery 3, 1509
(2024)), and what providers make of it: links as text or object, page limits that are
refused or ignored, errors inside an answer that claims success.
"""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote, urlencode

from crystalgnn_core.base import FrozenModel
from crystalgnn_core.errors import DownloadError, SourceError
from crystalgnn_core.remote.downloads import RetryPolicy, fetch_answer
from crystalgnn_core.sources.formats.parsing import as_mapping
from crystalgnn_core.sources.optimade.answers import (
    child_url,
    content_of,
    is_page_for_people,
    license_of,
    next_url,
    provider_name,
)

if TYPE_CHECKING:
    from crystalgnn_core.remote.http import Answer

logger = logging.getLogger(__name__)
MAJOR = "1"  # version of the interface that is spoken
_END = re.compile(r"(/structures)?/*$")
_VERSION = re.compile(r"/v\d+(\.\d+)*$")
_PAGE_LIMIT = re.compile(r"(?<=[?&])page_limit=\d*&?")
_SMALL_PAGE = 10  # rows
_MAY_REFUSE_LIMIT = {400, 403, 413, 422, 501}


class Database(FrozenModel):
    """An OPTIMADE database and what it says of itself.

    Attributes:
        url: Base address with the version.
        name: Name of the provider; empty where it gives none.
        license: Licence of the data; None where it states none.
    """

    url: str
    name: str = ""
    license: str | None = None


class Page(NamedTuple):
    """One page of structures.

    Attributes:
        url: Address that answered.
        entries: The structures as sent.
        next_url: Address of the following page; None at the end.
        n_rows: Rows of all pages together as the provider states it, or None.
        has_more: Whether the provider says that rows follow, or None.
        n_stored: Rows of the database, whatever fits the filter, or None.
    """

    url: str
    entries: list[Any]
    next_url: str | None
    n_rows: int | None
    has_more: bool | None
    n_stored: int | None = None


def find_database(url: str, policy: RetryPolicy) -> Database:
    """Find the versioned base address of a database, and its licence.

    Args:
        url: Base address, with or without `/v1`; one that ends in `/structures` is cut.
        policy: Times and tries.

    Raises:
        SourceError: There is no OPTIMADE interface of version 1, or it is an index of
            databases; the message lists them.
        TransientError: The provider cannot be reached, or stays busy.
    """
    base = _END.sub("", url)
    versioned = base if _VERSION.search(base) else _versioned(base, policy)
    answer = _ask(f"{versioned}/info", policy)
    if answer.code != 200 and not is_page_for_people(answer):
        # some databases serve structures alone
        logger.warning("%s: no answer but %d; going on without", answer.url, answer.code)
        return Database(url=versioned)
    content = content_of(answer)
    about = as_mapping(as_mapping(content.get("data")).get("attributes"))
    version = str(about.get("api_version") or MAJOR).removeprefix("v")
    if version.partition(".")[0] != MAJOR:
        raise SourceError(
            f"{versioned}: speaks version {version} of OPTIMADE, expected {MAJOR}"
        )
    if about.get("is_index"):
        raise SourceError(_describe_index(versioned, policy))
    return Database(url=versioned, name=provider_name(content), license=license_of(about))


def structures_url(
    base: str, filter_: str, fields: tuple[str, ...], page_limit: int | None
) -> str:
    """Return the address of the first page of structures."""
    query: dict[str, str] = {"filter": filter_} if filter_ else {}
    query["response_fields"] = ",".join(fields)
    if page_limit is not None:
        query["page_limit"] = str(page_limit)
    # a plus in place of a blank is not read as one by every provider
    return f"{base}/structures?{urlencode(query, quote_via=quote)}"


def fetch_page(
    url: str, filter_: str, policy: RetryPolicy, *, with_other_hosts: bool = False
) -> Page:
    """Fetch one page of structures; a page limit that is refused is changed.

    Raises:
        SourceError: The provider refuses the request, breaks the standard, or names a next
            page that is on another host or is this one.
        TransientError: The provider cannot be reached, or stays busy.
    """
    answer = _ask(url, policy)
    if answer.code in _MAY_REFUSE_LIMIT and _PAGE_LIMIT.search(url):
        answer = _with_other_limit(url, policy) or answer
    content = content_of(answer, filter_)
    entries = content.get("data")
    if not isinstance(entries, list):
        raise SourceError(f"{url}: the answer holds no list of structures in `data`")
    meta = as_mapping(content.get("meta"))
    n_rows, has_more = meta.get("data_returned"), meta.get("more_data_available")
    n_stored = meta.get("data_available")
    return Page(
        url=answer.url,
        entries=entries,
        next_url=next_url(content, answer.url, url, with_other_hosts=with_other_hosts),
        n_rows=n_rows if type(n_rows) is int else None,
        has_more=has_more if isinstance(has_more, bool) else None,
        n_stored=n_stored if type(n_stored) is int else None,
    )


def _versioned(base: str, policy: RetryPolicy) -> str:
    """Ask an unversioned base address which versions there are."""
    answer = _ask(f"{base}/versions", policy)
    if answer.code == 200 and answer.kind != "text/html":
        lines = answer.content.decode(errors="replace").strip().splitlines()
        cells = [line.partition(",")[0].strip(' "') for line in lines]
        if cells and cells[0] == "version" and MAJOR not in cells[1:]:
            raise SourceError(
                f"{base}: serves versions {', '.join(cells[1:]) or 'none'} of OPTIMADE, "
                f"expected {MAJOR}"
            )
    return f"{base}/v{MAJOR}"


def _with_other_limit(url: str, policy: RetryPolicy) -> Answer | None:
    """Ask with the provider's own page limit, then a small one; None if both fail."""
    own = _PAGE_LIMIT.sub("", url).rstrip("?&")
    for other in (own, _PAGE_LIMIT.sub(f"page_limit={_SMALL_PAGE}&", url).rstrip("&")):
        answer = _ask(other, policy)
        if answer.code not in _MAY_REFUSE_LIMIT:
            logger.info("%s: refuses the page limit; asking for other pages", answer.url)
            return answer
    return None


def _ask(url: str, policy: RetryPolicy) -> Answer:
    try:
        return fetch_answer(url, policy)
    except DownloadError as error:
        raise SourceError(str(error)) from error


def _describe_index(base: str, policy: RetryPolicy) -> str:
    entries = content_of(_ask(f"{base}/links", policy)).get("data")
    listed = entries if isinstance(entries, list) else []
    found = [url for entry in listed for url in child_url(entry)]
    names = ", ".join(found) or "none that it names"
    return f"{base}: an index of databases, not one of structures; give one of {names}"
