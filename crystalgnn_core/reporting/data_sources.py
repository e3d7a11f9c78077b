"""What data a screen rests on: sources, licences, releases and citations, as a table."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import pyarrow as pa

from crystalgnn_core.learning.cards import facts_of
from crystalgnn_core.records.links.table import count_linked
from crystalgnn_core.records.provenance import FACT_COLUMNS, SourceFacts, describe_sources
from crystalgnn_core.records.table.store import RecordStore

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from crystalgnn_core.learning.cards import ModelCard


class DataUse(NamedTuple):
    """Some rows of one source, and what they were used for."""

    use: str
    facts: SourceFacts


def data_of_screen(
    store: Path, sources: Sequence[str], cards: Sequence[ModelCard]
) -> list[DataUse]:
    """List the data of models and candidates, that of a fine-tuned model's bases, too."""
    uses: list[DataUse] = []
    is_shared = all(card.data.data_digest == cards[0].data.data_digest for card in cards)
    for card in cards:
        of_which = "" if is_shared else f" of {card.model_id}"
        own = [DataUse(f"training{of_which}", one) for one in facts_of(card.data)]
        uses += [use for use in [*own, *_uses_of_base(card)] if use not in uses]
    candidates = RecordStore(store).scan(sources, ["source", *FACT_COLUMNS])
    described = describe_sources(store, pa.concat_tables(candidates))
    return [*uses, *(DataUse("candidates", one) for one in described)]


def overlap_facts(
    store: Path, sources: Sequence[str], cards: Sequence[ModelCard]
) -> dict[str, str]:
    """Count the candidates that are linked to a row of the training sources.

    Returns:
        Nothing where the records were never linked.
    """
    trained_on = sorted({name for card in cards for name in card.data.sources})
    n_linked = count_linked(store, sources, trained_on)
    if n_linked is None:
        return {}
    label = "candidates that are the same material as a row of the training sources"
    return {label: f"{n_linked:,} by the last linking"}


def _uses_of_base(card: ModelCard) -> list[DataUse]:
    uses, base = [], card.base
    while base is not None:
        uses += [DataUse(f"base model {base.model_id}", one) for one in base.data_sources]
        base = base.base
    return uses
