"""The Materials Project: all of it at first, from then on what a release changed."""

from __future__ import annotations

from itertools import repeat
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal
from urllib.parse import urlsplit

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import Field, field_validator, model_validator

from crystalgnn_core.base import digest_of, digest_of_strings
from crystalgnn_core.errors import TransientError
from crystalgnn_core.records.checks.plausibility import ImplausibleLabels
from crystalgnn_core.sources.base import SourceConfig, SourcePart, SourcePlan, in_chunks
from crystalgnn_core.sources.materials_project.client import (
    IDS_A_REQUEST,
    PAGE_SIZE,
    MaterialsClient,
    Release,
    ServicePatience,
    read_release,
)
from crystalgnn_core.sources.materials_project.documents import (
    DocumentRules,
    nameless_record,
    raw_records,
    summary_fields,
)
from crystalgnn_core.sources.materials_project.filter import MaterialsFilter
from crystalgnn_core.sources.materials_project.labels import (
    JAIN,
    PAPERS,
    TARGETS,
    Document,
    ThermoType,
    id_of,
)
from crystalgnn_core.sources.materials_project.listing import (
    compare,
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
from crystalgnn_core.storage.files import FileRef, write_table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from crystalgnn_core.records.schema import RawRecord
    from crystalgnn_core.sources.ingest.stored import StoredSource

READING_VERSION = 2  # raise it when documents are read in another way
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

    kind: Literal["materials-project"] = "materials-project"
    name: Annotated[str, Field(min_length=1, pattern=r"^[A-Za-z0-9._-]+$")] = (
        "materials-project"
    )
    license: str | None = "CC-BY-4.0"
    citation: str | None = None
    implausible: ImplausibleLabels = "drop_label"
    thermo_type: ThermoType = "GGA_GGA+U"
    filter: MaterialsFilter = MaterialsFilter()
    allow_noncommercial: bool = False
    endpoint: str = "https://api.materialsproject.org/"
    patience: ServicePatience = ServicePatience()

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

    def reading_digest(self) -> str:
        """Return a digest of the settings that decide how rows are read."""
        apart = ("part_size", "citation", "patience")
        return digest_of([READING_VERSION, self.settings_digest(exclude=apart)])

    def plan(self, stored: StoredSource) -> SourcePlan:
        """Compare the release with what is stored; the listing is kept between ingests.

        Raises:
            SourceError: There is no service or key, or no material fits.
            TransientError: The service did not answer, or changed its release meanwhile.
        """
        key_of_environment()  # told before it is needed
        release = self._release()
        is_same = stored.has_same_settings and stored.last_version == release.version
        if is_same and (stored.is_trusted or self._has_all(stored)):
            return SourcePlan(source_version=release.version, is_unchanged=True)
        folder, settings = stored.folder, self.reading_digest()
        path = listing_path(folder, release.version, settings)
        with open_client(self.endpoint, self.patience) as client:
            listing = fetch_listing(client, self.filter, self.thermo_type, release, path)
        if self._release() != release:
            path.unlink()
            raise _changed(release)
        earlier = None
        if stored.has_same_settings and stored.last_version is not None and not is_same:
            earlier = listing_path(folder, stored.last_version, settings)
        tidy(folder, path, earlier)
        if earlier is None or not earlier.is_file():
            return self._plan_all(listing, release, path)
        return self._plan_changes(listing, pq.read_table(earlier), stored, release, path)

    def read(self, part: SourcePart) -> Iterator[RawRecord]:
        """Yield the records of a page or of some ids, all of one release.

        Raises:
            SourceError: There is no key, or it is refused.
            TransientError: The service did not answer, changed its release meanwhile, or
                holds other materials than were listed.
        """
        payload = part.payload
        if "n_nameless" in payload:
            yield from repeat(nameless_record(), payload["n_nameless"])
            return
        release = self._release()
        if release.version != payload["release"]:
            raise _changed(release, payload["release"])
        with open_client(self.endpoint, self.patience) as client:
            documents = self._documents(client, payload)
            names = [id_of(document) for document in documents]
            energies = fetch_energies(client, names, self.thermo_type)
        if _digest(names) != payload["ids"]:
            Path(payload["listing"]).unlink(missing_ok=True)  # it is asked for again
            raise TransientError(
                f"the Materials Project sends other materials than it has listed "
                f"({len(names)} came); start the run again"
            )
        if self._release() != release:
            raise _changed(release)
        rules = DocumentRules(
            self.thermo_type, self.allow_noncommercial, self.license, release
        )
        yield from raw_records(documents, energies, rules)

    def _has_all(self, stored: StoredSource) -> bool:
        """Tell whether as many rows are stored as the service holds now.

        A listing that a fault of the service has cut short makes a version suspicious.
        """
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
        for at in range(0, len(listing), n_pages * size):
            names = listing["material_id"].slice(at, n_pages * size).to_pylist()
            first = at // size + 1
            last = first + -(-len(names) // size)
            payloads.append(
                {"pages": list(range(first, last)), "size": size, "ids": _digest(names)}
            )
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
        if found.n_nameless:
            payloads.append({"n_nameless": found.n_nameless})
        kept = path.with_name(path.name.replace("listing", "kept"))
        write_table(kept, pa.table({"material_id": pa.array(found.kept, pa.string())}))
        return SourcePlan(
            parts=self._parts(payloads, release, path),
            kept=FileRef.of(kept, n_rows=len(found.kept)),
            source_version=release.version,
            n_expected=len(found.wanted) + found.n_nameless,
        )

    def _parts(
        self, payloads: list[dict[str, Any]], release: Release, listing: Path
    ) -> tuple[SourcePart, ...]:
        settings, known = self.reading_digest(), {"release": release.version}
        place = {"listing": str(listing)}
        return tuple(
            SourcePart(
                index=index,
                digest=digest_of([settings, known | payload]),
                payload=known | payload | place,
            )
            for index, payload in enumerate(payloads)
        )

    def _documents(
        self, client: MaterialsClient, payload: dict[str, Any]
    ) -> list[Document]:
        fields = summary_fields(self.thermo_type, with_structure=True)
        documents = []
        for page in payload.get("pages", ()):
            documents += client.summary_page(
                self.filter.search_arguments(), fields, page=page, size=payload["size"]
            )
        for names in in_chunks(payload.get("material_ids", ()), IDS_A_REQUEST):
            documents += client.summaries(names, fields)
        return documents


def _digest(names: list[str]) -> str:
    return digest_of_strings(sorted(names))


def _changed(release: Release, planned: str | None = None) -> TransientError:
    before = f"release {planned or release.version}"
    now = f"now it is {release.version}" if planned else "it changed while it was read"
    return TransientError(
        f"the Materials Project was to be read in {before}, {now}; start the run again"
    )
