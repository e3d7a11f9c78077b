"""What the change gate says about a version of a source, and from where on it alarms."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, model_validator

from crystalgnn_core.base import FrozenModel
from crystalgnn_core.records.gate.thresholds import FORMER_SETTINGS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

logger = logging.getLogger(__name__)
Verdict = Literal["unchanged", "small update", "large update", "suspicious"]
Engines = tuple["Mapping[str, str]", "Mapping[str, str]"]
Share = Annotated[float, Field(ge=0.0, le=1.0)]


class GateConfig(FrozenModel):
    """From where on a new version of a source is suspicious.

    These five are settings because sound sources differ in them: a database retires rows,
    withdraws labels, turns to materials of another kind or recomputes them, and a folder
    grows by files that cannot be read. The other thresholds are constants in
    `records/gate/thresholds.py`: chance or the errors that they look for decide them,
    whatever the source.

    Shares count from 0 to 1. Standard deviations are those of the labels before.

    Attributes:
        max_rows_lost: Largest loss of rows, as a share of those before, and of the most
            that there were since the last acceptance.
        max_labels_lost: Largest loss of labels of a target beside that of rows, as a share
            of those before, and largest decrease of the share of rows that have one.
        max_rejects: Largest increase of the share of rows refused; of the rows that came,
            twice as many may be.
        max_mean_shift: Farthest that the mean of a target may move, in standard deviations.
        max_moved: Largest share of labels that may move by more than one standard deviation
            in rows whose formula stays.
    """

    max_rows_lost: Share = 0.1
    max_labels_lost: Share = 0.1
    max_rejects: Share = 0.05
    max_mean_shift: Annotated[float, Field(gt=0.0)] = 0.75
    max_moved: Share = 0.05

    @model_validator(mode="before")
    @classmethod
    def _leave_out_former_settings(cls, given: Any) -> Any:  # noqa: ANN401  any settings
        former = FORMER_SETTINGS & given.keys() if isinstance(given, dict) else ()
        if not former:
            return given
        logger.warning(
            "gate: %s: no settings any more; constants of the gate are used. Remove "
            "these keys, as the next release refuses them",
            ", ".join(sorted(former)),
        )
        return {name: given[name] for name in given if name not in former}


class Finding(FrozenModel):
    """One thing that the gate saw.

    Attributes:
        check: Name of the check.
        message: One sentence with the numbers, before -> after.
        is_alarm: Whether it makes the version suspicious.
    """

    check: str
    message: str
    is_alarm: bool = False


def alarm(check: str, message: str) -> Finding:
    """Return a finding that makes the version suspicious."""
    return Finding(check=check, message=message, is_alarm=True)


class GateReport(FrozenModel):
    """The report on a version of a source.

    Attributes:
        source: Name of the source.
        verdict: What the new version is, beside the one before.
        version_before: Version of the record table that it was compared with, the last one
            that was not suspicious or was accepted; None if there was none.
        version: Version of the record table that was judged; -1 when there is no table.
        n_before: Rows before.
        n_rows: Rows now.
        n_new: Rows whose id is new.
        n_changed: Rows whose content differs.
        n_removed: Rows that are gone.
        findings: What was found, alarms first.
    """

    source: str
    verdict: Verdict
    version_before: int | None
    version: int
    n_before: int
    n_rows: int
    n_new: int
    n_changed: int
    n_removed: int
    findings: tuple[Finding, ...]

    @property
    def is_suspicious(self) -> bool:
        """Whether nothing should be trained on it before somebody has looked."""
        return self.verdict == "suspicious"

    @property
    def reasons(self) -> tuple[str, ...]:
        """What makes it suspicious, or else all that was found."""
        alarms = tuple(entry.message for entry in self.findings if entry.is_alarm)
        return alarms or tuple(entry.message for entry in self.findings)

    @property
    def n_touched(self) -> int:
        """Rows that are new, changed or removed."""
        return self.n_new + self.n_changed + self.n_removed


MAX_NAMED = 5


def percent(share: float) -> str:
    """Write a share as a percentage; a small non-zero one never reads as zero."""
    if 0.0 < share < 0.0005:
        return "< 0.1 %"
    return f"{100.0 * share:.1f} %"


def change(before: float, after: float, unit: str = "") -> str:
    """Write two numbers with four digits, and their unit."""
    return f"{before:.4g} -> {after:.4g}{f' {unit}' if unit else ''}"


def counts(before: Mapping[str, int], after: Mapping[str, int]) -> str:
    """Write how often each of some names occurs, before and after, those that differ."""
    known = [*before, *(name for name in after if name not in before)]
    differing = [name for name in known if before.get(name, 0) != after.get(name, 0)]
    return named(
        [f"{name} {before.get(name, 0):,} -> {after.get(name, 0):,}" for name in differing]
    )


def named(items: Sequence[str]) -> str:
    """Name the first of some items, and count the others."""
    more = len(items) - MAX_NAMED
    return ", ".join(items[:MAX_NAMED]) + (f" and {more} more" if more > 0 else "")
