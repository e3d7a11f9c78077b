"""The command `predict`: core called directly, no server is started."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from crystalgnn_core.base import DEFAULT_STORE
from crystalgnn_core.errors import InputError
from crystalgnn_core.storage.paths import local_path
from crystalgnn_core.targets import HIGH, IF_NONZERO, LOW, NONZERO, NOVELTY, STD, is_class
from deployments.errors import number
from deployments.options import Model, require_table_name
from deployments.tables import show_left_out, show_line, show_rows, write_frame

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping, Sequence

    import pandas as pd

    from crystalgnn_core.learning.cards import ModelCard
    from crystalgnn_core.screening.inputs import StructureText

STDIN, PARTS = "-", (NONZERO, IF_NONZERO)
StorePath = Annotated[
    Path, typer.Option("--store", help="Store in which the model is looked up.")
]


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command()(predict)


def predict(
    structures: Annotated[
        list[str],
        typer.Argument(
            help="Structure files, folders, tables (.parquet, .csv with a column cif), "
            "or - for a CIF, POSCAR or JSON on standard input."
        ),
    ],
    model: Model = "champion",
    store: StorePath = Path(DEFAULT_STORE),
    output: Annotated[
        Path | None, typer.Option("--output", help="Write a .parquet or .csv table.")
    ] = None,
    batch_size: Annotated[int, typer.Option("--batch-size", min=1)] = 256,
) -> None:
    """Predict properties of structures; one row per input, in order."""
    from crystalgnn_core.learning.cards import read_card
    from crystalgnn_core.learning.registry import Registry
    from crystalgnn_core.screening.prediction import predict as run

    require_table_name(output)
    store = local_path(store)
    bundle = Registry(store).resolve(model)
    card = read_card(bundle)
    inputs = _with_standard_input(structures)
    table = run(inputs, bundle, store=store, batch_size=batch_size)
    if output is not None:
        write_frame(output, table)
        _show_counts(card, table)
        show_line(f"table    {output}")
    elif len(table) == 1 and _is_one_structure(structures):
        _show_one(card, table.iloc[0])
    else:
        _show_table(card, table)
        _show_counts(card, table)
    for remark in card.remarks:
        show_line(f"note     {remark}")


def _with_standard_input(structures: Sequence[str]) -> list[str | StructureText]:
    """Read what `-` stands for.

    Raises:
        InputError: There is nothing on standard input, it is damaged, or it is asked for
            twice.
    """
    from crystalgnn_core.screening.inputs import StructureText
    from crystalgnn_core.sources.formats.structures import read_text

    if STDIN not in structures:
        return list(structures)
    if structures.count(STDIN) > 1:
        raise InputError("- is given twice; standard input can be read once")
    text = read_text(sys.stdin.buffer.read())
    if not text.strip():
        raise InputError("nothing on standard input; expected a CIF, POSCAR or JSON text")
    given = StructureText(text, "stdin")
    return [given if name == STDIN else name for name in structures]


def _is_one_structure(structures: Sequence[str]) -> bool:
    """Distinguish a single file or text from a folder or table that holds one structure."""
    from crystalgnn_core.sources.formats import is_table

    path = local_path(structures[0])
    return len(structures) == 1 and not (is_table(path) or path.is_dir())


def _show_one(card: ModelCard, row: pd.Series[Any]) -> None:
    """Print a line per target: what, value with unit, label scheme."""
    name, formula = row["material_id"], row["formula"]
    named = name if not formula or formula == name else f"{name} ({formula})"
    if row["status"] != "ok":
        show_line(f"{named}  {row['status']}: {row['message']}")
        return
    for target in card.scaler.targets:
        unit = "(probability)" if is_class(target) else card.units[target]
        value, scheme = f"{number(row[target])} {unit}".strip(), card.label_schemes[target]
        if target in card.scaler.hurdle:
            probability, given = (number(row[target + part]) for part in PARTS)
            value += f", not 0 with probability {probability}, then {given} {unit}"
        if target + STD in row:
            value += f", spread of {card.n_members} members {number(row[target + STD])}"
        if target + LOW in row:
            low, high = number(row[target + LOW]), number(row[target + HIGH])
            value += f", 90 % interval {low} to {high}"
        show_line(f"{named}  {target}  {value}  [{scheme}]")
    if NOVELTY in row:
        unlike = ": unlike the training rows" if row[NOVELTY] > 1 else ""
        show_line(f"{named}  {NOVELTY}  {row[NOVELTY]:.2f}{unlike}")


def _show_table(card: ModelCard, table: pd.DataFrame) -> None:
    names = list(card.scaler.column_names)
    headers = [_header(name, card.units) for name in names]
    if card.novelty_rows:
        names, headers = [*names, NOVELTY], [*headers, f"#{NOVELTY}"]
    rows = [
        (
            row["material_id"],
            row["formula"] or "",
            *(_with_width(row, name) for name in names),
            row["status"]
            if row["status"] == "ok"
            else f"{row['status']}: {row['message']}",
        )
        for row in table.to_dict("records")
    ]
    columns = ("id", "formula", *headers, "status")
    show_rows(f"Predictions of {card.model_id}", columns, rows)


def _with_width(row: Mapping[Hashable, Any], name: str) -> str:
    """Write a value with its interval behind, or else the spread of the members."""
    value = number(row[name])
    if value and name + LOW in row:
        return f"{value} [{number(row[name + LOW])}, {number(row[name + HIGH])}]"
    if value and name + STD in row:
        return f"{value} \N{PLUS-MINUS SIGN} {number(row[name + STD])}"
    return value


def _show_counts(card: ModelCard, table: pd.DataFrame) -> None:
    schemes = ", ".join(f"{name}: {scheme}" for name, scheme in card.label_schemes.items())
    if NOVELTY in table:
        n_novel = int((table[NOVELTY] > 1).sum())
        show_line(f"{n_novel} of {len(table)} unlike the training rows (novelty above 1)")
    n_ok = int((table["status"] == "ok").sum())
    show_line(f"label schemes  {schemes}")
    show_line(f"{len(table)} in = {n_ok} predicted + {len(table) - n_ok} rejected")
    is_left_out = table["status"] == "unsupported_file"
    show_left_out(table.loc[is_left_out, "material_id"].tolist())


def _header(name: str, units: Mapping[str, str]) -> str:
    if name.endswith(NONZERO):
        return f"#P({name.removesuffix(NONZERO)} > 0)"
    target = name.removesuffix(IF_NONZERO)
    shown = "probability" if is_class(target) else units[target]
    title = target if name == target else f"{target} if > 0"
    return f"#{title} ({shown})" if shown else f"#{title}"
