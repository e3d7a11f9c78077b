import numpy as np
import pytest
import torch

from crystalgnn_core.errors import TrainingDivergedError
from crystalgnn_core.graphs.shards import graph_folder
from crystalgnn_core.learning import fitting
from crystalgnn_core.learning.config import OptimizerConfig
from crystalgnn_core.learning.data import load_training_data
from crystalgnn_core.learning.fitting import LabelledGraphs, fit, predict_dataset
from crystalgnn_core.learning.metrics import Metrics
from crystalgnn_core.learning.resume import CheckpointFolder
from tests.core.worlds import GRAPH, MODEL, TRAINING


@pytest.fixture(scope="module")
def data(built_store):
    loaded = load_training_data(built_store, TRAINING, GRAPH)
    dataset = loaded.dataset(graph_folder(built_store, GRAPH))
    return LabelledGraphs(
        dataset, loaded.labels, loaded.select("train"), loaded.select("val")
    )


@pytest.fixture
def run(data, trained, tmp_path):
    def start(**changes):
        torch.manual_seed(0)
        return fit(
            MODEL.build(2),
            data,
            TRAINING.model_copy(update=changes),
            CheckpointFolder(tmp_path / "checkpoints"),
            trained.card,
            device="cpu",
        )

    return start


def script_losses(monkeypatch, losses):
    scripted = iter(losses)
    monkeypatch.setattr(fitting, "train_epoch", lambda *_: next(scripted))


def script_errors(monkeypatch, errors):
    scripted = iter(errors)

    def evaluate(*args):
        return {"band_gap": Metrics(n=2, mae=next(scripted), rmse=1.0, r2=None, mad=1.0)}

    monkeypatch.setattr(fitting, "evaluate", evaluate)


@pytest.mark.parametrize("loss", [float("nan"), float("inf")])
def test_a_loss_that_is_no_number_stops_the_run_and_keeps_the_last_good_epoch(
    run, monkeypatch, tmp_path, loss
):
    script_losses(monkeypatch, [1.0, loss])
    with pytest.raises(TrainingDivergedError, match=r"epoch 2.*learning_rate"):
        run()
    assert [path.name for path in (tmp_path / "checkpoints").glob("epoch-*")] == [
        "epoch-00001"
    ]


def test_a_runaway_loss_stops_the_run(run, monkeypatch):
    script_losses(monkeypatch, [1.0, 100.0, 100.5])
    with pytest.raises(TrainingDivergedError, match="over 100 times that of the first"):
        run()


def test_predictions_that_are_no_numbers_stop_the_run(run, monkeypatch):
    script_errors(monkeypatch, [float("nan")])
    with pytest.raises(TrainingDivergedError, match="validation error nan in epoch 1"):
        run()


def test_a_rate_that_is_far_too_high_is_noticed(run):
    wild = OptimizerConfig(kind="sgd", learning_rate=1e30, schedule="constant")
    with pytest.raises(TrainingDivergedError):
        run(optimizer=wild, loss="mse", epochs=5)


def test_training_stops_when_validation_has_not_improved_for_the_patience(
    run, monkeypatch, tmp_path
):
    script_errors(monkeypatch, [0.5, 0.4, 0.4, 0.6, 0.1])
    progress = run(epochs=9, patience=2)
    assert (progress.epoch, progress.best_epoch, progress.best_error) == (4, 2, 0.4)
    assert progress.history["val_error"].tolist() == [0.5, 0.4, 0.4, 0.6]
    kept = {path.name for path in (tmp_path / "checkpoints").glob("epoch-*")}
    assert kept == {"epoch-00002", "epoch-00004"}
    assert CheckpointFolder(tmp_path / "checkpoints").best()[1].epoch == 2


def test_training_learns(run):
    history = run(epochs=8).history
    assert history["train_loss"].iloc[-1] < 0.9 * history["train_loss"].iloc[0]


def test_the_order_of_the_rows_depends_on_seed_and_epoch(run, data, monkeypatch):
    seen = []
    real = type(data.dataset).batch

    def batch(dataset, chosen):
        seen.append(chosen.tolist())
        return real(dataset, chosen)

    monkeypatch.setattr(type(data.dataset), "batch", batch)
    script_errors(monkeypatch, [0.5, 0.4])
    run(epochs=2)
    half = len(seen) // 2
    first, second = (
        [row for batch in part for row in batch] for part in (seen[:half], seen[half:])
    )
    assert sorted(first) == sorted(second) == data.train.tolist()
    assert first != second
    assert max(map(len, seen)) - min(map(len, seen)) <= 1


def test_predictions_do_not_depend_on_the_batch_and_keep_the_order(data, trained):
    network = MODEL.build(2)
    network.train()  # prediction switches to evaluation mode itself
    scaler = trained.card.scaler
    together = predict_dataset(network, data.dataset, scaler)
    chosen = np.array([7, 3, 11])
    alone = predict_dataset(network, data.dataset, scaler, positions=chosen, batch_size=1)
    # float32, another order of summation
    assert alone == pytest.approx(together[chosen], rel=1e-5, abs=1e-5)
    nothing = predict_dataset(
        network, data.dataset, scaler, positions=np.array([], dtype=np.int64)
    )
    assert nothing.shape == (0, 2)
