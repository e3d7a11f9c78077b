"""What networks know of an atom: features of its element, given or trained."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import torch
from torch import nn
from torch.nn import functional

from crystalgnn_core.models.elements import feature_table

if TYPE_CHECKING:
    from torch import Tensor
    from torch_geometric.data import Batch

    from crystalgnn_core.models.base import ElementProperty, NodeFeatures

ATOM_CONTEXT = "atom_context"


class ElementFeatures(nn.Module):
    """Look the features of elements up.

    Args:
        features: The 92-number table, or names of properties.
    """

    table: Tensor

    def __init__(self, features: Literal["table"] | tuple[ElementProperty, ...]) -> None:
        super().__init__()
        self.register_buffer("table", _as_tensor(features), persistent=False)

    @property
    def n_features(self) -> int:
        """Features per element."""
        return self.table.shape[1]

    def forward(self, atomic_numbers: Tensor) -> Tensor:
        """Map atomic numbers (n_atoms,), int64, to features (n_atoms, n_features)."""
        return self.table.index_select(0, atomic_numbers)


class ElementLinear(nn.Linear):
    """Map the features of elements linearly, element by element rather than atom by atom.

    Args:
        features: The 92-number table, or names of properties.
        width: Features coming out.
    """

    table: Tensor

    def __init__(
        self, features: Literal["table"] | tuple[ElementProperty, ...], width: int
    ) -> None:
        table = _as_tensor(features)
        super().__init__(table.shape[1], width)
        self.register_buffer("table", table, persistent=False)

    def forward(self, atomic_numbers: Tensor) -> Tensor:
        """Map atomic numbers (n_atoms,), int64, to features (n_atoms, width)."""
        rows = functional.linear(self.table, self.weight, self.bias)
        return rows.index_select(0, atomic_numbers)


def embed_atoms(embedding: nn.Module, batch: Batch, member: Tensor | None = None) -> Tensor:
    """Return the first features of atoms (n_atoms, width).

    Args:
        embedding: Maps atomic numbers (n_atoms,) to features.
        batch: Crystals: `atomic_numbers`, and `atom_context` (n_atoms, width) where a
            network around this one adds what it has read from the composition.
        member: Atoms to choose, shape (n_chosen,); all by default.
    """
    numbers, context = batch.atomic_numbers, batch.get(ATOM_CONTEXT)
    if member is not None:
        numbers = numbers.index_select(0, member)
        context = None if context is None else context.index_select(0, member)
    atoms: Tensor = embedding(numbers)
    return atoms if context is None else atoms + context


def embed_elements(features: NodeFeatures, width: int, n_embedded: int) -> nn.Module:
    """Return the layer from atomic numbers (n_atoms,) to features (n_atoms, width).

    Args:
        features: `embedding`, whose rows are trained, or what is mapped linearly.
        width: Features coming out.
        n_embedded: Rows of an embedding; row 0, which belongs to no element, stays zero.
    """
    if features == "embedding":
        return nn.Embedding(n_embedded, width, padding_idx=0)
    return ElementLinear(features, width)


def _as_tensor(features: Literal["table"] | tuple[ElementProperty, ...]) -> Tensor:
    return torch.tensor(feature_table(features), dtype=torch.get_default_dtype())
