"""What the change gate says about a version of a source, and from where on it alarms."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from crystalgnn_core.base import LATER, FrozenModel

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Verdict = Literal["unchanged", "small update", "large update", "suspicious"]
Share = Annotated[float, Field(ge=0.0, le=1.0)]


class GateConfig(FrozenModel):
    """From where on a new version of a source is suspicious.

    Shares count from 0 to 1. Standard deviations are those of the labels before.

    Attributes:
        small_update: Largest share of rows that are new, changed or removed in a small
            update.
        max_rows_lost: Largest loss of rows, as a share of those before, and of the most
            that there were since the last acceptance.
        max_ids_lost: Largest share of the ids that may be gone.
        max_labels_lost: Largest loss of labels of a target beside that of rows, as a share
            of those before, and largest decrease of the share of rows that have one.
        max_new_unlabelled: Largest share of the new rows without a label of a target that
            nearly all rows had.
        max_rejects: Largest increase of the share of rows refused.
        max_new_rejects: Largest share of the rows that came which are refused, above that
            of the rows before.
        max_mean_shift: Farthest that the mean of a target may move, in standard deviations.
        max_spread_ratio: Largest factor between the ranges of the middle 80 % of the labels
            of a target other than zero.
        max_outside: Largest share of new and changed labels outside the range that held
            99 % of those before.
        max_slipped: The same, where a known slip of unit or sign explains them.
        max_moved: Largest share of labels that may move by more than one standard deviation
            in rows whose formula stays.
        max_explained: Largest share of the changed labels of a target that a known slip of
            unit or sign may explain.
        max_scheme_shift: Largest share of labels of a target whose scheme is another.
        max_license_shift: Largest share of rows whose licence is another.
        min_element_rows: Rows with an element, or labels of other values than the most
            frequent one, that must be expected before their absence counts.
        min_labels: Labels before, below which means and ranges are not compared.
        min_new_labels: New and changed labels, below which they are not.
        min_pairs: Changed labels that a slip must explain, and lost ones that count.
    """

    small_update: Share = 0.05
    max_rows_lost: Share = 0.1
    max_ids_lost: Annotated[Share, LATER] = 0.5
    max_labels_lost: Share = 0.1
    max_new_unlabelled: Share = 0.25
    max_rejects: Share = 0.05
    max_new_rejects: Share = 0.1
    max_mean_shift: Annotated[float, Field(gt=0.0)] = 0.75
    max_spread_ratio: Annotated[float, Field(gt=1.0)] = 3.0
    max_outside: Share = 0.15
    max_slipped: Share = 0.03
    max_moved: Share = 0.05
    max_explained: Share = 0.2
    max_scheme_shift: Share = 0.1
    max_license_shift: Share = 0.01
    min_element_rows: Annotated[int, Field(ge=1)] = 15
    min_labels: Annotated[int, Field(ge=2)] = 50
    min_new_labels: Annotated[int, Field(ge=2)] = 20
    min_pairs: Annotated[int, Field(ge=1)] = 5


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


class GateReport(FrozenModel):
    """The verdict on a version of a source.

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
