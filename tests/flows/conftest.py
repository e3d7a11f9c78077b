"""The small stores of core's tests, for flows, and one that the pipeline has filled."""

from typing import TYPE_CHECKING, NamedTuple

import pytest

from crystalgnn_core.config import PipelineConfig
from tests.core import worlds
from tests.core.conftest import (
    built_store,
    model,
    store,
    trained,
    trained_store,
)
from tests.tiny import TINY

__all__ = ["built_store", "model", "store", "trained", "trained_store"]

if TYPE_CHECKING:
    from flows.pipeline import PipelineSummary


class FirstRun(NamedTuple):
    """A configuration and what the first run of its pipeline returned."""

    config: PipelineConfig
    summary: "PipelineSummary"


@pytest.fixture(scope="session")
def first_run(prefect_api, tmp_path_factory):
    """The smallest pipeline, run once; tests that change its store take `own_run`."""
    from flows.pipeline import pipeline

    store = tmp_path_factory.mktemp("first-run") / "store"
    config = PipelineConfig.model_validate(TINY | {"store": str(store)})
    return FirstRun(config, pipeline(config))


@pytest.fixture
def own_run(first_run, tiny_config):
    """The same in a copy of the store, which a test may change."""
    worlds.copy(first_run.config.store_path, tiny_config.store_path)
    return first_run._replace(config=tiny_config)
