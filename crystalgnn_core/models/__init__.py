"""Graph networks and the composition baseline; `ModelConfig` is their union."""

from crystalgnn_core.models.config import CGCNNConfig

ModelConfig = CGCNNConfig
