"""Graph networks and models of the composition; `ModelConfig` is the union of them."""

from typing import Annotated

from pydantic import Discriminator, Tag

from crystalgnn_core.models.composition_config import (
    CompositionMLPConfig,
    CompositionTreesConfig,
)
from crystalgnn_core.models.config import (
    ALIGNNConfig,
    CGCNNConfig,
    MEGNetConfig,
    SchNetConfig,
)


def _kind(value: object) -> str | None:
    """Tell a network's settings by `kind`, which CGCNN's may lack."""
    if isinstance(value, dict):
        return value.get("kind", "cgcnn")
    return getattr(value, "kind", None)


ModelConfig = Annotated[
    Annotated[ALIGNNConfig, Tag("alignn")]
    | Annotated[CGCNNConfig, Tag("cgcnn")]
    | Annotated[CompositionMLPConfig, Tag("composition_mlp")]
    | Annotated[CompositionTreesConfig, Tag("composition_trees")]
    | Annotated[MEGNetConfig, Tag("megnet")]
    | Annotated[SchNetConfig, Tag("schnet")],
    Discriminator(_kind),
]
