"""Open a text as it is, in gzip, bzip2 or xz, or as the one JSON in a zip archive."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zipfile
import zlib
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

from crystalgnn_core.errors import SourceError
from crystalgnn_core.sources.formats.sniffing import decode, encoding_of, is_binary

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from _typeshed import WriteableBuffer

Packed = Path | bytes  # a file, or what is in one

_BLOCK = 2**18  # bytes
_ZIPS = (b"PK\x03\x04", b"PK\x05\x06")  # the second one of an archive without members
_PACKED = ((b"\x1f\x8b", gzip.open), (b"BZh", bz2.open), (b"\xfd7zXZ\x00", lzma.open))
_EXCEL = "xl/workbook.xml"
_LARGEST_RATIO = 200  # of an unpacked text to its archive; texts of structures have 3 to 30
_ALWAYS_UNPACKED = 2**24  # bytes, whatever the ratio
LARGEST_TEXT = 2**28  # bytes of a text that is held in memory whole
_MAX_SLICES = 16  # of an archive
_DAMAGE = (
    zipfile.BadZipFile,
    gzip.BadGzipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    OSError,  # also of bzip2, and of a disk that cannot be read
    UnicodeDecodeError,  # of the name of a member
    RuntimeError,  # of a member with a password
    NotImplementedError,  # of an unknown compression
)


class DamagedFileError(SourceError):
    """A file is damaged or cut off, or larger than it may be."""


@contextmanager
def opened(source: Packed) -> Iterator[IO[bytes]]:
    """Open a file, or its content, as a stream of UTF-8, whatever it is packed in.

    Its first bytes, not its name, show how it is packed and encoded.

    Raises:
        DamagedFileError: It cannot be unpacked, or expands to far more than its size.
        SourceError: A zip archive without or with several JSON members.
        OSError: It cannot be opened or read.
    """
    try:
        with ExitStack() as stack:
            file: IO[bytes] = (
                io.BufferedReader(io.BytesIO(source))
                if isinstance(source, bytes)
                else stack.enter_context(source.open("rb"))
            )
            yield _as_utf8(_unpacked(file, stack))
    except _DAMAGE as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # of the disk, not of the archive
        raise DamagedFileError(
            f"the file is damaged or cut off ({error}); fetch it again"
        ) from error


def merge_if_packed(path: Path, parts: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Join ranges of rows of an archive, which is unpacked from its beginning for each."""
    if len(parts) <= _MAX_SLICES or not is_packed(path):
        return list(parts)
    n_each = -(-len(parts) // _MAX_SLICES)
    return [
        parts[at] | {"n_rows": sum(part["n_rows"] for part in parts[at : at + n_each])}
        for at in range(0, len(parts), n_each)
    ]


def read_blocks(path: Packed, offset: int = 0) -> Iterator[bytes]:
    """Yield the text of a file in blocks, see `opened`.

    Args:
        path: The file, or its content.
        offset: Byte of the unpacked text to begin with; what is before it is unpacked
            and dropped.
    """
    with opened(path) as stream:
        stream.seek(offset)
        while block := stream.read(_BLOCK):
            yield block


def read_rest(stream: IO[bytes], head: bytes = b"") -> bytes:
    """Return what is in a stream behind its head, with the head.

    Raises:
        DamagedFileError: That is more than a text may have that is held in memory.
    """
    blocks, n_bytes = [head], len(head)
    while block := stream.read(_BLOCK):  # all at once would reserve the most there may be
        blocks.append(block)
        n_bytes += len(block)
        if n_bytes > LARGEST_TEXT:
            raise DamagedFileError(
                f"the file holds more than {LARGEST_TEXT // 2**20} MiB of text; split it, "
                "or store its structures in a Parquet table"
            )
    return b"".join(blocks)


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn what a missing or damaged file raises into an error that names the file.

    Raises:
        SourceError: The file is missing, damaged or cut off, a zip archive without or with
            several JSON members, or a reader of its text complained.
    """
    try:
        yield
    except SourceError as error:
        raise SourceError(f"{path}: {error}") from error
    except FileNotFoundError as error:
        raise SourceError(f"{path}: no such file") from error
    except IsADirectoryError as error:
        raise SourceError(f"{path}: a folder, expected a file") from error
    except OSError as error:
        raise SourceError(f"{path}: cannot be read ({error})") from error


def is_packed(path: Path) -> bool:
    """Return whether a file is an archive, by its first bytes."""
    with path.open("rb") as file:
        start = file.read(6)
    return start.startswith((*_ZIPS, *(magic for magic, _ in _PACKED)))


class _Expanding(io.RawIOBase):
    """An archive that stops where it expands to far more than its size."""

    def __init__(self, stream: IO[bytes], n_packed: int) -> None:
        self._stream = stream
        self._limit = max(_ALWAYS_UNPACKED, _LARGEST_RATIO * n_packed)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._stream.seek(offset, whence)

    def tell(self) -> int:
        return self._stream.tell()

    def readinto(self, buffer: WriteableBuffer) -> int:
        view = memoryview(buffer)
        content = self._stream.read(len(view))
        view[: len(content)] = content
        if self._stream.tell() > self._limit:
            raise DamagedFileError(
                f"the archive expands to more than {self._limit // 2**20} MiB, "
                f"{_LARGEST_RATIO} times its size or more; no text of structures does"
            )
        return len(content)


def _unpacked(file: IO[bytes], stack: ExitStack) -> IO[bytes]:
    start = file.read(6)
    n_packed = file.seek(0, io.SEEK_END)
    file.seek(0)
    for magic, open_ in _PACKED:
        if start.startswith(magic):
            stream = cast("IO[bytes]", open_(file))
            break
    else:
        if not start.startswith(_ZIPS):
            return file
        archive = stack.enter_context(zipfile.ZipFile(file))
        stream = archive.open(_json_member(archive))
    return cast("IO[bytes]", io.BufferedReader(_Expanding(stream, n_packed), _BLOCK))


def _as_utf8(stream: IO[bytes]) -> IO[bytes]:
    """Return a stream of UTF-8 with line feeds; a stream as it is where it is that."""
    begin = cast("io.BufferedReader", stream).peek(4096)
    has_line_ends = b"\n" in begin or b"\r" not in begin or is_binary(begin)
    if encoding_of(begin) is None and has_line_ends:
        return stream
    return io.BytesIO(decode(read_rest(stream)).encode())


def _json_member(archive: zipfile.ZipFile) -> str:
    if _EXCEL in archive.namelist():
        raise SourceError("the file is an Excel workbook; save the sheet as CSV")
    names = [
        name
        for name in archive.namelist()
        if name.lower().endswith(".json") and not name.startswith("__MACOSX/")
    ]
    if len(names) != 1:
        raise SourceError(
            f"{len(names)} JSON files in the archive, expected one; unpack it"
        )
    return names[0]
