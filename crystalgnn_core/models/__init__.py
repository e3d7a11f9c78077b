"""Graph networks and the composition baseline; `ModelConfig` is their union."""

from crystalgnn_core.models.cgcnn import CGCNNConfig

ModelConfig = CGCNNConfig
