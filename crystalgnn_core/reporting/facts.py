"""What the report of a screen says in words: model, settings, schemes, funnel, changes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from crystalgnn_core.reporting.text import format_wanted
from crystalgnn_core.targets import NOVELTY

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from crystalgnn_core.learning.cards import DataSummary, ModelCard
    from crystalgnn_core.screening.config import ScreeningConfig
    from crystalgnn_core.screening.prescreening import Prescreened
    from crystalgnn_core.screening.result import ScreenResult


def model_facts(cards: Sequence[ModelCard]) -> dict[str, str]:
    """Describe each model; with several, the labels carry the model's targets."""
    facts: dict[str, str] = {}
    for card in cards:
        suffix = f" ({', '.join(card.scaler.targets)})" if len(cards) > 1 else ""
        graph = f"{card.graph.strategy}, {card.graph.cutoff:g} Å"
        described = {
            "model": card.model_id,
            **_training_facts(card.data),
            "elements seen": str(len(card.elements)),
            "epoch": str(card.epoch or "not stated"),
            "graph": graph if card.graph.strategy != "none" else _without_graph(card),
        }
        if card.remarks:
            described["remarks"] = "; ".join(card.remarks)
        facts |= {f"{label}{suffix}": value for label, value in described.items()}
    return facts


def _without_graph(card: ModelCard) -> str:
    """Say what a model reads that has no edges."""
    name = getattr(card.model, "potential", None)
    return "composition only" if name is None else f"none; features of {name}"


def _training_facts(data: DataSummary) -> dict[str, str]:
    """Say what a model learned from; of published weights little is known."""
    rows, names = data.n_rows, ", ".join(data.sources)
    if not data.data_digest:
        known = f"{rows['train']:,} rows" if rows["train"] else "rows not stated"
        return {"trained": f"elsewhere, {known}; weights of {names}"}
    return {
        "trained on": f"{rows['train']:,} rows of {names}",
        "validation, test": f"{rows['val']:,}, {rows['test']:,} rows",
        "test rows whose composition is in training": f"{data.leaks['test']:,}",
    }


def settings_facts(config: ScreeningConfig, result: ScreenResult) -> dict[str, str]:
    """Describe the settings that decide the score, and the pre-screen if there was one."""
    criteria = enumerate(config.score.resolve(), start=1)
    return {
        "candidates from": ", ".join(config.sources),
        **{f"criterion {n}, weight {one.weight:g}": one.sentence() for n, one in criteria},
        **_prescreen_facts(result.prescreened),
    }


def _prescreen_facts(prescreened: Prescreened | None) -> dict[str, str]:
    if prescreened is None:
        return {}
    keep, unjudged = (
        prescreened.keep,
        "candidates that the pre-screen could not judge, kept",
    )
    best = f"{keep:,}" if isinstance(keep, int) else f"{100 * keep:g} %"
    return {
        "pre-screen by": " and ".join(prescreened.models),
        "kept by the pre-screen": f"the best {best}",
        unjudged: f"{prescreened.n_unjudged:,}",
    }


def novelty_facts(ranking: pd.DataFrame, n_top: int) -> dict[str, str]:
    """Count the ranked candidates that are unlike what the models learned from."""
    if NOVELTY not in ranking:
        return {}
    is_novel = ranking[NOVELTY] > 1
    n_novel, n_best = int(is_novel.sum()), min(n_top, len(ranking))
    best = f"{int(is_novel[:n_top].sum()):,} of the best {n_best:,}"
    fact = "unlike the training rows (novelty above 1)"
    return {fact: f"{n_novel:,} of {len(ranking):,}, {best}"}


def scheme_facts(schemes: Mapping[str, str], ranking: pd.DataFrame) -> dict[str, str]:
    """Name the schemes of the predictions, and of the known values where they differ."""
    described = {}
    for name, scheme in schemes.items():
        known = ranking.get(f"{name}_scheme", pd.Series(dtype=str)).dropna()
        others = ", ".join(sorted(set(known) - {scheme}))
        described[name] = f"{scheme} (known values: {others})" if others else scheme
    return described


def funnel_steps(config: ScreeningConfig, result: ScreenResult) -> list[tuple[str, int]]:
    """Count the candidates left after each step."""
    windows = [format_wanted(one) for one in config.score.resolve() if one.is_window]
    n_kept = result.n_in - result.n_prescreened
    n_readable = result.n_in - result.n_unread
    n_read_and_kept = n_kept - result.n_unread
    steps = [
        ("candidates", result.n_in),
        ("readable", n_readable if result.n_unread else None),
        ("kept by the pre-screen", n_read_and_kept if result.prescreened else None),
        ("readable, elements known", n_kept - sum(result.rejected.values())),
        ("unique", result.n_scored),
        (f"predicted {', '.join(windows)}", result.n_in_window if windows else None),
        (f"top {config.top_k}", min(config.top_k, result.n_scored)),
    ]
    return [(step, count) for step, count in steps if count is not None]
