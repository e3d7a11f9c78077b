"""What a file of weights of another program holds, whatever its format."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from torch import Tensor

    from crystalgnn_core.graphs.config import GraphConfig
    from crystalgnn_core.models.base import NetworkConfig
    from crystalgnn_core.targets import TargetKind


class PublishedModel(NamedTuple):
    """A network that was trained elsewhere.

    Attributes:
        config: Its sizes.
        graph: The graphs that it expects.
        weights: Its parameters by our names.
        target: What it predicts, or None where the file does not say.
        kind: What its output is: a number, or the logit of a class.
        mean: Of the transformed labels it was trained on; 0 for a class.
        std: Their spread; output x std + mean is the (transformed) value; 1 for a class.
        elements: Atomic numbers that it has features for.
        n_rows: Rows of each split, where the file states them.
        error: Mean absolute error on the transformed scale, or the area under the ROC
            curve of a class, as the file states it; None where it does not.
        error_split: Rows on which that was measured.
        epoch: Epoch of the weights.
        scheme: Label scheme of what it learned from, or None where the file does not say.
        is_linear: Whether its labels were not transformed, whatever the target's row says.
        remarks: What a user must know of this kind of file.
    """

    config: NetworkConfig
    graph: GraphConfig
    weights: dict[str, Tensor]
    target: str | None
    kind: TargetKind
    mean: float
    std: float
    elements: tuple[int, ...]
    n_rows: dict[str, int]
    error: float | None
    error_split: Literal["val", "test"]
    epoch: int
    scheme: str | None = None
    is_linear: bool = False
    remarks: tuple[str, ...] = ()
