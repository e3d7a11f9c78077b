"""The plot of a finished training run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from crystalgnn_core.reporting.history import write_history_plot

if TYPE_CHECKING:
    from pathlib import Path


def plot_history(model_folder: Path, model_id: str) -> Path:
    """Draw `history.png` beside the bundle; keep one that is newer than its data.

    Args:
        model_folder: Folder with `history.parquet`.
        model_id: Title of the plot.

    Returns:
        Path of the picture.
    """
    data, picture = model_folder / "history.parquet", model_folder / "history.png"
    if not picture.is_file() or picture.stat().st_mtime < data.stat().st_mtime:
        write_history_plot(picture, pd.read_parquet(data), title=model_id)
    return picture
