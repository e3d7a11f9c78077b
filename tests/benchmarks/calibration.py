"""How well the intervals of a model hold: overall, by slice, and against a null test.

Run from the root of the checkout: python tests/benchmarks/calibration.py STORE MODEL
Prints, on the test split of the model's training: coverage and width; the slices of at
least 100 rows (elements, predicted gap, novelty) that hold less than 82 or more than 96 %;
the error of the rows kept when the widest intervals are left out first (sparsification),
and the area between that curve and the one of a perfect order (AUSE, as a share of the
MAE); and the same for intervals whose calibrating errors were shuffled, which must fail.
"""

import sys
from pathlib import Path

import numpy as np

from crystalgnn_core.graphs.shards import graph_folder
from crystalgnn_core.learning.calibration.intervals import Intervals, describe_compositions
from crystalgnn_core.learning.checkpoints import load_bundle
from crystalgnn_core.learning.config import TrainingConfig
from crystalgnn_core.learning.data import load_training_data
from crystalgnn_core.learning.predicting import predict_card_columns
from crystalgnn_core.learning.registry import Registry
from crystalgnn_core.records.elements import SYMBOLS

LEAST, LOW, HIGH = 100, 0.82, 0.96
KEPT = (1.0, 0.9, 0.75, 0.5, 0.25)


def write(*words, end="\n"):
    sys.stdout.write(" ".join(words) + end)


def slices(columns, numbers):
    """Return name to rows of elements, predicted gaps and novelty."""
    found = {
        symbol: np.array([number in row for row in numbers])
        for number, symbol in enumerate(SYMBOLS, start=1)
    }
    gap, novelty = columns.get("band_gap"), columns.get("novelty")
    if gap is not None:
        found |= {"gap 0": gap == 0, "gap to 1": (gap > 0) & (gap <= 1)}
        found |= {"gap 1 to 3": (gap > 1) & (gap <= 3), "gap above 3": gap > 3}
    if novelty is not None:
        for low, high in ((0, 0.5), (0.5, 0.75), (0.75, 1), (1, np.inf)):
            found[f"novelty {low:g} to {high:g}"] = (novelty >= low) & (novelty < high)
    return {name: rows for name, rows in found.items() if rows.sum() >= LEAST}


def sparsification(error, width):
    """Return the MAE of the shares kept, and the area to a perfect order over the MAE."""
    curves = [
        np.cumsum(error[np.argsort(key, kind="stable")]) / np.arange(1, len(error) + 1)
        for key in (width, error)
    ]
    kept = [curves[0][max(int(share * len(error)), 1) - 1] for share in KEPT]
    return kept, float((curves[0] - curves[1]).mean() / error.mean())


def show(name, true, columns, groups):
    """Print what the intervals of one target hold; return how many slices are outside."""
    low, high = columns[f"{name}_low"], columns[f"{name}_high"]
    is_inside, width = (low <= true) & (true <= high), high - low
    shares = {group: is_inside[rows].mean() for group, rows in groups.items()}
    kept, area = sparsification(np.abs(columns[name] - true), width)
    write(f"{name}: inside {is_inside.mean():.1%}, mean width {width.mean():.3f}")
    write("  slices ", ", ".join(f"{one} {share:.1%}" for one, share in shares.items()))
    write("  MAE of the most certain", end=" ")
    write(", ".join(f"{s:.0%} {e:.4f}" for s, e in zip(KEPT, kept, strict=True)), end="")
    write(f"; AUSE {area:.2f} of the MAE")
    return sum(not LOW <= share <= HIGH for share in shares.values())


def main(store, reference):
    network, card = load_bundle(Registry(store).resolve(reference))
    training = TrainingConfig.model_validate(card.training)
    elements = card.model.known_elements()
    data = load_training_data(store, training, card.graph, elements)
    dataset = data.dataset(graph_folder(store, card.graph))
    val, test = data.divide_validation(training)[1], data.select("test")
    plain = card.model_copy(update={"intervals": None})
    numbers = data.rows["atomic_numbers"].to_pylist()
    known = {}
    for name, rows in {"val": val, "test": test}.items():
        columns = predict_card_columns(network, plain, dataset, positions=rows)
        sets = [set(numbers[row]) for row in rows]
        known[name] = (
            columns,
            data.labels[rows],
            describe_compositions(dataset, rows),
            sets,
        )

    def judge(title, fitted, judged):
        columns, labels, statistics, sets = known[judged]
        ends = fitted.columns(card.scaler, columns, statistics)
        write(f"\n{title}")
        groups = slices(columns, sets)
        return sum(
            show(name, labels[:, place], columns | ends, groups)
            for place, name in enumerate(card.scaler.targets)
            if name in fitted.targets
        )

    def fit(rows, *, shuffled=False):
        columns, labels, statistics, _ = known[rows]
        if shuffled:
            point = np.stack([columns[name] for name in card.scaler.targets], axis=1)
            errors = np.random.default_rng(0).permutation(labels - point)
            labels = point + errors
        return Intervals.fit(card.scaler, columns, labels, statistics, chose_epoch=True)

    n_outside = [
        judge("calibrated by the validation rows, on the test rows", fit("val"), "test"),
        judge("the other way round", fit("test"), "val"),
        judge("null test: shuffled errors", fit("val", shuffled=True), "test"),
    ]
    came = "fails" if n_outside[2] else "PASSES"
    write(f"\nslices outside of {LOW:.0%} to {HIGH:.0%}: {n_outside[0]}, {n_outside[1]};")
    write(f"null test {n_outside[2]} ({came}, as it must fail)")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
