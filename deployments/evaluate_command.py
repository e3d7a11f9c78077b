"""The command `evaluate`: a model against labels of a store, a table or a folder."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from crystalgnn_core.base import DEFAULT_STORE
from crystalgnn_core.errors import InputError
from crystalgnn_core.storage.paths import local_path
from crystalgnn_core.wording import describe_missing
from deployments.errors import show_errors
from deployments.ingest_command import candidates_name, source_entry
from deployments.options import Model, require_table_name
from deployments.tables import show_line, show_rejects, write_frame

if TYPE_CHECKING:
    from crystalgnn_core.learning.cards import ModelCard
    from crystalgnn_core.screening.own_labels import OwnLabels

UNNAMED = "unnamed scheme"


def evaluate(
    structures: Annotated[
        str | None,
        typer.Argument(
            help="Table or file of structures with labels, or a folder with a label table; "
            "without it the labels in the store judge."
        ),
    ] = None,
    *,
    model: Model = "champion",
    store: Annotated[
        Path, typer.Option("--store", help="Store in which the model is looked up.")
    ] = Path(DEFAULT_STORE),
    split: Annotated[
        str | None,
        typer.Option("--split", help="train, val or test of its training; default test."),
    ] = None,
    source: Annotated[
        list[str] | None,
        typer.Option(
            "--source",
            help="Judge by the labels of this stored source, whoever trained the model; "
            "repeatable. A published model is judged by those of all sources.",
        ),
    ] = None,
    target: Annotated[
        list[str] | None,
        typer.Option(
            "--target",
            help="TARGET=COLUMN or TARGET=COLUMN@LABEL SCHEME of STRUCTURES; by default "
            "the columns that are named like a target of the model; repeatable.",
        ),
    ] = None,
    labels: Annotated[
        str | None,
        typer.Option("--labels", help="Table of the labels of a folder STRUCTURES."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", help="Write labels and predictions of every row, .parquet or .csv."
        ),
    ] = None,
) -> None:
    """Compare a model with labels, of the store as they are now or of files."""
    from crystalgnn_core.learning.cards import read_card
    from crystalgnn_core.learning.evaluation import evaluate_rows
    from crystalgnn_core.learning.registry import Registry
    from crystalgnn_core.screening.own_labels import judge_by_own_labels

    require_table_name(output)
    store = local_path(store)
    _refuse_mixed(
        structures,
        {"--source": source, "--split": split},
        {"--target": target, "--labels": labels},
    )
    bundle = Registry(store).resolve(model)
    card = read_card(bundle)
    if card.recalibration is not None and structures is None and not (source or split):
        source = list(card.recalibration.sources)
    if structures is not None:
        found = _judge_by_file(store, bundle, structures, target or [], labels)
    elif source or not card.training:
        if split is not None:
            raise InputError(
                "--split is for a model by the rows of its training; leave it out for a "
                "published model and with --source"
            )
        models = [bundle, *_champions_beside(store, card)]
        found = judge_by_own_labels(store, models, tuple(source or ()))
    else:
        split = split or "test"
        card, metrics, rows = evaluate_rows(store, bundle, split)
        show_errors(f"{card.model_id}, {split} split", metrics, card.units)
        if output is not None:
            write_frame(output, rows.to_pandas())
            show_line(f"table    {output}")
        return
    _show_own_labels(card, found)
    if output is not None:
        write_frame(output, found.rows)
        show_line(f"table    {output}")


def _refuse_mixed(
    structures: str | None, of_store: dict[str, object], of_files: dict[str, object]
) -> None:
    """Refuse options of the one way to judge with the other.

    Raises:
        InputError: There are such options.
    """
    others = of_files if structures is None else of_store
    given = [name for name, value in others.items() if value]
    if given and structures is None:
        raise InputError(f"{given[0]} is of a table or folder; name that, too")
    if given:
        raise InputError(
            f"{given[0]} is of rows in the store; leave it out, or leave out {structures}"
        )


def _judge_by_file(
    store: Path, bundle: Path, structures: str, targets: list[str], labels: str | None
) -> OwnLabels:
    """Judge a model by the labels of a table, file or folder."""
    from crystalgnn_core.learning.cards import read_card
    from crystalgnn_core.screening.own_files import (
        columns_named_like_targets,
        judge_by_files,
    )
    from crystalgnn_core.sources.files.source import FilesSource

    card = read_card(bundle)
    if not local_path(structures).exists():
        raise InputError(describe_missing(local_path(structures)))
    names = targets or columns_named_like_targets(structures, labels, card.scaler.targets)
    columns = [name if "=" in name else f"{name}={name}" for name in names]
    entry = source_entry(
        "files",
        [each if "@" in each else f"{each}@{UNNAMED}" for each in columns],
        path=structures,
        name=candidates_name(structures),
        labels=labels,
    )
    models = [bundle, *_champions_beside(store, card)]
    found, rejected = judge_by_files(store, models, FilesSource.model_validate(entry))
    if rejected:
        show_rejects(Counter(sorted((one.stage, one.reason) for one in rejected)))
    return found


def _champions_beside(store: Path, card: ModelCard) -> list[Path]:
    """Return the champions of a store that predict a target of a model, itself left out."""
    from crystalgnn_core.learning.cards import read_card
    from crystalgnn_core.learning.registry import Registry

    registry = Registry(store)
    champions = [registry.folder / name for name in registry.champions().values()]
    return [
        folder
        for folder in dict.fromkeys(champions)
        if folder.name != card.model_id
        and set(read_card(folder).scaler.targets) & set(card.scaler.targets)
    ]


def _show_own_labels(card: ModelCard, found: OwnLabels) -> None:
    for one in found.judged:
        is_beside = one.card.model_id != card.model_id
        name = one.card.model_id + (" (champion)" if is_beside else "")
        title = f"{name} on labels of {one.scheme}"
        show_errors(title, {one.target: one.metrics}, one.card.units)
        if one.scheme != one.learned:
            show_line(
                f"note     it learned from labels of {one.learned}: the difference of the "
                "schemes is part of these errors"
            )
    show_line(
        f"rows     {found.n_rows:,} of {', '.join(found.sources)} carry a label = "
        f"{found.n_rows - found.n_seen - found.n_refused:,} judged + {found.n_seen:,} that "
        f"one of the models learned from + {found.n_refused:,} that not all predict"
    )
    for remark in card.remarks:
        show_line(f"note     {remark}")
