import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib import image

from crystalgnn_core.errors import IntegrityError
from crystalgnn_core.reporting.history import (
    best_epoch,
    history_panels,
    plot_history,
    write_history_plot,
)

PNG = b"\x89PNG\r\n\x1a\n"


def test_history_plot_is_a_picture_with_one_panel_a_quantity(make_report, tmp_path):
    history = make_report(n=100, n_table=10).history
    path = tmp_path / "plots" / "history.png"
    write_history_plot(path, history, title="run_1 costs $5 and $6")
    assert [file.name for file in path.parent.glob("[!.]*")] == ["history.png"]
    pixels = image.imread(path)
    assert pixels.shape[1] > 2.5 * pixels.shape[0]
    assert pixels[..., :3].std() > 0.02


def test_history_plot_leaves_pyplot_and_settings_alone(make_report, tmp_path):
    before = dict(mpl.rcParams)
    write_history_plot(
        tmp_path / "a.png", make_report(n=100, n_table=10).history, title="t"
    )
    assert dict(mpl.rcParams) == before


def test_empty_history_still_makes_a_picture(tmp_path):
    write_history_plot(tmp_path / "a.png", pd.DataFrame({"epoch": []}), title="t")
    assert (tmp_path / "a.png").stat().st_size > 0


def test_panels_leave_out_empty_columns_and_a_constant_rate():
    history = pd.DataFrame(
        {
            "epoch": [1, 2],
            "train_loss": [1.0, 0.0],
            "val_mae_band_gap": [np.nan, np.nan],
            "learning_rate": [1e-3, 1e-3],
        }
    )
    panels = history_panels(history)
    assert [panel.key for panel in panels] == ["loss"]
    assert not panels[0].is_log  # a loss of zero has no logarithm


def test_best_epoch_is_the_first_of_equals_and_skips_missing():
    history = pd.DataFrame(
        {"epoch": [1, 2, 3, 4], "val_mae_band_gap": [np.nan, 0.2, 0.2, 0.3]}
    )
    assert best_epoch(history, "val_mae_band_gap") == (2, 0.2)


def test_classes_have_a_panel_of_their_error_and_one_of_their_rates():
    history = pd.DataFrame(
        {
            "epoch": [1, 2],
            "val_mae_poisson_ratio": [0.1, 0.05],
            "val_brier_is_metal": [0.2, 0.1],
            "val_accuracy_is_metal": [0.7, 0.8],
            "val_auc_is_metal": [np.nan, 0.9],
        }
    )
    panels = {panel.title: panel for panel in history_panels(history)}
    assert list(panels) == [
        "validation MAE, Poisson ratio",
        "validation Brier score, metal",
        "validation accuracy and ROC AUC, metal",
    ]
    assert panels["validation Brier score, metal"].marks_best
    rates = panels["validation accuracy and ROC AUC, metal"]
    assert not rates.marks_best  # the highest is the best
    assert list(rates.columns) == ["val_accuracy_is_metal", "val_auc_is_metal"]


def test_the_history_is_drawn_once_and_again_when_damaged(model):
    path = plot_history(model, "a_model")
    assert path == model / "history.png"
    content, drawn = path.read_bytes(), path.stat().st_ino
    assert content.startswith(PNG)
    assert plot_history(model, "a_model").stat().st_ino == drawn
    path.write_bytes(content[:-9])
    assert plot_history(model, "a_model").read_bytes() == content


def test_a_model_without_history_is_an_error_that_names_the_file(model):
    (model / "history.parquet").unlink()
    with pytest.raises(IntegrityError, match=r"history\.parquet"):
        plot_history(model, "a_model")
