"""What fine-tuning is worth: a few labels of one kind of crystal, three seeds.

Some perovskites (Castelli et al. 2012) with their heats of formation train and validate,
the rest test; few of them lie near the hull, as what the base models learned from does.
Prints the mean and the range of the test MAE over the seeds: the base model as it is and
recalibrated, fine-tuned by default and with frozen parts, fresh weights, a fit on the
features of a potential (extra `potential`), and the trees on the composition.

    python -m tests.benchmarks.finetuning [BASE] [N_ROWS] [SEEDS] [RECIPES]

BASE is a published file, a model folder, or `CGCNN` (default) or `MEGNet` for the published
weights; `wbm:BASE` takes WBM structures in place of perovskites. The recipes are numbers
of `RECIPES`, such as 0,1. All of it takes half an hour on one core.
"""

import os
import sys
import tempfile
import time
from pathlib import Path
from statistics import fmean

import numpy as np
import pandas as pd

from crystalgnn_core.learning.cards import ModelCard, read_card
from crystalgnn_core.learning.config import FinetuningConfig, TrainingConfig
from crystalgnn_core.learning.finetuning import finetune_model
from crystalgnn_core.learning.registry import Registry
from crystalgnn_core.learning.training import train_model
from crystalgnn_core.models.potential.config import PotentialConfig
from crystalgnn_core.sources.files.source import FilesSource
from crystalgnn_core.sources.ingest.run import ingest_source
from deployments.tables import show_line, show_rows
from tests.benchmarks.stores import build_graphs
from tests.paths import SHARED

WEIGHTS = {
    "CGCNN": SHARED / "pretrained" / "cgcnn" / "formation-energy-per-atom.pth.tar",
    "MEGNet": SHARED / "pretrained" / "megnet" / "formation_energy.hdf5",
}
DATA = {
    "perovskites": ("perov5_val.parquet", "heat_all", "Castelli 2012"),
    "wbm": ("wbm_candidates.parquet", "formation_energy_per_atom", "WBM (PBE)"),
}
ENERGY = "formation_energy_per_atom"
POTENTIAL = "features from a potential (CHGNet)"
RECIPES: dict[str, dict[str, object] | None] = {
    "fine-tuned, default": {},
    "all but the output layer frozen, rate 1e-4": {
        "freeze": "all_but_head",
        "optimizer": {"learning_rate": 1e-4},
    },
    "convolutions frozen": {"freeze": "convolutions"},
    "embedding frozen": {"freeze": "embedding"},
    "not recalibrated": {"recalibrate": False},
    "fresh weights": None,
    POTENTIAL: None,
}
FRESH = {"epochs": 100, "batch_size": 32, "patience": 100}
COLUMNS = ("weights at the start", "MAE (eV/atom)", "from", "to", "#epochs", "seconds")


def fill(store: Path, kind: str, n_rows: int, seed: int) -> TrainingConfig:
    """Ingest a table whose split names so many rows; return how to train on it."""
    file, column, scheme = DATA[kind]
    rows = pd.read_parquet(SHARED / "data" / file)
    order = np.random.default_rng(100 + seed).permutation(len(rows))
    split = np.full(len(rows), "test", dtype=object)
    split[order[:n_rows]] = "train"
    split[order[: n_rows // 10]] = "val"
    name = f"{kind}{seed}"
    path = store / f"{name}.parquet"
    rows.assign(split=split).to_parquet(path)
    label = {ENERGY: {"column": column, "label_scheme": scheme}}
    content = {"name": name, "path": str(path), "targets": label}
    ingest_source(store, FilesSource.model_validate(content))
    return TrainingConfig.model_validate(
        {"sources": [name], "targets": [ENERGY], "seed": seed, "device": "cpu"}
    )


def measure(
    store: Path, base: Path, training: TrainingConfig, recipes: list[str]
) -> dict[str, tuple[float, int, float]]:
    """Return test MAE, epochs and seconds of every recipe, for one seed."""
    card = read_card(base)
    build_graphs(store, training.sources[0], card.graph)
    found: dict[str, tuple[float, int, float]] = {}
    for name in recipes:
        started, settings = time.process_time(), RECIPES[name]
        if name == POTENTIAL:
            model = PotentialConfig()
            graph = model.default_graph()
            build_graphs(store, training.sources[0], graph)
            made = train_model(store, model, training, graph)
        elif settings is None:
            fresh = training.model_copy(update=FRESH)
            made = train_model(store, card.model, fresh, card.graph)
        else:
            finetuning = FinetuningConfig.model_validate(settings)
            made = finetune_model(store, base, training, finetuning)
        seconds = time.process_time() - started
        found[name] = (_error(made.card.metrics["test"]), made.epochs, seconds)
        show_line(f"{training.sources[0]}, {name}: {found[name]} {made.card.remarks}")
        found |= _before(made.card)
    return found


def _before(card: ModelCard) -> dict[str, tuple[float, int, float]]:
    found = {"trees on the composition": (_error(card.baseline), 0, 0.0)}
    if card.base is not None and card.base.metrics.get("test"):
        found["as they are"] = (_error(card.base.metrics["test"]), 0, 0.0)
    if card.base is not None and card.base.recalibrated:
        found["recalibrated"] = (_error(card.base.recalibrated["test"]), 0, 0.0)
    return found


def _error(metrics: object) -> float:
    assert isinstance(metrics, dict)
    return float(metrics[ENERGY].mae)


def run(
    base: str = "CGCNN", n_rows: str = "800", seeds: str = "0,1,2", chosen: str = ""
) -> None:
    """Print the table, or say why it cannot be made."""
    if not (SHARED / "data").is_dir():
        show_line("skipped: no ../shared")
        return
    kind, _, named = base.rpartition(":")
    kind = kind or "perovskites"
    recipes = [list(RECIPES)[int(one)] for one in chosen.split(",")] if chosen else RECIPES
    with tempfile.TemporaryDirectory() as folder:
        os.environ["CRYSTALGNN_CACHE"] = str(Path(folder) / "cache")
        store = Path(folder)
        start = Registry(store).resolve(str(WEIGHTS.get(named, named)))
        found = [
            measure(store, start, fill(store, kind, int(n_rows), int(seed)), list(recipes))
            for seed in seeds.split(",")
        ]
    rows = []
    for name in found[0]:
        errors, epochs, seconds = zip(*(one[name] for one in found), strict=True)
        cells = (f"{fmean(errors):.4f}", f"{min(errors):.4f}", f"{max(errors):.4f}")
        rows.append((name, *cells, f"{fmean(epochs):.0f}", f"{fmean(seconds):.0f}"))
    show_rows(f"{kind}, {n_rows} labels, {base}", COLUMNS, rows)


if __name__ == "__main__":
    run(*sys.argv[1:])
