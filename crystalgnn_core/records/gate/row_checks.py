"""Checks of the change gate on the rows: how many there are, were and were refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crystalgnn_core.records.gate.report import Finding, counts, percent

if TYPE_CHECKING:
    from collections.abc import Iterator

    from crystalgnn_core.records.gate.comparison import Comparison

MIN_REJECTS = 10


def check_rows(given: Comparison) -> Iterator[Finding]:
    """Compare the numbers of rows."""
    before, after, rows = given.before.n_rows, given.after.n_rows, given.rows
    lost = (before - after) / before
    detail = "what differs row by row is not known, as the rows before are gone"
    if rows is not None:
        detail = (
            f"{rows.new.num_rows:,} new, {rows.after.num_rows:,} changed, "
            f"{len(rows.removed):,} removed"
        )
    share = f", {percent(lost)} lost" if lost > 0 else ""
    yield Finding(
        check="rows",
        message=f"rows {before:,} -> {after:,}{share}: {detail}",
        is_alarm=given.is_much_lost,
    )


def check_ids(given: Comparison) -> Iterator[Finding]:
    """Tell whether most ids are gone although about as many rows are there."""
    if given.rows is None or given.is_much_lost:
        return
    before, n_gone = given.before.n_rows, len(given.rows.removed)
    if n_gone <= given.config.max_ids_lost * before:
        return
    yield Finding(
        check="ids",
        message=(
            f"{percent(n_gone / before)} of the ids are gone, though {before:,} rows are "
            f"followed by {given.after.n_rows:,}: other ids for the same, or other rows"
        ),
        is_alarm=True,
    )


def check_drift(given: Comparison) -> Iterator[Finding]:
    """Tell whether small losses of several versions add up to a large one."""
    fullest = given.fullest
    if fullest is None or given.is_much_lost or fullest.n_rows <= given.before.n_rows:
        return
    lost = (fullest.n_rows - given.after.n_rows) / fullest.n_rows
    if lost <= given.config.max_rows_lost or given.after.n_rows >= given.before.n_rows:
        return
    yield Finding(
        check="drift",
        message=(
            f"rows {fullest.n_rows:,} -> {given.after.n_rows:,} since version "
            f"{fullest.version}, {percent(lost)} lost in several steps"
        ),
        is_alarm=True,
    )


def check_rejects(given: Comparison) -> Iterator[Finding]:
    """Compare the share of rows that are refused, of all and of those that came."""
    before, after, config = given.before, given.after, given.config
    if before.rejected == after.rejected:
        return
    reasons = counts(before.rejected, after.rejected)
    risen = after.n_rejected - before.n_rejected
    n_new = after.n_rows if given.rows is None else given.rows.new.num_rows
    is_many = after.reject_share - before.reject_share > config.max_rejects
    share = risen / max(risen + n_new, 1)
    is_many_new = share - before.reject_share > config.max_new_rejects
    yield Finding(
        check="rejects",
        message=(
            f"share of refused rows {percent(before.reject_share)} -> "
            f"{percent(after.reject_share)}: {reasons}"
        ),
        is_alarm=risen >= MIN_REJECTS and (is_many or is_many_new),
    )
