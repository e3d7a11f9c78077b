"""The stores of the command-line tests, for pages and scripts of the documentation."""

from tests.deployments.conftest import own_store, run, trained_store

__all__ = ["own_store", "run", "trained_store"]
