"""Whether a job can come to its end, checked before its work starts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crystalgnn_core.errors import InputError
from crystalgnn_core.learning.cards import read_card
from crystalgnn_core.learning.registry import Registry
from crystalgnn_core.records.table.store import RecordStore
from crystalgnn_core.screening.ranking import check_targets
from crystalgnn_core.storage.paths import require_writable
from crystalgnn_core.wording import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Sequence

    from crystalgnn_core.config import PipelineConfig

TO_BE_TRAINED = "the model to be trained"


def check_training(config: PipelineConfig) -> None:
    """Check that a training has what it needs; nothing is read or made.

    Raises:
        InputError: The store cannot be written, a source is not known, no training source
            holds labels of a target, or the device is missing.
    """
    training = config.training
    require_writable(config.store_path)
    _check_sources(config, "training.sources", training.sources)
    by_name = {source.name: source for source in config.sources}
    known = [by_name[name] for name in training.sources if name in by_name]
    for target in training.targets if len(known) == len(training.sources) else ():
        if not any(target in source.target_names() for source in known):
            raise InputError(
                f"no training source ({', '.join(training.sources)}) holds labels of "
                f"{target}; name the column of its labels in the targets of a source, or "
                f"leave {target} out of training.targets"
            )
    _check_device(training.device)


def check_screening(
    config: PipelineConfig, models: Sequence[str] = (), *, trains: bool = False
) -> None:
    """Check that a screen has what it needs; published models are downloaded.

    Args:
        config: Settings.
        models: Model references in place of the configured ones.
        trains: Whether a training comes first, whose model screens where no other is named.

    Raises:
        InputError: The store cannot be written, a source is not known, a model is missing,
            the models do not predict what the criteria judge, or the device is missing.
    """
    screening = config.screening
    require_writable(config.store_path)
    named = tuple(models) or screening.models
    if not named and trains:
        predicted = [(TO_BE_TRAINED, config.training.targets)]
    else:
        chosen = named or ("champion",)
        predicted = [_targets_of(config, name, trains=trains) for name in chosen]
    check_targets(predicted, screening.score)
    if screening.prescreen is not None:
        fast = [
            _targets_of(config, one, trains=trains) for one in screening.prescreen.models
        ]
        check_targets(fast, screening.score)
    _check_sources(config, "screening.sources", screening.sources)
    _check_device(screening.device)


def absent_champion(config: PipelineConfig, models: Sequence[str]) -> str:
    """Say which champion a screen waits for; empty if all are there.

    Args:
        config: Settings, with the fast models of a pre-screen.
        models: Model references of the screen.
    """
    fast = config.screening.prescreen.models if config.screening.prescreen else ()
    registry = Registry(config.store_path)
    for reference in (*models, *fast):
        if registry.lacks_champion(reference):
            known = ", ".join(registry.champions()) or "none"
            return f"no {reference} yet (champions: {known})"
    return ""


def _targets_of(
    config: PipelineConfig, reference: str, *, trains: bool
) -> tuple[str, tuple[str, ...]]:
    registry = Registry(config.store_path)
    if trains and registry.lacks_champion(reference):
        return TO_BE_TRAINED, config.training.targets
    return reference, read_card(registry.resolve(reference)).scaler.targets


def _check_sources(config: PipelineConfig, setting: str, names: Sequence[str]) -> None:
    configured = {source.name for source in config.sources}
    if configured.issuperset(names):
        return
    known = configured | RecordStore(config.store_path).source_names()
    for name in names:
        if name not in known:
            raise InputError(
                f"{setting} names {name!r}, which is neither among `sources` nor in "
                f"{config.store_path} ({', '.join(sorted(known)) or 'no source'}); correct "
                f"the name, or ingest it{did_you_mean(name, known)}"
            )


def _check_device(setting: str) -> None:
    if setting == "cuda":
        from crystalgnn_core.learning.checkpoints import choose_device  # loads torch

        choose_device(setting)
