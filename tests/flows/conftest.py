"""The small stores of core's tests, for flows."""

from tests.core.conftest import (
    built_store,
    model,
    store,
    trained,
    trained_store,
)

__all__ = ["built_store", "model", "store", "trained", "trained_store"]
