"""Damage every kind of file in a small store: it is named, and rebuilt or refused.

Each kind is truncated, has one byte flipped, and is deleted. Then `store check` must name
the file, and the next run must either rebuild it, so that the store equals the one that
nobody touched, or refuse in one line and do so after the advice of that line was followed.

    python -m tests.campaigns.damage [--only PATTERN ...]
"""

import argparse
import fnmatch
import json
import logging
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pyarrow.parquet as pq
from deltalake import DeltaTable

from crystalgnn_core.learning.registry import Registry
from crystalgnn_core.records.table.delta import files_of
from crystalgnn_core.records.table.store import RecordStore
from crystalgnn_core.storage.checksums import LIST
from crystalgnn_core.storage.files import file_sha256
from crystalgnn_core.storage.shards import ShardSet
from deployments.session import prefect_session
from tests.campaigns.small_store import Command, SmallStore, run

TRUNCATED, FLIPPED, DELETED = "truncated", "flipped", "deleted"
DAMAGES = (TRUNCATED, FLIPPED, DELETED)
# what is damaged of each kind: the last match; the first where `[0]` follows; of files of
# rows one that the newest version needs, or does not; of screens the last or first that
# was made
KINDS = (
    "records/_delta_log/*.json[0]",
    "records/_delta_log/*.json",
    "records/*.parquet[newest]",
    "records/*.parquet[earlier]",
    "records/.sha256",
    "rejects/_delta_log/*.json[0]",
    "rejects/_delta_log/*.json",
    "rejects/*.parquet[newest]",
    "rejects/*.parquet[earlier]",
    "ingests/lab.json",
    "ingests/lab.gate.json",
    "ingests/lab.gate.md",
    "ingests/lab.provenance.json",
    "sources/lab/digests.json",
    "sources/lab/origins-*.parquet",
    "links/links.json",
    "links/links.parquet",
    "links/fingerprints-*.parquet",
    "links/pairs-*.parquet",
    "graphs/*/*.json",
    "graphs/*/*.parquet",
    "graphs/*/tombstones/rows.parquet",
    "graphs/*/mapped/*/index.json",
    "graphs/*/mapped/*/neighbor.bin",
    "graphs/*/.sha256",
    "models/champions.json",
    "models/*/card.json",
    "models/*/model.safetensors",
    "models/*/history.parquet",
    "models/*/history.png",
    "models/*/test_predictions.parquet",
    "models/*/decision.json",
    "models/*/checkpoints/pointers.json",
    "models/*/checkpoints/*/card.json",
    "models/*/checkpoints/*/history.parquet",
    "models/*/checkpoints/*/model.safetensors",
    "models/*/checkpoints/*/optimizer.safetensors",
    "predictions/*/*.json",
    "predictions/*/*.parquet",
    "prescreens/*.json[made last]",
    "prescreens/*.parquet[made last]",
    "screens/latest/tiny.json",
    "screens/tiny-*/screen.json[made last]",
    "screens/tiny-*/ranking.parquet[made last]",
    "screens/tiny-*/ranking.csv[made last]",
    "screens/tiny-*/rejects.parquet[made last]",
    "screens/tiny-*/candidates.parquet[made last]",
    "screens/tiny-*/report.json[made last]",
    "screens/tiny-*/report.html[made last]",
    "screens/tiny-*/cif/*.cif[made last]",
    "prescreens/*.parquet[made first]",
    "screens/tiny-*/ranking.parquet[made first]",
)
# read by training alone, so the next run is the training of another model
MAPPED = "graphs/*/mapped/*"
# read by an unfinished training alone, so the finished model is taken away before
CHECKPOINTS = "models/*/checkpoints/*"
# what is not written again, and why
KEPT_AS_IT_IS = {
    "models/*/decision.json": "a damaged one is none: its challenger is judged again",
    "sources/lab/origins-*.parquet": "saves reading; without it a changed source is read",
    "records/.sha256": "a damaged list refuses nothing; files count as they are",
    "graphs/*/.sha256": "a damaged list refuses nothing; files count as they are",
    "prescreens/*.parquet[made first]": "no run needs an earlier pre-screen",
    "screens/tiny-*/ranking.parquet[made first]": "no run needs an earlier screen",
}
# damage that nobody could see, or that does no harm, and why
WITHOUT_CONSEQUENCE: dict[tuple[str, str], str] = {
    ("*.parquet[[]earlier]", DELETED): "rows of earlier versions may be cleaned up",
    ("*/.sha256", DELETED): "stores of older versions have none: files count as they are",
}


class Case(NamedTuple):
    """One damage to one file, and what came of it."""

    kind: str
    damage: str
    path: str
    check: str
    run: str
    problem: str


def pick(store: Path, kind: str) -> Path:
    """Return the file that stands for a kind."""
    pattern, _, which = kind.partition("[")
    found = sorted(store.glob(pattern), key=lambda path: (path.stat().st_size > 0, path))
    if which in ("newest]", "earlier]"):
        needed = [path.name for path in files_of(DeltaTable(found[0].parent))]
        found = [path for path in found if (path.name in needed) == (which == "newest]")]
    if which.startswith("made"):
        found = sorted(found, key=lambda path: path.stat().st_mtime_ns)
    if not found:
        raise LookupError(f"the store has no {kind}")
    return found[0 if which in ("0]", "made first]") else -1]


def damage(path: Path, how: str) -> None:
    """Truncate a file to half its size, flip a bit of its middle byte, or delete it.

    A list of checksums is cut within a line; one that lost whole lines says less.
    """
    content = bytearray(path.read_bytes())
    path.unlink()
    if how == TRUNCATED:
        path.write_bytes(content[: len(content) // 2 - 5 * (path.name == LIST)])
    elif how == FLIPPED:
        content[len(content) // 2] ^= 1
        path.write_bytes(content)


def contents(store: Path) -> dict[str, object]:
    """Return what must be as in a store that nobody touched."""
    records = RecordStore(store)
    found: dict[str, object] = {
        "records": records.read(sorted(records.source_counts())).to_pylist(),
        "rejects": sorted(map(str, records.rejects().to_pylist())),
        "champions": Registry(store).champions(),
    }
    for folder in (*store.glob("graphs/*/"), *store.glob("predictions/*/")):
        shards = ShardSet(folder)
        rows = shards.read_all(["structure_digest"])["structure_digest"].to_pylist()
        live = sorted(set(rows) - shards.manifest.tombstones())
        found[folder.name] = (live, sorted(shards.refusals()))
        found[f"{folder.name} rows"] = str(shards.read(live).to_pylist())
    for pattern in (
        "models/*/*.safetensors",
        "screens/*/*.parquet",
        "screens/*/*.csv",
        "screens/*/cif/*",
        "prescreens/*.parquet",
        "links/*.parquet",
        "graphs/*/mapped/*/*.bin",
    ):
        for path in store.glob(pattern):
            found[str(path.relative_to(store))] = file_sha256(path)
    # the metadata hold the version of the records at the time
    for path in store.glob("models/*/*.parquet"):
        table = pq.read_table(path)
        kept = [name for name in table.column_names if name != "structures_per_second"]
        found[str(path.relative_to(store))] = table.select(kept).to_pylist()
    for path in store.glob("screens/*/screen.json"):
        screen = json.loads(path.read_text())
        found[f"{path.parent.name} counts"] = [screen["changes"], screen["previous"]]
    found["kinds"] = sorted(
        {
            str(path.relative_to(store))
            for path in store.rglob("*")
            if path.is_file() and "part-" not in path.name and not is_passing(path)
        }
    )
    return found


def is_passing(path: Path) -> bool:
    """Return whether a file is a lock, a list or a log: there may be more or fewer."""
    return path.name.startswith(".") or path.parent.name in ("_delta_log", "jobs")


class Campaign:
    """Cases on copies of one store, which all lie where the first one lay.

    Args:
        folder: Empty folder for everything.
    """

    def __init__(self, folder: Path) -> None:
        self.world = SmallStore(folder / "world")
        self.world.folder.mkdir(parents=True)
        self.world.build()
        self.world.rerun()
        self.copy = folder / "undisturbed"
        shutil.copytree(self.world.store, self.copy)
        self.expected = contents(self.world.store)

    def restore(self) -> None:
        """Put the store back as it was."""
        shutil.rmtree(self.world.store)
        shutil.copytree(self.copy, self.world.store)

    def case(self, kind: str, how: str) -> Case:
        """Damage a file, check the store, run again, and compare."""
        self.restore()
        store = self.world.store
        path = pick(store, kind)
        if fnmatch.fnmatch(kind, CHECKPOINTS):
            pick(store, "models/*/card.json").unlink()
        damage(path, how)
        reason = allowed(kind, how)
        checked = run("store", "check", "--store", store)
        named = any(line.startswith(str(path)) for line in checked.text.splitlines())
        problem = ""
        if checked.escaped:
            problem = "check: traceback"
        elif not (checked.code == 1 and named) and reason is None:
            problem = "check: does not name it"
        commands, prefix = self.world.commands, ""
        if fnmatch.fnmatch(kind, MAPPED):
            commands, prefix = self.world.training[1:], "graphs/"
        kept = str(path.relative_to(store)) if kind in KEPT_AS_IT_IS else ""
        ended, also = self._next_run(path, commands, prefix, kept)
        if kind in KEPT_AS_IT_IS and ended == "rebuilt":
            ended = "passes"
        shown = str(path.relative_to(store))
        check = "named" if named else "passes" if checked.code == 0 else "fails"
        return Case(kind, how, shown, check, ended, problem or also)

    def _next_run(
        self, path: Path, commands: Sequence[Command], prefix: str, kept: str
    ) -> tuple[str, str]:
        """Run again; return what came of it, and what is wrong with that.

        A file that is `kept` as it is may be missing afterwards.
        """
        for command in commands:
            ended = run(*command)
            if ended.code == 0:
                continue
            if not ended.is_refusal:
                return "fails", f"{command[0]}: {ended.text[-400:]}"
            if path.name not in ended.text and path.parent.name not in ended.text:
                return "refused", f"not named: {ended.text}"
            return "refused", self._follow(ended.text, commands, prefix)
        return "rebuilt", self._differences(prefix, kept)

    def _follow(self, text: str, commands: Sequence[Command], prefix: str) -> str:
        """Do what a refusal says, and run again; return what is wrong then."""
        words = text.split()
        target = next((w for w in words if w.startswith(str(self.world.store))), "")
        if " delete it and ingest all" in text:
            target = text.partition("restore ")[2].partition(" from ")[0]
        elif " delete /" in text:
            target = f"/{text.partition(' delete /')[2].split()[0]}"
        gone = Path(target.rstrip(":;,"))
        shutil.rmtree(gone) if gone.is_dir() else gone.unlink(missing_ok=True)
        for command in commands:
            ended = run(*command)
            if ended.code:
                return f"after `{text.strip()}` was followed: {ended.text.strip()[-300:]}"
        return self._differences(prefix)

    def _differences(self, prefix: str, kept: str = "") -> str:
        try:
            found = contents(self.world.store)
        except Exception as error:  # noqa: BLE001  what is wrong is told, whatever it is
            return f"cannot be read: {type(error).__name__}: {str(error)[:200]}"
        names = [
            name
            for name in sorted({*found, *self.expected})
            if found.get(name) != self.expected.get(name)
            and name.startswith(prefix)
            and name != kept
        ]
        if "kinds" in names:
            names.remove("kinds")
            lost = set(self.expected["kinds"]) ^ set(found["kinds"])  # type: ignore[call-overload]  # lists
            names += [f"files {sorted(lost - {kept})[:3]}"] * bool(lost - {kept})
        return f"differs from the undisturbed: {', '.join(names)}" if names else ""


def allowed(kind: str, how: str) -> str | None:
    """Return why a damage is without consequence; None if it must be named."""
    for (pattern, damaged), reason in WITHOUT_CONSEQUENCE.items():
        if fnmatch.fnmatch(kind, pattern) and damaged == how:
            return reason
    return None


def main() -> int:
    """Run all cases, print a table; return 1 if one failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--only", nargs="*", default=["*"], help="patterns of the kinds to damage"
    )
    only = parser.parse_args().only
    kinds = [kind for kind in KINDS if any(fnmatch.fnmatch(kind, one) for one in only)]
    failures = 0
    logging.disable(logging.WARNING)
    with tempfile.TemporaryDirectory() as folder, prefect_session():
        campaign = Campaign(Path(folder))
        print(f"{'file':58} {'damage':10} {'check':7} {'next run':9}")  # noqa: T201  a script
        for kind in kinds:
            for how in DAMAGES:
                case = campaign.case(kind, how)
                reason = allowed(kind, how)
                reason = reason or KEPT_AS_IT_IS.get(kind)
                note = case.problem or (f"({reason})" if reason else "")
                failures += bool(case.problem)
                line = f"{kind:58} {how:10} {case.check:7} {case.run:9}"
                print(line, "FAILED" if case.problem else "ok", note, flush=True)  # noqa: T201  a script
    print(f"{failures} failures")  # noqa: T201  a script
    return int(failures > 0)


if __name__ == "__main__":
    sys.exit(main())
