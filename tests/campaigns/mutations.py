"""Read valid files that were changed at random: refused with a reason, or read, never more.

CIF, POSCAR, extended XYZ, JSON, CSV and vasprun texts of our own crystals get bytes,
tokens, numbers, lines and members changed, dropped, repeated and swapped. Each is read as
`predict` and as `ingest` read it, in a child process: no exception but our own may leave a
reader, no row may be lost, and none may take over 10 s or 1 GB. A number and the seed make
the same file again.

    python -m tests.campaigns.mutations --seed 1 --mutations 20000 [--only NUMBER]

Ends with exit code 1 if anything was found.
"""

import argparse
import logging
import sys
import tempfile
import traceback
import warnings
from collections import Counter
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow.parquet as pq

from crystalgnn_core.errors import CrystalGNNError, InputError
from crystalgnn_core.records.checks.validation import validate
from crystalgnn_core.screening.inputs import read_inputs
from crystalgnn_core.sources.files.source import FilesSource
from crystalgnn_core.sources.ingest.run import read_part
from crystalgnn_core.sources.ingest.stored import StoredSource
from crystalgnn_core.sources.vasp import VaspSource
from tests.campaigns.mutants import Mutant, make_mutant, texts
from tests.guarded import GuardedChild

SECONDS, MEGABYTES = 10.0, 1024.0
TARGETS = {"band_gap": {"column": "gap", "label_scheme": "ours"}}
WITH_TARGETS = ("CSV", "extended XYZ")
say = partial(print, flush=True)


class Result(NamedTuple):
    """What came of a mutant.

    Attributes:
        number: Which one.
        format: What it was made from.
        problem: What is wrong, empty if nothing.
        detail: Traceback of an exception.
        n_kept: Records that `predict` would go on with.
        n_rejected: Rows that it would refuse.
        seconds: How long both ways took.
        megabytes: How much memory they took.
    """

    number: int
    format: str
    problem: str
    detail: str
    n_kept: int
    n_rejected: int
    seconds: float
    megabytes: float


def run_mutations(seed: int, numbers: Iterable[int]) -> list[Result]:
    """Read mutants in a child that is killed when one takes too long or too much."""
    results = []
    limits = {"seconds": SECONDS, "megabytes": MEGABYTES}
    with GuardedChild(prepare, **limits) as child:
        for number in numbers:
            answer = child.call(read_both_ways, seed, number)
            kind = make_mutant(seed, number).format
            if answer.failure:
                problem = answer.failure.strip().splitlines()[-1]
                found = (problem, answer.failure, 0, 0)
            else:
                found = answer.value
            results.append(Result(number, kind, *found, answer.seconds, answer.megabytes))
    return results


def prepare() -> None:
    """Import and compile what readers need, before memory is limited."""
    warnings.simplefilter("ignore")
    logging.disable()
    for kind, (name, variants) in texts().items():
        for number, text in enumerate(variants):
            problem, detail, n_kept, _ = _read(Mutant(kind, name, text.encode(), ()))
            if problem or not (n_kept or kind in ("OPTIMADE", "JSON documents")):
                raise RuntimeError(f"{kind} {number} is not valid: {problem} {detail}")


def read_both_ways(seed: int, number: int) -> tuple[str, str, int, int]:
    """Return problem, its traceback, and how many rows were kept and rejected."""
    return _read(make_mutant(seed, number))


def _read(mutant: Mutant) -> tuple[str, str, int, int]:
    with tempfile.TemporaryDirectory() as temporary:
        path = Path(temporary, mutant.name)
        path.write_bytes(mutant.content)
        n_kept = n_rejected = 0
        for way in (_as_predict, _as_ingest):
            try:
                n_in, kept, rejected = way(mutant, path)
            except InputError:  # the file as a whole is refused, by name
                continue
            except CrystalGNNError as error:
                return f"{way.__name__}: {type(error).__name__}", str(error), 0, 0
            except MemoryError:
                raise
            except Exception:  # noqa: BLE001  what is looked for
                text = traceback.format_exc()
                return f"{way.__name__}: {_place(text)}", text, 0, 0
            if kept + rejected != n_in or n_in == 0:
                return f"{way.__name__}: {n_in} rows, {kept} + {rejected}", "", 0, 0
            if way is _as_predict:
                n_kept, n_rejected = kept, rejected
    return "", "", n_kept, n_rejected


def _as_predict(_: Mutant, path: Path) -> tuple[int, int, int]:
    raws = list(read_inputs(path))
    checked = validate(raws, source="predict", targets=(), require_labels="none")
    return len(raws), checked.records.num_rows, len(checked.rejects)


def _as_ingest(mutant: Mutant, path: Path) -> tuple[int, int, int]:
    settings: dict[str, Any] = {"name": "mutants", "path": str(path)}
    if mutant.format in WITH_TARGETS:
        settings["targets"] = TARGETS
    is_run = mutant.format == "vasprun"
    source = (VaspSource if is_run else FilesSource).model_validate(settings)
    source.check_ready()
    waiting = list(source.plan(StoredSource(path.parent / "store", source.name)).parts)
    counts = Counter[str]()
    while waiting:
        folder = path.parent / f"parts {len(waiting)} {sum(counts.values())}"
        folder.mkdir()
        state = read_part(source, waiting.pop(), folder)
        waiting += state.following
        counts["in"] += state.n_in
        counts["kept"] += pq.read_metadata(folder / state.records.path).num_rows
        counts["rejected"] += pq.read_metadata(folder / state.rejects.path).num_rows
    return counts["in"], counts["kept"], counts["rejected"]


def _place(text: str) -> str:
    """Return the exception, and the last line of ours that it went through."""
    lines = text.strip().splitlines()
    ours = [line.strip() for line in lines if "/crystalgnn_core/" in line]
    place = ours[-1].rpartition("/crystalgnn_core/")[2] if ours else "?"
    return f"{lines[-1].partition(':')[0]} at {place}"


def show(results: list[Result], seed: int) -> None:
    """Print how many mutants of each format were read, the slowest, and the problems."""
    for kind in texts():
        own = [result for result in results if result.format == kind]
        read = sum(result.n_kept > 0 for result in own)
        bad = sum(bool(result.problem) for result in own)
        say(f"{kind:16} {len(own):6} files, of {read:6} a crystal was read, {bad} problems")
    for result in sorted(results, key=lambda result: -result.seconds)[:5]:
        say(f"slowest: {result.seconds:6.2f} s  {result.format}, number {result.number}")
    for result in sorted(results, key=lambda result: -result.megabytes)[:5]:
        say(f"largest: {result.megabytes:6.0f} MB {result.format}, number {result.number}")
    problems: dict[tuple[str, str], list[Result]] = {}
    for result in results:
        if result.problem:
            problems.setdefault((result.format, result.problem), []).append(result)
    for (kind, problem), found in sorted(problems.items(), key=lambda item: -len(item[1])):
        numbers = ", ".join(str(result.number) for result in found[:5])
        say(f"\n{kind}: {problem}: {len(found)} times, seed {seed}, numbers {numbers}")
        say("\n".join(found[0].detail.strip().splitlines()[-3:]))


def main() -> int:
    """Run, print what was found, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--mutations", type=int, default=20_000)
    parser.add_argument("--only", type=int, help="read one mutant, and show all of it")
    options = parser.parse_args()
    if options.only is not None:
        mutant = make_mutant(options.seed, options.only)
        say(mutant.format, mutant.changes)
        sys.stdout.buffer.write(mutant.content[:20_000] + b"\n")
        [result] = run_mutations(options.seed, [options.only])
        say(result.detail or result)
        return int(bool(result.problem))
    results = run_mutations(options.seed, range(options.mutations))
    show(results, options.seed)
    return int(any(result.problem for result in results))


if __name__ == "__main__":
    sys.exit(main())
