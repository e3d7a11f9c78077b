"""Both models on the rows that neither has learned from: errors, evidence, cost."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from crystalgnn_core.graphs.batches import GraphDataset
from crystalgnn_core.graphs.shards import graph_folder
from crystalgnn_core.learning.cards import WEIGHTS
from crystalgnn_core.learning.checkpoints import load_bundle
from crystalgnn_core.learning.fitting import INFERENCE_BATCH, predict_columns
from crystalgnn_core.learning.metrics import compare_targets
from crystalgnn_core.learning.promotion.decision import (
    FROZEN,
    NEWEST,
    TOGETHER,
    Decision,
    ModelUsage,
    TopOverlap,
)
from crystalgnn_core.learning.promotion.evidence import PairedLosses, weigh
from crystalgnn_core.learning.promotion.noise import noise_of_retraining
from crystalgnn_core.learning.promotion.slices import GAP, find_worse_slices
from crystalgnn_core.storage.shards import KEY

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from crystalgnn_core.learning.config import RetrainingConfig
    from crystalgnn_core.learning.promotion.rows import JudgedRows

Columns = dict[str, "NDArray[np.float64]"]
N_TOP = 50
SORTED_BY = ("energy_above_hull", "formation_energy_per_atom")


def measure(
    store: Path,
    rows: JudgedRows,
    config: RetrainingConfig,
    *,
    n_earlier: float,
    device: str,
) -> Decision:
    """Compare two models; the rule is not applied yet.

    Args:
        store: Store with the graphs.
        rows: Rows, at least one of them frozen.
        config: Levels and limits.
        n_earlier: Earlier comparisons on these rows.
        device: Where both predict.
    """
    first, second = rows.cards
    targets, n = second.scaler.targets, len(rows.frozen)
    noise = noise_of_retraining(store, rows.cards, config.retraining_noise)
    made = [_predict(store, rows, which, device) for which in (0, 1)]
    columns = [each for each, _ in made]
    before, after = (
        compare_targets(
            targets, rows.labels[:n], {name: one[:n] for name, one in each.items()}
        )
        for each in columns
    )
    return Decision(
        is_promoted=False,
        reason="",
        champion=first.model_id,
        challenger=second.model_id,
        n_test=n,
        champion_metrics=before,
        challenger_metrics=after,
        n_reused=n_earlier,
        retraining_noise=noise,
        level=config.level / (1 + n_earlier),
        usage={
            card.model_id: usage for card, (_, usage) in zip(rows.cards, made, strict=True)
        },
        top_overlap=_compare_top(*columns),
        judged_digest=rows.digest(config),
        **_weigh(rows, (columns[0], columns[1]), config, n_earlier, noise),
    )


def _weigh(
    rows: JudgedRows,
    predicted: tuple[Columns, Columns],
    config: RetrainingConfig,
    n_earlier: float,
    noise: float,
) -> dict[str, Any]:
    """Return the evidence, in the fields of a decision.

    The level is lowered for earlier comparisons where the challenger has to win, not where
    it must not lose.
    """
    card, labels, n = rows.cards[1], rows.labels, len(rows.frozen)
    table = rows.data.rows.take(pa.array(rows.positions))
    targets, formulas = card.scaler.targets, table["formula"].to_pylist()
    losses = PairedLosses.of(targets, labels, predicted, formulas)
    found = weigh(losses, config.level / (1 + n_earlier), noise)
    evidence = {TOGETHER: found.pop("", None)}
    places = {FROZEN: np.arange(n), NEWEST: np.arange(n, len(labels))}
    for name, at in places.items():
        evidence[name] = weigh(losses.at(at), config.level, noise).get("")
    worse, n_slices = find_worse_slices(
        losses,
        table["atomic_numbers"].to_pylist(),
        labels[:, targets.index(GAP)] if GAP in targets else None,
        level=config.level,
        noise=noise,
        max_loss=config.max_target_loss,
    )
    return {
        "evidence": {name: one for name, one in evidence.items() if one is not None},
        "targets": found,
        "worse_slices": worse,
        "n_slices": n_slices,
    }


def _predict(
    store: Path, rows: JudgedRows, which: int, device: str
) -> tuple[Columns, ModelUsage]:
    """Predict all rows with one model, and measure what that costs."""
    folder = rows.folders[which]
    network, card = load_bundle(folder, device)
    digests = rows.data.rows[KEY].take(pa.array(rows.positions)).to_pylist()
    dataset = GraphDataset.from_shards(graph_folder(store, card.graph), digests)
    warm = np.arange(min(INFERENCE_BATCH, len(dataset)))
    predict_columns(network, dataset, card.scaler, positions=warm)  # compiles kernels
    started = time.perf_counter()
    found = predict_columns(network, dataset, card.scaler)
    usage = ModelUsage(
        structures_per_second=len(dataset) / (time.perf_counter() - started),
        n_bytes=(folder / WEIGHTS).stat().st_size,
    )
    return found, usage


def _compare_top(first: Columns, second: Columns) -> TopOverlap | None:
    """Count the rows that both models put first: no more of them than half of all."""
    for name in SORTED_BY:
        if name in first and name in second:
            k = min(N_TOP, len(first[name]) // 2)
            tops = [
                set(np.argsort(each[name], kind="stable")[:k].tolist())
                for each in (first, second)
            ]
            return TopOverlap(target=name, k=k, n_shared=len(tops[0] & tops[1]))
    return None
