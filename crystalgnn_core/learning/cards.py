"""The card of a model: what it is, what it learned from, how good it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import Field, ValidationError

from crystalgnn_core.base import FrozenModel, digest_of
from crystalgnn_core.errors import IntegrityError, ModelError
from crystalgnn_core.graphs.config import GraphConfig
from crystalgnn_core.learning.calibration.intervals import Intervals
from crystalgnn_core.learning.metrics import Metrics
from crystalgnn_core.learning.scaling import TargetScaler
from crystalgnn_core.learning.scores import IntervalMetrics
from crystalgnn_core.models import ModelConfig
from crystalgnn_core.records.provenance import SourceFacts, name_noncommercial
from crystalgnn_core.storage.files import read_json
from crystalgnn_core.targets import HIGH, LOW, NOVELTY, STD
from crystalgnn_core.wording import describe_validation

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

CARD_FORMAT = 1
CARD, WEIGHTS = "card.json", "model.safetensors"
TEST_PREDICTIONS, HISTORY = "test_predictions.parquet", "history.parquet"
RECALIBRATION = "recalibration.parquet"  # ids of the rows


class DataSummary(FrozenModel):
    """What the training data is made of; goes into the model card.

    Attributes:
        sources: Sources of the rows.
        record_version: Version of the record table.
        data_digest: Digest of ids, contents and splits of all rows used.
        split_digest: Digest of the ids of the test split.
        label_schemes: Scheme of each target's labels (several joined by " + " when mixing
            was asked for).
        licenses: Licences of the rows.
        n_rows: Rows used in each split.
        n_labels: Labels of each target, over all splits.
        n_unlabelled: Rows left out because they carry none of the targets.
        refused: Reject reason to number of rows left out.
        leaks: Val and test rows whose composition occurs in training.
        data_sources: Rows used of each source, with licences, release and citation; empty
            in the card of an older version.
    """

    sources: tuple[str, ...]
    record_version: int
    data_digest: str
    split_digest: str
    label_schemes: dict[str, str]
    licenses: tuple[str, ...]
    n_rows: dict[str, int]
    n_labels: dict[str, int]
    n_unlabelled: int
    refused: dict[str, int]
    leaks: dict[str, int]
    data_sources: tuple[SourceFacts, ...] = ()


class BaseReference(FrozenModel):
    """The model from whose weights a fine-tuned one started.

    Attributes:
        model_id: Its name.
        weights_sha256: Digest of its weights file.
        label_schemes: Schemes of the labels that it learned from.
        targets: Targets for which its output was kept; others started from fresh weights.
        n_seen: Split to rows of the fine-tuned model's that it may have learned from.
        metrics: Its own errors on the rows of the fine-tuned model's card, as it was:
            split to target to errors, for the targets that were kept.
        recalibrated: Those of the start, with an output layer that is fitted to the
            training labels in closed form; empty where there was none.
        base: The model from which it started itself.
        data_sources: What it learned from, see `DataSummary`.
        changed_parts: Kept targets of which one model alone has two parts (see
            `TrainingConfig.hurdle`), and what was kept then.
    """

    model_id: str
    weights_sha256: str
    label_schemes: dict[str, str]
    targets: tuple[str, ...]
    n_seen: dict[str, int] = Field(default_factory=dict)
    metrics: dict[str, dict[str, Metrics]] = Field(default_factory=dict)
    recalibrated: dict[str, dict[str, Metrics]] = Field(default_factory=dict)
    base: BaseReference | None = None
    data_sources: tuple[SourceFacts, ...] = ()
    changed_parts: dict[str, str] = Field(default_factory=dict)


class Recalibration(FrozenModel):
    """The rows from which the intervals of a recalibrated model come.

    Attributes:
        model_id: The model as it was before, with the same weights.
        sources: Sources of the rows.
        n_rows: Rows, drawn at random.
        seed: Of the draw.
        label_schemes: Schemes of their labels.
        shift: Target to what was added to its predictions, on the scale of learning
            (decades of moduli).
        before: Target to coverage and width of the intervals of before on these rows.
    """

    model_id: str
    sources: tuple[str, ...]
    n_rows: int
    seed: int
    label_schemes: dict[str, str]
    shift: dict[str, float]
    before: dict[str, IntervalMetrics]


class ModelCard(FrozenModel):
    """Everything that must be known to use a model and to judge it.

    Attributes:
        format: Version of this layout.
        model_id: Name of the model in its store.
        created: UTC time, ISO 8601.
        model: Network configuration.
        graph: Graph configuration; predictions must use the same.
        scaler: Targets in column order, with their scale.
        units: Unit of each target.
        label_schemes: Scheme of each target's labels.
        elements: Atomic numbers that occur in the training split, or in that of the base.
        element_counts: Atomic number to training rows that contain the element; empty
            where that is not known.
        label_range: Target to lowest and highest training label, in the target's unit;
            empty where that is not known.
        data: Where the rows came from and how they were divided.
        training: The training configuration, as JSON.
        epoch: Epoch of these weights, from 1; of several members the latest.
        metrics: Split to target to errors; the test split is filled in at the end.
        baseline: Errors of the composition-only baseline on the test split.
        environment: Package versions and platform.
        base: Where a fine-tuned model started from; None for fresh weights.
        intervals: What gives the intervals of predictions; None for a model without.
        recalibration: Where the intervals of a recalibrated model come from; else None.
        novelty_rows: Training rows that the weights file holds for the novelty of
            predictions; 0 for a model without.
        nonzero_only: Targets of which a published model saw no label that is zero, such as
            gaps of non-metals, so that it gives a metal a gap, too.
        remarks: What a user must know, such as that a conversion could not be checked.
        weights_sha256: Digest of the weights file.
        files_sha256: Digests of the files that belong to a finished model of a store.
    """

    format: int = CARD_FORMAT
    model_id: str
    created: str
    model: ModelConfig
    graph: GraphConfig
    scaler: TargetScaler
    units: dict[str, str]
    label_schemes: dict[str, str]
    elements: tuple[int, ...]
    element_counts: dict[int, int] = Field(default_factory=dict)
    label_range: dict[str, tuple[float, float]] = Field(default_factory=dict)
    data: DataSummary
    training: dict[str, Any]
    epoch: int = 0
    metrics: dict[str, dict[str, Metrics]] = Field(default_factory=dict)
    baseline: dict[str, Metrics] = Field(default_factory=dict)
    environment: dict[str, str] = Field(default_factory=dict)
    base: BaseReference | None = None
    nonzero_only: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    intervals: Intervals | None = None
    recalibration: Recalibration | None = None
    novelty_rows: int = 0
    weights_sha256: str = ""
    files_sha256: dict[str, str] = Field(default_factory=dict)

    @property
    def n_members(self) -> int:
        """Networks that the model is the mean of."""
        return int(self.training.get("members", 1))

    @property
    def predictions_digest(self) -> str:
        """What predictions depend on: the weights, and what gives the intervals."""
        if self.intervals is None:
            return self.weights_sha256
        return digest_of([self.weights_sha256, self.intervals.digest_content()])

    @property
    def column_names(self) -> tuple[str, ...]:
        """Columns of predictions: the targets with what is known of each, and novelty."""
        novelty = (NOVELTY,) if self.novelty_rows else ()
        return (*self.columns_of(self.scaler.targets), *novelty)

    def columns_of(self, targets: Sequence[str]) -> tuple[str, ...]:
        """Name the columns of some targets: parts, spread of the members, interval."""
        columns: list[str] = []
        for name in targets:
            columns += self.scaler.columns_of([name])
            if self.n_members > 1:
                columns.append(name + STD)
            if self.intervals is not None and name in self.intervals.targets:
                columns += [name + LOW, name + HIGH]
        return tuple(columns)


def noncommercial_data(card: ModelCard) -> tuple[str, ...]:
    """Name the data under a licence without commercial use, that of base models, too.

    Returns:
        Entries such as `mp (CC BY-NC 4.0)`, each once.
    """
    known, base = list(facts_of(card.data)), card.base
    while base is not None:
        known += base.data_sources
        base = base.base
    return name_noncommercial(known)


def facts_of(data: DataSummary) -> tuple[SourceFacts, ...]:
    """Return what is known of the data; an old card holds sources and licences alone."""
    if data.data_sources:
        return data.data_sources
    joined = SourceFacts(
        source=", ".join(data.sources),
        n_rows=sum(data.n_rows.values()),
        licenses=dict.fromkeys(data.licenses, 0),
    )
    return (joined,)


def read_card(folder: Path) -> ModelCard:
    """Read the card of a bundle.

    Raises:
        ModelError: The folder is no bundle, or one of another format.
    """
    try:
        content = read_json(folder / CARD)
    except IntegrityError as error:
        raise ModelError(f"{folder} is no model bundle: {error}") from error
    found = content.get("format") if isinstance(content, dict) else None
    if found != CARD_FORMAT:
        raise ModelError(f"{folder}: card format {found}, this version reads {CARD_FORMAT}")
    try:
        return ModelCard.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        if first["type"] == "union_tag_invalid":
            raise ModelError(
                f"{folder}: no installed package has a network of kind "
                f"'{first['ctx']['tag']}'; install the one that the model was made with"
            ) from error
        said = describe_validation(error, ModelCard, ".".join)
        raise ModelError(f"{folder}: card: {said}; restore or retrain the model") from error
