"""A made-up screen with realistic shapes, from a seed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest

from crystalgnn_core.learning.metrics import Metrics
from crystalgnn_core.records.provenance import SourceFacts
from crystalgnn_core.reporting.comparison import Comparison
from crystalgnn_core.reporting.data_sources import DataUse
from crystalgnn_core.reporting.recovery import recovery_curve
from crystalgnn_core.reporting.report import ScreenCounts, ScreenReport, StageNote
from crystalgnn_core.screening.config import ScoreConfig

if TYPE_CHECKING:
    from collections.abc import Callable

CATIONS = ("Li", "Na", "K", "Mg", "Ca", "Ba", "Zn", "Al", "Ga", "Y", "Ti", "Zr", "Cs", "Cu")
ANIONS = ("O", "S", "Se", "F", "Cl", "N")


def make_formula(rng: np.random.Generator) -> str:
    one, two = rng.choice(CATIONS, 2, replace=False)
    parts = ((one, rng.integers(1, 4)), (two, rng.integers(1, 3)))
    anion = (rng.choice(ANIONS), rng.integers(1, 8))
    return "".join(f"{symbol}{n if n > 1 else ''}" for symbol, n in (*parts, anion))


def make_candidates(n: int, seed: int = 0) -> pd.DataFrame:
    """Predictions and truths of n candidates, in ranked order."""
    rng = np.random.default_rng(seed)
    energy = rng.normal(-1.6, 0.9, n) + 0.4 * rng.standard_t(4, n)
    gap = np.where(
        rng.random(n) < 0.35, 0.0, rng.gamma(2.2, 0.9, n) + np.maximum(-energy, 0) / 3
    )
    hull = rng.gamma(1.1, 0.09, n) - 0.03
    score = np.exp(-np.maximum(hull, 0) / 0.05) * np.exp(-(((gap - 1.5) / 0.6) ** 2))
    frame = pd.DataFrame(
        {
            "candidate_id": [f"syn-{i:06d}" for i in rng.permutation(n)],
            "formula": [make_formula(rng) for _ in range(n)],
            "formation_energy_per_atom": energy,
            "band_gap": gap,
            "energy_above_hull": hull,
            "score": score,
            "flags": rng.choice(["", "", "", "large_cell", "far_from_training;no_hull"], n),
            "source": "synthetic",
            "formation_energy_per_atom_true": energy + rng.normal(0, 0.06, n),
            "band_gap_true": np.maximum(gap + rng.normal(0, 0.25, n), 0),
            "score_true": np.clip(score + rng.normal(0, 0.15, n), 0, 1),
        }
    )
    frame = frame.sort_values("score", ascending=False, ignore_index=True)
    frame.insert(0, "rank", np.arange(1, n + 1))
    return frame


def make_parity(target: str, n: int, seed: int = 1) -> Comparison:
    rng = np.random.default_rng(seed)
    if target == "bulk_modulus":
        true = 10 ** rng.normal(1.9, 0.35, n)
        predicted = true * 10 ** rng.normal(0, 0.05, n)
        baseline = 21.0
    else:
        true = (
            np.maximum(rng.normal(1.5, 1.4, n), 0)
            if target == "band_gap"
            else rng.normal(-1.5, 1, n)
        )
        predicted = true + 0.12 * rng.standard_t(3, n)
        baseline = 0.31
    ids = [f"mp-{i}" for i in range(n)]
    others = Metrics(n=n, mae=baseline, rmse=None, r2=None, mad=None)
    return Comparison(target, "test", ids, true, predicted, others)


def make_history(n: int = 60, seed: int = 2) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    epoch = np.arange(1, n + 1)
    decay = np.exp(-epoch / 12)
    noise = 1 + 0.05 * rng.standard_normal((3, n))
    return pd.DataFrame(
        {
            "epoch": epoch,
            "train_loss": (0.9 * decay + 0.03) * noise[0],
            "val_mae_formation_energy_per_atom": (0.6 * decay + 0.06 + 4e-4 * epoch)
            * noise[1],
            "val_mae_band_gap": (0.9 * decay + 0.24) * noise[2],
            "learning_rate": 1e-3 * 0.5 ** (epoch // 20),
        }
    )


def build_report(n: int = 3000, n_table: int = 1000, **changes: object) -> ScreenReport:
    candidates = make_candidates(n)
    table = candidates.head(n_table).copy()
    table["cif"] = [
        f"cif/{name}.cif" if rank <= 50 else None
        for name, rank in zip(table["candidate_id"], table["rank"], strict=True)
    ]
    table["change"] = ["new", "up 3", "down 2", "same"] * (len(table) // 4) + ["new"] * (
        len(table) % 4
    )
    in_window = int(candidates["band_gap"].between(1.0, 2.0).sum())
    rejects = {"unreadable_structure": 7, "unseen_element": 31, "isolated_atom": 2}
    n_in = n + 40 + 85
    content: dict[str, object] = {
        "title": "Nightly screen of ternary compounds",
        "subtitle": "Model alignn-7c1f09e2 on screen 20260314-4be1a7",
        "created": "14 March 2026, 02:11 UTC",
        "is_synthetic": True,
        "counts": ScreenCounts(n_in=n_in, n_scored=n, n_rejected=40, n_duplicates=85),
        "ranking": table,
        "n_ranked": n,
        "score_description": "Score = desirability of the energy above hull times that of "
        "the band gap, which is 1 between 1.0 and 2.0 eV.",
        "model": {
            "Model": "ALIGNN",
            "Parameters": "1,204,482",
            "Trained on": "12,406 materials",
        },
        "settings": {
            "cutoff": "8.0 Å",
            "neighbours": "knn_shell, k = 12",
            "ensemble": "4 members",
        },
        "versions": {"crystalgnn": "0.1.0", "record version": "17", "torch": "2.6.0"},
        "criteria": ScoreConfig(gap_window=(1.0, 2.0)).resolve(),
        "label_schemes": {
            "formation_energy_per_atom": "synthetic-lj",
            "band_gap": "synthetic-gap",
        },
        "data": [
            DataUse("training", SourceFacts(source="synthetic", n_rows=12406)),
            DataUse(
                "candidates",
                SourceFacts(
                    source="ternaries",
                    n_rows=n_in,
                    licenses={"CC BY 4.0": n_in - 25, "not stated": 25},
                    kind="files",
                    source_version="2026.1",
                    citation="A. Author, A journal 1, 2 (2026)",
                    ingested="2026-03-13",
                ),
            ),
        ],
        "funnel": [
            ("candidates in", n_in),
            ("readable", n_in - 40),
            ("unique, scored", n),
            ("in the gap window", in_window),
            ("top candidates", 50),
        ],
        "rejects": rejects,
        "reject_examples": [
            ("syn-bad-1", "unreadable_structure", "syn-bad-1: no atoms in the CIF block"),
            ("syn-x-2", "unseen_element", "syn-x-2: Tc was not in the training set"),
        ],
        "parity": [
            make_parity("formation_energy_per_atom", 2400),
            make_parity("band_gap", 900),
        ],
        "scatter": candidates,
        "quality": {
            "Spearman rank correlation": "0.81",
            "True top 50 among the first 50": "31 of 50",
            "Enrichment in the first 1 %": "24 times",
        },
        "recovery": recovery_curve(
            candidates["score"].to_numpy(), candidates["score_true"].to_numpy(), n_best=50
        ),
        "history": make_history(),
        "stages": [
            StageNote(stage="graphs", seconds=83.2, note="3 shards built, 2 reused"),
            StageNote(stage="predict", seconds=41.0, note="CPU, batches of 256"),
            StageNote(stage="rank", seconds=0.8, note=""),
        ],
        "changes": {"new": 120, "changed": 8, "removed": 3, "unchanged": n - 128},
    }
    return ScreenReport(**{**content, **changes})  # type: ignore[arg-type]


@pytest.fixture(scope="session")
def make_report() -> Callable[..., ScreenReport]:
    return build_report
