"""Options that commands share, and the configuration that comes of them."""

from __future__ import annotations

import importlib.resources
from dataclasses import dataclass, fields
from functools import wraps
from inspect import Parameter, Signature, signature
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from crystalgnn_core.errors import ConfigError, InputError
from crystalgnn_core.learning.recipes.names import recipe_names
from crystalgnn_core.storage.paths import local_path, require_store_name
from crystalgnn_core.wording import describe_store, did_you_mean, near_path

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from crystalgnn_core.config import PipelineConfig

Store = Annotated[
    str | None, typer.Option("--store", help="Folder that holds all results.")
]
Config = Annotated[
    str | None,
    typer.Option("--config", help="YAML file, or the name of a shipped one (demo)."),
]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set", help="Setting as key=value, e.g. training.epochs=20; repeatable."
    ),
]
Recipe = Annotated[
    str | None,
    typer.Option(
        "--recipe",
        help="Settings of network and training that go together, below those of the "
        f"file: {', '.join(recipe_names())}, or null.",
    ),
]
Verbose = Annotated[
    bool, typer.Option("--verbose", "-v", help="Log every shard and epoch.")
]
Base = Annotated[
    str,
    typer.Option(
        "--model",
        help="Model to start from: champion, a model id, a bundle, a published model "
        "(`models pretrained` lists them), or a .pth.tar, .hdf5 or .zip file of one.",
    ),
]
Model = Annotated[
    str,
    typer.Option(
        "--model",
        help="champion, a model id, a bundle, a published model (`models pretrained` "
        "lists them), or a .pth.tar, .hdf5 or .zip file of one.",
    ),
]
TABLE_SUFFIXES = (".parquet", ".csv")


@dataclass(frozen=True)
class Job:
    """The options that all jobs share, in the order of their help."""

    config: Config = None
    store: Store = None
    recipe: Recipe = None
    set_: Set = None
    verbose: Verbose = False

    def settings(self, options: dict[str, Any] | None = None) -> PipelineConfig:
        """Compose defaults, file and options.

        Raises:
            ConfigError: The file is missing or does not fit.
        """
        from crystalgnn_core.config import load_config

        path = None if self.config is None else _find_config(self.config)
        if self.recipe is not None:
            recipe = None if self.recipe == "null" else self.recipe
            options = {**(options or {}), "recipe": recipe}
        return load_config(path, self.set_ or (), options=options, store=self.store)


def takes_job(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of `Job` in place of its parameter `job`."""
    parameters = [
        parameter.replace(kind=Parameter.KEYWORD_ONLY)
        for function in (command, Job)
        for name, parameter in signature(function, eval_str=True).parameters.items()
        if name != "job"
    ]

    @wraps(command)
    def run(**given: Any) -> None:  # noqa: ANN401  whatever options the command has
        job = Job(*(given.pop(field.name) for field in fields(Job)))
        command(**given, job=job)

    run.__annotations__ = {one.name: one.annotation for one in parameters}
    # read by typer; functions have no such attribute of their own
    run.__signature__ = Signature(parameters)  # type: ignore[attr-defined]
    return run


def require_sources(config: PipelineConfig) -> None:
    """Refuse a job without sources, files or keys, before it starts.

    Raises:
        ConfigError: The configuration names no source.
        SourceError: A source lacks what it needs, such as its path or a key.
    """
    if not config.sources:
        raise ConfigError(
            "no sources are configured; give --config FILE with a `sources` list "
            "(`crystalgnn ingest --help` names the kinds), or try --config demo"
        )
    for source in config.sources:
        source.check_ready()


def require_names(names: Sequence[str], setting: str) -> None:
    """Refuse a job for which no source is named.

    Raises:
        ConfigError: There is no name.
    """
    if not names:
        raise ConfigError(f"nothing to work on: set {setting} in --config FILE or by --set")


def require_stored(config: PipelineConfig, names: Sequence[str], setting: str) -> None:
    """Refuse a job whose sources are not there, before it starts.

    Args:
        config: Settings.
        names: Sources of the job; all rows of one may have been refused.
        setting: What names them.

    Raises:
        ConfigError: No source is named, or one is not stored.
    """
    require_names(names, setting)
    from crystalgnn_core.records.table.store import RecordStore

    configured = [source.name for source in config.sources]
    stored = sorted(RecordStore(config.store_path).source_names())
    missing = [name for name in names if name not in stored]
    if not missing:
        return
    if missing[0] in configured:
        raise ConfigError(
            f"{setting}: source {missing[0]!r} is configured, but not in "
            f"{describe_store(config.store_path)}; run `crystalgnn ingest` first"
        )
    raise ConfigError(
        f"{setting}: no source {missing[0]!r} in {describe_store(config.store_path)} "
        f"(stored: {', '.join(stored) or 'nothing'}); ingest it first"
        f"{did_you_mean(missing[0], [*stored, *configured])}"
    )


def require_store(store: Path) -> Path:
    """Return the path of a store that is there, `~` expanded.

    Raises:
        InputError: There is no such folder.
    """
    path = local_path(store)
    if not path.is_dir():
        if path.exists():
            raise InputError(f"--store {store}: a file; give the folder of a store")
        raise InputError(f"no store {store}; give its folder with --store{near_path(path)}")
    require_store_name(path)
    return path


def require_table_name(output: Path | None) -> None:
    """Refuse a table of an unknown format, or where none can be, before work starts.

    Raises:
        InputError: The name ends in something else, in whatever case, or the place may not
            be written.
    """
    if output is None:
        return
    from crystalgnn_core.storage.paths import require_writable

    if output.suffix.lower() not in TABLE_SUFFIXES:
        given = f"--output {output}"
        if output.is_dir():
            raise InputError(f"{given}: a folder; add the name of a table")
        raise InputError(f"{given}: the name must end in {' or '.join(TABLE_SUFFIXES)}")
    require_writable(output)


def require_ready(
    config: PipelineConfig,
    models: Sequence[str] = (),
    *,
    trains: bool = False,
    screens: bool = True,
) -> None:
    """Refuse a job that could not come to its end, before a server is started.

    Raises:
        InputError: Something is missing (see `flows.readiness`).
    """
    from flows.readiness import check_screening, check_training

    if trains:
        check_training(config)
    if screens:
        check_screening(config, models, trains=trains)


def _find_config(name: str) -> Path:
    path = local_path(name)
    if path.is_file():
        return path
    if path.is_dir():
        raise ConfigError(f"--config {name}: a folder; give a YAML file in it")
    folder = importlib.resources.files("deployments") / "configs"
    shipped = sorted(
        entry.name for entry in folder.iterdir() if entry.name.endswith(".yaml")
    )
    if f"{name}.yaml" in shipped:
        return Path(str(folder / f"{name}.yaml"))
    names = [entry.removesuffix(".yaml") for entry in shipped]
    raise ConfigError(
        f"--config {name}: no such file, nor a shipped configuration ({', '.join(names)})"
        f"{did_you_mean(name, names) or near_path(path)}"
    )
