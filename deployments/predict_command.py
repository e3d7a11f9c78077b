"""The command `predict` and `evaluate`: core called directly, no server is started."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from crystalgnn_core.base import DEFAULT_STORE
from crystalgnn_core.errors import InputError
from crystalgnn_core.targets import is_class
from deployments.errors import number, show_errors
from deployments.options import Model  # noqa: TC001  typer evaluates annotations
from deployments.tables import show_line, show_rows

if TYPE_CHECKING:
    import pandas as pd

StorePath = Annotated[
    Path, typer.Option("--store", help="Store in which the model is looked up.")
]


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command()(predict)
    app.command()(evaluate)


def predict(
    structures: Annotated[list[str], typer.Argument(help="Structure files or folders.")],
    model: Model = "champion",
    store: StorePath = Path(DEFAULT_STORE),
    output: Annotated[
        Path | None, typer.Option("--output", help="Write a .parquet or .csv table.")
    ] = None,
    batch_size: Annotated[int, typer.Option("--batch-size", min=1)] = 256,
) -> None:
    """Predict properties of structures; one row an input, in order."""
    from crystalgnn_core.learning.cards import read_card
    from crystalgnn_core.learning.registry import Registry
    from crystalgnn_core.screening.prediction import predict as run

    if output is not None and output.suffix not in {".parquet", ".csv"}:
        raise InputError(f"--output {output}: the name must end in .parquet or .csv")
    bundle = Registry(store).resolve(model)
    card = read_card(bundle)
    table = run(structures, bundle, store=store, batch_size=batch_size)
    if output is not None:
        _write(output, table)
    else:
        headers = [_header(name, card.units[name]) for name in card.scaler.targets]
        rows = [
            (
                row["material_id"],
                row["formula"] or "",
                *(number(row[name]) for name in card.scaler.targets),
                row["status"]
                if row["status"] == "ok"
                else f"{row['status']}: {row['message']}",
            )
            for row in table.to_dict("records")
        ]
        show_rows(
            f"Predictions of {card.model_id}", ("id", "formula", *headers, "status"), rows
        )
    schemes = ", ".join(f"{name}: {scheme}" for name, scheme in card.label_schemes.items())
    n_ok = int((table["status"] == "ok").sum())
    show_line(f"label schemes  {schemes}")
    show_line(f"{len(table)} in = {n_ok} predicted + {len(table) - n_ok} rejected")
    if output is not None:
        show_line(f"table    {output}")


def evaluate(
    model: Model = "champion",
    store: StorePath = Path(DEFAULT_STORE),
    split: Annotated[str, typer.Option("--split", help="train, val or test.")] = "test",
) -> None:
    """Compare a model's predictions with the labels in the store as they are now."""
    from crystalgnn_core.learning.evaluation import evaluate_model
    from crystalgnn_core.learning.registry import Registry

    bundle = Registry(store).resolve(model)
    card, metrics = evaluate_model(store, bundle, split)
    show_errors(f"{card.model_id}, {split} split", metrics, card.units)


def _header(name: str, unit: str) -> str:
    shown = "probability" if is_class(name) else unit
    return f"#{name} ({shown})" if shown else f"#{name}"


def _write(output: Path, table: pd.DataFrame) -> None:
    from crystalgnn_core.artifacts import atomic_path

    with atomic_path(output) as temporary:
        if output.suffix == ".parquet":
            table.to_parquet(temporary, index=False)
        else:
            table.to_csv(temporary, index=False)
