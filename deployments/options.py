"""Options that commands share, and the configuration that comes of them."""

from __future__ import annotations

import importlib.resources
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from crystalgnn_core.errors import ConfigError, SourceError

if TYPE_CHECKING:
    from collections.abc import Sequence

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


def resolve_config(
    config: str | None,
    overrides: list[str] | None,
    store: str | None,
    *,
    options: dict[str, Any] | None = None,
) -> PipelineConfig:
    """Compose defaults, file and options.

    Raises:
        ConfigError: The file is missing or does not fit.
    """
    from crystalgnn_core.config import load_config

    settings = list(overrides or [])
    if store is not None:
        settings.append(f"store={store}")
    path = None if config is None else _find_config(config)
    return load_config(path, settings, options=options)


def require_sources(config: PipelineConfig) -> None:
    """Refuse a job without sources, files or keys, before it starts.

    Raises:
        ConfigError: The configuration names no source.
        SourceError: The path of a source does not exist, or its key is missing.
    """
    from crystalgnn_core.sources.files.source import FilesSource
    from crystalgnn_core.sources.materials_project.session import key_of_environment
    from crystalgnn_core.sources.materials_project.source import MaterialsProjectSource
    from crystalgnn_core.sources.vasp import VaspSource

    if not config.sources:
        raise ConfigError(
            "no sources are configured; give --config FILE with a `sources` list "
            "(`crystalgnn ingest --help` names the kinds), or try --config demo"
        )
    for source in config.sources:
        if (
            isinstance(source, FilesSource | VaspSource)
            and not Path(source.path).expanduser().exists()
        ):
            raise SourceError(f"source {source.name}: no file or folder {source.path}")
        if isinstance(source, MaterialsProjectSource):
            key_of_environment()


def require_names(names: Sequence[str], setting: str) -> None:
    """Refuse a job for which no source is named.

    Raises:
        ConfigError: There is no name.
    """
    if not names:
        raise ConfigError(f"nothing to work on: set {setting} in --config FILE or by --set")


def require_models(config: PipelineConfig, references: Sequence[str]) -> None:
    """Refuse models that cannot be found, before anything starts.

    Args:
        config: Settings; those of a pre-screen name models, too.
        references: Models of the screen.

    Raises:
        ModelError: A reference fits nothing, or several models.
    """
    from crystalgnn_core.learning.registry import Registry

    prescreen = config.screening.prescreen
    fast = () if prescreen is None else prescreen.models
    for reference in (*references, *fast):
        Registry(config.store_path).resolve(reference)


def models_named_before(config: PipelineConfig) -> list[str]:
    """Return the models of a screen that must be there before a training comes first."""
    return [name for name in config.screening.models if not name.startswith("champion")]


def _find_config(name: str) -> Path:
    path = Path(name).expanduser()
    if path.is_file():
        return path
    folder = importlib.resources.files("deployments") / "configs"
    shipped = sorted(
        entry.name for entry in folder.iterdir() if entry.name.endswith(".yaml")
    )
    if f"{name}.yaml" in shipped:
        return Path(str(folder / f"{name}.yaml"))
    names = ", ".join(entry.removesuffix(".yaml") for entry in shipped)
    raise ConfigError(f"{name}: no such file, nor a shipped configuration ({names})")
