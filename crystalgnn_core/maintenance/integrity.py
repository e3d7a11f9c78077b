"""Verify every digest of a store: records, shards, models, screens."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import unquote

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError

from crystalgnn_core.base import FrozenModel
from crystalgnn_core.errors import CrystalGNNError
from crystalgnn_core.learning.cards import CARD, WEIGHTS, read_card
from crystalgnn_core.records.crystal import Crystal, structure_digest
from crystalgnn_core.records.table.rows import content_digest
from crystalgnn_core.screening.prescreening import Prescreened
from crystalgnn_core.screening.result import MANIFEST, ScreenResult
from crystalgnn_core.storage.files import ROW_GROUP, file_sha256, read_model
from crystalgnn_core.storage.manifest import KEY, Manifest, ShardEntry

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

REBUILT, SCREEN_AGAIN = "the next run rebuilds it", "screen again"
N_ROWS_NAMED = 5


class Damage(FrozenModel):
    """One thing that is not as it was written: where, what is wrong, what to do."""

    path: str
    problem: str
    advice: str


class Checked(FrozenModel):
    """What was verified in one part of a store.

    Attributes:
        area: Folder below the store.
        n_sound: Rows or files whose digest is right.
        unit: What was counted.
        n_superseded: Rows with a tombstone.
        damages: What is not sound.
    """

    area: str
    n_sound: int
    unit: str
    n_superseded: int = 0
    damages: tuple[Damage, ...] = ()


def check_store(store: Path) -> Iterator[Checked]:
    """Verify a store part by part; every file is read again."""
    for table in ("records", "rejects"):
        if (store / table).is_dir():
            yield _check_table(store / table, has_digests=table == "records")
    for kind in ("graphs", "predictions"):
        for folder in sorted((store / kind).glob("[!.]*/")):
            yield _check_shards(folder)
    for card in sorted((store / "models").glob(f"[!.]*/{CARD}")):
        yield _check_model(card.parent)
    for manifest in sorted((store / "screens").glob(f"[!.]*/{MANIFEST}")):
        yield _check_screen(manifest.parent)
    if (store / "prescreens").is_dir():
        yield _check_prescreens(store / "prescreens")


def _check_table(folder: Path, *, has_digests: bool) -> Checked:
    advice = f"restore {folder} from a backup, or delete it and ingest all sources again"
    try:
        uris = DeltaTable(folder).file_uris()
    except DeltaError as error:
        return _sum_up(
            folder.name, [(folder, str(error).partition("\n")[0])], advice, "rows"
        )
    n_sound, damages = 0, []
    for uri in sorted(uris):
        try:
            path = unquote(uri.removeprefix("file://"))
            n_rows, wrong = _read_rows(path, has_digests=has_digests)
        except (OSError, pa.ArrowException) as error:
            problem = f"cannot be read ({' '.join(str(error).split())[:200]})"
            damages.append(Damage(path=uri, problem=problem, advice=advice))
            continue
        n_sound += n_rows - len(wrong)
        if wrong:
            problem = f"{len(wrong)} rows differ from their digest: "
            problem += ", ".join(wrong[:N_ROWS_NAMED])
            damages.append(Damage(path=uri, problem=problem, advice=advice))
    return Checked(area=folder.name, n_sound=n_sound, unit="rows", damages=tuple(damages))


def _read_rows(path: str, *, has_digests: bool) -> tuple[int, list[str]]:
    """Read a file piece by piece; count its rows and name those that are wrong."""
    n_rows, wrong = 0, []
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(ROW_GROUP):
            n_rows += batch.num_rows
            wrong += _wrong_rows(batch) if has_digests else []
    return n_rows, wrong


def _wrong_rows(rows: pa.RecordBatch) -> list[str]:
    """Name the records whose structure or content is not what their digests say."""
    wrong = []
    for row in rows.to_pylist():
        try:
            crystal = Crystal(
                np.array(row["atomic_numbers"]),
                np.array(row["lattice"]).reshape(3, 3),
                np.array(row["frac_coords"]).reshape(-1, 3),
            )
            is_intact = (
                structure_digest(crystal) == row[KEY]
                and content_digest(row) == row["content_digest"]
            )
        except (ValueError, TypeError):
            is_intact = False
        if not is_intact:
            wrong.append(f"{row['source']}/{row['material_id']}")
    return wrong


def _check_shards(folder: Path) -> Checked:
    manifest = Manifest(folder)
    problems = (
        (manifest.shard_path(name), _shard_problem(manifest, name))
        for name in manifest.names()
    )
    checked = _sum_up(f"{folder.parent.name}/{folder.name}", problems, REBUILT, "shards")
    return checked.model_copy(update={"n_superseded": len(manifest.tombstones())})


def _shard_problem(manifest: Manifest, name: str) -> str | None:
    path = manifest.entry_path(name)
    if not path.is_file():
        return "has no entry: it was not finished"
    entry = read_model(path, ShardEntry)
    if entry is None:
        return f"its entry {path.name} is damaged"
    return _file_problem(manifest.shard_path(name), entry.sha256)


def _check_model(folder: Path) -> Checked:
    area, advice = (
        f"models/{folder.name}",
        f"restore it, or delete {folder} and train again",
    )
    try:
        card = read_card(folder)
    except CrystalGNNError as error:
        return _sum_up(area, [(folder / CARD, str(error))], advice)
    expected = {WEIGHTS: card.weights_sha256, **card.files_sha256}
    return _sum_up(area, _file_problems(folder, expected), advice)


def _check_screen(folder: Path) -> Checked:
    area = f"screens/{folder.name}"
    result = read_model(folder / MANIFEST, ScreenResult)
    if result is None:
        return _sum_up(area, [(folder / MANIFEST, "is damaged")], SCREEN_AGAIN)
    expected = {
        file.path.removeprefix(result.folder).lstrip("/"): file.sha256
        for file in result.files
    }
    return _sum_up(area, _file_problems(folder, expected), SCREEN_AGAIN)


def _check_prescreens(folder: Path) -> Checked:
    problems: list[tuple[Path, str | None]] = []
    for path in sorted(folder.glob("[!.]*.json")):
        table, entry = path.with_suffix(".parquet"), read_model(path, Prescreened)
        problem = f"its entry {path.name} is damaged"
        problems.append(
            (table, _file_problem(table, entry.file.sha256) if entry else problem)
        )
    return _sum_up(folder.name, problems, SCREEN_AGAIN)


def _sum_up(
    area: str, problems: Iterable[tuple[Path, str | None]], advice: str, unit: str = "files"
) -> Checked:
    """Count the files without a problem; the others are damaged."""
    found = list(problems)
    damages = tuple(
        Damage(path=str(path), problem=problem, advice=advice)
        for path, problem in found
        if problem is not None
    )
    n_sound = len(found) - len(damages)
    return Checked(area=area, n_sound=n_sound, unit=unit, damages=damages)


def _file_problems(
    folder: Path, expected: dict[str, str]
) -> Iterator[tuple[Path, str | None]]:
    for name, sha256 in expected.items():
        yield folder / name, _file_problem(folder / name, sha256)


def _file_problem(path: Path, sha256: str) -> str | None:
    if not path.is_file():
        return "is missing"
    return None if file_sha256(path) == sha256 else "differs from its SHA-256"
