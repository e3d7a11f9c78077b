"""One tree of settings, composed of the stages' own configuration classes."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self
from zoneinfo import ZoneInfo

import yaml
from pydantic import Field, TypeAdapter, ValidationError, field_validator, model_validator

from crystalgnn_core.base import ADDED_LATER, DEFAULT_STORE, FrozenModel
from crystalgnn_core.errors import ConfigError
from crystalgnn_core.graphs.config import GraphConfig
from crystalgnn_core.learning.config import (
    FinetuningConfig,
    RetrainingConfig,
    TrainingConfig,
)
from crystalgnn_core.models import ModelConfig
from crystalgnn_core.models.cgcnn.config import CGCNNConfig
from crystalgnn_core.records.gate.report import GateConfig
from crystalgnn_core.records.links.config import LinkConfig
from crystalgnn_core.screening.config import ScreeningConfig
from crystalgnn_core.sources import AnySource

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


_MODELS: TypeAdapter[ModelConfig] = TypeAdapter(ModelConfig)


class ExecutionConfig(FrozenModel):
    """How the work is cut and run; changes results by float32 rounding at most.

    Attributes:
        shard_size: Structures a graph or prediction shard, one task each.
        workers: Tasks at a time.
        runner: `threads` of one process, the fastest on one machine; `processes`, or
            `dask` workers (extra `dask`), which share the store's file system.
        dask_scheduler: Address of a running Dask scheduler, such as
            `tcp://10.0.0.1:8786`; None starts local workers.
    """

    shard_size: Annotated[int, Field(ge=1)] = 5000
    workers: Annotated[int, Field(ge=1)] = 2
    runner: Literal["threads", "processes", "dask"] = "threads"
    dask_scheduler: str | None = None


class ScheduleConfig(FrozenModel):
    """When the served deployments run.

    Attributes:
        rescreen: Cron expression, or seconds as a number.
        retrain: Cron expression, or seconds as a number.
        timezone: Time zone of the cron expressions.
    """

    rescreen: str | float = "0 2 * * *"
    retrain: str | float = "0 4 * * 0"
    timezone: str = "UTC"

    @field_validator("timezone")
    @classmethod
    def _zone_exists(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (OSError, ValueError, LookupError) as error:
            raise ValueError(
                "no such time zone; give one like Europe/Berlin or UTC"
            ) from error
        return name


class PipelineConfig(FrozenModel):
    """Everything a run depends on; secrets come from the environment instead.

    Attributes:
        store: Folder that holds everything the pipeline makes.
        sources: Sources that are ingested.
        gate: From where on a new version of a source is suspicious.
        linking: When rows of two sources count as one material.
        graph: How crystals become graphs; by default what the network is made for.
        model: Network.
        training: Data, loss and duration of training.
        finetuning: How a trained network goes on learning.
        screening: Candidates and score.
        retraining: Where a challenger starts from, and when it replaces the champion.
        execution: How the work is cut.
        schedule: When the served deployments run.
    """

    store: str = DEFAULT_STORE
    sources: tuple[AnySource, ...] = ()
    gate: Annotated[GateConfig, ADDED_LATER] = GateConfig()
    linking: Annotated[LinkConfig, ADDED_LATER] = LinkConfig()
    graph: GraphConfig = GraphConfig()
    model: ModelConfig = CGCNNConfig()
    training: TrainingConfig = TrainingConfig()
    finetuning: FinetuningConfig = FinetuningConfig()
    screening: ScreeningConfig = ScreeningConfig()
    retraining: RetrainingConfig = RetrainingConfig()
    execution: ExecutionConfig = ExecutionConfig()
    schedule: ScheduleConfig = ScheduleConfig()

    @property
    def store_path(self) -> Path:
        """The store as an absolute path."""
        return Path(self.store).expanduser().resolve()

    @model_validator(mode="before")
    @classmethod
    def _graph_fits_the_model(cls, given: Any) -> Any:  # noqa: ANN401  any settings
        """Fill what is not said about the graph with what the network is made for."""
        if not isinstance(given, dict) or "model" not in given:
            return given
        try:
            model = _MODELS.validate_python(given["model"])
        except ValidationError:
            return given  # the field itself says where it is wrong
        graph = given.get("graph", {})
        if not isinstance(graph, dict):
            return given
        return {**given, "graph": model.default_graph().model_dump() | graph}

    @model_validator(mode="after")
    def _network_and_graph_agree(self) -> Self:
        self.model.check_graph(self.graph)
        return self

    @model_validator(mode="after")
    def _names_fit(self) -> Self:
        names = [source.name for source in self.sources]
        repeated = sorted({name for name in names if names.count(name) > 1})
        if repeated:
            raise ValueError(f"two sources are named {', '.join(repeated)}; rename one")
        untrainable = {source.name for source in self.sources if not source.trainable}
        for name in self.training.sources:
            if name in untrainable:
                raise ValueError(
                    f"source {name!r} holds unlabelled examples and cannot be trained on"
                )
        return self


def load_config(
    path: Path | None = None,
    overrides: Sequence[str] = (),
    *,
    base: Mapping[str, Any] | None = None,
    options: Mapping[str, Any] | None = None,
) -> PipelineConfig:
    """Compose defaults, `base`, a YAML file, `options` and `key=value` overrides.

    What comes later wins.

    Args:
        path: YAML file.
        overrides: Dotted keys with YAML values, such as `training.epochs=20`; list items
            are addressed by position (`sources.0.path=cifs`).
        base: Values below the file's.
        options: Values of command-line options, above the file's; lists replace lists.

    Raises:
        ConfigError: The file cannot be read, or a key or value does not fit.
    """
    content: dict[str, Any] = deepcopy(dict(base or {}))
    if path is not None:
        content = _merge(content, _read_yaml(path))
    content = _merge(content, deepcopy(dict(options or {})))
    for override in overrides:
        key, separator, text = override.partition("=")
        if not separator or not key:
            raise ConfigError(
                f"--set {override!r}: write key=value, e.g. training.epochs=20"
            )
        try:
            value = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise ConfigError(f"--set {override!r}: the value is not valid YAML") from error
        _assign(content, key.split("."), value, override)
    try:
        return PipelineConfig.model_validate(content)
    except ValidationError as error:
        raise ConfigError(
            describe_validation(error, where=str(path or "settings"))
        ) from error


def describe_validation(error: ValidationError, *, where: str) -> str:
    """Put a validation error into one line: where, what was found, what is wrong."""
    parts = []
    for entry in error.errors()[:3]:
        key = ".".join(str(part) for part in entry["loc"]) or "settings"
        message = entry["msg"].removeprefix("Value error, ")
        if entry["type"] == "extra_forbidden":
            message = "unknown key"
        if entry["type"] == "union_tag_invalid":
            known = str(entry["ctx"]["expected_tags"]).replace("'", "")
            message = (
                f"no kind {entry['ctx']['tag']!r}, expected {known}; install the package "
                "that offers another"
            )
        found = entry["input"]
        shown = f" (found {found!r})" if isinstance(found, str | int | float | bool) else ""
        parts.append(f"{key}: {message}{shown}")
    more = error.error_count() - len(parts)
    return f"{where}: " + "; ".join(parts) + (f"; and {more} more" if more > 0 else "")


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror})") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())
        raise ConfigError(f"{path}: not valid YAML ({reason})") from error
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise ConfigError(
            f"{path}: expected keys and values, found a {type(content).__name__}"
        )
    return content


def _merge(lower: Mapping[str, Any], upper: Mapping[str, Any]) -> dict[str, Any]:
    """Lay one mapping over another; one of another `kind` replaces the whole."""
    if "kind" in lower and upper.get("kind", lower["kind"]) != lower["kind"]:
        return dict(upper)
    merged = dict(lower)
    for key, value in upper.items():
        below = merged.get(key)
        if isinstance(below, dict) and isinstance(value, dict):
            merged[key] = _merge(below, value)
        else:
            merged[key] = value
    return merged


def _assign(content: Any, keys: list[str], value: object, override: str) -> None:  # noqa: ANN401  nested YAML
    """Set a nested value in place; the content was read for this purpose."""
    here = content
    for key in keys[:-1]:
        here = _descend(here, key, override)
    last = keys[-1]
    if isinstance(here, list):
        here[_position(here, last, override)] = value
    elif isinstance(here, dict):
        here[_key(last, override)] = value
    else:
        raise ConfigError(f"--set {override!r}: {'.'.join(keys[:-1])} has no keys")


def _descend(here: Any, key: str, override: str) -> Any:  # noqa: ANN401  nested YAML
    if isinstance(here, list):
        return here[_position(here, key, override)]
    if isinstance(here, dict):
        return here.setdefault(_key(key, override), {})
    raise ConfigError(f"--set {override!r}: nothing below {key!r} can be set")


def _key(key: str, override: str) -> str:
    if key.isdigit():
        raise ConfigError(
            f"--set {override!r}: there is no list in which {key} could be a position; "
            "give the list in --config FILE"
        )
    return key


def _position(items: list[Any], key: str, override: str) -> int:
    if not key.isdigit() or int(key) >= len(items):
        raise ConfigError(
            f"--set {override!r}: {key!r} is no position in a list of {len(items)}; "
            "count from 0"
        )
    return int(key)
