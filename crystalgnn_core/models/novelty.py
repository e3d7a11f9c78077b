"""How unlike the rows that a model learned from a row is.

Mean distance to the nearest training rows in the composition and the volume per atom; Janet
et al., Chem. Sci. 10, 7913 (2019), take it in the features of a network. Errors grow with
it, and it needs no label.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Self

import numpy as np
import torch

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray
    from torch import Tensor

    from crystalgnn_core.graphs.batches import GraphDataset

MAX_ROWS = 2000  # that are kept, drawn at random; 11,639 rank errors no better
N_NEAREST = 5
TYPICAL = 0.95  # share of the validation rows whose score is at most 1
VOLUME_WEIGHT = 3.0  # of the volume beside the 50 statistics of the composition
CHUNK = 256
PREFIX = "novelty."


class Novelty(NamedTuple):
    """Training rows of a model, and the distance from them that counts as 1.

    Attributes:
        rows: Their standard scores, shape (n_rows, n_features), float32.
        mean: Of the features of the training rows, shape (n_features,).
        std: Of the same; of the volume a third.
        distance: 95 % of the validation rows are at most as far away; shape (1,).
    """

    rows: NDArray[np.float32]
    mean: NDArray[np.float64]
    std: NDArray[np.float64]
    distance: NDArray[np.float64]

    @classmethod
    def fit(
        cls, dataset: GraphDataset, train: NDArray[np.int64], val: NDArray[np.int64]
    ) -> Self:
        """Keep training rows, and set the scale by the validation rows, by positions."""
        features = _features(dataset, train)
        known = np.ma.masked_invalid(features)
        mean, std = known.mean(axis=0).filled(0.0), known.std(axis=0).filled(0.0)
        std = np.where(std > 1e-6 * (1 + np.abs(mean)), std, 1.0)
        std[-1] /= VOLUME_WEIGHT
        drawn = np.random.default_rng(0).permutation(len(train))[:MAX_ROWS]
        rows = _standard(features[np.sort(drawn)], mean, std).astype(np.float32)
        plain = cls(rows, mean, std, np.ones(1))
        typical = float(np.quantile(plain.scores(dataset, val), TYPICAL))
        return plain._replace(distance=np.array([typical or 1.0]))

    def scores(
        self, dataset: GraphDataset, positions: NDArray[np.int64] | None = None
    ) -> NDArray[np.float64]:
        """Return how unlike the training rows the graphs at some positions are.

        0 is a composition and volume per atom that was learned from; above 1 is a row
        farther away than 95 % of the validation rows. Shape (n_positions,).
        """
        wanted = _standard(_features(dataset, positions), self.mean, self.std)
        squares = np.square(self.rows).sum(axis=1)
        k = min(N_NEAREST, len(self.rows))
        found = np.empty(len(wanted))
        for start in range(0, len(wanted), CHUNK):
            some = wanted[start : start + CHUNK]
            far = squares - 2 * some.astype(np.float32) @ self.rows.T
            near = self.rows[np.argpartition(far, k - 1, axis=1)[:, :k]]
            # again in double precision: sums of a product depend on how many rows it has
            steps = np.sqrt(np.square(near - some[:, None]).sum(axis=2))
            found[start : start + CHUNK] = np.sort(steps, axis=1).mean(axis=1)
        return found / self.distance

    def tensors(self) -> dict[str, Tensor]:
        """Return what a bundle keeps."""
        return {
            PREFIX + name: torch.from_numpy(np.ascontiguousarray(value))
            for name, value in self._asdict().items()
        }

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> Self | None:
        """Return what `tensors` has written; None for a bundle without."""
        if PREFIX + "rows" not in tensors:
            return None
        return cls(*(tensors[PREFIX + name].numpy() for name in cls._fields))


def is_reference(name: str) -> bool:
    """Return whether a tensor of a bundle is no weight but describes training rows."""
    return name.startswith(PREFIX)


def _features(
    dataset: GraphDataset, positions: NDArray[np.int64] | None
) -> NDArray[np.float64]:
    """Describe graphs by their composition and the logarithm of the volume per atom."""
    from crystalgnn_core.models.composition.features import batch_features

    found = batch_features(*dataset.compositions(positions))
    volumes = np.log(dataset.volumes(positions))
    return np.concatenate([found, volumes[:, None]], axis=1)


def _standard(
    features: NDArray[np.float64], mean: NDArray[np.float64], std: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return standard scores; what is unknown of an element counts as usual."""
    return np.nan_to_num((features - mean) / std)
