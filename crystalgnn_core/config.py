"""One tree of settings, composed of the stages' own configuration classes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import suppress
from copy import deepcopy
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self
from zoneinfo import ZoneInfo, available_timezones

from pydantic import Field, TypeAdapter, ValidationError, field_validator, model_validator

from crystalgnn_core.base import ADDED_LATER, DEFAULT_STORE, FrozenModel
from crystalgnn_core.errors import ConfigError, InputError
from crystalgnn_core.graphs.config import GraphConfig
from crystalgnn_core.learning.config import (
    FinetuningConfig,
    RetrainingConfig,
    TrainingConfig,
)
from crystalgnn_core.learning.recipes.reading import apply_recipe
from crystalgnn_core.models import ModelConfig
from crystalgnn_core.models.cgcnn.config import CGCNNConfig
from crystalgnn_core.records.gate.report import GateConfig
from crystalgnn_core.records.links.config import LinkConfig
from crystalgnn_core.screening.config import ScreeningConfig
from crystalgnn_core.settings import Given, assign, merge, read_yaml, split_override
from crystalgnn_core.sources import AnySource
from crystalgnn_core.storage.paths import local_path, require_store_name, whole_path
from crystalgnn_core.wording import describe_validation, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

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

    @field_validator("rescreen", "retrain")
    @classmethod
    def _is_a_time(cls, time: str | float) -> str | float:
        if isinstance(time, str) and (len(time.split()) > 4 or time.startswith("@")):
            return time
        with suppress(ValueError):
            time = float(time)  # 1e4 is text in YAML 1.1
        if isinstance(time, str) or not 0 < time < math.inf:
            raise ValueError(
                "expected a cron expression such as '0 2 * * *', or a positive number of "
                "seconds"
            )
        return time

    @field_validator("timezone")
    @classmethod
    def _zone_exists(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (OSError, ValueError, LookupError) as error:
            meant = did_you_mean(name, available_timezones())
            raise ValueError(
                f"no such time zone; give one like Europe/Berlin or UTC{meant}"
            ) from error
        return name


class PipelineConfig(FrozenModel):
    """Everything a run depends on; secrets come from the environment instead.

    Settings may name a `recipe`, over which they are laid (see
    `crystalgnn_core.learning.recipes.reading`). Those that name neither a recipe nor a
    model take the default one.

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

    store: Annotated[str, Field(min_length=1)] = DEFAULT_STORE
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

    @field_validator("store")
    @classmethod
    def _may_be_a_store(cls, store: str) -> str:
        try:
            require_store_name(local_path(store))
        except InputError as error:
            raise ValueError(str(error)) from error
        return store

    @property
    def store_path(self) -> Path:
        """The store as an absolute path."""
        return whole_path(local_path(self.store))

    @model_validator(mode="before")
    @classmethod
    def _fill(cls, given: Any) -> Any:  # noqa: ANN401  any settings
        """Fill what is not said by a recipe, and by the graphs of the network."""
        if not isinstance(given, dict):
            return given
        given = apply_recipe(given)
        if "model" not in given:
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
    store: str | None = None,
) -> PipelineConfig:
    """Compose defaults, `base`, a YAML file, `options`, `key=value` overrides and `store`.

    What comes later wins.

    Args:
        path: YAML file.
        overrides: Dotted keys with YAML values, such as `training.epochs=20`; list items
            are addressed by position (`sources.0.path=cifs`).
        base: Values below the file's.
        options: Values of command-line options, above the file's; lists replace lists.
        store: Folder of the store as it stands; it is no YAML.

    Raises:
        ConfigError: The file cannot be read, or a key or value does not fit.
    """
    file = {} if path is None else read_yaml(path)
    above = deepcopy(dict(options or {}))
    # `assign` writes into it, and what was given where is looked up afterwards
    content = deepcopy(merge(merge(dict(base or {}), file), above))
    given = Given(None if path is None else str(path), file, above, {})
    for override in overrides:
        keys, value = split_override(override)
        assign(content, keys, value, override)
        given.overrides[override] = tuple(keys)
    if store is not None:
        content["store"] = above["store"] = store
    try:
        config = PipelineConfig.model_validate(content)
    except ValidationError as error:
        message = describe_validation(error, PipelineConfig, given.describe)
        raise ConfigError(message) from error
    for key in _boolean_numbers(content, config):
        raise ConfigError(
            f"{given.describe(key)}: expected a number, found true or false; yes, no, on "
            "and off stand for these"
        )
    return config


def _boolean_numbers(given: Any, read: Any, *above: str) -> Iterator[tuple[str, ...]]:  # noqa: ANN401  nested settings
    """Yield the keys of true and false in settings that were read as 1 and 0."""
    if isinstance(given, bool) and type(read) in {int, float}:
        yield above
    elif isinstance(given, dict):
        for key, value in given.items():
            is_map = isinstance(read, Mapping)
            below = read.get(key) if is_map else getattr(read, key, None)
            yield from _boolean_numbers(value, below, *above, key)
    elif isinstance(given, list) and isinstance(read, list | tuple):
        for place, (value, below) in enumerate(zip(given, read, strict=False)):
            yield from _boolean_numbers(value, below, *above, str(place))
