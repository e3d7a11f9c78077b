"""The plot of a training run, beside the model it made."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from crystalgnn_core.errors import IntegrityError
from crystalgnn_core.learning.cards import HISTORY
from crystalgnn_core.reporting.history import write_history_plot

if TYPE_CHECKING:
    from pathlib import Path

PLOT = "history.png"


def plot_history(model_folder: Path, model_id: str) -> Path:
    """Draw the training history of a model as `history.png`, unless it is there.

    Args:
        model_folder: Folder of a finished model.
        model_id: Name of the model, for the heading.

    Raises:
        IntegrityError: The model has no history.
    """
    target, history = model_folder / PLOT, model_folder / HISTORY
    if target.is_file():
        return target
    if not history.is_file():
        raise IntegrityError(f"{history}: file is missing; train the model again")
    write_history_plot(target, pd.read_parquet(history), title=model_id)
    return target
