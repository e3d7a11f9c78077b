"""Which models there are: `ModelConfig` is the union of their configurations."""

from typing import TYPE_CHECKING

from crystalgnn_core.base import union_by_kind
from crystalgnn_core.models.alignn.config import ALIGNNConfig
from crystalgnn_core.models.cgcnn.config import CGCNNConfig
from crystalgnn_core.models.cogn.config import COGNConfig
from crystalgnn_core.models.composition.config import (
    CompositionGNNConfig,
    CompositionMLPConfig,
    CompositionTreesConfig,
)
from crystalgnn_core.models.megnet.config import MEGNetConfig
from crystalgnn_core.models.potential.config import PotentialConfig
from crystalgnn_core.models.schnet.config import SchNetConfig

BuiltinModel = (
    ALIGNNConfig
    | CGCNNConfig
    | COGNConfig
    | CompositionGNNConfig
    | CompositionMLPConfig
    | CompositionTreesConfig
    | MEGNetConfig
    | PotentialConfig
    | SchNetConfig
)
if TYPE_CHECKING:
    ModelConfig = BuiltinModel
else:  # with those of installed packages; settings without a kind are CGCNN's
    ModelConfig = union_by_kind(BuiltinModel, group="crystalgnn.networks", default="cgcnn")
