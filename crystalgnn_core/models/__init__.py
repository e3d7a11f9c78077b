"""Graph networks and the composition baseline; `ModelConfig` is the union of the networks."""

from crystalgnn_core.models.cgcnn import CGCNNConfig

ModelConfig = CGCNNConfig
