"""JARVIS-DFT: a named release, or a local file of its form, streamed record by record."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, TypeAdapter, ValidationError, model_validator

from crystalgnn_core.base import DIGEST_LENGTH, digest_of
from crystalgnn_core.errors import IntegrityError, SourceError
from crystalgnn_core.records.checks.plausibility import ImplausibleLabels
from crystalgnn_core.remote.cache import cache_folder
from crystalgnn_core.remote.downloads import PATIENCE, Patience
from crystalgnn_core.remote.figshare import API
from crystalgnn_core.sources.base import SourceConfig, SourcePart, SourcePlan
from crystalgnn_core.sources.formats.archives import read_blocks, reading
from crystalgnn_core.sources.formats.json_stream.ranges import Range
from crystalgnn_core.sources.jarvis.records import TARGETS, Gap, Reading, read_record
from crystalgnn_core.sources.jarvis.releases import (
    DEFAULT_RELEASE,
    RELEASES,
    ReleaseName,
    obtain_release,
)
from crystalgnn_core.storage.files import file_sha256, read_json, write_json

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
    name: Annotated[str, Field(min_length=1, pattern=r"^[A-Za-z0-9._-]+$")] = "jarvis"
    part_size: Annotated[int, Field(ge=1)] = 5000
    implausible: ImplausibleLabels = "drop_label"
    license: str | None = LICENSE
    citation: str | None = None
    release: ReleaseName | None = None
    path: str | None = None
    gap: Gap = "optb88vdw"
    metal_at_most: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.01
    downloads: str | None = None
    api: str = API
    patience: Patience = PATIENCE

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
            ranges = _ranges(path, self.part_size)
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
        """Yield a record for every element of the list, unreadable ones included.

        Raises:
            SourceError: The file changed after the parts were listed.
        """
        from crystalgnn_core.sources.formats.json_stream.ranges import cut_elements

        payload = part.payload
        path = Path(payload["path"])
        if not path.is_file() or path.stat().st_size != payload["n_bytes"]:
            raise SourceError(
                f"{path}: changed or vanished while it was read; start the run again"
            )
        how = Reading(self.gap, self.metal_at_most, payload["source_version"], self.license)
        schemes = how.schemes
        with reading(path):
            texts = cut_elements(read_blocks(path, payload["offset"]), payload["n"])
            for number, text in enumerate(texts, start=payload["first"] + 1):
                yield read_record(text, f"{path.name} row {number}", how, schemes)

    def reading_digest(self) -> str:
        """Return a digest of the settings that decide how rows are read."""
        place = ("path", "release", "downloads", "api", "patience")
        return self.settings_digest(exclude=(*place, "part_size", "citation"))

    def _file(self) -> Path:
        if self.path is not None:
            path = Path(self.path).expanduser()
            if not path.is_file():
                raise SourceError(f"{path}: no such file")
            return path
        chosen = self.downloads
        folder = (
            cache_folder() / "downloads" / "jarvis"
            if chosen is None
            else Path(chosen).expanduser()
        )
        release = self.release or DEFAULT_RELEASE
        return obtain_release(release, folder, api=self.api, patience=self.patience)


def _ranges(path: Path, size: int) -> list[Range]:
    from crystalgnn_core.sources.formats.json_stream.ranges import find_ranges

    with reading(path):
        ranges = find_ranges(read_blocks(path), size)
    if not ranges:
        raise SourceError(f"{path}: the list holds no records; expected at least one")
    return ranges


def _known_ranges(note: Path) -> list[Range] | None:
    """Read the ranges that were found in this file before, if they are noted soundly."""
    if not note.is_file():
        return None
    try:
        return _RANGES.validate_python(read_json(note))
    except (IntegrityError, ValidationError):
        return None
