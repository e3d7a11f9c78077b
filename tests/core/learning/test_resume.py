import json
import shutil

import pandas as pd
import pytest
import torch

from crystalgnn_core.errors import IntegrityError
from crystalgnn_core.graphs.shards import graph_folder
from crystalgnn_core.learning import resume
from crystalgnn_core.learning.checkpoints import load_bundle
from crystalgnn_core.learning.config import OptimizerConfig
from crystalgnn_core.learning.data import load_training_data
from crystalgnn_core.learning.fitting import LabelledGraphs, fit
from crystalgnn_core.learning.resume import CheckpointFolder
from tests.core.worlds import GRAPH, MODEL, TRAINING

N_EPOCHS = 4
OPTIMIZERS = {
    "adamw": OptimizerConfig(),
    "sgd with steps": OptimizerConfig(kind="sgd", schedule="step", learning_rate=0.05),
    "averaged weights": OptimizerConfig(),
}


class Killed(BaseException):
    """Stands for kill -9: nothing in the package catches it."""


@pytest.fixture(scope="module")
def data(built_store):
    loaded = load_training_data(built_store, TRAINING, GRAPH)
    dataset = loaded.dataset(graph_folder(built_store, GRAPH))
    return LabelledGraphs(
        dataset, loaded.labels, loaded.select("train"), loaded.select("val")
    )


@pytest.fixture(scope="module")
def run(data, trained):
    def start(folder, optimizer="adamw"):
        torch.manual_seed(0)
        config = TRAINING.model_copy(
            update={
                "epochs": N_EPOCHS,
                "optimizer": OPTIMIZERS[optimizer],
                "ema_decay": 0.9 if optimizer == "averaged weights" else None,
            }
        )
        network = MODEL.build(2)
        checkpoints = CheckpointFolder(folder)
        return fit(network, data, config, checkpoints, trained.card, device="cpu")

    return start


@pytest.fixture(scope="module", params=list(OPTIMIZERS))
def undisturbed(request, run, tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed")
    return request.param, folder, run(folder, request.param)


def weights(folder, which):
    name = json.loads((folder / "pointers.json").read_text())[which]
    return load_bundle(folder / name)[0].state_dict()


def histories_are_equal(first, second):
    columns = [name for name in first if name != "structures_per_second"]
    pd.testing.assert_frame_equal(first[columns], second[columns], check_exact=True)


def kill_after(monkeypatch, function, n_calls):
    """Let the process die right after the n-th call of a function of the module."""
    real, calls = getattr(resume, function), []

    def call(*args, **kwargs):
        result = real(*args, **kwargs)
        calls.append(1)
        if len(calls) == n_calls:
            raise Killed
        return result

    monkeypatch.setattr(resume, function, call)


@pytest.mark.parametrize("epoch", range(1, N_EPOCHS + 1))
def test_a_run_interrupted_after_an_epoch_ends_bit_for_bit_the_same(
    undisturbed, run, tmp_path, monkeypatch, epoch
):
    optimizer, folder, expected = undisturbed
    with monkeypatch.context() as patch:
        kill_after(patch, "write_json", epoch)
        with pytest.raises(Killed):
            run(tmp_path, optimizer)
    progress = run(tmp_path, optimizer)
    assert progress[:3] == expected[:3]
    histories_are_equal(progress.history, expected.history)
    for which in ("last", "best"):
        for name, value in weights(folder, which).items():
            assert torch.equal(weights(tmp_path, which)[name], value), name


@pytest.mark.parametrize("step", ["write_bundle", "save_file", "write_table"])
def test_a_crash_between_bundle_and_pointer_leaves_the_previous_epoch_in_force(
    run, tmp_path, monkeypatch, step
):
    with monkeypatch.context() as patch:
        kill_after(patch, step, 3)
        with pytest.raises(Killed):
            run(tmp_path)
    pointers = json.loads((tmp_path / "pointers.json").read_text())
    assert (pointers["epoch"], pointers["last"]) == (2, "epoch-00002")
    assert run(tmp_path).epoch == N_EPOCHS
    undisturbed = tmp_path / "undisturbed"
    run(undisturbed)
    for name, value in weights(undisturbed, "last").items():
        assert torch.equal(weights(tmp_path, "last")[name], value), name


def test_a_run_killed_before_its_first_checkpoint_starts_afresh(run, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        kill_after(patch, "write_bundle", 1)
        with pytest.raises(Killed):
            run(tmp_path)
    assert run(tmp_path).history["epoch"].tolist() == [1, 2, 3, 4]


@pytest.mark.parametrize(
    "name", ["optimizer.safetensors", "history.parquet", "model.safetensors", "card.json"]
)
@pytest.mark.parametrize("is_lost", [True, False])
def test_a_damaged_file_of_the_last_epoch_is_refused(
    undisturbed, run, tmp_path, name, is_lost
):
    optimizer, folder, _ = undisturbed
    own = shutil.copytree(folder, tmp_path / "own")
    damaged = own / f"epoch-{N_EPOCHS:05d}" / name
    content = damaged.read_bytes()
    damaged.unlink()
    if not is_lost:
        damaged.write_bytes(content[:-9] + bytes(9))
    with pytest.raises(IntegrityError, match=f"{name}.*; delete {own} to train afresh"):
        run(own, optimizer)


def test_a_finished_run_is_not_continued(undisturbed, run, tmp_path):
    optimizer, folder, expected = undisturbed
    own = shutil.copytree(folder, tmp_path / "own")
    before = {path.name: path.stat().st_mtime_ns for path in own.rglob("*")}
    assert run(own, optimizer)[:3] == expected[:3]
    assert {path.name: path.stat().st_mtime_ns for path in own.rglob("*")} == before
