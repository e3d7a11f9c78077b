"""What the entries, cards and manifests of a store say of the files beside them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from crystalgnn_core.errors import IntegrityError
from crystalgnn_core.graphs.mapped import INDEX
from crystalgnn_core.learning.cards import CARD, WEIGHTS, ModelCard
from crystalgnn_core.learning.resume import POINTERS
from crystalgnn_core.records.links.table import STATE, TABLE, LinkReport
from crystalgnn_core.reporting.screen import ENTRY, PAGE, ReportState
from crystalgnn_core.screening.outcome import RANKING
from crystalgnn_core.screening.prescreening import Prescreened
from crystalgnn_core.screening.result import MANIFEST, ScreenResult
from crystalgnn_core.storage.manifest import TOMBSTONES, ShardEntry
from crystalgnn_core.storage.moved import in_place
from crystalgnn_core.storage.shards import MAPPED

if TYPE_CHECKING:
    from collections.abc import Iterator

    from crystalgnn_core.base import FrozenModel

SHARDS = ("graphs", "predictions")
FORMS: dict[str, type[FrozenModel]] = {
    "graphs": ShardEntry,
    "predictions": ShardEntry,
    "prescreens": Prescreened,
    CARD: ModelCard,
    MANIFEST: ScreenResult,
    ENTRY: ReportState,
    STATE: LinkReport,
}
OWNERS = {WEIGHTS: CARD, RANKING: MANIFEST, PAGE: ENTRY, TABLE: STATE}


def owner_of(path: Path, kind: str) -> Path | None:
    """Return the file without which one of a part of the store is not finished."""
    is_pair = kind in (*SHARDS, "prescreens") and path.suffix == ".parquet"
    if is_pair and path.name != Path(TOMBSTONES).name:
        return path.with_suffix(".json")
    name = INDEX if _is_mapped(path, kind) else OWNERS.get(path.name)
    return None if name is None else path.with_name(name)


def digests_in(path: Path, kind: str) -> dict[Path, str]:
    """Return the digests that a JSON file of a part of the store states of files.

    Raises:
        IntegrityError: It is not what was written; the message goes behind its name.
    """
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError:  # a run has removed it meanwhile
        return {}
    except ValueError as error:
        raise IntegrityError(f"is not valid JSON ({error})") from error
    try:
        form = FORMS.get(path.name)
        if _is_mapped(path, kind):
            return {path.with_name(f"{n}.bin"): one["sha256"] for n, one in content.items()}
        if path.name == POINTERS:
            last = path.parent / content["last"]
            return {last / name: digest for name, digest in content["sha256"].items()}
        form = form or FORMS.get(kind)
        known = form.model_validate(content) if form is not None else None
    except ValidationError as error:
        raise IntegrityError(f"is damaged ({error.errors()[0]['msg']})") from error
    except (AttributeError, KeyError, TypeError) as error:
        raise IntegrityError("is damaged") from error
    if isinstance(known, ModelCard):
        names = {WEIGHTS: known.weights_sha256} | known.files_sha256
        return {path.with_name(name): digest for name, digest in names.items()}
    if isinstance(known, ShardEntry):
        return {path.with_suffix(".parquet"): known.sha256}
    return dict(_file_refs(in_place(content, path.parent), path.parent))


def _is_mapped(path: Path, kind: str) -> bool:
    return kind == "graphs" and path.parents[1].name == MAPPED


def _file_refs(content: Any, folder: Path) -> Iterator[tuple[Path, str]]:  # noqa: ANN401  any JSON value
    """Yield the files of a folder that are named with digests."""
    if isinstance(content, dict):
        if {"path", "sha256"} <= content.keys() and folder in Path(content["path"]).parents:
            yield Path(content["path"]), content["sha256"]
        content = list(content.values())
    for value in content if isinstance(content, list) else ():
        yield from _file_refs(value, folder)
