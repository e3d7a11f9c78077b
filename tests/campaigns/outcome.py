"""What a store holds that must not depend on how often its runs were killed."""

import json
from pathlib import Path
from typing import Any

from crystalgnn_core.records.table.store import RecordStore
from crystalgnn_core.storage.files import file_sha256

# files of killed runs; nothing of the kind may be left after the next run
TEMPORARY = ("**/.tmp-*", "**/jobs/*.arrow", "staging/*")
WHEN = {"created", "promoted_at", "structures_per_second", "was_read", "was_ranked"}


def outcome_of(store: Path) -> dict[str, object]:
    """Return what two equal runs agree in, by the name of what it is."""
    records = RecordStore(store)
    sources = sorted(records.source_counts())
    champions = store / "models" / "champions.json"
    parts: dict[str, object] = {
        "record version": records.version(),
        "records": records.read(sources).to_pylist(),
        "rejects": sorted(map(str, records.rejects().to_pylist())),
        "champions": _timeless(champions) if champions.is_file() else None,
    }
    for pattern in ("graphs/*/*.parquet", "predictions/*/*.parquet"):
        parts |= _digests(store, pattern)
    parts |= _digests(store, "models/*/model.safetensors")
    parts |= _digests(store, "models/*/test_predictions.parquet")
    parts |= _digests(store, "screens/*/*.parquet") | _digests(store, "screens/*/*.csv")
    parts |= _digests(store, "screens/*/cif/*") | _digests(store, "screens/latest/*")
    for path in (*store.glob("models/*/card.json"), *store.glob("screens/*/report.json")):
        content = _timeless(path)
        # of files that hold times, or the path of this store
        for key in ("files_sha256", "page", "result_digest"):
            content.pop(key, None)
        parts[str(path.relative_to(store))] = content
    return parts


def differences(found: dict[str, object], expected: dict[str, object]) -> list[str]:
    """Name what is missing, what is too much, and what differs."""
    names = sorted(found.keys() | expected.keys())
    return [name for name in names if found.get(name) != expected.get(name)]


def temporary_files(store: Path) -> list[str]:
    """Return the files that only a killed run leaves."""
    found = {path for pattern in TEMPORARY for path in store.glob(pattern)}
    return sorted(str(path.relative_to(store)) for path in found)


def _digests(store: Path, pattern: str) -> dict[str, object]:
    return {
        str(path.relative_to(store)): file_sha256(path)
        for path in store.glob(pattern)
        if not path.name.startswith(".")
    }


def _timeless(path: Path) -> Any:
    def drop(content: dict[str, Any]) -> dict[str, Any]:
        return {key: value for key, value in content.items() if key not in WHEN}

    return json.loads(path.read_text(), object_hook=drop)
