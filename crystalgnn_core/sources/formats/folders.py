"""The files of a folder: those in the folders below it, and behind links to folders."""

from __future__ import annotations

import logging
import os
import re
from collections import Counter
from fnmatch import translate
from functools import cache
from pathlib import PurePosixPath
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote_to_bytes

from crystalgnn_core.base import digest_of
from crystalgnn_core.errors import SourceError, printable
from crystalgnn_core.sources.formats.archives import opened
from crystalgnn_core.sources.formats.sniffing import Look, look_at

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence
    from pathlib import Path

logger = logging.getLogger(__name__)
_ATOM_TABLE = "atom_init.json"  # of CGCNN, beside its structures
_LABEL_TABLE = "id_prop.csv"
_MOST_ENDS = 8  # of names, that are counted one by one
_PACKED = (".gz", ".bz2", ".xz", ".txt")
_OF_VASP = (
    "INCAR KPOINTS POTCAR OUTCAR OSZICAR XDATCAR CHG CHGCAR WAVECAR DOSCAR EIGENVAL PROCAR "
    "IBZKPT PCDAT REPORT LOCPOT ELFCAR PARCHG AECCAR0 AECCAR1 AECCAR2 WAVEDER STOPCAR"
)
_OF_PROJECTS = "README LICENSE LICENCE COPYING NOTICE AUTHORS CHANGELOG CITATION"
_COMPANIONS = frozenset(f"{_OF_VASP} {_OF_PROJECTS}".split())
_LIKE_A_RUN = ("*vasprun*", "*.xml", "*.xml.*")
_STEP = re.compile(r"vasprun.*\.xml\.(?:relax(\d{1,9})|static)", re.IGNORECASE)
_NO_STEP, _STATIC, _WHOLE = -1, 10**9, 10**10


def matches(name: str, patterns: Sequence[str]) -> bool:
    """Return whether a file name has one of the patterns, in any letter case.

    A packed file counts as what is in it, as does a text that was renamed for an upload:
    `a.cif.gz` and `a.cif.txt` match `*.cif`.
    """
    pattern = _joined(tuple(patterns))
    inner = unpacked_name(name)
    return bool(pattern.match(name) or (inner != name and pattern.match(inner)))


@cache
def _joined(patterns: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join(map(translate, patterns)) or r"(?!)", re.IGNORECASE)


def unpacked_name(name: str) -> str:
    """Return a file name without endings that say how it is packed, and without `.txt`."""
    while name.lower().endswith(_PACKED):
        name = name.rpartition(".")[0]
    return name


def find_files(folder: Path, patterns: Sequence[str]) -> list[Path]:
    """List the files of a folder and the folders in it with one of the patterns.

    Hidden files and folders are left out, and CGCNN's table of atoms beside its table of
    labels. Links to folders are followed, but for those to a folder of the same tree, whose
    files are found without them. A link to nothing is a line in the log.

    Raises:
        SourceError: A folder cannot be listed.
    """
    files = [
        path
        for path in _walk(folder, folder.resolve(), ())
        if matches(path.name, patterns) and _is_there(path)
    ]
    return sorted(files, key=lambda path: path.relative_to(folder).as_posix())


def find_runs(
    folder: Path, patterns: Sequence[str]
) -> tuple[list[Path], list[tuple[str, str]]]:
    """List the runs of VASP below a folder; with the reason, what else looks like one.

    Of the steps of one calculation, which custodian names `vasprun.xml.relax1` and
    `vasprun.xml.relax2`, the last is the run, or `vasprun.xml.static`; and none where there
    is a `vasprun.xml`.

    Raises:
        SourceError: A folder cannot be listed.
    """
    files = find_files(folder, (*patterns, *_LIKE_A_RUN))
    steps = [_step_of(file.name, patterns) for file in files]
    whole = {file.parent for file, step in zip(files, steps, strict=True) if step == _WHOLE}
    keys = [
        (file.parent, file.parent in whole or file.name.lower().partition(".xml")[0])
        for file in files
    ]
    last: dict[tuple[Path, str | bool], tuple[int, str]] = {}
    for file, step, key in zip(files, steps, keys, strict=True):
        last[key] = max((step, file.name), last.get(key, (_NO_STEP, "")))
    runs, others = [], []
    for file, step, key in zip(files, steps, keys, strict=True):
        latest, chosen = last[key]
        if step == latest != _NO_STEP and (step == _WHOLE or file.name == chosen):
            runs.append(file)
            continue
        why = f"runs are named {', '.join(patterns)} or vasprun.xml.relax2; rename it"
        name = printable(file.relative_to(folder).as_posix())
        why = why if latest == _NO_STEP else f"the run is {printable(chosen)} beside it"
        others.append((name, f"{name}: not read; {why}"))
    return runs, others


def _step_of(name: str, patterns: Sequence[str]) -> int:
    """Return which step of a calculation a file holds, by its name."""
    if matches(name, patterns):
        return _WHOLE
    found = _STEP.fullmatch(unpacked_name(name))
    if found is None:
        return _NO_STEP
    return _STATIC if found[1] is None else int(found[1])


def find_unsupported(folder: Path, patterns: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield the files that `find_files` leaves out, below the folder, and why.

    Not those that nobody takes for structures: hidden ones, tables of CGCNN, README and the
    like, and files of VASP such as INCAR and OUTCAR.

    Raises:
        SourceError: A folder cannot be listed.
    """
    expected = ", ".join(patterns)
    for path in sorted(_walk(folder, folder.resolve(), ())):
        name = printable(path.relative_to(folder).as_posix())
        if not path.exists():
            yield name, f"{name}: a link to a file that is not there; correct or remove it"
        elif not path.is_file():
            yield name, f"{name}: a pipe or a device, not a file; remove it"
        elif not (matches(path.name, patterns) or _is_companion(path)):
            found = f"not read{_looks_like(path)}"
            yield name, f"{name}: {found}; structures in a folder are named {expected}"


def count_left_out(names: Collection[str]) -> str:
    """Count files by the ends of their names: `3 files left out: *.csv 2, *.png 1`."""
    ends = Counter(
        f"*{suffix}" if (suffix := PurePosixPath(name).suffix) else PurePosixPath(name).name
        for name in names
    )
    counts = [f"{end} {n}" for end, n in ends.most_common(_MOST_ENDS)]
    if len(ends) > _MOST_ENDS:
        counts.append(
            f"others {ends.total() - sum(n for _, n in ends.most_common(_MOST_ENDS))}"
        )
    n_files = f"{len(names)} file{'s' if len(names) > 1 else ''}"
    return f"{n_files} left out: {', '.join(counts)}"


def _looks_like(path: Path) -> str:
    """Say in a half sentence what the content of a file looks like, if that is plain."""
    try:
        with opened(path) as stream:
            head = stream.read(2**13)
    except (SourceError, OSError):
        return ""
    look = look_at(head) if head.strip() else Look()
    if look.formats:
        return f", though it looks like {look.formats[-1]}"
    return f" ({look.what})" if look.what else ""


def note_name(file: Path, folder: Path) -> str:
    """Return the name of a file below a folder as JSON can hold it.

    One that is not UTF-8 is percent-encoded behind a slash, with which no other begins.
    """
    name = file.relative_to(folder).as_posix()
    return name if printable(name) == name else f"/{quote(os.fsencode(name))}"


def noted_file(folder: Path, name: str) -> Path:
    """Return the file that `note_name` named."""
    is_encoded = name.startswith("/")
    return folder / (os.fsdecode(unquote_to_bytes(name[1:])) if is_encoded else name)


def printable_ids(ids: Sequence[str]) -> list[str]:
    """Return ids made of file names as Unicode, different ones as different ones."""
    shown = [printable(one) for one in ids]
    counts = Counter(shown)
    pairs = zip(ids, shown, strict=True)
    return [
        text if text == one or counts[text] == 1 else f"{text}-{digest_of(one)[:6]}"
        for one, text in pairs
    ]


def _is_companion(path: Path) -> bool:
    stem = path.name.partition(".")[0]
    return stem in _COMPANIONS or path.name in {_ATOM_TABLE, _LABEL_TABLE}


def _walk(folder: Path, root: Path, above: tuple[Path, ...]) -> Iterator[Path]:
    """Yield what is no folder; `above` holds the folders that lead here, links resolved."""
    here = folder.resolve()
    if here in above:
        return
    try:
        entries = list(folder.iterdir())
    except OSError as error:
        raise SourceError(
            f"{folder}: the folder cannot be listed ({error.strerror}); make it readable "
            "or move it elsewhere"
        ) from error
    for entry in entries:
        if entry.name.startswith("."):
            continue
        if not entry.is_dir():
            yield entry
        elif not (entry.is_symlink() and entry.resolve().is_relative_to(root)):
            yield from _walk(entry, root, (*above, here))


def _is_there(path: Path) -> bool:
    if path.is_symlink() and not path.exists():
        logger.warning("%s: left out, a link to a file that is not there", path)
    return path.is_file() and not (
        path.name == _ATOM_TABLE and (path.parent / _LABEL_TABLE).is_file()
    )
