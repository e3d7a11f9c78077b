"""What a network is: the class that all networks share.

`crystalgnn_core.models.base` holds the other half of the contract, the configuration. They
are two modules because this one loads torch, and settings are read without it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, NamedTuple, Self

from torch import nn

from crystalgnn_core.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor
    from torch_geometric.data import Batch

    from crystalgnn_core.models.novelty import Novelty


class LayerNames(NamedTuple):
    """Names of the layers that fine-tuning treats apart.

    Attributes:
        embedding: Maps elements to the first features of atoms.
        output: Last linear layer, with one row per output of the model card's scaler.
        sums_atoms: Whether the prediction is a sum over the outputs of single atoms, so
            that the bias of a row is added once per atom.
        after_pooling: Layers between the convolutions and the output, in which atoms do not
            hear of each other.
        further_embeddings: Other layers that map elements to features.
    """

    embedding: str
    output: str
    sums_atoms: bool = False
    after_pooling: tuple[str, ...] = ()
    further_embeddings: tuple[str, ...] = ()


class Network(nn.Module, ABC):
    """Predict crystal properties from a batch of crystal graphs.

    `crystalgnn_core.contracts.networks` tests what is said here. Two networks of one
    configuration have the same names and shapes in their `state_dict`, which is what a
    bundle stores.

    Attributes:
        layer_names: Layers that fine-tuning treats apart; None where a network cannot be
            fine-tuned.
        atom_width: Features of an atom at first, to which a network that reads
            `atom_context` (n_atoms, atom_width) of a batch adds it (see
            `crystalgnn_core.models.element_layers.embed_atoms`); None for others.
        novelty: What a loaded bundle knows of the rows that it learned from; else None.
    """

    layer_names: LayerNames | None = None
    atom_width: int | None = None
    novelty: Novelty | None = None

    @property
    def equivalence_rounds(self) -> int | None:
        """Steps in which atoms hear of each other, of elements and distances alone.

        Such a network takes batches of `crystalgnn_core.models.merging.merge_equivalent`,
        too, which it is trained on: it counts every edge `edge_weight` times where it sums
        over the edges of an atom, and every atom `atom_weight` times where it sums or
        normalises over atoms (see `crystalgnn_core.models.adjacency`). None for others.
        """
        return None

    @abstractmethod
    def forward(self, batch: Batch) -> Tensor:
        """Predict every crystal of a batch, which is left as it is.

        In evaluation mode a prediction depends on its own crystal alone, and not on the
        order of the atoms, on the origin or on the orientation of the cell.

        Args:
            batch: Crystals laid end to end. Its fields are tensors on the network's device,
                lengths in angstrom:

                * `atomic_numbers` (n_atoms,) int64;
                * `edge_index` (2, n_edges) int64, atoms of the batch: row 0 the neighbour,
                  row 1 the centre, grouped by centre;
                * `edge_vector` (n_edges, 3) float32, from the centre to the neighbour's
                  image;
                * `cell_offset` (n_edges, 3) int8, image of the neighbour;
                * `degree` (n_atoms,) int64, edges of every centre; zero is possible;
                * `lattice` (n_graphs, 3, 3) float32, row vectors;
                * `frac_coords` (n_atoms, 3) float32, in [0, 1);
                * `batch` (n_atoms,) int64, crystal of every atom;
                * `ptr` (n_graphs + 1,) int64, first atom of every crystal, and the end.

        Returns:
            Values on the scale of the model card's scaler, shape (n_graphs, n_outputs);
            the logit for a target that is a class.
        """

    def cpu_form(self) -> Callable[[Batch], Tensor] | None:
        """Return what predicts the same on a CPU but faster, or None.

        It holds for the weights as they are now, in evaluation mode and without gradients,
        and is called by several threads, each with crystals of its own. A subclass with
        another `forward` has another fast form.

        Raises:
            TableError: The weights do not allow it; the network itself predicts then.
        """
        return None


class NetworkInParts(Network):
    """A network that predicts in two ways, of which `forward` is a mean."""

    @abstractmethod
    def parts(self, batch: Batch) -> Tensor:
        """Predict in both ways, each of which is trained on its own.

        Args:
            batch: As for `forward`.

        Returns:
            Shape (2, n_graphs, n_outputs); until they are weighed both count a half.
        """

    @abstractmethod
    def weigh_parts(self, shares: Tensor) -> None:
        """Make `forward` another mean of both, after training.

        Args:
            shares: Share of the first part in each output, shape (n_outputs,).
        """


class Estimator(Network):
    """A network that is fitted in one go, in place of a training by epochs."""

    @abstractmethod
    def fit(
        self,
        batch: Batch,
        labels: NDArray[np.float64],
        *,
        classes: Sequence[bool] = (),
        seed: int = 0,
    ) -> Self:
        """Fit the model in place, and return it.

        Args:
            batch: Crystals, as for `forward`.
            labels: On the scale of the output, NaN missing, shape (n_graphs, n_outputs).
            classes: Whether each output is the logit of a class, with labels 0 and 1; none
                are by default.
            seed: Of whatever is drawn at random.
        """


def layer_names_of(network: Network) -> LayerNames:
    """Return the names of the layers that fine-tuning treats apart.

    Raises:
        ModelError: The network does not name them.
    """
    if network.layer_names is None:
        raise ModelError(
            f"a {type(network).__name__} cannot be fine-tuned: it does not say which of "
            "its layers are embedding and output; train a new model"
        )
    return network.layer_names


def output_layer(network: Network) -> nn.Linear:
    """Return the last linear layer of a network.

    Raises:
        ModelError: The network does not name it.
    """
    layer = network.get_submodule(layer_names_of(network).output)
    if not isinstance(layer, nn.Linear):
        raise TypeError(
            f"layer_names.output names a {type(layer).__name__}, not a linear layer"
        )
    return layer
