"""The Materials Project: all of it at first, from then on what a release changed."""

from __future__ import annotations

from itertools import count, repeat
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal
from urllib.parse import urlsplit

import pyarrow as pa
from pydantic import field_validator, model_validator

from crystalgnn_core.base import NOT_CONTENT, digest_of_strings
from crystalgnn_core.errors import TransientError
from crystalgnn_core.records.checks.plausibility import ImplausibleLabels
from crystalgnn_core.sources.base import (
    SourceConfig,
    SourceName,
    SourcePart,
    SourcePlan,
    in_chunks,
)
from crystalgnn_core.sources.materials_project.client import (
    PAGE_SIZE,
    Release,
    ServiceRetryPolicy,
    read_release,
)
from crystalgnn_core.sources.materials_project.documents import (
    raw_records,
    record_without_id,
)
from crystalgnn_core.sources.materials_project.filter import MaterialsFilter
from crystalgnn_core.sources.materials_project.labels import (
    JAIN,
    PAPERS,
    TARGETS,
    ThermoType,
    id_of,
)
from crystalgnn_core.sources.materials_project.listing import (
    compare,
    fetch_documents,
    fetch_energies,
    fetch_listing,
    listing_path,
    tidy,
)
from crystalgnn_core.sources.materials_project.session import (
    KEY_VARIABLE,
    key_of_environment,
    open_client,
)
from crystalgnn_core.storage.checksums import remove_file
from crystalgnn_core.storage.files import (
    FileRef,
    is_as_written,
    read_table,
    write_table,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from crystalgnn_core.records.schema import RawRecord
    from crystalgnn_core.sources.ingest.stored import StoredSource

_LOCAL = {"localhost", "127.0.0.1", "::1"}


class MaterialsProjectSource(SourceConfig):
    """Structures and labels of the Materials Project, through its own client.

    The key comes from the environment variable `MP_API_KEY`. The release is listed first,
    without structures. The first ingest then reads all of it by pages; a later one asks
    for the materials that are new or differ in `last_updated`, labels or licence.

    Attributes:
        thermo_type: Hull from which formation energies come; `GGA_GGA+U_R2SCAN` is the
            mixed one of the summary, whose functional changes from row to row.
        filter: Which materials.
        allow_noncommercial: Whether rows whose licence excludes commercial use are kept.
        endpoint: Address of the service or of a mirror.
        patience: Times and tries of each request.
    """

    reading_version: ClassVar[int] = 2
    kind: Literal["materials-project"] = "materials-project"
    name: SourceName = "materials-project"
    license: str | None = "CC-BY-4.0"
    implausible: ImplausibleLabels = "drop_label"
    thermo_type: ThermoType = "GGA_GGA+U"
    filter: MaterialsFilter = MaterialsFilter()
    allow_noncommercial: bool = False
    endpoint: str = "https://api.materialsproject.org/"
    patience: Annotated[ServiceRetryPolicy, NOT_CONTENT] = ServiceRetryPolicy()

    @field_validator("endpoint")
    @classmethod
    def _is_safe_address(cls, given: str) -> str:
        parts = urlsplit(given)
        if "@" in parts.netloc:
            raise ValueError(
                f"no user or password in an address; the key comes from {KEY_VARIABLE}"
            )
        is_safe = parts.scheme == "https" or parts.hostname in _LOCAL
        if parts.scheme not in {"http", "https"} or not parts.hostname or not is_safe:
            raise ValueError("expected an address with https, as the key is sent there")
        return f"{given.rstrip('/')}/"

    @model_validator(mode="before")
    @classmethod
    def _cites(cls, given: Any) -> Any:  # noqa: ANN401  any settings
        """Name the papers behind the labels unless others are given."""
        if not isinstance(given, dict) or given.get("citation") is not None:
            return given
        papers = PAPERS.get(str(given.get("thermo_type", "GGA_GGA+U")), (JAIN,))
        return {**given, "citation": "; ".join(papers)}

    def target_names(self) -> tuple[str, ...]:
        """Name the targets that documents hold."""
        return TARGETS

    def check_ready(self) -> None:
        """Check that the environment holds a key."""
        key_of_environment()

    def plan(self, stored: StoredSource) -> SourcePlan:
        """Compare the release with what is stored; the listing is kept between ingests."""
        release = self._release()
        is_same = stored.has_same_settings and stored.last_version == release.version
        if is_same and (stored.is_trusted or self._has_all(stored)):
            return SourcePlan(source_version=release.version, is_unchanged=True)
        folder, settings = stored.folder, self.reading_digest()
        path = listing_path(folder, release.version, settings)
        with open_client(self.endpoint, self.patience) as client:
            listing = fetch_listing(client, self, release, path)
        if self._release() != release:
            remove_file(path)
            raise _changed(release)
        earlier = None
        if stored.has_same_settings and stored.last_version is not None and not is_same:
            earlier = listing_path(folder, stored.last_version, settings)
        tidy(folder, path, earlier)
        if earlier is None or not is_as_written(earlier):
            return self._plan_all(listing, release, path)
        return self._plan_changes(listing, read_table(earlier), stored, release, path)

    def read(self, part: SourcePart) -> Iterator[RawRecord]:
        """Yield the records of a page or of some ids, all of one release."""
        payload = part.payload
        if "n_nameless" in payload:
            yield from repeat(record_without_id(), payload["n_nameless"])
            return
        release = self._release()
        if release.version != payload["release"]:
            raise _changed(release, payload["release"])
        with open_client(self.endpoint, self.patience) as client:
            documents = fetch_documents(client, self, payload)
            names = [id_of(document) for document in documents]
            energies = fetch_energies(client, names, self.thermo_type)
        if _digest(names) != payload["ids"]:
            remove_file(Path(payload["listing"]))  # it is asked for again
            raise TransientError(
                f"the Materials Project sends other materials than it has listed "
                f"({len(names)} came); start the run again"
            )
        if self._release() != release:
            raise _changed(release)
        yield from raw_records(documents, energies, self, release)

    def _has_all(self, stored: StoredSource) -> bool:
        """Return whether as many rows are stored as the service holds: none was cut off."""
        with open_client(self.endpoint, self.patience) as client:
            n_rows = client.count(self.filter.route_parameters())
        return n_rows == stored.rows().num_rows

    def _release(self) -> Release:
        return read_release(self.endpoint, self.patience)

    def _plan_all(self, listing: pa.Table, release: Release, path: Path) -> SourcePlan:
        """Read by pages; the ids that each page is to hold are known from the listing."""
        n_pages = -(-self.part_size // PAGE_SIZE)
        size = -(-self.part_size // n_pages)
        payloads = []
        chunks = in_chunks(listing["material_id"].to_pylist(), n_pages * size)
        for first, names in zip(count(1, n_pages), chunks, strict=False):
            pages = list(range(first, first + -(-len(names) // size)))
            payloads.append({"pages": pages, "size": size, "ids": _digest(names)})
        return SourcePlan(
            parts=self._parts(payloads, release, path),
            source_version=release.version,
            n_expected=len(listing),
        )

    def _plan_changes(
        self,
        listing: pa.Table,
        earlier: pa.Table,
        stored: StoredSource,
        release: Release,
        path: Path,
    ) -> SourcePlan:
        """Read what is new or has changed; what is no longer listed is left behind."""
        found = compare(listing, earlier, stored.rows())
        payloads: list[dict[str, Any]] = [
            {"material_ids": names, "ids": _digest(names)}
            for names in in_chunks(found.wanted, self.part_size)
        ]
        if found.n_without_id:
            payloads.append({"n_nameless": found.n_without_id})
        kept = path.with_name(path.name.replace("listing", "kept"))
        write_table(kept, pa.table({"material_id": pa.array(found.kept, pa.string())}))
        return SourcePlan(
            parts=self._parts(payloads, release, path),
            kept=FileRef.of(kept, n_rows=len(found.kept)),
            source_version=release.version,
            n_expected=len(found.wanted) + found.n_without_id,
        )

    def _parts(
        self, payloads: list[dict[str, Any]], release: Release, listing: Path
    ) -> tuple[SourcePart, ...]:
        known = {"release": release.version}
        return tuple(
            self.make_part(index, known | payload, listing=str(listing))
            for index, payload in enumerate(payloads)
        )


def _digest(names: list[str]) -> str:
    return digest_of_strings(sorted(names))


def _changed(release: Release, planned: str | None = None) -> TransientError:
    before = f"release {planned or release.version}"
    now = f"now it is {release.version}" if planned else "it changed while it was read"
    return TransientError(
        f"the Materials Project was to be read in {before}, {now}; start the run again"
    )
