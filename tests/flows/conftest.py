"""One Prefect server for all flow tests, and a tiny configuration."""

from pathlib import Path
from typing import Any

import pytest

from crystalgnn_core.config import PipelineConfig
from crystalgnn_core.parallel import close_pool

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
}


@pytest.fixture(scope="session")
def prefect_api():
    """The server that the command line starts, with the worker processes of core."""
    from deployments.server import prefect_server

    with prefect_server() as url:
        yield url
    close_pool()


@pytest.fixture
def tiny_config(tmp_path: Path) -> PipelineConfig:
    return PipelineConfig.model_validate(TINY | {"store": str(tmp_path / "store")})
