"""How good the ranking of a screen is, judged by known values, and put into words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crystalgnn_core.screening.criteria import TRUE
from crystalgnn_core.screening.quality import RankingQuality, judge_ranking, true_best_kept
from crystalgnn_core.targets import get_target

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

    from crystalgnn_core.screening.config import ScreeningConfig
    from crystalgnn_core.screening.result import ScreenResult


def judge_screen(
    store: Path, config: ScreeningConfig, result: ScreenResult, ranking: pd.DataFrame
) -> RankingQuality | None:
    """Compare the ranking with the known values, and the pre-screen if there was one."""
    if any(target + TRUE not in ranking for target in config.score.targets):
        return None  # left out, and reported why
    quality = judge_ranking(
        ranking,
        config.score.resolve(),
        config.top_k,
        allow_mixed_schemes=config.allow_mixed_schemes,
    )
    if quality is None or result.prescreened is None:
        return quality
    kept = true_best_kept(store, config, result.prescreened)
    return quality.model_copy(update={"kept": kept})


def describe_quality(quality: RankingQuality) -> dict[str, str]:
    """Put the agreement with the truth into labelled numbers."""
    facts = {
        "candidates with known values": f"{quality.n:,}",
        f"of the top {quality.k}, truly among the best {quality.k}": (
            f"{quality.precision:.0%} ({quality.enrichment:.1f} times a random order)"
        ),
        "rank correlation of the score": f"{quality.score_spearman:.3f}",
    }
    for name, found in quality.targets.items():
        target = get_target(name)
        error = f"MAE {target.with_unit(f'{found.mae:.3f}')}"
        offset = "" if found.offset is None else f", mean offset {found.offset:+.3f}"
        facts[target.title] = f"{error}{offset}, rank correlation {found.spearman:.3f}"
    shares = {
        "true values in the window": (quality.in_window, quality.in_window_base),
        "within 0.05 eV/atom of the true hull": (quality.near_hull, quality.near_hull_base),
    }
    for label, (share, base) in shares.items():
        if share is not None and base is not None:
            facts[f"of the top {quality.k}, {label}"] = (
                f"{share:.0%} (all candidates: {base:.0%})"
            )
    if quality.kept is not None:
        label = f"of the truly best {quality.k} of all candidates, kept by the pre-screen"
        facts[label] = f"{quality.kept:.0%}"
    return facts
