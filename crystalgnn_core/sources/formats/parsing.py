"""What all readers of structures share: one boundary, and one kind of refusal."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from crystalgnn_core.errors import CrystalGNNError, RecordError, printable
from crystalgnn_core.parallel import without_warnings
from crystalgnn_core.records.elements import NUMBER_OF_SYMBOL
from crystalgnn_core.records.schema import RawRecord

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from crystalgnn_core.records.crystal import Crystal

T = TypeVar("T")
logger = logging.getLogger(__name__)


def read_row(
    read: Callable[[], T], what: str = "a readable structure", *, strict: bool = False
) -> T | RecordError:
    """Return what a reader returns, or the error of its row; nothing else it may raise.

    This is the boundary around every reader of structures, rows and cells: whatever they
    raise costs a row and never the run. Other errors of this package pass, as does what
    stops the process; the traceback of the rest is in the log at debug level.

    Args:
        read: The reader.
        what: The expected form with its article, such as `a readable CIF`.
        strict: Let errors that are no refusal through, for tests.
    """
    try:
        return read()
    except RecordError as error:
        return error
    except BaseException as error:
        if strict or not _is_of_input(error):
            raise
        return _refusal_of(error, what)


@contextmanager
def parsing(what: str) -> Iterator[None]:
    """Run a parser of another package in silence, inside the boundary of `read_row`.

    Args:
        what: The expected form with its article, such as `a readable CIF`.

    Raises:
        RecordError: The parser failed.
    """
    try:
        with without_warnings():
            yield
    except BaseException as error:
        if not _is_of_input(error):
            raise
        raise _refusal_of(error, what) from error


def _is_of_input(error: BaseException) -> bool:
    """Return whether a library failed at its input; one in Rust may panic."""
    if isinstance(error, CrystalGNNError):
        return False
    return isinstance(error, Exception) or type(error).__name__ == "PanicException"


def _refusal_of(error: BaseException, what: str) -> RecordError:
    logger.debug("not %s", what, exc_info=error)
    if isinstance(error, OSError) and error.errno is not None:
        return _closed_file(error)
    return unreadable(f"not {what} ({describe_cause(error)})")


@contextmanager
def reading_file() -> Iterator[None]:
    """Name what keeps a file from being read as the fault of its rows.

    Raises:
        RecordError: `unreadable_structure`, the system refuses to open or to read it.
    """
    try:
        yield
    except OSError as error:
        raise _closed_file(error) from error


def _closed_file(error: OSError) -> RecordError:
    return unreadable(
        f"the file cannot be read ({error.strerror or describe_cause(error)}); make it "
        "readable or remove it"
    )


def unreadable(message: str) -> RecordError:
    """Make the error of a structure that cannot be read."""
    return RecordError("unreadable_structure", message)


def refused_row(material_id: str, where: str, error: RecordError) -> RawRecord:
    """Return the record of a row that cannot be used; its message names id and place."""
    message = ": ".join(filter(None, (material_id, printable(where), str(error))))
    return RawRecord(material_id, None, error=(error.reason, message))


def refuse(fault: str | RecordError) -> Crystal:
    """Stand in for the reader of a structure that is not there.

    Raises:
        RecordError: Always, with this message.
    """
    raise fault if isinstance(fault, RecordError) else unreadable(fault)


def is_refusal(content: object) -> bool:
    """Return whether this is `refuse` with its fault, in place of a structure."""
    return isinstance(content, partial) and content.func is refuse


def quoted(text: str) -> str:
    """Return the beginning of a text in quotes, its control characters escaped."""
    begin = text.strip()[:40]
    return repr(begin) if begin.isprintable() else ascii(begin)


def as_mapping(value: object) -> Mapping[str, Any]:
    """Return a mapping as it is, and an empty one for anything else."""
    return value if isinstance(value, Mapping) else {}


def describe_cause(error: BaseException) -> str:
    """Describe an error in one line, pymatgen's wrappers removed."""
    error = error.__cause__ or error
    first = (str(error).splitlines() or [""])[0][:200]
    shown = first if first.isprintable() else ascii(first)[1:-1]
    return f"{type(error).__name__}: {shown}"


def atomic_number_of(symbol: str) -> int:
    """Return the atomic number of an element symbol; deuterium and tritium are hydrogen.

    Raises:
        RecordError: `unknown_element`.
    """
    number = 1 if symbol in {"D", "T"} else NUMBER_OF_SYMBOL.get(symbol)
    if number is None:
        raise RecordError("unknown_element", f"{symbol!r} is no element symbol")
    return number
