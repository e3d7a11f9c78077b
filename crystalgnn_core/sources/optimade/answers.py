"""What an answer of an OPTIMADE provider says: content, errors, warnings, the next page."""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit, urlunsplit

from crystalgnn_core.errors import SourceError, TransientError
from crystalgnn_core.sources.formats.parsing import as_mapping

if TYPE_CHECKING:
    from collections.abc import Iterator

    from crystalgnn_core.remote.http import Answer

logger = logging.getLogger(__name__)
_N_WARNINGS, _N_CHARACTERS = 5, 200


def is_page_for_people(answer: Answer) -> bool:
    """Return whether an answer is an HTML page, not one of an interface."""
    return answer.kind == "text/html" or answer.content.lstrip()[:1] == b"<"


def content_of(answer: Answer, filter_: str = "") -> Mapping[str, Any]:
    """Return the JSON object of an answer, and log the warnings in it.

    Raises:
        SourceError: It is an HTML page or no JSON, or the provider refuses or reports
            errors; the message repeats what it says.
        TransientError: The answer breaks off, which goes unnoticed when its length was not
            announced.
    """
    if is_page_for_people(answer):
        raise SourceError(
            f"{answer.url}: answers {answer.code} with an HTML page; give the base "
            "address of an OPTIMADE provider"
        )
    try:
        content = json.loads(answer.content)
    except (ValueError, RecursionError) as error:
        is_cut = isinstance(error, ValueError) and _is_cut(answer.content)
        if answer.code == 200 and is_cut:
            raise TransientError(
                f"{_shown(answer.url)}: the answer breaks off after "
                f"{len(answer.content)} bytes; try again later"
            ) from error
        if answer.code == 200:
            raise SourceError(f"{answer.url}: the answer is no JSON ({error})") from error
        content = {}
    content = as_mapping(content)
    errors = content.get("errors")
    if answer.code != 200 or errors:
        details = errors if isinstance(errors, list) else [errors or content.get("detail")]
        said = "; ".join(filter(None, map(_describe_error, details))) or "no reason given"
        asked = f"; the filter is {filter_!r}" if filter_ else ""
        raise SourceError(
            f"{_shown(answer.url)}: the provider refuses ({answer.code}): {said}{asked}"
        )
    _log_warnings(answer.url, content)
    return content


def next_url(
    content: Mapping[str, Any], url: str, asked: str, *, with_other_hosts: bool
) -> str | None:
    """Return the address of the following page, or None at the end.

    Args:
        content: The answer.
        url: Address that answered.
        asked: Address that was asked, before redirections.
        with_other_hosts: Whether the next page may be on another host.

    Raises:
        SourceError: The link is no address, leads to another host, or back to this page.
    """
    link = as_mapping(content.get("links")).get("next")
    if isinstance(link, Mapping):
        link = link.get("href")
    if link is None or link == "":
        return None
    if not isinstance(link, str):
        raise SourceError(f"{_shown(url)}: links.next is {link!r}, expected an address")
    try:
        found = urljoin(url, link)
        scheme, *rest = urlsplit(found)
        host = _host(found)
    except ValueError as error:
        raise SourceError(f"{_shown(url)}: links.next is {link!r}: {error}") from error
    if scheme not in {"http", "https"}:
        raise SourceError(f"{_shown(url)}: the next page is {found!r}, not on the web")
    if not with_other_hosts and host not in {_host(url), _host(asked)}:
        raise SourceError(
            f"{_shown(url)}: the next page is on another host, {host}; set "
            "follow_other_hosts if that is meant"
        )
    # behind a proxy that ends the encryption, providers name their plain address
    if scheme == "http" and url.startswith("https:") and host == _host(url):
        place, *rest = rest
        found = urlunsplit(("https", place.removesuffix(":80"), *rest))
    if found in {url, asked}:
        raise SourceError(f"{_shown(url)}: the next page is this page again")
    return found


def provider_name(content: Mapping[str, Any]) -> str:
    """Return the name of the provider; empty where it gives none."""
    name = as_mapping(as_mapping(content.get("meta")).get("provider")).get("name")
    return name.strip() if isinstance(name, str) else ""


def license_of(about: Mapping[str, Any]) -> str | None:
    """Read the licence in the attributes of the `info` endpoint (version 1.2 has them)."""
    for key in ("available_licenses", "available_licenses_for_entries"):
        names = about.get(key)
        if isinstance(names, list) and names:
            return " OR ".join(map(str, names))
    link = about.get("license")
    link = link.get("href") if isinstance(link, Mapping) else link
    return link if isinstance(link, str) and link else None


def child_url(entry: object) -> Iterator[str]:
    """Yield the base address of a database that an entry of an index describes."""
    about = as_mapping(as_mapping(entry).get("attributes"))
    if about.get("link_type") == "child":
        url = about.get("base_url")
        url = url.get("href") if isinstance(url, Mapping) else url
        if isinstance(url, str):
            yield url


def _is_cut(content: bytes) -> bool:
    text = content.strip()
    return text.startswith(b"{") and not text.endswith(b"}")


def _describe_error(error: object) -> str:
    """Return what an error entry says: an object with details, or mere text."""
    if isinstance(error, Mapping):
        error = error.get("detail") or error.get("title") or dict(error)
    return _shown(str(error)) if error else ""


def _shown(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _N_CHARACTERS else f"{text[:_N_CHARACTERS]}..."


def _log_warnings(url: str, content: Mapping[str, Any]) -> None:
    warnings = as_mapping(content.get("meta")).get("warnings")
    if not isinstance(warnings, list):
        return
    texts = Counter(map(_describe_error, warnings))
    for text, count in texts.most_common(_N_WARNINGS):
        times = f" ({count} times)" if count > 1 else ""
        logger.warning("%s: the provider warns%s: %s", _shown(url), times, text)
    if len(texts) > _N_WARNINGS:
        logger.warning("%s: and %d other warnings", _shown(url), len(texts) - _N_WARNINGS)


def _host(url: str) -> str:
    parts = urlsplit(url)
    port = "" if parts.port in {None, 80, 443} else f":{parts.port}"
    return f"{parts.hostname}{port}"
