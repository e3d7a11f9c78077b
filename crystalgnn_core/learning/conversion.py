"""Bundles made from weights that other programs wrote."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from crystalgnn_core.base import digest_of
from crystalgnn_core.errors import ModelError
from crystalgnn_core.learning.cards import CARD, DataSummary, ModelCard
from crystalgnn_core.learning.checkpoints import (
    build_network,
    environment,
    write_bundle,
)
from crystalgnn_core.learning.metrics import Metrics
from crystalgnn_core.learning.scaling import TargetScaler
from crystalgnn_core.learning.scores import ClassMetrics
from crystalgnn_core.models.alignn.published import read_alignn
from crystalgnn_core.models.cgcnn.published import read_cgcnn
from crystalgnn_core.models.megnet.published import read_megnet
from crystalgnn_core.models.published.entries import ENTRIES
from crystalgnn_core.models.published.opening import opening
from crystalgnn_core.records.label_schemes import MP_LEGACY, checked_scheme
from crystalgnn_core.records.provenance import NOT_STATED, SourceFacts
from crystalgnn_core.records.schema import SPLITS
from crystalgnn_core.remote.cache import cache_folder
from crystalgnn_core.storage.files import file_sha256
from crystalgnn_core.targets import get_target
from crystalgnn_core.wording import describe_missing

if TYPE_CHECKING:
    from pathlib import Path

    from crystalgnn_core.models.network import Network
    from crystalgnn_core.models.published.entry import PublishedEntry
    from crystalgnn_core.models.published.model import PublishedModel

FORMAT = 3  # of what is made here; bundles in the cache that an older version made stay
SCHEMES = {"cgcnn": MP_LEGACY, "megnet": MP_LEGACY}  # of files that do not say it
READERS = {".pth.tar": read_cgcnn, ".hdf5": read_megnet, ".zip": read_alignn}


def convert(
    path: Path,
    *,
    target: str | None = None,
    scheme: str | None = None,
    entry: PublishedEntry | None = None,
) -> Path:
    """Make a bundle from a checkpoint of another program, once for each content.

    Args:
        path: `.pth.tar` of the CGCNN code, `.hdf5` of the MEGNet code with `.hdf5.json`, or
            `.zip` of the ALIGNN code.
        target: What it predicts, for a file that does not say so itself; class 1 of a
            classifier is then what the target calls 1.
        scheme: Label scheme of what it learned from; None takes what the file says, or
            for CGCNN and MEGNet `MP legacy`.
        entry: What is known of a model of the catalogue; its target and scheme count.

    Returns:
        Folder of the bundle, in the user's cache.

    Raises:
        ModelError: The file cannot be read, does not say what it predicts or by which label
            scheme, or predicts a number where the target is a class or the other way; or
            the scheme is a known one in another spelling.
        ConfigError: No target has the given name.
    """
    model = _read(path)
    if entry is not None:
        target, scheme = entry.target, entry.label_scheme
    name = target or model.target
    if name is None:
        raise ModelError(
            f"{path}: the file does not say what it predicts; convert it first with "
            "`crystalgnn models convert FILE --target NAME`"
        )
    if model.target is not None and name != model.target:
        raise ModelError(
            f"{path}: the file says that it predicts {model.target}, not {name}; leave the "
            "target out"
        )
    if get_target(name).kind != model.kind:
        raise ModelError(
            f"{path}: a model for {model.kind}, but {name} is for {get_target(name).kind}"
        )
    if scheme is not None and entry is None:
        _check_scheme(path, scheme)
    labels = scheme or model.scheme or SCHEMES.get(model.config.kind)
    if labels is None:
        raise ModelError(
            f"{path}: the file does not say what its labels are; convert it first with "
            f"`crystalgnn models convert FILE --target {name} --scheme TEXT`"
        )
    known = None if entry is None else entry.digest_content()
    files = (path, path.with_name(path.name + ".json"))  # settings beside, if there are any
    digests = [file_sha256(file) for file in files if file.is_file()]
    key = digest_of([FORMAT, *digests, labels, known])
    folder = cache_folder() / "converted" / f"{name}-{key}"
    if not (folder / CARD).is_file():
        with opening(path, "file of weights that can be converted"):
            card = _card(path, model, (name, labels), entry)
            network = _network(model)
        write_bundle(folder, network, card)
    return folder


def _check_scheme(path: Path, scheme: str) -> None:
    try:
        checked_scheme(scheme)
    except ValueError as error:
        raise ModelError(f"{path}: {error}") from error


def _read(path: Path) -> PublishedModel:
    for ending, read in READERS.items():
        if path.name.endswith(ending):
            if not path.is_file():
                raise ModelError(describe_missing(path))
            return read(path)
    *some, last = READERS
    raise ModelError(
        f"{path}: the name of a checkpoint that can be converted ends in "
        f"{', '.join(some)} or {last}"
    )


def _network(model: PublishedModel) -> Network:
    """Build the network and give it the weights; other shapes take no memory.

    Raises:
        ValueError: They are not those of the network.
    """
    network = build_network(model.config, 1, model.weights)
    counted = {
        name for name in network.state_dict() if name.endswith("num_batches_tracked")
    }
    missing, unexpected = network.load_state_dict(model.weights, strict=False)
    wrong = [*(name for name in missing if name not in counted), *unexpected]
    if wrong:
        raise ValueError(f"weights do not fit the network: {', '.join(wrong[:3])}")
    return network


def _card(
    path: Path, model: PublishedModel, labels: tuple[str, str], entry: PublishedEntry | None
) -> ModelCard:
    target, scheme = labels
    nonmetals = _saw_nonmetals_only(path, entry)
    schemes = {target: scheme}
    linear = (target,) if model.is_linear else ()
    return ModelCard(
        model_id=_model_id(path, model) if entry is None else entry.name,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        model=model.config,
        graph=model.graph,
        scaler=TargetScaler(
            targets=(target,), mean=(model.mean,), std=(model.std,), linear=linear
        ),
        units={target: get_target(target).unit},
        label_schemes=schemes,
        elements=model.elements,
        data=DataSummary(
            sources=(path.name,),
            record_version=0,
            data_digest="",
            split_digest="",
            label_schemes=schemes,
            licenses=() if entry is None else (entry.provenance,),
            n_rows={split: model.n_rows.get(split, 0) for split in SPLITS},
            n_labels={target: sum(model.n_rows.values())},
            n_unlabelled=0,
            refused={},
            leaks={},
            data_sources=() if entry is None else (_facts(model, entry),),
        ),
        training={},
        epoch=model.epoch,
        metrics=_metrics(model, target),
        environment=environment(),
        nonzero_only=(target,) if nonmetals else (),
        remarks=_remarks(model, entry, nonmetals=nonmetals),
    )


def _facts(model: PublishedModel, entry: PublishedEntry) -> SourceFacts:
    """Return what is known of the data; the licence is that of the weights."""
    n_rows = sum(model.n_rows.values())
    return SourceFacts(
        source=entry.data_set,
        n_rows=n_rows,
        licenses={f"{entry.license or NOT_STATED} (weights)": n_rows},
        kind="published model",
        citation=entry.citation,
        address=entry.source,
    )


def _model_id(path: Path, model: PublishedModel) -> str:
    name = path.name
    for ending in READERS:
        name = name.removesuffix(ending)
    return f"{model.config.kind}-{name}"


def _saw_nonmetals_only(path: Path, entry: PublishedEntry | None) -> bool:
    """Return whether a model of the gap learned from non-metals alone, by the catalogue."""
    if entry is None:
        digest = file_sha256(path)
        known = (one for one in ENTRIES if one.files[0].sha256 == digest)
        entry = next(known, None)
    return entry is not None and "non-metals" in entry.data_set


def _remarks(
    model: PublishedModel, entry: PublishedEntry | None, *, nonmetals: bool
) -> tuple[str, ...]:
    """Return what the file and the catalogue warn of, and the error that is published."""
    remarks = list(model.remarks)
    if entry is not None and not entry.is_verified and not remarks:
        remarks.append("conversion not checked on the real file")
    if entry is not None and entry.error is not None:
        error = entry.error
        remarks.append(
            f"published error {error.value:g} {error.unit} ({error.measured_on})"
        )
    if nonmetals:
        remarks.append("learned from non-metals alone; gives a metal a gap, too")
    return tuple(remarks)


def _metrics(model: PublishedModel, target: str) -> dict[str, dict[str, Metrics]]:
    """Return the error that the file states, unless it is one of logarithms."""
    if model.error is None or get_target(target).transform != "identity":
        return {}
    n_rows = model.n_rows.get(model.error_split, 0)
    stated = Metrics(n=n_rows, mae=model.error, rmse=None, r2=None, mad=None)
    if model.kind == "classification":
        of_classes = ClassMetrics(auc=model.error)
        stated = stated.model_copy(update={"mae": None, "classes": of_classes})
    return {model.error_split: {target: stated}}
