"""The commands `crystalgnn models ...`: look at models, move the champion pointer."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from crystalgnn_core.base import DEFAULT_STORE
from crystalgnn_core.storage.paths import local_path
from crystalgnn_core.targets import TARGETS
from deployments.options import require_store
from deployments.tables import show_error, show_line, show_rows

if TYPE_CHECKING:
    from crystalgnn_core.models.published.entry import StatedError

app = typer.Typer(no_args_is_help=True, help="List, show, promote and roll back models.")
StorePath = Annotated[Path, typer.Option("--store", help="Folder that holds the models.")]
Reference = Annotated[
    str,
    typer.Argument(help="champion, a model id, a bundle folder, or a published model."),
]


@app.command("list")
def list_models(store: StorePath = Path(DEFAULT_STORE)) -> None:
    """List the finished models of a store, and which is champion or awaits approval."""
    from crystalgnn_core.learning.metrics import describe_errors
    from crystalgnn_core.learning.promotion.approval import is_waiting
    from crystalgnn_core.learning.registry import Registry

    registry = Registry(require_store(store))
    champions = set(registry.champions().values())
    rows = []
    for card in registry.models():
        errors = describe_errors(card.metrics.get("test", {}))
        mark = "champion" if card.model_id in champions else ""
        if not mark and is_waiting(registry, card):
            mark = "awaits approval"
        rows.append((card.model_id, mark, card.created, card.data.n_rows["train"], errors))
    columns = ("model", "", "created", "rows trained", "test errors")
    show_rows(f"Models in {store}", columns, rows)


@app.command()
def show(reference: Reference, store: StorePath = Path(DEFAULT_STORE)) -> None:
    """Print a model's card."""
    from crystalgnn_core.learning.cards import noncommercial_data, read_card
    from crystalgnn_core.learning.registry import Registry

    card = read_card(Registry(local_path(store)).resolve(reference))
    show_line(card.model_dump_json(indent=2))
    for named in noncommercial_data(card):
        # not among the JSON, which programs read
        show_error(f"{card.model_id}: not for commercial use: learned from {named}")


@app.command()
def recalibrate(
    *,
    model: Reference,
    source: Annotated[
        list[str], typer.Option("--source", help="Stored source of the labels; repeatable.")
    ],
    rows: Annotated[
        int | None, typer.Option("--rows", min=1, help="Rows, drawn at random; else all.")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of the draw.")] = 0,
    shift: Annotated[
        bool,
        typer.Option("--shift/--no-shift", help="Add the median error to the predictions."),
    ] = False,
    store: StorePath = Path(DEFAULT_STORE),
) -> None:
    """Make a model of the same weights with intervals by labels of another source."""
    from crystalgnn_core.learning.cards import read_card
    from crystalgnn_core.learning.registry import Registry
    from crystalgnn_core.screening.recalibration import recalibrate_model

    place = require_store(store)
    bundle = Registry(place).resolve(model)
    folder = recalibrate_model(
        place, bundle, source, n_rows=rows, seed=seed, with_shift=shift
    )
    card = read_card(folder)
    for target, held in (card.recalibration.before if card.recalibration else {}).items():
        text = f"held {held.coverage:.1%} of these rows, mean width {held.width:.3f}"
        show_line(f"{target}  intervals of before {text} {card.units[target]}".rstrip())
    show_line(f"model    {card.model_id}: {card.remarks[-1]}")
    show_line(f"judge    crystalgnn evaluate --model {card.model_id} (leaves them out)")


@app.command("convert")
def convert_file(
    path: Annotated[
        Path, typer.Argument(help=".pth.tar of CGCNN, .hdf5 of MEGNet, .zip of ALIGNN.")
    ],
    target: Annotated[
        str | None, typer.Option("--target", help="What it predicts, if it does not say.")
    ] = None,
    scheme: Annotated[
        str | None,
        typer.Option(
            "--scheme", help="Label scheme of what it learned from, if it does not say."
        ),
    ] = None,
) -> None:
    """Make a bundle, in the user's cache, from a checkpoint of another program."""
    from crystalgnn_core.learning.conversion import convert

    show_line(str(convert(path, target=target, scheme=scheme)))


@app.command()
def pretrained(
    name: Annotated[
        str | None, typer.Argument(help="Model to download and convert.")
    ] = None,
) -> None:
    """List the published models, or download one and make a bundle of it."""
    if name is None:
        _list_published()
        return
    from crystalgnn_core.learning.pretrained import fetch_published

    show_line(str(fetch_published(name)))


def _list_published() -> None:
    from crystalgnn_core.learning.pretrained import is_in_cache
    from crystalgnn_core.models.published.catalogue import catalogue

    entries = catalogue().values()
    columns = ("model", "predicts", "learned from", "licence", "error", "checked", "here")
    rows = [
        (
            entry.name,
            TARGETS[entry.target].heading,
            f"{entry.data_set} [{entry.label_scheme}]",
            entry.license or "not stated",
            _stated(entry.error),
            "yes" if entry.is_verified else "no",
            "yes" if is_in_cache(entry) else "no",
        )
        for entry in entries
    ]
    show_rows("Published models", columns, rows, n_whole=1)
    show_line("learned from  data and [label scheme]")
    show_line("error         mean absolute error as the authors state it")
    show_line("checked       whether the conversion was checked on the real file")
    show_line("here          whether the file is in your cache")
    sources = {entry.network: (entry.citation, entry.source) for entry in entries}
    for network, known in sources.items():
        show_line(f"{network:13} {'; '.join(known)}")


def _stated(error: StatedError | None) -> str:
    if error is None:
        return "not stated"
    return f"{error.value:g} {error.unit} ({error.measured_on})"


@app.command()
def promote(
    model_id: Annotated[str, typer.Argument(help="Model id.")],
    reason: Annotated[
        str, typer.Option("--reason", help="Kept in the history.")
    ] = "by hand",
    store: StorePath = Path(DEFAULT_STORE),
) -> None:
    """Make a model the champion of its targets and label schemes."""
    from crystalgnn_core.learning.registry import Registry

    key = Registry(require_store(store)).promote(model_id, reason)
    show_line(f"{model_id} is the champion of {key}")


@app.command()
def rollback(
    key: Annotated[
        str | None,
        typer.Argument(help="Targets with schemes; needed if there are several."),
    ] = None,
    store: StorePath = Path(DEFAULT_STORE),
) -> None:
    """Go back to the champion before the present one."""
    from crystalgnn_core.errors import ModelError
    from crystalgnn_core.learning.registry import Registry

    registry = Registry(require_store(store))
    keys = list(registry.champions())
    if key is None and len(keys) != 1:
        raise ModelError(
            f"store {store}: name the key to roll back: {', '.join(keys)}"
            if keys
            else f"no champion in store {store}; train a model first, or give --store"
        )
    chosen = key or keys[0]
    show_line(f"{registry.rollback(chosen)} is the champion of {chosen} again")
