"""How good the ranking of a screen is, judged by known values, and told in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crystalgnn_core.screening.needs import RANKED_TARGETS
from crystalgnn_core.screening.quality import (
    RankingQuality,
    judge_ranking,
    true_best_kept,
)

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

    from crystalgnn_core.screening.config import ScreeningConfig
    from crystalgnn_core.screening.screen import ScreenResult


def judge_screen(
    store: Path, config: ScreeningConfig, result: ScreenResult, ranking: pd.DataFrame
) -> RankingQuality | None:
    """Compare the ranking with the known values, and the pre-screen if there was one."""
    if any(f"{target}_true" not in ranking for target in RANKED_TARGETS):
        return None  # left out, and told why
    is_mixing = config.allow_mixed_schemes
    quality = judge_ranking(
        ranking, config.score, config.top_k, allow_mixed_schemes=is_mixing
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
        "formation energy": (
            f"MAE {quality.energy_mae:.3f} eV/atom, mean offset "
            f"{quality.energy_offset:+.3f}, rank correlation {quality.energy_spearman:.3f}"
        ),
        "band gap": (
            f"MAE {quality.gap_mae:.3f} eV, rank correlation {quality.gap_spearman:.3f}"
        ),
        f"of the top {quality.k}, true gap in the window": (
            f"{quality.in_window:.0%} (all candidates: {quality.in_window_base:.0%})"
        ),
    }
    if quality.near_hull is not None and quality.near_hull_base is not None:
        facts[f"of the top {quality.k}, within 0.05 eV/atom of the true hull"] = (
            f"{quality.near_hull:.0%} (all candidates: {quality.near_hull_base:.0%})"
        )
    if quality.kept is not None:
        label = f"of the truly best {quality.k} of all candidates, kept by the pre-screen"
        facts[label] = f"{quality.kept:.0%}"
    return facts
