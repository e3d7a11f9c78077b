"""Scores and ranks: pointwise, so that any partition of the candidates ranks the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from crystalgnn_core.screening.config import ScoreConfig

RANKING_SCHEMA = pa.schema(
    [
        pa.field("rank", pa.int64(), nullable=False),
        pa.field("candidate_id", pa.string(), nullable=False),
        pa.field("formula", pa.string(), nullable=False),
        pa.field("formation_energy_per_atom", pa.float64()),
        pa.field("formation_energy_per_atom_std", pa.float64()),
        pa.field("band_gap", pa.float64()),
        pa.field("band_gap_std", pa.float64()),
        pa.field("energy_above_hull", pa.float64()),
        pa.field("probability_stable", pa.float64()),
        pa.field("score", pa.float64(), nullable=False),
        pa.field("flags", pa.string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
    ]
)


def score_candidates(
    formation_energy: NDArray[np.float64],
    band_gap: NDArray[np.float64],
    config: ScoreConfig,
) -> NDArray[np.float64]:
    """Score candidates by the desirabilities that `ScoreConfig` defines.

    Args:
        formation_energy: eV/atom, shape (n_candidates,).
        band_gap: eV, shape (n_candidates,).
        config: Midpoint, window, widths and weight.

    Returns:
        Scores in [0, 1], shape (n_candidates,).
    """
    exponent = (formation_energy - config.energy_midpoint) / config.energy_width
    # log1p(exp(x)) without overflow; log of the logistic function
    log_energy = -np.logaddexp(0.0, exponent)
    low, high = config.gap_window
    distance = np.maximum(np.maximum(low - band_gap, band_gap - high), 0.0)
    # beyond 1000 widths the desirability is 0 anyway, and the square could overflow
    log_gap = -0.5 * np.square(np.minimum(distance / config.gap_width, 1e3))
    weight = config.energy_weight
    return np.exp(weight * log_energy + (1.0 - weight) * log_gap)


def describe_score(config: ScoreConfig) -> str:
    """Say in one sentence what the score rewards."""
    low, high = config.gap_window
    return (
        f"score = d_E^{config.energy_weight:g} · d_gap^{1 - config.energy_weight:g}, with "
        f"d_E = 1 / (1 + exp((E_f \N{MINUS SIGN} ({config.energy_midpoint:g})) / "
        f"{config.energy_width:g})) for the predicted formation energy E_f in eV/atom, and "
        f"d_gap = 1 for a predicted band gap from {low:g} to {high:g} eV, falling as "
        f"exp(\N{MINUS SIGN}(distance / {config.gap_width:g} eV)² / 2) outside. It depends "
        "on the candidate alone."
    )


def rank_candidates(scored: pd.DataFrame) -> pd.DataFrame:
    """Order candidates by score, highest first; ties by source and id.

    Args:
        scored: Columns `source`, `candidate_id`, `score` and any others.

    Returns:
        A new frame with `rank` counting from 1.
    """
    ordered = scored.sort_values(
        ["score", "source", "candidate_id"], ascending=[False, True, True], kind="stable"
    ).reset_index(drop=True)
    ordered.insert(0, "rank", np.arange(1, len(ordered) + 1))
    return ordered
