"""Open a JSON file as it is, in gzip, or as the one member of a zip archive."""

from __future__ import annotations

import gzip
import io
import lzma
import zipfile
import zlib
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, cast

from crystalgnn_core.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Iterator

Packed = Path | bytes  # a file, or what is in one

_BLOCK = 2**18  # bytes
_ZIPS = (b"PK\x03\x04", b"PK\x05\x06")  # the second one of an archive without members
_GZIP = b"\x1f\x8b"
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
    """A file is damaged or cut off."""


def read_blocks(path: Packed, offset: int = 0) -> Iterator[bytes]:
    """Yield the JSON text of a file in blocks, whatever it is packed in.

    Args:
        path: The file, or its content; the first bytes show whether it is a zip archive or
            gzip.
        offset: Byte of the unpacked text to begin with; what is before it is unpacked
            and dropped.

    Raises:
        DamagedFileError: It cannot be unpacked.
        OSError: It cannot be opened or read.
    """
    try:
        with ExitStack() as stack:
            file: IO[bytes] = (
                io.BytesIO(path) if isinstance(path, bytes) else path.open("rb")
            )
            stack.enter_context(file)
            stream = stack.enter_context(_unpacked(file, stack))
            stream.seek(offset)
            while block := stream.read(_BLOCK):
                yield block
    except _DAMAGE as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # of the disk, not of the archive
        raise DamagedFileError(
            f"the file is damaged or cut off ({error}); fetch it again"
        ) from error


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


def _unpacked(file: IO[bytes], stack: ExitStack) -> IO[bytes]:
    start = file.read(len(_ZIPS[0]))
    file.seek(0)
    if start.startswith(_GZIP):
        return cast("IO[bytes]", gzip.open(file))
    if start not in _ZIPS:
        return file
    archive = stack.enter_context(zipfile.ZipFile(file))
    return archive.open(_json_member(archive))


def _json_member(archive: zipfile.ZipFile) -> str:
    names = [
        name
        for name in archive.namelist()
        if name.lower().endswith(".json") and not name.startswith("__MACOSX/")
    ]
    if len(names) != 1:
        raise SourceError(f"{len(names)} JSON files in the archive, expected one")
    return names[0]
