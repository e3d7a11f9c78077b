"""What all readers of structures share: silent parsers and one kind of refusal."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from crystalgnn_core.errors import RecordError
from crystalgnn_core.parallel import without_warnings
from crystalgnn_core.records.elements import NUMBER_OF_SYMBOL
from crystalgnn_core.records.schema import RawRecord

if TYPE_CHECKING:
    from collections.abc import Iterator

    from crystalgnn_core.records.crystal import Crystal

# pymatgen indexes and converts as it reads, so damaged text surfaces as any of these;
# its POSCAR reader also raises a user warning. OSError and MemoryError pass through.
PARSER_ERRORS = (
    ArithmeticError,
    AttributeError,
    LookupError,
    RuntimeError,
    TypeError,
    ValueError,
    UserWarning,
)


@contextmanager
def parsing(what: str) -> Iterator[None]:
    """Run a parser of pymatgen in silence and name what its input turned out not to be.

    Args:
        what: The expected form with its article, such as `a readable CIF`.

    Raises:
        RecordError: The parser failed.
    """
    try:
        with without_warnings():
            yield
    except PARSER_ERRORS as error:
        raise unreadable(f"not {what} ({describe_cause(error)})") from error


def unreadable(message: str) -> RecordError:
    """Make the error of a structure that cannot be read."""
    return RecordError("unreadable_structure", message)


def refused_row(material_id: str, where: str, error: RecordError) -> RawRecord:
    """Return the record of a row that cannot be used; its message names id and place."""
    message = ": ".join(filter(None, (material_id, where, str(error))))
    return RawRecord(material_id, None, error=(error.reason, message))


def refuse(message: str) -> Crystal:
    """Stand in for the reader of a structure that is not there.

    Raises:
        RecordError: Always, with this message.
    """
    raise unreadable(message)


def quoted(text: str) -> str:
    """Return the beginning of a text in quotes, its control characters escaped."""
    return ascii(text.strip()[:40]) if not text.isprintable() else repr(text.strip()[:40])


def as_mapping(value: object) -> Mapping[str, Any]:
    """Return a mapping as it is, and an empty one for anything else."""
    return value if isinstance(value, Mapping) else {}


def describe_cause(error: BaseException) -> str:
    """Describe an error in one line, pymatgen's wrappers removed."""
    error = error.__cause__ or error
    first = (str(error).splitlines() or [""])[0][:200]
    return f"{type(error).__name__}: {first}"


def atomic_number_of(symbol: str) -> int:
    """Return the atomic number of an element symbol; deuterium and tritium are hydrogen.

    Raises:
        RecordError: `unknown_element`.
    """
    number = 1 if symbol in {"D", "T"} else NUMBER_OF_SYMBOL.get(symbol)
    if number is None:
        raise RecordError("unknown_element", f"{symbol!r} is no element symbol")
    return number
