"""The rule: what evidence promotes a challenger, and why it does not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crystalgnn_core.learning.promotion.decision import FROZEN, NEWEST, TOGETHER, Decision

if TYPE_CHECKING:
    from crystalgnn_core.learning.config import RetrainingConfig

MIN_GROUPS = 20  # compositions from which a part of the rows alone may refuse a challenger
EVIDENCE = ("judged by", "#rows", "#champion", "#challenger", "#improvement", "#range")
PARTS = {
    FROZEN: "rows of the champion's test split",
    NEWEST: "rows that came after the champion",
}


def decide(measured: Decision, config: RetrainingConfig) -> Decision:
    """Add what the rule says to what was measured."""
    refusal = find_refusal(measured, config)
    reason = f"not promoted: {refusal}" if refusal else f"promoted: {_numbers(measured)}"
    return measured.model_copy(update={"is_promoted": not refusal, "reason": reason})


def find_refusal(measured: Decision, config: RetrainingConfig) -> str:
    """Say why a challenger is not promoted; empty if it is.

    In this order: an error of a target that rose too much; the frozen or the newest rows,
    on which it is worse beyond chance; an improvement on all rows that may be chance, or is
    too small; a slice on which it is much worse.
    """
    together = measured.evidence.get(TOGETHER)
    if together is None:
        return (
            f"{measured.n_test:,} test rows of fewer than two compositions show nothing; "
            "add labelled rows"
        )
    numbers = _numbers(measured)
    worse = _rise_of_target(measured, config) or _worse_part(measured)
    if worse:
        return f"{worse} ({numbers})"
    if not together.is_better:
        return numbers
    if together.improvement < config.min_improvement:
        return f"{numbers}; {config.min_improvement:.1%} less is needed"
    worse = _worse_slice(measured, config)
    return f"{worse} ({numbers})" if worse else ""


def _rise_of_target(measured: Decision, config: RetrainingConfig) -> str:
    for name, metrics in measured.challenger_metrics.items():
        before, after = measured.champion_metrics[name].error, metrics.error
        if before is None or after is None:
            continue
        if not after <= before * (1 + config.max_target_loss):  # NaN is worse, too
            return (
                f"{metrics.error_name} of {name} rose from {before:.4f} to {after:.4f}, "
                f"more than {config.max_target_loss:.0%}"
            )
    return ""


def _worse_part(measured: Decision) -> str:
    for name, text in PARTS.items():
        part = measured.evidence.get(name)
        if part is not None and part.is_worse and part.n_groups >= MIN_GROUPS:
            errors = f"{part.challenger_error:.4f} against {part.champion_error:.4f}"
            return f"worse beyond chance on the {part.n:,} {text}, {errors}"
    return ""


def _worse_slice(measured: Decision, config: RetrainingConfig) -> str:
    for one in measured.worse_slices:
        loss = -one.evidence.improvement
        if loss > config.max_slice_loss:
            return (
                f"error of {one.target} rose by {loss:.0%} on the {one.evidence.n:,} rows "
                f"{one.name}, more than {config.max_slice_loss:.0%}"
            )
    return ""


def _numbers(measured: Decision) -> str:
    """Put errors, improvement and what of it may be chance into words."""
    found = measured.evidence[TOGETHER]
    sign = "less" if found.improvement >= 0 else "more"
    text = (
        f"scaled test error {found.challenger_error:.4f} against the champion's "
        f"{found.champion_error:.4f}, {abs(found.improvement):.1%} {sign}; chance makes up "
        f"to {found.improvement - found.low:.1%}"
    )
    if measured.n_reused < 0.5:
        return text
    times = "time" if round(measured.n_reused) == 1 else "times"
    return f"{text}, as these rows have judged {measured.n_reused:.0f} {times} before"


def evidence_rows(decision: Decision) -> list[tuple[str, ...]]:
    """Return the evidence as a table: rows, how many, both errors, improvement, limits."""
    named = {TOGETHER: "all that neither learned from"} | PARTS
    shown = [(text, decision.evidence.get(name)) for name, text in named.items()]
    shown += [(f"all, {name}", one) for name, one in decision.targets.items()]
    shown += [(f"{one.name}, {one.target}", one.evidence) for one in decision.worse_slices]
    return [
        (
            text,
            f"{one.n:,}",
            f"{one.champion_error:.4f}",
            f"{one.challenger_error:.4f}",
            f"{one.improvement:+.1%}",
            f"{one.low:+.1%} to {one.high:+.1%}",
        )
        for text, one in shown
        if one is not None
    ]


def describe_use(decision: Decision) -> list[str]:
    """Say what both models cost, and how far they agree in what they put first."""
    lines = [
        f"{name}: {one.structures_per_second:,.0f} structures/s, "
        f"{one.n_bytes / 1e6:.1f} MB of weights"
        for name, one in decision.usage.items()
    ]
    if (top := decision.top_overlap) is not None:
        lines.append(
            f"of the {top.k} rows with the lowest {top.target} both name {top.n_shared}"
        )
    return lines


def describe_evidence(decision: Decision) -> str:
    """Put the evidence into a markdown table and a list; empty where there is none."""
    rows = evidence_rows(decision)
    if not rows:
        return ""
    head = [name.removeprefix("#") for name in EVIDENCE]
    table = [" | ".join(each) for each in (head, ["---"] * len(head), *rows)]
    notes = [f"* {line}" for line in describe_use(decision)]
    return "\n\n" + "\n".join([*(f"| {line} |" for line in table), "", *notes])
