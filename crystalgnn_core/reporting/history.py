"""The training history: one small panel per quantity, on the page and as a PNG."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from crystalgnn_core.errors import IntegrityError
from crystalgnn_core.reporting.style import LIGHT
from crystalgnn_core.storage.files import atomic_path, is_as_written
from crystalgnn_core.targets import TARGETS

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes

PLOT = "history.png"
LOSSES = {"train_loss": "training", "val_loss": "validation"}
ERRORS = {"mae": "MAE", "brier": "Brier score"}  # the smallest is the best
LINE_COLORS = (LIGHT["accent"], LIGHT["highlight"])
RATES = {"accuracy": "accuracy", "auc": "ROC AUC"}


@dataclass(frozen=True)
class HistoryPanel:
    """One quantity over the epochs.

    Attributes:
        key: Identifier, unique among the panels.
        title: Axis title with unit.
        columns: Columns of the history to draw, with their legend names.
        is_log: Whether the vertical axis is logarithmic.
        marks_best: Whether the smallest value is marked.
    """

    key: str
    title: str
    columns: dict[str, str]
    is_log: bool = False
    marks_best: bool = False


def plot_history(model_folder: Path, model_id: str) -> Path:
    """Draw the training history of a finished model as `history.png`, unless it is there.

    Raises:
        IntegrityError: The model has no history.
    """
    from crystalgnn_core.learning.cards import HISTORY  # loads torch

    target, history = model_folder / PLOT, model_folder / HISTORY
    if is_as_written(target):
        return target
    if not history.is_file():
        raise IntegrityError(f"{history}: file is missing; train the model again")
    write_history_plot(target, pd.read_parquet(history), title=model_id)
    return target


def history_panels(history: pd.DataFrame) -> list[HistoryPanel]:
    """List the panels that a history has data for.

    Args:
        history: `epoch` with any of `train_loss`, `val_loss`, `val_mae_<target>`,
            `val_brier_`, `val_accuracy_` and `val_auc_<target>` of classes, and
            `learning_rate`; columns without a value, and a constant rate, are left out.
    """
    filled = [str(name) for name in history.columns if history[name].notna().any()]
    panels = []
    losses = {name: title for name, title in LOSSES.items() if name in filled}
    if losses:
        is_positive = bool((history[list(losses)].min() > 0).all())
        panels.append(HistoryPanel("loss", "loss", losses, is_log=is_positive))
    rates: dict[str, dict[str, str]] = {}
    for column in filled:
        kind, _, name = column.removeprefix("val_").partition("_")
        if kind in ERRORS:
            title = f"validation {ERRORS[kind]}, {_title_of(name, with_unit=True)}"
            shown = {column: "validation"}
            panels.append(HistoryPanel(column, title, shown, marks_best=True))
        elif kind in RATES:
            rates.setdefault(name, {})[column] = RATES[kind]
    for name, shown in rates.items():
        title = f"validation {' and '.join(shown.values())}, {_title_of(name)}"
        panels.append(HistoryPanel(f"rates-{name}", title, shown))
    if "learning_rate" in filled and np.ptp(history["learning_rate"].dropna()) > 0:
        columns = {"learning_rate": "learning rate"}
        panels.append(HistoryPanel("learning_rate", "learning rate", columns, is_log=True))
    return panels


def best_epoch(history: pd.DataFrame, column: str) -> tuple[int, float]:
    """Return the epoch of a column's smallest value, the first of equals, and the value."""
    values = history[column].to_numpy(dtype=float)
    row = int(np.nanargmin(values))
    return int(history["epoch"].iloc[row]), float(values[row])


def _title_of(name: str, *, with_unit: bool = False) -> str:
    target = TARGETS.get(name)
    if target is None:
        return name
    return target.heading if with_unit and not target.is_class else target.title


def write_history_plot(path: Path, history: pd.DataFrame, *, title: str) -> None:
    """Write the training history, see `history_panels`, as a PNG, atomically."""
    # The object API with its own canvas: pyplot keeps global state that threads share.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    panels = history_panels(history)
    width = 4.2 * max(len(panels), 1)
    figure = Figure(figsize=(width, 3.4), layout="constrained", facecolor=LIGHT["surface"])
    FigureCanvasAgg(figure)
    plain = title.replace("$", r"\$")  # matplotlib would read it as mathematics
    figure.suptitle(plain, x=0.01, ha="left", fontsize=11, color=LIGHT["ink"])
    for index, panel in enumerate(panels):
        _draw_panel(figure.add_subplot(1, len(panels), index + 1), history, panel)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png", dpi=150)


def _draw_panel(axes: Axes, history: pd.DataFrame, panel: HistoryPanel) -> None:
    for (column, name), color in zip(panel.columns.items(), LINE_COLORS, strict=False):
        axes.plot(history["epoch"], history[column], label=name, color=color, linewidth=1.6)
    if panel.marks_best:
        epoch, value = best_epoch(history, next(iter(panel.columns)))
        axes.plot([epoch], [value], "o", color=LIGHT["highlight"], ms=5)
        note = f"best {value:.4g} at epoch {epoch}"
        axes.set_title(note, fontsize=9, color=LIGHT["muted"], loc="right")
    if len(panel.columns) > 1:
        axes.legend(frameon=False, fontsize=9)
    if panel.is_log:
        axes.set_yscale("log")
    axes.set_xlabel("epoch", fontsize=9)
    axes.set_ylabel(panel.title.replace(", ", ",\n"), fontsize=9)
    axes.tick_params(which="both", labelsize=8)
    axes.grid(visible=True, color=LIGHT["grid"], linewidth=0.8)
    axes.spines[["top", "right"]].set_visible(False)
