"""Every model on the same 3,000 rows of MP-20, for the same processor time.

Run with `python -m tests.benchmarks.model_comparison [--minutes 8] [NAME ...]`. Formation
energy and band gap are learned together, with the same split by composition and the same
trainer; a short run tells how many epochs fit into the time. Each model has a process and a
core of its own, two at a time: 8 minutes each take half an hour. Read it as "runs and
learns", not as a ranking of architectures: none has converged, and each wants settings of
its own.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd

from deployments.tables import show_line, show_rows
from tests.benchmarks.structures import MP20

N_ROWS, N_AT_A_TIME = 3000, 2
ENERGY, GAP = "formation_energy_per_atom", "band_gap"
SCHEME = "MP 2021 (MP-20)"
MODELS: dict[str, dict[str, object]] = {
    "composition trees": {"kind": "composition_trees"},
    "composition MLP": {"kind": "composition_mlp"},
    "CGCNN": {"kind": "cgcnn"},
    "SchNet": {"kind": "schnet"},
    "MEGNet": {"kind": "megnet"},
    "coGN": {"kind": "cogn"},
    "ALIGNN, 2 + 2 layers, 64 wide": {
        "kind": "alignn",
        "n_line_convolutions": 2,
        "n_convolutions": 2,
        "hidden_width": 64,
    },
}
COLUMNS = (
    "model",
    "E_f, MAE (eV/atom)",
    "#gap, MAE (eV)",
    "#epochs",
    "#parameters",
    "#training, structures/s",
    "#peak memory, GB",
    "#CPU minutes",
)


def run() -> None:
    """Train all models in processes of their own, and print one table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=8.0)
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("names", nargs="*", default=list(MODELS))
    given = parser.parse_args()
    if given.child is not None:
        sys.stdout.write(json.dumps(train(given.child, given.names[0], given.minutes)))
        return
    if not MP20.is_file():
        show_line("skipped: MP-20 is not in ../shared/data")
        return
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder)
        prepare(store)
        with ThreadPoolExecutor(N_AT_A_TIME) as pool:
            slowest_first = reversed(given.names)
            rows = list(
                pool.map(lambda name: in_process(store, name, given.minutes), slowest_first)
            )[::-1]
    title = f"{N_ROWS:,} rows of MP-20, {given.minutes:g} minutes on one core each"
    show_rows(title, COLUMNS, rows)


def prepare(store: Path) -> None:
    """Ingest the rows, once for all models."""
    from crystalgnn_core.sources.files.source import FilesSource
    from crystalgnn_core.sources.ingest.run import ingest_source

    path = store / "mp20.parquet"
    rows = pd.read_parquet(MP20).drop(columns="split")
    rows.sample(N_ROWS, random_state=0).to_parquet(path)
    targets = {name: {"column": name, "label_scheme": SCHEME} for name in (ENERGY, GAP)}
    source = {"name": "mp20", "path": str(path), "targets": targets}
    ingest_source(store, FilesSource.model_validate(source))


def in_process(store: Path, name: str, minutes: float) -> tuple[str, ...]:
    """Train a model in a process that has one core, and return a line of the table."""
    module = [sys.executable, "-m", "tests.benchmarks.model_comparison"]
    made = subprocess.run(
        [*module, "--child", str(store), "--minutes", str(minutes), name],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    if made.returncode:
        raise SystemExit(f"{name}: {made.stderr.strip().splitlines()[-1]}")
    found = json.loads(made.stdout.splitlines()[-1])
    return (
        name,
        f"{found['energy']:.3f}",
        f"{found['gap']:.3f}",
        str(found["epochs"]),
        f"{found['parameters']:,}" if found["parameters"] else "trees",
        f"{found['speed']:,.0f}",
        f"{found['memory']:.2f}",
        f"{found['minutes']:.1f}",
    )


def train(store: Path, name: str, minutes: float) -> dict[str, float]:
    """Train a model for as many epochs as fit into the time."""
    import torch
    from pydantic import TypeAdapter

    from crystalgnn_core.learning.cards import HISTORY
    from crystalgnn_core.learning.checkpoints import load_bundle
    from crystalgnn_core.learning.config import TrainingConfig
    from crystalgnn_core.learning.training import train_model
    from crystalgnn_core.models import ModelConfig
    from tests.benchmarks.stores import build_graphs

    torch.set_num_threads(1)
    config = TypeAdapter(ModelConfig).validate_python(MODELS[name])
    graph = config.default_graph()
    build_graphs(store, "mp20", graph)
    training = TrainingConfig.model_validate(
        {"sources": ["mp20"], "device": "cpu", "patience": 10_000, "epochs": 1}
    )
    seconds = []
    for seed, epochs in ((1, 1), (2, 1), (3, 3)):  # the first one compiles kernels
        started = time.process_time()
        short = training.model_copy(update={"seed": seed, "epochs": epochs})
        train_model(store, config, short, graph)
        seconds.append(time.process_time() - started)
    an_epoch = max((seconds[2] - seconds[1]) / 2, 1e-3)
    rest = seconds[1] - an_epoch  # rows, test, trees of the baseline
    fitting = max(int((60 * minutes - rest) / an_epoch), 2)
    started = time.process_time()
    longer = training.model_copy(update={"epochs": fitting})
    made = train_model(store, config, longer, graph)
    used = time.process_time() - started
    network, _ = load_bundle(Path(made.folder))
    history = pd.read_parquet(Path(made.folder) / HISTORY)
    errors = {key: found.mae or 0.0 for key, found in made.card.metrics["test"].items()}
    return {
        "energy": errors[ENERGY],
        "gap": errors[GAP],
        "epochs": made.epochs,
        "parameters": sum(values.numel() for values in network.parameters()),
        "speed": float(history["structures_per_second"].median()),
        "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
        "minutes": used / 60,
    }


if __name__ == "__main__":
    run()
