"""The science: records, graphs, models, screening; never imports Prefect."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from crystalgnn_core.screening.prediction import predict

__all__ = ["predict"]


def __getattr__(name: str) -> Any:  # noqa: ANN401  module attributes
    """Import `predict` on first use, so that light modules stay light to import."""
    if name == "predict":
        from crystalgnn_core.screening.prediction import predict

        return predict
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
