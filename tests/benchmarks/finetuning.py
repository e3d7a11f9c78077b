"""What fine-tuning is worth: published weights against fresh ones, on few labels.

2,000 WBM structures with DFT formation energies, of another scheme than the Materials
Project labels that the published CGCNN and MEGNet weights learned from; about 500 of them
train, 100 validate and 1,400 test, compositions apart. Prints one table: the published
weights as they are, fine-tuned with and without frozen parts, and the same network from
fresh weights. Names of networks as arguments choose among these. Takes a few minutes on two
cores; with OMP_NUM_THREADS=1 if they are busy.
"""

import os
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd

from crystalgnn_core.learning.cards import read_card
from crystalgnn_core.learning.config import FinetuningConfig, TrainingConfig
from crystalgnn_core.learning.finetuning import finetune_model
from crystalgnn_core.learning.registry import Registry
from crystalgnn_core.learning.training import TrainedModel, train_model
from crystalgnn_core.sources.files.source import FilesSource
from crystalgnn_core.sources.ingest.run import ingest_source
from deployments.tables import show_line, show_rows
from tests.benchmarks.stores import build_graphs
from tests.paths import SHARED

WEIGHTS = {
    "CGCNN": SHARED / "pretrained" / "cgcnn" / "formation-energy-per-atom.pth.tar",
    "MEGNet": SHARED / "pretrained" / "megnet" / "formation_energy.hdf5",
}
ENERGY = "formation_energy_per_atom"
N_ROWS = 2000
TRAINING = TrainingConfig.model_validate(
    {
        "sources": ["wbm"],
        "targets": [ENERGY],
        "split": {"use_given": False, "val_fraction": 0.05, "test_fraction": 0.7},
        "device": "cpu",
    }
)
FRESH = TRAINING.model_copy(update={"epochs": 100, "batch_size": 32})
FROZEN = {"none": None, "embedding": None, "all_but_head": 1e-3}  # with learning rates
COLUMNS = ("network", "weights at the start", "MAE (eV/atom)", "#epochs", "seconds")


def fill(store: Path) -> None:
    """Ingest a sample of the WBM structures."""
    rows = pd.read_parquet(SHARED / "data" / "wbm_candidates.parquet")
    path = store / "wbm.parquet"
    rows.sample(N_ROWS, random_state=0).to_parquet(path)
    source = FilesSource.model_validate(
        {
            "name": "wbm",
            "path": str(path),
            "targets": {
                ENERGY: {"column": ENERGY, "label_scheme": "WBM (PBE, offset unknown)"}
            },
        }
    )
    ingest_source(store, source)


def compare(store: Path, name: str) -> list[tuple[str, ...]]:
    """Fine-tune one network's published weights, and train it afresh."""
    base = Registry(store).resolve(str(WEIGHTS[name]))
    card = read_card(base)
    build_graphs(store, "wbm", card.graph)
    rows = []
    for freeze, rate in FROZEN.items():
        optimizer = {} if rate is None else {"learning_rate": rate}
        finetuning = FinetuningConfig.model_validate(
            {"freeze": freeze, "optimizer": optimizer}
        )
        started = time.perf_counter()
        tuned = finetune_model(store, base, TRAINING, finetuning)
        rows.append(_row(name, f"published, frozen: {freeze}", tuned, started))
    assert tuned.card.base is not None
    error = tuned.card.base.metrics["test"][ENERGY].mae
    before = (name, "published, as they are", f"{error:.4f}", "0", "0")
    started = time.perf_counter()
    fresh = train_model(store, card.model, FRESH, card.graph)
    return [before, *rows, _row(name, "fresh", fresh, started)]


def _row(name: str, start: str, made: TrainedModel, started: float) -> tuple[str, ...]:
    error = made.card.metrics["test"][ENERGY].mae
    seconds = time.perf_counter() - started
    return name, start, f"{error:.4f}", str(made.epochs), f"{seconds:.0f}"


def run() -> None:
    """Print the table, or say why it cannot be made."""
    names = sys.argv[1:] or list(WEIGHTS)
    needed = [SHARED / "data" / "wbm_candidates.parquet", *(WEIGHTS[n] for n in names)]
    missing = [path.name for path in needed if not path.is_file()]
    if missing:
        show_line(f"skipped: {', '.join(missing)} not in ../shared")
        return
    with tempfile.TemporaryDirectory() as folder:
        os.environ["CRYSTALGNN_CACHE"] = str(Path(folder) / "cache")
        store = Path(folder)
        fill(store)
        rows = [row for name in names for row in compare(store, name)]
    show_rows("Formation energies of WBM, test split", COLUMNS, rows)


if __name__ == "__main__":
    run()
