"""Graph networks and the composition baseline; `ModelConfig` is the union of networks."""

from typing import Annotated

from pydantic import Discriminator, Tag

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
    | Annotated[MEGNetConfig, Tag("megnet")]
    | Annotated[SchNetConfig, Tag("schnet")],
    Discriminator(_kind),
]
