from pathlib import Path

import pytest
from hypothesis import settings

from tests.core import worlds

# times on a shared machine say nothing about the code
settings.register_profile("core", deadline=None)
settings.load_profile("core")


@pytest.fixture(scope="session")
def built_store(tmp_path_factory):
    """Records and graphs; tests that change anything copy it."""
    store = tmp_path_factory.mktemp("built") / "store"
    worlds.ingest(store, worlds.SOURCE)
    worlds.ingest(store, worlds.CANDIDATES)
    worlds.build_graphs(store)
    return store


@pytest.fixture(scope="session")
def trained(built_store, tmp_path_factory):
    """A finished model in a store of its own."""
    store = worlds.copy(built_store, tmp_path_factory.mktemp("trained") / "store")
    return worlds.train(store)


@pytest.fixture(scope="session")
def trained_store(trained):
    return Path(trained.folder).parents[1]


@pytest.fixture
def store(trained_store, tmp_path):
    """A store with records, graphs and a model, to change at will."""
    return worlds.copy(trained_store, tmp_path / "store")


@pytest.fixture
def model(store, trained):
    """The bundle folder of the model in `store`."""
    return store / "models" / trained.model_id
