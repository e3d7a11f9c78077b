"""A model is judged by labels of the schemes it learned from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crystalgnn_core.errors import LabelSchemeError
from crystalgnn_core.records.label_schemes import JOINED, describe_scheme

if TYPE_CHECKING:
    from crystalgnn_core.learning.cards import DataSummary, ModelCard


def refuse_other_schemes(card: ModelCard, data: DataSummary) -> None:
    """Refuse to judge a model by labels of schemes that it did not learn from.

    A source that was ingested again may have come with labels of another scheme since.

    Args:
        card: The model.
        data: The labels as they are now.

    Raises:
        LabelSchemeError: The labels of a target of the model follow another scheme.
    """
    for name, learned in card.label_schemes.items():
        present = data.label_schemes.get(name, "")
        other = sorted(set(present.split(JOINED)) - {"", *learned.split(JOINED)})
        if other:
            told = "; ".join(f"{scheme!r} ({describe_scheme(scheme)})" for scheme in other)
            raise LabelSchemeError(
                f"{name}: {card.model_id} learned from labels of {learned!r}, but those of "
                f"{', '.join(data.sources)} are now of {told}; their differences are not "
                "its errors. Train a model on the present labels, or set "
                "training.allow_mixed_schemes: true to take them as one"
            )
