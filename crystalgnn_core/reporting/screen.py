"""The report of a screen: read from its folder, its model and the records."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from crystalgnn_core.artifacts import FileRef, read_json, write_text
from crystalgnn_core.base import FrozenModel
from crystalgnn_core.learning.checkpoints import read_card
from crystalgnn_core.reporting.page import (
    MAX_TABLE_ROWS,
    ScreenCounts,
    ScreenReport,
    write_report,
)
from crystalgnn_core.reporting.parity import ParityData
from crystalgnn_core.reporting.recovery import recovery_curve
from crystalgnn_core.screening.candidates import read_candidates
from crystalgnn_core.screening.cifs import cif_name
from crystalgnn_core.screening.quality import (
    SYNTHETIC,
    RankingQuality,
    judge_ranking,
    true_hull_distances,
    true_scores,
)
from crystalgnn_core.screening.ranking import describe_score

if TYPE_CHECKING:
    from collections.abc import Sequence

    from crystalgnn_core.learning.checkpoints import ModelCard
    from crystalgnn_core.screening.config import ScreeningConfig
    from crystalgnn_core.screening.screen import ScreenResult

ENTRY = "report.json"
N_EXAMPLES = 12


class StageNote(FrozenModel):
    """What a stage did: shown in tables at the end of a run and in the report."""

    stage: str
    seconds: float
    note: str


class ReportState(FrozenModel):
    """Reference to a written report.

    Attributes:
        page: The HTML file.
        quality: Agreement with the truth, where it is known.
        was_written: False when a sound page of this screen was there already.
    """

    page: FileRef
    quality: RankingQuality | None = None
    was_written: bool = True


def report_screen(
    store: Path, config: ScreeningConfig, result: ScreenResult, stages: Sequence[StageNote]
) -> ReportState:
    """Write `report.html` into the folder of a screen; keep one that is there and sound."""
    folder = Path(result.folder)
    entry = folder / ENTRY
    if entry.is_file():
        state = ReportState.model_validate(read_json(entry))
        if state.page.is_sound():
            return state.model_copy(update={"was_written": False})
    cards = [read_card(Path(model)) for model in result.models]
    ranking = _with_truth(store, config, pd.read_parquet(folder / "ranking.parquet"))
    quality = judge_ranking(ranking, config.score, config.top_k)
    report = _compose(
        config, result, cards, _with_links(ranking, config, result), quality, stages
    )
    write_report(folder / "report.html", report)
    state = ReportState(page=FileRef.of(folder / "report.html"), quality=quality)
    write_text(entry, state.model_dump_json(indent=1) + "\n")
    return state


def _with_truth(
    store: Path, config: ScreeningConfig, ranking: pd.DataFrame
) -> pd.DataFrame:
    candidates = read_candidates(store, config.sources)
    hull = true_hull_distances(store, candidates)
    if hull is not None:
        candidates["energy_above_hull_true"] = hull
    keys = ["source", "candidate_id"]
    known = [name for name in candidates if name.endswith(("_true", "_scheme", "license"))]
    merged = ranking.merge(candidates[[*keys, *known]], on=keys, how="left", validate="1:1")
    return merged.sort_values("rank").reset_index(drop=True)


def _with_links(
    ranking: pd.DataFrame, config: ScreeningConfig, result: ScreenResult
) -> pd.DataFrame:
    """Add the CIF links of the top candidates and the change since the last screen."""
    top = ranking["rank"] <= config.top_k
    names = [
        f"cif/{cif_name(rank, formula, name)}" if is_top else None
        for rank, formula, name, is_top in zip(
            ranking["rank"], ranking["formula"], ranking["candidate_id"], top, strict=True
        )
    ]
    linked = ranking.assign(cif=names)
    if result.previous is None:
        return linked
    path = Path(result.folder).parent / result.previous / "ranking.parquet"
    if not path.is_file():
        return linked
    before = pd.read_parquet(path, columns=["source", "candidate_id", "rank"])
    merged = linked.merge(
        before.rename(columns={"rank": "_before"}),
        on=["source", "candidate_id"],
        how="left",
    )
    changes = [
        _change(rank, old)
        for rank, old in zip(merged["rank"], merged["_before"], strict=True)
    ]
    return merged.drop(columns="_before").assign(change=changes)


def _change(rank: int, before: float) -> str:
    if pd.isna(before):
        return "new"
    moved = int(before) - rank
    if not moved:
        return ""
    return f"up {moved}" if moved > 0 else f"down {-moved}"


def _compose(
    config: ScreeningConfig,
    result: ScreenResult,
    cards: Sequence[ModelCard],
    ranking: pd.DataFrame,
    quality: RankingQuality | None,
    stages: Sequence[StageNote],
) -> ScreenReport:
    schemes = {name: text for card in cards for name, text in card.label_schemes.items()}
    low, high = config.score.gap_window
    curve = None
    if quality is not None:
        curve = recovery_curve(
            ranking["score"].to_numpy(),
            true_scores(ranking, config.score),
            n_best=quality.k,
        )
    shown = ranking.drop(columns=[name for name in ranking if name.endswith("_scheme")])
    n_rejected = sum(result.rejected.values())
    return ScreenReport(
        title=f"Screen “{config.name}”",
        subtitle=f"{result.screen_id}, by {' and '.join(card.model_id for card in cards)}",
        created=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        counts=ScreenCounts(
            n_in=result.n_in,
            n_scored=result.n_scored,
            n_rejected=n_rejected,
            n_duplicates=result.n_duplicates,
        ),
        ranking=shown.drop(columns=["license"]).head(MAX_TABLE_ROWS),
        n_ranked=result.n_scored,
        score_description=describe_score(config.score),
        is_synthetic=any(text.startswith(SYNTHETIC) for text in schemes.values()),
        model=_model_facts(cards),
        settings=_settings(config),
        versions=cards[0].environment
        | {"record version": str(cards[0].data.record_version)},
        gap_window=(low, high),
        label_schemes=_all_schemes(schemes, ranking),
        licenses=sorted({*cards[0].data.licenses, *ranking["license"].dropna()}),
        funnel=[
            ("candidates", result.n_in),
            ("readable, elements known", result.n_in - n_rejected),
            ("unique", result.n_scored),
            (f"predicted gap {low:g}–{high:g} eV", result.n_in_window),
            (f"top {config.top_k}", min(config.top_k, result.n_scored)),
        ],
        rejects=result.rejected,
        reject_examples=_examples(result),
        parity=[
            data
            for card, model in zip(cards, result.models, strict=True)
            for data in _parity(card, Path(model))
        ],
        scatter=shown,
        n_top=config.top_k,
        quality=None if quality is None else describe_quality(quality),
        recovery=curve,
        history=pd.read_parquet(Path(result.models[0]) / "history.parquet"),
        stages=[(note.stage, note.seconds, note.note) for note in stages],
        changes=None if result.changes is None else _changes(result),
    )


def describe_quality(quality: RankingQuality) -> dict[str, str]:
    """Put the agreement with the truth into labelled numbers."""
    facts = {
        "candidates with known values": f"{quality.n:,}",
        f"of the top {quality.k}, truly among the best {quality.k}": (
            f"{quality.precision:.0%} ({quality.enrichment:.1f} × a random order)"
        ),
        "rank correlation of the score": f"{quality.score_spearman:.3f}",
        "formation energy": (
            f"MAE {quality.energy_mae:.3f} eV/atom, mean offset {quality.energy_offset:+.3f}, "
            f"rank correlation {quality.energy_spearman:.3f}"
        ),
        "band gap": f"MAE {quality.gap_mae:.3f} eV, rank correlation {quality.gap_spearman:.3f}",
        f"of the top {quality.k}, true gap in the window": (
            f"{quality.in_window:.0%} (all candidates: {quality.in_window_base:.0%})"
        ),
    }
    if quality.near_hull is not None and quality.near_hull_base is not None:
        facts[f"of the top {quality.k}, within 0.05 eV/atom of the true hull"] = (
            f"{quality.near_hull:.0%} (all candidates: {quality.near_hull_base:.0%})"
        )
    return facts


def _model_facts(cards: Sequence[ModelCard]) -> dict[str, str]:
    facts: dict[str, str] = {}
    for card in cards:
        rows = card.data.n_rows
        facts |= {
            "model": card.model_id,
            "trained on": f"{rows['train']:,} rows of {', '.join(card.data.sources)}",
            "validation, test": f"{rows['val']:,}, {rows['test']:,} rows",
            "test rows whose composition is in training": f"{card.data.leaks['test']:,}",
            "elements seen": str(len(card.elements)),
            "epoch": str(card.epoch),
            "graph": f"{card.graph.strategy}, {card.graph.cutoff:g} Å",
        }
    return facts


def _settings(config: ScreeningConfig) -> dict[str, str]:
    score = config.score
    return {
        "candidates from": ", ".join(config.sources),
        "gap window": f"{score.gap_window[0]:g} to {score.gap_window[1]:g} eV",
        "gap width": f"{score.gap_width:g} eV",
        "energy midpoint": f"{score.energy_midpoint:g} eV/atom",
        "energy width": f"{score.energy_width:g} eV/atom",
        "energy weight": f"{score.energy_weight:g}",
    }


def _all_schemes(schemes: dict[str, str], ranking: pd.DataFrame) -> dict[str, str]:
    """Schemes of the predictions, and of the known values where they differ."""
    described = {}
    for name, scheme in schemes.items():
        found = sorted(
            set(ranking.get(f"{name}_scheme", pd.Series(dtype=str)).dropna()) - {scheme}
        )
        described[name] = scheme + (f" (known values: {', '.join(found)})" if found else "")
    return described


def _examples(result: ScreenResult) -> list[tuple[str, str, str]]:
    rejects = pd.read_parquet(Path(result.folder) / "rejects.parquet")
    few = rejects.groupby("reason", sort=True).head(3).head(N_EXAMPLES)
    return list(zip(few["material_id"], few["reason"], few["message"], strict=True))


def _parity(card: ModelCard, model: Path) -> list[ParityData]:
    rows = pd.read_parquet(model / "test_predictions.parquet")
    return [
        ParityData.of(
            name,
            "test",
            rows["material_id"].to_list(),
            rows[f"{name}_true"].to_numpy(dtype=float),
            rows[name].to_numpy(dtype=float),
            baseline_mae=card.baseline[name].mae if name in card.baseline else None,
        )
        for name in card.scaler.targets
    ]


def _changes(result: ScreenResult) -> dict[str, int]:
    if result.changes is None:
        return {}
    return {
        "new": result.changes.n_new,
        "changed": result.changes.n_changed,
        "removed": result.changes.n_removed,
        "unchanged": result.changes.n_unchanged,
    }
