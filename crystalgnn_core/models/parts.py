"""Where a network keeps what fine-tuning treats apart: its embedding and its output."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from torch import nn

from crystalgnn_core.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Iterator


class Parts(NamedTuple):
    """Names of a network's modules; every network has them as its attribute `parts`.

    Attributes:
        embedding: Maps elements to the first features of atoms.
        output: Last linear layer, with one row a target.
        sums_atoms: Whether the prediction is a sum over the outputs of single atoms, so
            that the bias of a row is added once an atom.
    """

    embedding: str
    output: str
    sums_atoms: bool = False


def parts_of(network: nn.Module) -> Parts:
    """Return the names of the parts of a network.

    Raises:
        ModelError: It does not say what they are.
    """
    parts = getattr(network, "parts", None)
    if not isinstance(parts, Parts):
        raise ModelError(
            f"a {type(network).__name__} cannot be fine-tuned: it does not say which of "
            "its layers are embedding and output; train it afresh"
        )
    return parts


def output_layer(network: nn.Module) -> nn.Linear:
    """Return the last linear layer of a network.

    Raises:
        ModelError: The network does not say which one it is.
    """
    layer = network.get_submodule(parts_of(network).output)
    if not isinstance(layer, nn.Linear):
        raise TypeError(f"parts.output names a {type(layer).__name__}, not a linear layer")
    return layer


def normalizations(network: nn.Module) -> Iterator[nn.BatchNorm1d]:
    """Yield the layers that keep running statistics of their inputs."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm1d):
            yield module
