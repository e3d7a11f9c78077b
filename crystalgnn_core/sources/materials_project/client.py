"""Requests to the Materials Project through its own client, kinds of failure kept apart."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, TypeVar

from pydantic import Field

from crystalgnn_core.errors import DownloadError, SourceError
from crystalgnn_core.remote.downloads import RetryPolicy, fetch_json, retry
from crystalgnn_core.remote.http import RetryableError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from mp_api.client import MPRester
    from pydantic import BaseModel

    from crystalgnn_core.sources.materials_project.labels import Document

PAGE_SIZE = 1000  # rows; the service answers no longer page
IDS_PER_REQUEST = 500  # they stand in the address, which stays below 8 KiB
# what the client meets in answers of another form
DAMAGED = (AttributeError, KeyError, TypeError, ValueError)
_SORTED = "material_id"
T = TypeVar("T")


class ServiceRetryPolicy(RetryPolicy):
    """How long requests wait and how often they try; pauses differ by chance."""

    jitter: Annotated[float, Field(ge=0, le=1)] = 0.5


class Release(NamedTuple):
    """What the service offers now.

    Attributes:
        version: Version of the database, such as `2025.09.25`.
        restricted: Batches of calculations under terms of their own.
    """

    version: str
    restricted: frozenset[str]


def read_release(endpoint: str, policy: RetryPolicy) -> Release:
    """Ask the service which release of its data it offers.

    The client asks once per process, so that one that lives long would miss a new release.

    Raises:
        SourceError: There is no such service.
        TransientError: It does not answer; a second try may succeed.
    """
    try:
        answer = fetch_json(f"{endpoint}heartbeat", policy)
    except DownloadError as error:
        raise SourceError(f"no Materials Project service: {error}; see endpoint") from error
    version = answer.get("db_version") if isinstance(answer, dict) else None
    if not isinstance(version, str) or not version:
        raise SourceError(
            f"{endpoint}heartbeat names no db_version; expected the address of the "
            "Materials Project or of a mirror in endpoint"
        )
    listed = answer.get("access_controlled_batch_ids") or []
    if not isinstance(listed, list) or not all(isinstance(one, str) for one in listed):
        raise SourceError(
            f"{endpoint}heartbeat: access_controlled_batch_ids is no list of names, so it "
            "is not known which rows are under terms of their own"
        )
    return Release(version, frozenset(listed))


class MaterialsClient:
    """The real `MPRester`, asked for raw documents, a filter and fields always given.

    A search without a filter would read a public bulk table in place of the endpoint.
    What may pass is tried again here, not by the client, so that one policy counts. The key
    is only known to keep it out of messages.
    """

    def __init__(
        self, rester: MPRester, endpoint: str, key: str, policy: RetryPolicy
    ) -> None:
        self._endpoint = endpoint
        self._key = key
        self._policy = policy
        self._routes: dict[str, Any] = {
            "summary": rester.materials.summary.search.__self__,
            "thermo": rester.materials.thermo.search.__self__,
        }
        for route in self._routes.values():
            route.timeout = (policy.connect_seconds, policy.read_seconds)
            route.document_model = _FieldNames(route.document_model)

    def __repr__(self) -> str:
        """Name the service, never the key."""
        return f"MaterialsClient({self._endpoint})"

    def count(self, criteria: Mapping[str, Any]) -> int:
        """Return how many materials fit, given parameters of the route."""
        given = {**criteria, "_fields": _SORTED, "_limit": 1}
        # a wrong type is a damaged answer, which may pass
        return self._ask("summary", lambda: int(self._routes["summary"].count(dict(given))))

    def summary_page(
        self, query: Mapping[str, Any], fields: Sequence[str], *, page: int, size: int
    ) -> list[Document]:
        """Return a page of summary documents, ordered by id; pages are counted from 1."""
        paging = {"num_chunks": 1, "_page": page, "_sort_fields": _SORTED}
        return self._search("summary", {**query, **paging}, fields, size)

    def summaries(self, ids: Sequence[str], fields: Sequence[str]) -> list[Document]:
        """Return the summary documents of at most `IDS_PER_REQUEST` materials."""
        wanted = {"material_ids": list(ids), "deprecated": False}
        return self._search("summary", wanted, fields, len(ids))

    def thermo(
        self, ids: Sequence[str], thermo_type: str, fields: Sequence[str]
    ) -> list[Document]:
        """Return the thermodynamic documents of one type of some materials."""
        wanted = {"material_ids": list(ids), "thermo_types": [thermo_type]}
        return self._search("thermo", wanted, fields, max(len(ids), 1))

    def _search(
        self, route: str, query: Mapping[str, Any], fields: Sequence[str], size: int
    ) -> list[Document]:
        wanted = {"fields": list(fields), "all_fields": False, "chunk_size": size}
        return self._ask(route, lambda: self._routes[route].search(**query, **wanted))

    def _ask(self, route: str, search: Callable[[], T]) -> T:
        """Search; what may pass is tried again, anything else said without the key.

        Raises:
            SourceError: The key or the request is refused.
            TransientError: The service is busy, or the connection was cut, several times.
        """
        where = f"{self._endpoint}materials/{route}"
        return retry(lambda: self._once(where, search), where, self._policy)

    def _once(self, where: str, search: Callable[[], T]) -> T:
        from mp_api.client.core.exceptions import MPRestError
        from requests import RequestException

        # raised below, so that no traceback shows what the service may have echoed
        try:
            return search()
        except MPRestError as error:
            is_retryable = isinstance(error.__context__, RequestException)
            said = " ".join(str(error).replace(self._key, "***").split())[:300]
        except DAMAGED as error:
            is_retryable = True
            said = f"the answer is no list of documents ({type(error).__name__})"
        if is_retryable:
            raise RetryableError(said)
        raise SourceError(f"{where}: {said}; does mp-api fit the service?")


class _FieldNames:
    """Stands in for a document model of the client, which knows the names of fields by it.

    The client builds the whole schema of its model again for each field that it checks,
    20 ms each time.
    """

    def __init__(self, model: type[BaseModel]) -> None:
        self.__name__ = model.__name__
        self._schema = _schema_of(model)

    def model_json_schema(self) -> dict[str, Any]:
        return self._schema


@cache
def _schema_of(model: type[BaseModel]) -> dict[str, Any]:
    return model.model_json_schema()
