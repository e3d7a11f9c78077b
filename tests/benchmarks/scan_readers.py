"""Read every CIF, POSCAR and vasprun of some folders with us, pymatgen, ASE and gemmi.

Tables (`*.parquet`) with a column `cif` count as that many files. Each reader of each file
has a time and a memory limit. Composition, number of atoms, volume and every place are
compared, and the differences are sorted into kinds; the table that is written has one row
per data block, with what each reader found, or why it found nothing.

    python -m tests.benchmarks.scan_readers FOLDER ... [--output table.csv]
"""

import argparse
import bz2
import csv
import gzip
import lzma
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow.parquet as pq

from deployments.tables import show_line, show_rows
from tests.benchmarks.scan_comparison import EQUIVALENT, KINDS, SAME, relate_all, sort_kind
from tests.benchmarks.scan_parsers import (
    CIF,
    POSCAR,
    READERS,
    VASPRUN,
    Atoms,
    Found,
    prepare,
    read_with,
)
from tests.guarded import GuardedChild

UNPACKERS: dict[str, Callable[[bytes], bytes]] = {
    ".gz": gzip.decompress,
    ".bz2": bz2.decompress,
    ".xz": lzma.decompress,
}
SHOWN = 60  # of each kind
_POSCAR_STARTS, _POSCAR_ENDS = ("poscar", "contcar"), (".vasp", ".poscar")
_CODE = (".py", ".pyc", ".pyi", ".so", ".tar", ".zip", ".md", ".rst", ".html", ".json")


class Block(NamedTuple):
    """A data block, or a whole file that has none, and what came of it."""

    folder: str
    name: str
    format: str
    kind: str
    found: dict[str, Found]
    note: str


def run() -> None:
    """Scan the folders, print how many blocks are of which kind, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", nargs="+", type=Path, metavar="FOLDER")
    parser.add_argument("--output", type=Path, help="CSV table of all blocks")
    parser.add_argument("--seconds", type=float, default=60.0, help="limit per reader")
    parser.add_argument("--gigabytes", type=float, default=2.0, help="limit per reader")
    parser.add_argument(
        "--every", type=int, default=1, help="take every n-th row of tables"
    )
    options = parser.parse_args()
    blocks: list[Block] = []
    limits = {"seconds": options.seconds, "megabytes": 1024 * options.gigabytes}
    with GuardedChild(prepare, **limits) as child:
        for folder in options.folders:
            for name, path in files_of(folder, options.every):
                blocks += scan_file(child, str(folder), name, path)
    show_kinds(blocks)
    show_differences(blocks)
    if options.output is not None:
        write_table(options.output, blocks)


def format_of(name: str) -> str | None:
    """Return the format that a file name promises, if it is one of the three."""
    name = name.lower()
    for ending in UNPACKERS:
        name = name.removesuffix(ending)
    if name.endswith(_CODE):
        return None
    if name.endswith((".cif", ".mcif", ".cif.txt")):
        return CIF
    if name.startswith("vasprun") and name.endswith(".xml"):
        return VASPRUN
    is_poscar = name.startswith(_POSCAR_STARTS) or name.endswith(_POSCAR_ENDS)
    return POSCAR if is_poscar else None


def files_of(folder: Path, every: int) -> Iterator[tuple[str, Path]]:
    """Yield names and paths of files to read; a row of a table lies in a passing file."""
    for path in sorted(folder.rglob("*")) if folder.is_dir() else [folder]:
        if not path.is_file():
            continue
        name = path.relative_to(folder).as_posix() if folder.is_dir() else path.name
        if path.suffix == ".parquet" and "cif" in pq.read_schema(path).names:
            texts = pq.read_table(path, columns=["cif"])["cif"].to_pylist()
            with tempfile.TemporaryDirectory() as temporary:
                for row in range(0, len(texts), every):
                    passing = Path(temporary, f"row-{row}.cif")
                    text = texts[row]
                    content = text if isinstance(text, bytes) else str(text).encode()
                    passing.write_bytes(content)
                    yield f"{name}:{row}", passing
                    passing.unlink()
        elif format_of(path.name) is not None:
            yield name, path


def scan_file(child: GuardedChild, folder: str, name: str, path: Path) -> list[Block]:
    """Read a file in all ways, and compare block by block."""
    kind = format_of(path.name)
    assert kind is not None
    with tempfile.TemporaryDirectory() as temporary:
        plain = _unpacked(path, Path(temporary))
        lists: dict[str, list[Found]] = {}
        for reader in READERS:
            source = path if reader == "ours" else plain
            answer = child.call(read_with, reader, kind, str(source))
            lists[reader] = answer.value or [_reason_of(answer.failure)]
    n_blocks = max(len(found) for found in lists.values())
    blocks = []
    for index in range(n_blocks):
        found = {reader: _nth(each, index, n_blocks) for reader, each in lists.items()}
        own = name if n_blocks == 1 else f"{name} block {index + 1}"
        answer = child.call(relate_all, found)
        relations = answer.value or {}
        differences = [
            f"{first} and {second}: {relation}"
            for (first, second), relation in relations.items()
            if relation not in (SAME, EQUIVALENT)
        ]
        note = "; ".join(differences) or answer.failure
        blocks.append(Block(folder, own, kind, sort_kind(found, relations), found, note))
    return blocks


def show_kinds(blocks: list[Block]) -> None:
    """Print how many blocks are of which kind, by folder and format."""
    counts = Counter((block.folder, block.format, block.kind) for block in blocks)
    groups = list(dict.fromkeys((block.folder, block.format) for block in blocks))
    for folder, kind in groups:
        rows = [
            (name, f"{counts[folder, kind, name]:,}", text)
            for name, text in KINDS.items()
            if counts[folder, kind, name]
        ]
        show_rows(f"{folder}: {kind}", ("what", "#blocks", "that is"), rows)


def show_differences(blocks: list[Block]) -> None:
    """Print blocks in which readers do not agree, some of each kind."""
    counts: Counter[str] = Counter()
    for block in blocks:
        counts[block.kind] += block.kind != "all agree"
        if 0 < counts[block.kind] <= SHOWN:
            show_line(f"{block.kind}: {block.name}")
            for reader, found in block.found.items():
                show_line(f"    {reader:9} {describe(found)}")
            if block.note:
                show_line(f"    {block.note}")
    for kind, count in counts.items():
        if count > SHOWN:
            show_line(f"{kind}: {count - SHOWN} more, see the table")


def write_table(path: Path, blocks: Iterable[Block]) -> None:
    """Write one row per block."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("folder", "file", "format", "kind", *READERS, "differences"))
        for block in blocks:
            found = [describe(block.found[reader]) for reader in READERS]
            writer.writerow((*block[:4], *found, block.note))


def describe(found: Found) -> str:
    """Return formula, number of atoms and volume, or the reason."""
    if not isinstance(found, Atoms):
        return found
    from pymatgen.core.composition import Composition

    counts = dict(zip(*np.unique(found.numbers, return_counts=True), strict=True))
    formula = Composition({int(number): int(n) for number, n in counts.items()}).formula
    volume = abs(np.linalg.det(found.lattice))
    return f"{formula}, {len(found.numbers)} atoms, {volume:.2f} A^3"


def _unpacked(path: Path, folder: Path) -> Path:
    unpack = UNPACKERS.get(path.suffix.lower())
    if unpack is None:
        return path
    plain = folder / path.stem
    plain.write_bytes(unpack(path.read_bytes()))
    return plain


def _nth(found: list[Found], index: int, n_blocks: int) -> Found:
    """Return what a reader found in a block; one reason stands for the whole file."""
    if len(found) == n_blocks:
        return found[index]
    if len(found) == 1 and isinstance(found[0], str):
        return found[0]
    return f"found {len(found)} of {n_blocks} blocks, which are not compared"


def _reason_of(failure: str) -> str:
    return failure.strip().splitlines()[-1][:200] if failure else "nothing"


if __name__ == "__main__":
    run()
