"""The smallest configuration that goes through every stage."""

from typing import Any

TINY: dict[str, Any] = {
    "sources": [
        {"kind": "synthetic", "name": "synthetic", "n_structures": 120, "part_size": 60},
        {"kind": "synthetic", "name": "candidates", "n_structures": 50, "batch": 1},
    ],
    "model": {"atom_width": 8, "n_convolutions": 1, "hidden_width": 8},
    "training": {
        "sources": ["synthetic"],
        "epochs": 2,
        "batch_size": 32,
        "device": "cpu",
        "split": {"val_fraction": 0.2, "test_fraction": 0.2},
    },
    "screening": {"name": "tiny", "sources": ["candidates"], "top_k": 5, "device": "cpu"},
    "execution": {"shard_size": 64},
    "retraining": {"require_floor": False},  # so short a training is worse than trees
}
