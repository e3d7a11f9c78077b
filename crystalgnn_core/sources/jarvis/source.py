"""JARVIS-DFT: a named release, or a local file of its form, streamed record by record."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, TypeAdapter, ValidationError, model_validator

from crystalgnn_core.base import DIGEST_LENGTH, NOT_CONTENT, digest_of
from crystalgnn_core.errors import IntegrityError, SourceError
from crystalgnn_core.records.checks.plausibility import ImplausibleLabels
from crystalgnn_core.remote.cache import cache_folder
from crystalgnn_core.remote.downloads import RETRY_POLICY, RetryPolicy
from crystalgnn_core.remote.figshare import API
from crystalgnn_core.sources.base import SourceConfig, SourceName, SourcePart, SourcePlan
from crystalgnn_core.sources.formats.archives import reading
from crystalgnn_core.sources.formats.json_stream.members import (
    Range,
    find_ranges,
    read_range,
)
from crystalgnn_core.sources.jarvis.records import TARGETS, Gap, read_record, schemes_of
from crystalgnn_core.sources.jarvis.releases import (
    DEFAULT_RELEASE,
    RELEASES,
    ReleaseName,
    fetch_release,
)
from crystalgnn_core.storage.files import file_sha256, read_json, write_json
from crystalgnn_core.storage.paths import local_path

if TYPE_CHECKING:
    from collections.abc import Iterator

    from crystalgnn_core.records.schema import RawRecord
    from crystalgnn_core.sources.ingest.stored import StoredSource

_RANGES = TypeAdapter(list[Range])
LICENSE = "public data of NIST; terms on the Figshare page of the release"


class JarvisSource(SourceConfig):
    """Structures and labels of JARVIS-DFT.

    Choudhary et al., npj Comput. Mater. 6, 173 (2020).

    Attributes:
        release: Named release; it is downloaded unless `path` says where it is. None takes
            `dft_3d_2021`, or of a local file the name that its digest gives.
        path: Local file in place of a download: `.zip`, `.json` or `.json.gz`.
        gap: Gap that counts as `band_gap` and decides `is_metal`: of OptB88vdW, with label
            scheme `JARVIS OptB88vdW`, or of the TBmBJ potential, with label scheme `MBJ`.
        metal_at_most: Largest gap of a metal in eV.
        downloads: Folder for archives; None takes `downloads/jarvis` in the user's cache.
        api: Base address of Figshare's API, or of a mirror of it.
        patience: Times and tries of a download.
    """

    kind: Literal["jarvis"] = "jarvis"
    name: SourceName = "jarvis"
    part_size: Annotated[int, Field(ge=1)] = 5000
    implausible: ImplausibleLabels = "drop_label"
    license: str | None = LICENSE
    release: Annotated[ReleaseName | None, NOT_CONTENT] = None
    path: Annotated[str | None, NOT_CONTENT] = None
    gap: Gap = "optb88vdw"
    metal_at_most: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.01
    downloads: Annotated[str | None, NOT_CONTENT] = None
    api: Annotated[str, NOT_CONTENT] = API
    patience: Annotated[RetryPolicy, NOT_CONTENT] = RETRY_POLICY

    @model_validator(mode="before")
    @classmethod
    def _cite_the_release(cls, given: Any) -> Any:  # noqa: ANN401  any settings
        """State the release that is downloaded, and what to cite for it."""
        if not isinstance(given, dict):
            return given
        filled = dict(given)
        if filled.get("path") is None and filled.get("release") is None:
            filled["release"] = DEFAULT_RELEASE
        named = filled.get("release") or DEFAULT_RELEASE
        if isinstance(named, str) and named in RELEASES:
            filled.setdefault("citation", RELEASES[named].citation)
        return filled

    def target_names(self) -> tuple[str, ...]:
        """Name the targets of JARVIS-DFT."""
        return TARGETS

    def check_ready(self) -> None:
        """Check that the file exists, if one is named."""
        if self.path is not None and not local_path(self.path).is_file():
            raise SourceError(f"{self.path}: no such file")

    def plan(self, stored: StoredSource) -> SourcePlan:
        """List the parts, `part_size` records each; a release is downloaded first.

        Raises:
            SourceError: The file is missing, damaged, or holds no records.
            DownloadError: The release is not to be had, or is not the expected file.
            TransientError: The host cannot be reached.
        """
        path = self._file()
        sha256 = file_sha256(path)
        version = self.release or sha256[:DIGEST_LENGTH]
        note = stored.folder / f"ranges-{digest_of([sha256, self.part_size])}.json"
        ranges = _known_ranges(note)
        if ranges is None:
            with reading(path):
                ranges = find_ranges(path, self.part_size)
            if not ranges:
                raise SourceError(
                    f"{path}: the list holds no records; expected at least one"
                )
            write_json(note, [piece._asdict() for piece in ranges])
        shared = {"sha256": sha256, "source_version": version}
        config = self.reading_digest()
        place = {"path": str(path), "n_bytes": path.stat().st_size}
        parts = [
            SourcePart(
                index=index,
                digest=digest_of([config, shared, piece._asdict()]),
                payload={**shared, **place, **piece._asdict()},
            )
            for index, piece in enumerate(ranges)
        ]
        return SourcePlan(
            parts=tuple(parts),
            source_version=version,
            n_expected=sum(piece.n for piece in ranges),
        )

    def read(self, part: SourcePart) -> Iterator[RawRecord]:
        """Yield a record for every element of the list, unreadable ones included."""
        payload = part.payload
        path = Path(payload["path"])
        if not path.is_file() or path.stat().st_size != payload["n_bytes"]:
            raise SourceError(
                f"{path}: changed or vanished while it was read; start the run again"
            )
        version, schemes = payload["source_version"], schemes_of(self.gap)
        with reading(path):
            texts = read_range(path, payload["offset"], payload["n"])
            for number, text in enumerate(texts, start=payload["first"] + 1):
                where = f"{path.name} row {number}"
                yield read_record(text, where, self, version, schemes)

    def _file(self) -> Path:
        if self.path is not None:
            self.check_ready()
            return local_path(self.path)
        folder = cache_folder() / "downloads" / "jarvis"
        if self.downloads is not None:
            folder = local_path(self.downloads)
        release = self.release or DEFAULT_RELEASE
        return fetch_release(release, folder, api=self.api, policy=self.patience)


def _known_ranges(note: Path) -> list[Range] | None:
    """Read the ranges that were found in this file before, if they are noted soundly."""
    if not note.is_file():
        return None
    try:
        return _RANGES.validate_python(read_json(note))
    except (IntegrityError, ValidationError):
        return None
