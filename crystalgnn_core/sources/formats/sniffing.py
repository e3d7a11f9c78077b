"""What the first bytes of a file say it is, and how its text is encoded."""

from __future__ import annotations

import codecs
import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

_BINARY = (
    (b"PAR1", "Parquet", ""),
    (b"SQLite format 3\x00", "an ASE database", ""),
    (b"\x89PNG", "", "a PNG picture"),
    (b"\xff\xd8\xff", "", "a JPEG picture"),
    (b"GIF8", "", "a GIF picture"),
    (b"II*\x00", "", "a TIFF picture"),
    (b"%PDF", "", "a PDF document"),
    (b"\xd0\xcf\x11\xe0", "", "an old Excel or Word document"),
    (b"\x89HDF", "", "an HDF5 file"),
    (b"CDF\x01", "", "a NetCDF file"),
    (b"\x93NUMPY", "", "an array of NumPy"),
    (b"ARROW1", "", "an Arrow file; write it as Parquet"),
    (b"- of Ulm", "", "an ASE trajectory; write it as extended XYZ"),
    (b"\x28\xb5\x2f\xfd", "", "a zstd archive; unpack it"),
    (b"7z\xbc\xaf", "", "a 7z archive; unpack it"),
    (b"Rar!", "", "a RAR archive; unpack it"),
    (b"PK\x03\x04", "", "a zip archive; unpack it"),
    (b"\x1f\x8b", "", "a gzip archive in an archive; unpack it"),
    (b"BZh", "", "a bzip2 archive in an archive; unpack it"),
    (b"\xfd7zXZ", "", "an xz archive in an archive; unpack it"),
    (b"\x7fELF", "", "a program"),
    (b"version https://git-lfs", "", "a Git LFS pointer; fetch it with git lfs pull"),
    *((bytes([128, n]), "", "a pickle, which is never opened") for n in range(2, 6)),
)
_BINARY_STARTS = tuple(start for start, *_ in _BINARY)
EMPTY = "empty, or begins with nothing but blanks"
_TAR = (257, b"ustar")
_BOMS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_TEXT_BYTES = bytes({*b"\t\n\v\f\r\x1a", *range(0x20, 0x7F), *range(0x80, 0x100)})

# possessive, so that no text takes more than linear time
_NUMBER = r"[+-]?(?:\d++\.?\d*+|\.\d++)(?:[eEdD][+-]?\d++)?"
_GAP = r"(?:[ \t]+|(?=-))"
_VECTOR = rf"[ \t]*{_NUMBER}{_GAP}{_NUMBER}{_GAP}{_NUMBER}(?![\d.])[^\n]*\n"
_BLANK = r"(?:[ \t]*\n)*"
_POSCAR = re.compile(
    rf"[^\n]*\n{_BLANK}[ \t]*{_NUMBER}(?!\S)[^\n]*\n(?:{_BLANK}{_VECTOR}){{3}}"
)
_XYZ = re.compile(
    r"[ \t]*\d+[ \t]*\n(?:[^\n]*\b(?:lattice|properties)[ \t]*=|"
    rf"[^\n]*\n[ \t]*[A-Z][a-z]?{_GAP}{_VECTOR})",
    re.IGNORECASE,
)
_FIRST_LINE = re.compile(r"^[ \t]*([^\s#][^\n]*)", re.MULTILINE)  # that is no comment
_CIF_START = re.compile(r"(?:data_|global_|loop_\s|save_|_[a-z])", re.IGNORECASE)
_CIF_LINE = re.compile(
    r"^[ \t]*+(?:data_\S*+|loop_|_(?:cell|atom_site)[_.]\S*+)[ \t]*+(?:\n|[^\n,]*$)",
    re.MULTILINE | re.IGNORECASE,
)
_OTHERS = (
    (r"(?:CRYST1|ATOM  |HETATM|HEADER )", "a PDB file"),
    (r"[ \t]*+&(?:control|system)\b", "an input of Quantum ESPRESSO"),
    (r"[ \t]*+lattice_vector\s", "a geometry of FHI-aims"),
    (r"[ \t]*+(?:CRYSTAL|SLAB|PRIMVEC)\s*$", "an XSF file"),
    (r"TITL\b", "a SHELX file"),
    (r"/annex/objects/", "a git-annex pointer; fetch it with git annex get"),
    (r"ITEM: TIMESTEP", "a dump of LAMMPS"),
    (r"[ \t]*+%block\s+lattice", "an input of CASTEP or SIESTA"),
)
_OTHER_TEXTS = [
    (re.compile(f"^{pattern}", re.MULTILINE | re.IGNORECASE), name)
    for pattern, name in _OTHERS
]


class Look(NamedTuple):
    """What a file looks like.

    Attributes:
        formats: Names of the formats it may have; none where its content shows none.
        what: What it is, where it can be no structure, for messages; else empty.
    """

    formats: tuple[str, ...] = ()
    what: str = ""


def look_at(head: bytes) -> Look:
    """Look at the first bytes of a file, unpacked."""
    if head.startswith(_BINARY_STARTS):
        name, what = next(rest for start, *rest in _BINARY if head.startswith(start))
        return Look((name,) if name else (), what)
    if head[_TAR[0] :].startswith(_TAR[1]):
        return Look((), "a tar archive; unpack it")
    if encoding_of(head) is None and is_binary(head):
        return Look((), f"binary data that begins with the bytes {head[:4].hex(' ')}")
    text = decode(head)
    if not text.strip():
        return Look((), EMPTY)
    return _look_at_text(text)


def encoding_of(head: bytes) -> str | None:
    """Return the encoding that a mark or every second NUL shows; None means UTF-8."""
    for mark, encoding in _BOMS:
        if head.startswith(mark):
            return encoding
    begin = head[:512]
    half = len(begin) // 2
    if half < 4 or 0 not in begin:
        return None
    for first, encoding in ((1, "utf-16-le"), (0, "utf-16-be")):
        if begin[first::2].count(0) > 0.8 * half and begin[1 - first :: 2].count(0) == 0:
            return encoding
    return None


def decode(content: bytes) -> str:
    """Decode a text of any encoding and any line ends.

    A stray byte in a comment must not cost the structure; junk fails in the parser.
    """
    text = content.decode(encoding_of(content) or "utf-8", errors="replace")
    text = text.removeprefix("\ufeff").removesuffix("\x1a")  # the end of a file of DOS
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text


def is_binary(head: bytes) -> bool:
    """Return whether these are bytes of no text of one byte a letter."""
    begin = head[:4096]
    n_controls = len(begin.translate(None, _TEXT_BYTES))
    return 0 in begin or n_controls > 0.02 * len(begin)


def _look_at_text(text: str) -> Look:
    begin = text.lstrip()
    if _POSCAR.match(text) or _POSCAR.match(begin):
        return Look(("POSCAR",))
    if _XYZ.match(begin):
        return Look(("extended XYZ",))
    if begin.startswith(("{", "[")):
        return Look(("JSON of ComputedStructureEntry", "JSON"))
    if begin.startswith("<"):
        return _look_at_markup(begin[:4096].lower())
    return Look(tuple(_formats_by_line(text, begin)))


def _look_at_markup(begin: str) -> Look:
    if "<modeling" in begin:
        return Look(("VASP run",))
    is_page = begin.startswith("<!doctype html") or "<html" in begin
    return Look((), "an HTML page" if is_page else "XML, but no vasprun.xml")


def _formats_by_line(text: str, begin: str) -> Iterator[str]:
    """Yield CIF or CSV, by the first line that is no comment, or by any line."""
    found = _FIRST_LINE.search(begin)
    first = found.group(1) if found else ""
    if _CIF_START.match(first):
        yield "CIF"
        return
    fields = {name.strip("\"' ").lower() for name in re.split(r"[,;\t]", first)}
    if len(fields) > 1 and fields & {"cif", "structure"}:
        yield "CSV"
    elif _CIF_LINE.search(text):
        yield "CIF"


def other_text(head: bytes) -> str:
    """Name what a text is that has none of the formats."""
    text = decode(head)
    found = (name for pattern, name in _OTHER_TEXTS if pattern.search(text))
    name = next(found, "text that is no CIF, POSCAR, JSON or extended XYZ")
    return name if ";" in name else f"{name}; convert it to CIF, for example with ASE"
