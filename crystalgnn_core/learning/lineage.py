"""What the card of a fine-tuned model says about the model from which it started."""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from crystalgnn_core.learning.cards import BaseReference
from crystalgnn_core.learning.checkpoints import choose_device
from crystalgnn_core.learning.config import TrainingConfig
from crystalgnn_core.learning.fitting import predict_columns
from crystalgnn_core.learning.metrics import compare_targets
from crystalgnn_core.learning.splits import assign_splits
from crystalgnn_core.models.ensemble import EnsembleNetwork

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from crystalgnn_core.learning.cards import ModelCard
    from crystalgnn_core.learning.data import TrainingData
    from crystalgnn_core.learning.metrics import Metrics
    from crystalgnn_core.learning.scaling import TargetScaler
    from crystalgnn_core.models.network import Network

logger = logging.getLogger(__name__)
JUDGING = ("val", "test")


def card_of_finetuned(
    card: ModelCard,
    base: ModelCard,
    data: TrainingData,
    network: Network,
    graphs: Path,
    *,
    starts: Sequence[Network] = (),
) -> ModelCard:
    """Add to a new card where its model comes from, and what that model knows already.

    Elements and label ranges are those of both; what is not known of the base model is not
    known of both together. The network is the base model's; `data` are the rows of the new
    one, and `starts` the networks of the base's members with a fitted output layer.
    """
    kept = [name for name in card.scaler.targets if name in base.scaler.targets]
    device = choose_device(str(card.training["device"]))
    judge = partial(_errors, data=data, graphs=graphs, card=card)
    reference = _refer(base, card, data, judge(network.to(device), base.scaler, kept))
    if starts:
        mean = EnsembleNetwork(starts) if len(starts) > 1 else starts[0]
        start = judge(mean, card.scaler, card.scaler.targets)
        reference = reference.model_copy(update={"recalibrated": start})
    counts = {
        number: base.element_counts.get(number, 0) + card.element_counts.get(number, 0)
        for number in sorted({*base.element_counts, *card.element_counts})
    }
    return card.model_copy(
        update={
            "elements": tuple(sorted({*base.elements, *card.elements})),
            "element_counts": counts if base.element_counts else {},
            "label_range": _join_ranges(card, base),
            "base": reference,
        }
    )


def _join_ranges(card: ModelCard, base: ModelCard) -> dict[str, tuple[float, float]]:
    joined = {}
    for name, (low, high) in card.label_range.items():
        if name not in base.scaler.targets:
            joined[name] = (low, high)
        elif name in base.label_range:
            before = base.label_range[name]
            joined[name] = (min(low, before[0]), max(high, before[1]))
    return joined


def _errors(
    network: Network,
    scaler: TargetScaler,
    names: Sequence[str],
    *,
    data: TrainingData,
    graphs: Path,
    card: ModelCard,
) -> dict[str, dict[str, Metrics]]:
    """Compare a network with the labels by which the new one will be judged."""
    columns = [card.scaler.targets.index(name) for name in names]
    found = {}
    for split in JUDGING:
        rows = data.select(split)
        dataset = data.select_dataset(graphs, rows)
        predicted = predict_columns(network, dataset, scaler)
        found[split] = compare_targets(names, data.labels[rows][:, columns], predicted)
    return found


def _refer(
    base: ModelCard,
    card: ModelCard,
    data: TrainingData,
    errors: dict[str, dict[str, Metrics]],
) -> BaseReference:
    seen = _count_seen(base, data)
    if any(seen.values()):
        logger.warning(
            "%s may have learned from rows that judge the new model (%s); give both the "
            "same training.split",
            base.model_id,
            seen,
        )
    return BaseReference(
        model_id=base.model_id,
        weights_sha256=base.weights_sha256,
        label_schemes=base.label_schemes,
        targets=tuple(errors["test"]),
        changed_parts=_changed_parts(base, card),
        n_seen=seen,
        metrics=errors,
        base=base.base,
        data_sources=base.data.data_sources,
    )


def _changed_parts(base: ModelCard, card: ModelCard) -> dict[str, str]:
    """Say of which targets the value alone was kept, as only one model has two parts."""
    before, after = base.scaler.hurdle, card.scaler.hurdle
    changed = [
        name
        for name in card.scaler.targets
        if name in base.scaler.targets and (name in before) != (name in after)
    ]
    return {
        name: "two parts from one: the probability that it is not zero is new"
        if name in after
        else "one number, from the value if it is not zero"
        for name in changed
    }


def _count_seen(base: ModelCard, data: TrainingData) -> dict[str, int]:
    """Count the validation and test rows that the base model may have learned from.

    Those are its training rows, and where they test its validation rows, too, by which its
    epoch was chosen. Of a model from elsewhere nothing is known.
    """
    if not base.training:
        return {}
    places = splits_in(base, data.rows)
    learned = {"val": ("train",), "test": ("train", "val")}
    return {
        split: int(np.isin(places[data.select(split)], learned[split]).sum())
        for split in JUDGING
    }


def splits_in(card: ModelCard, rows: pa.Table) -> NDArray[np.str_]:
    """Draw the split of a model again for the rows of its sources.

    Args:
        card: Its card.
        rows: Columns `source`, `formula` and `split`, the source's own.

    Returns:
        Split names, shape (n_rows,); empty for rows of other sources, and for all rows if
        the model comes from elsewhere.
    """
    places = np.full(len(rows), "", dtype="<U5")
    if card.training:
        is_own = np.isin(rows["source"].to_pylist(), card.data.sources)
        own = rows.filter(pa.array(is_own))
        config = TrainingConfig.model_validate(card.training).split
        formulas, given = own["formula"].to_pylist(), own["split"].to_pylist()
        places[is_own] = assign_splits(formulas, given, config)
    return places


def has_seen(card: ModelCard, rows: pa.Table) -> NDArray[np.bool_]:
    """Mark the rows of which a model may know the labels; of one from elsewhere none.

    Sources of the bases of a fine-tuned model count whole, except those that it shares with
    them under the same split.

    Args:
        card: Its card.
        rows: Columns `source`, `formula` and `split`, the source's own.

    Returns:
        Shape (n_rows,).
    """
    places = splits_in(card, rows)
    is_seen: NDArray[np.bool_] = (places != "") & (places != "test")
    base = card.base
    shared = set(card.data.sources)
    while base is not None:
        if any(base.n_seen.values()):
            shared = set()
        learned = {facts.source for facts in base.data_sources} - shared
        is_seen |= np.isin(
            rows["source"].to_pylist(), np.array(sorted(learned), dtype=np.str_)
        )
        base = base.base
    return is_seen
