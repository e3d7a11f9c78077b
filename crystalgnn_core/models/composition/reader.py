"""Messages between the elements of a formula."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from crystalgnn_core.models.composition.charges import N_CHARGE_FEATURES, charges_of
from crystalgnn_core.models.composition.features import property_table
from crystalgnn_core.models.layers import spread_to_edges, sum_by_center

if TYPE_CHECKING:
    from torch import Tensor

    from crystalgnn_core.models.composition.elements import Elements

START = 0.1  # spread of fresh embeddings, beside properties with a spread of 1


class ElementMessages(nn.Module):
    """Update the elements of each formula by messages from all of them.

    h_i <- h_i + W sum_j x_j sigmoid(g_ij) silu(m_ij) with [g_ij, m_ij] = V LN(h_i) +
    U LN(h_j) + b, x_j the fraction of element j.

    Args:
        width: Features per element.
        message_width: Features per message.
    """

    def __init__(self, width: int, message_width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.of_receiver = nn.Linear(width, 2 * message_width)
        self.of_sender = nn.Linear(width, 2 * message_width, bias=False)
        self.output = nn.Linear(message_width, width)

    def forward(self, features: Tensor, fraction: Tensor, elements: Elements) -> Tensor:
        """Return the updated features, shape (n_elements, width).

        Args:
            features: Same shape.
            fraction: Those of `elements`, with the type of the features.
            elements: Elements and pairs.
        """
        sender, degree = elements.sender, elements.degree
        normal = self.norm(features)
        pairs = spread_to_edges(self.of_receiver(normal), degree, len(sender))
        pairs = pairs + self.of_sender(normal).index_select(0, sender)
        message, gate = pairs.chunk(2, dim=1)
        messages = functional.silu(message) * torch.sigmoid(gate)
        messages = messages * fraction.index_select(0, sender).unsqueeze(1)
        return features + self.output(sum_by_center(messages, degree))


class Formula(NamedTuple):
    """What is read from the formulas of a batch.

    Attributes:
        elements: Features of the elements, shape (n_elements, width).
        crystals: Features of the crystals, shape (n_graphs, n_features).
    """

    elements: Tensor
    crystals: Tensor


class FormulaReader(nn.Module):
    """Read formulas by messages between their elements.

    After Roost, Goodall & Lee, Nat. Commun. 11, 6280 (2020): the elements of a formula are
    the nodes of a graph in which each is joined to all, and what they send is weighed by
    their fractions. Here gates stand in place of the attention, and the properties of the
    elements (see `property_table`; unknown ones are at their means) beside a trained
    embedding in place of one from the literature.

    Args:
        width: Features per element.
        message_width: Features per message.
        n_rounds: Times that the elements hear of each other.
        n_features: Features per crystal.
        with_charges: Whether it is read, too, how near the formula is to being neutral, see
            `charge_features`.
    """

    properties: Tensor

    def __init__(
        self,
        width: int,
        message_width: int,
        n_rounds: int,
        n_features: int,
        *,
        with_charges: bool = False,
    ) -> None:
        super().__init__()
        table = property_table()
        mean, spread = np.nanmean(table, axis=0), np.nanstd(table, axis=0)
        known = torch.from_numpy(np.nan_to_num((table - mean) / spread))
        self.register_buffer(
            "properties", known.to(torch.get_default_dtype()), persistent=False
        )
        self.from_properties = nn.Linear(known.shape[1], width)
        self.embedding = nn.Embedding(len(known), width)
        nn.init.normal_(self.embedding.weight, std=START)
        self.rounds = nn.ModuleList(
            ElementMessages(width, message_width) for _ in range(n_rounds)
        )
        self.norm = nn.LayerNorm(width)
        self.pooled = nn.Linear(width, n_features)
        self.charges = _Charges(width, n_features) if with_charges else None

    def forward(self, elements: Elements) -> Formula:
        """Return the features of elements and crystals."""
        dtype = self.pooled.weight.dtype
        fraction = elements.fraction.to(dtype)
        rows = self.from_properties(self.properties.to(dtype)) + self.embedding.weight
        features = rows.index_select(0, elements.number)
        if self.charges is not None:
            to_elements, to_crystals = self.charges(elements)
            features = features + to_elements
        for messages in self.rounds:
            features = messages(features, fraction, elements)
        features = self.norm(features)
        shown = functional.silu(self.pooled(features))
        crystals = sum_by_center(shown, elements.counts, fraction)
        if self.charges is not None:
            crystals = crystals + to_crystals
        return Formula(features, crystals)


class _Charges(nn.Module):
    """What the balance of charges adds to the features of elements and crystals."""

    def __init__(self, width: int, n_features: int) -> None:
        super().__init__()
        self.of_elements = nn.Linear(N_CHARGE_FEATURES, width)
        self.of_crystals = nn.Linear(N_CHARGE_FEATURES, n_features)

    def forward(self, elements: Elements) -> tuple[Tensor, Tensor]:
        found = charges_of(elements).to(self.of_elements.weight)
        rows = self.of_elements(found).repeat_interleave(elements.counts, dim=0)
        return rows, self.of_crystals(found)
