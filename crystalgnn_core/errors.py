"""The error tree: every error a caller may catch.

CrystalGNNError
├── InputError            the user can fix it: a file, an option, a reference
│   ├── ConfigError       a setting is unknown, missing or contradictory
│   ├── SourceError       a source cannot be read at all
│   ├── ModelError        a model reference or bundle does not fit the request
│   ├── DownloadError     a file from elsewhere is not to be had, or is not as expected
│   ├── LabelSchemeError  labels of different schemes would be mixed
│   └── SuspiciousDataError  a source changed in a way that somebody should look at
├── RecordError           one record is unusable; it becomes a RejectedRecord
├── IntegrityError        a stored artifact is missing or damaged, or counts differ
├── ServerError           the Prefect server is gone, refuses, or is something else
├── RankError             processes that train together lost each other
├── TrainingDivergedError the loss became NaN, infinite, or ran away
└── TransientError        a second try may succeed; tasks retry only this branch
"""

from __future__ import annotations

from typing import Literal

RejectReason = Literal[
    "unreadable_structure",
    "unsupported_file",
    "no_atoms",
    "disordered_site",
    "unknown_element",
    "degenerate_cell",
    "overlapping_atoms",
    "isolated_atom",
    "too_few_neighbors",
    "cell_too_skewed",
    "missing_id",
    "duplicate_id",
    "missing_label",
    "invalid_label",
    "implausible_label",
    "license_excluded",
    "unseen_element",
    "invalid_prediction",
    "not_converged",
    "incompatible_settings",
    "missing_reference",
]


class CrystalGNNError(Exception):
    """Base of every error this package raises on purpose; its message can be stored."""

    def __str__(self) -> str:
        return printable(super().__str__())


def printable(text: str) -> str:
    r"""Return a text that holds the name of a file as Unicode.

    Bytes that are no UTF-8, which Python keeps as halves of characters, become `\xff`.
    """
    if text.isascii():
        return text
    try:
        content = text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # halves that are no bytes
        content = text.encode("utf-8", "backslashreplace")
    return content.decode("utf-8", "backslashreplace")


class InputError(CrystalGNNError):
    """Input that the user can fix; the command line prints it in one line."""


class ConfigError(InputError):
    """A setting is unknown, missing or contradictory."""


class SourceError(InputError):
    """A source cannot be read at all, as opposed to one bad record in it."""


class ModelError(InputError):
    """A model reference cannot be resolved, or a bundle does not fit the request."""


class DownloadError(InputError):
    """A file is not to be had from its host, or is not the expected one."""


class LabelSchemeError(InputError):
    """Labels of different schemes would be mixed in one target."""


class SuspiciousDataError(InputError):
    """The newest version of a source is suspicious and was not accepted."""


class RecordError(CrystalGNNError):
    """One record is unusable.

    Args:
        reason: Why, one word of the closed vocabulary.
        message: What was found, what was expected, and what to do.
    """

    def __init__(self, reason: RejectReason, message: str) -> None:
        super().__init__(message)
        self.reason: RejectReason = reason

    def __reduce__(self) -> tuple[type[RecordError], tuple[RejectReason, str]]:
        """Pickle both arguments, so that the error crosses a process boundary whole."""
        return type(self), (self.reason, str(self))


class IntegrityError(CrystalGNNError):
    """A stored artifact is missing or damaged, or counts that must agree do not."""


class RankError(CrystalGNNError):
    """Processes that train together did not find, or have lost, each other."""


class TrainingDivergedError(CrystalGNNError):
    """The training loss became NaN or infinite, or ran away."""


class ServerError(CrystalGNNError):
    """The Prefect server is gone, refuses, or is something else."""


class TransientError(CrystalGNNError):
    """A failure outside the data (network, lock, busy service) that may pass."""
