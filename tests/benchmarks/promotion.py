"""How often a retraining is promoted: on equal data, twice the data, worse labels.

Run with `python -m tests.benchmarks.promotion [--network cgcnn] [--store FOLDER]`; it takes
ten minutes of one core for the perceptron, thirty for CGCNN. A folder that is given keeps
the models, and a second run goes on with them. All models learn from rows of MP-20 and are
judged by `promote_if_better`, as `retrain` does; they differ in seed and rows.

* Equal data: 50 pairs of seeds, each the first comparison on its rows; and 50 challengers
  in a row, which the level is lowered for, the first model being the champion.
* Twice the data: 50 pairs; and challengers that come after those 50 in a row.
* New or old chemistry spoilt: twice the data, in which the training labels of the oxides
  (the new rows) or of all that was there before are exchanged among each other.
"""

import argparse
import random
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from pydantic import TypeAdapter

from crystalgnn_core.learning.comparison import compare_models, promote_if_better
from crystalgnn_core.learning.config import RetrainingConfig, TrainingConfig
from crystalgnn_core.learning.promotion.decision import DECISION, Decision
from crystalgnn_core.learning.registry import Registry
from crystalgnn_core.learning.splits import assign_splits
from crystalgnn_core.learning.training import train_model
from crystalgnn_core.models import ModelConfig
from crystalgnn_core.records.table.store import RecordStore
from crystalgnn_core.sources.files.source import FilesSource
from crystalgnn_core.sources.ingest.run import ingest_source
from deployments.tables import show_line, show_rows
from tests.benchmarks.stores import build_graphs
from tests.benchmarks.structures import MP20

ENERGY, GAP = "formation_energy_per_atom", "band_gap"
NETWORKS: dict[str, tuple[dict[str, object], int]] = {
    "mlp": ({"kind": "composition_mlp"}, 20),
    "cgcnn": (
        {"kind": "cgcnn", "atom_width": 32, "n_convolutions": 2, "hidden_width": 64},
        12,
    ),
}
RULE = RetrainingConfig(require_floor=False)  # trainings are short
N_PAIRS, N_SPOILT = 50, 5


class Trial:
    """A store with rows of MP-20, and trainings from one seed after the other.

    Args:
        store: Its folder.
        network: Name of the network.
    """

    def __init__(self, store: Path, network: str) -> None:
        kind, epochs = NETWORKS[network]
        self.store = store
        self.model = TypeAdapter(ModelConfig).validate_python(kind)
        self.graph = self.model.default_graph()
        self.training = TrainingConfig(
            sources=("mp20",), epochs=epochs, device="cpu", batch_size=64
        )

    def fill(self, rows: pd.DataFrame) -> None:
        """Make the store's rows these."""
        self.store.mkdir(parents=True, exist_ok=True)
        path = self.store / "mp20.parquet"
        rows.to_parquet(path)
        targets = {
            name: {"column": name, "label_scheme": "MP 2021 (MP-20)"}
            for name in (ENERGY, GAP)
        }
        source = {"name": "mp20", "path": str(path), "targets": targets}
        ingest_source(self.store, FilesSource.model_validate(source))
        build_graphs(self.store, "mp20", self.graph)

    def train(self, n_seeds: int) -> list[Path]:
        """Train on the rows as they are now."""
        seeds = (self.training.model_copy(update={"seed": s}) for s in range(n_seeds))
        made = (train_model(self.store, self.model, each, self.graph) for each in seeds)
        return [Path(each.folder) for each in made]

    def compare(self, pairs: list[tuple[Path, Path]]) -> list[Decision]:
        """Judge pairs of champion and challenger."""
        return [compare_models(self.store, *each, self.training, RULE) for each in pairs]

    def forget(self) -> None:
        """Make that nothing was decided yet."""
        for path in (self.store / "models").glob(f"*/{DECISION}"):
            path.unlink()
        (self.store / "models" / "champions.json").unlink(missing_ok=True)


def run() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--network", choices=NETWORKS, default="mlp")
    parser.add_argument("--rows", type=int, default=2000)
    parser.add_argument("--equal", type=int, default=51, help="trainings on equal data")
    parser.add_argument("--double", type=int, default=10, help="on twice the data")
    parser.add_argument("--store", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(1)
    store = given.store or Path(tempfile.mkdtemp())
    try:
        rows = measure(Trial(store, given.network), given)
    finally:
        if given.store is None:
            shutil.rmtree(store)
    columns = ("challengers", "promoted", "smaller error", "improvement", "#test rows")
    show_rows(f"{given.network}, {given.rows:,} rows of MP-20", columns, rows)


def measure(trial: Trial, given: argparse.Namespace) -> list[tuple[str, ...]]:
    """Train all models and judge them; return the lines of the table."""
    rows = pd.read_parquet(MP20).drop(columns="split").sample(frac=1, random_state=0)
    first, both = rows.head(given.rows), rows.head(2 * given.rows)
    trial.fill(first)
    trial.forget()
    equal = trial.train(given.equal)
    draw = random.Random(0)
    pairs = [(old, new) for old in equal for new in equal if old != new]
    lines = [
        line("equal data", trial.compare(draw.sample(pairs, min(N_PAIRS, len(pairs)))))
    ]
    in_a_row = [promote_if_better(trial.store, new, trial.training, RULE) for new in equal]
    lines.append(line("equal data, in a row", in_a_row[1:]))
    trial.fill(both)
    double = trial.train(given.double)
    [champion] = Registry(trial.store).champions().values()
    after = [(trial.store / "models" / champion, new) for new in double]
    lines.append(line("twice the data, after these", trial.compare(after)))
    trial.forget()
    pairs = [(old, new) for old in equal for new in double]
    pairs = draw.sample(pairs, min(N_PAIRS, len(pairs)))
    lines.append(line("twice the data", trial.compare(pairs)))
    lines += chemistry(trial, rows, given.rows)
    return lines


def chemistry(trial: Trial, rows: pd.DataFrame, n: int) -> list[tuple[str, ...]]:
    """Add oxides to a store that holds few, with labels of new or old rows exchanged."""
    is_oxide = rows["formula"].str.contains(r"O(?![a-z])")
    oxides, others = rows[is_oxide], rows[~is_oxide]
    old = pd.concat([others.head(n), oxides.head(n // 20)])
    new = pd.concat([others.iloc[n : 2 * n], oxides.iloc[n // 20 : n]])
    trial.fill(old)
    champion, *_ = trial.train(1)
    lines = []
    trial.fill(pd.concat([old, new]))  # spoiling looks up the splits of all rows
    for name, changed in (
        ("oxides come", pd.concat([old, new])),
        ("oxides come, their labels spoilt", spoil(trial, pd.concat([old, new]), is_oxide)),
        (
            "oxides come, other labels spoilt",
            spoil(trial, pd.concat([old, new]), ~is_oxide),
        ),
    ):
        trial.fill(changed)
        challengers = trial.train(N_SPOILT)
        found = trial.compare([(champion, each) for each in challengers])
        lines.append(line(name, found))
        show_line(f"{name}: {found[0].reason}")
        for part, one in found[0].evidence.items():
            show_line(f"    {part}: {one.improvement:+.1%} of {one.n:,} rows")
    return lines


def spoil(trial: Trial, rows: pd.DataFrame, is_spoilt: pd.Series) -> pd.DataFrame:
    """Exchange the labels of chosen rows that are not tested."""
    stored = RecordStore(trial.store).read(["mp20"], ["material_id", "formula"]).to_pandas()
    formulas = stored["formula"].to_list()
    splits = assign_splits(formulas, [None] * len(stored), trial.training.split)
    learned = stored.loc[splits != "test", "material_id"]
    chosen = rows.index[rows["material_id"].isin(learned) & is_spoilt.loc[rows.index]]
    changed, labels = rows.copy(), [ENERGY, GAP]
    exchanged = rows.loc[chosen, labels].sample(frac=1, random_state=0)
    changed.loc[chosen, labels] = exchanged.to_numpy()
    return changed


def line(name: str, decisions: list[Decision]) -> tuple[str, ...]:
    """Count who was promoted."""
    judged = [one.evidence["together"] for one in decisions]
    improvement = np.array([one.improvement for one in judged])
    return (
        name,
        f"{sum(one.is_promoted for one in decisions)} of {len(decisions)}",
        f"{(improvement > 0).sum()} of {len(decisions)}",
        f"{improvement.mean():+.1%} ({improvement.std():.1%})",
        f"{np.mean([one.n for one in judged]):,.0f}",
    )


if __name__ == "__main__":
    run()
