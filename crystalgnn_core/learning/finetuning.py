"""Go on training a finished model, on other labels: fine-tuning."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING

import torch

from crystalgnn_core.errors import ModelError
from crystalgnn_core.graphs.shards import graph_folder
from crystalgnn_core.learning.adaptation.heads import refit_output
from crystalgnn_core.learning.checkpoints import choose_device, load_bundle
from crystalgnn_core.learning.data import load_training_data
from crystalgnn_core.learning.fitting import predict_columns
from crystalgnn_core.learning.lineage import card_of_finetuned
from crystalgnn_core.learning.members import RunStart
from crystalgnn_core.learning.recipes.reading import default_model
from crystalgnn_core.learning.training import (
    TrainedModel,
    complete_model,
    name_model,
    new_card,
)
from crystalgnn_core.learning.transfer import (
    Cut,
    fit_cut,
    freeze,
    known_outputs,
    transfer,
    transferred_scaler,
)
from crystalgnn_core.models.cgcnn.config import CGCNNConfig
from crystalgnn_core.models.ensemble import members_of
from crystalgnn_core.models.network import layer_names_of

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from crystalgnn_core.base import FrozenModel
    from crystalgnn_core.graphs.batches import GraphDataset
    from crystalgnn_core.graphs.config import GraphConfig
    from crystalgnn_core.learning.cards import ModelCard
    from crystalgnn_core.learning.config import FinetuningConfig, TrainingConfig
    from crystalgnn_core.learning.data import TrainingData
    from crystalgnn_core.learning.scaling import TargetScaler
    from crystalgnn_core.models.base import NetworkConfig
    from crystalgnn_core.models.network import Network


def finetune_model(
    store: Path, base: Path, training: TrainingConfig, finetuning: FinetuningConfig
) -> TrainedModel:
    """Fine-tune a model on the store's records, or return the result if it is there.

    Network and graphs are those of the base model. The labels may follow other schemes and
    be of other targets than its own; the card names from what it started. At the start the
    predictions of targets that both have are those of the base model. A target that it
    learned in two parts stays so; one that it did not, and that `training.hurdle` names,
    starts with the probability that fits its predictions of the training rows.

    Then, unless `recalibrate` is off, the output layer is fitted to the training labels in
    closed form, that of new targets too (see `refit_output`), and the others learn from
    there. The card holds the errors of the base model and of this start.

    Each member of a model of several is fine-tuned from itself; `training.members` counts
    for a base model of one network, from which all members start.

    Batch normalisation goes on using the means and variances that the base model came with:
    those of a few small batches of one chemistry would change what every layer has learned.
    Its factors and offsets learn.

    The result's id is the digest of the base model's weights, the settings and the data, so
    that an interrupted run is continued and a finished one reused, as in `train_model`. The
    store must hold the graphs as the base model expects them.

    The settings say what is learned and from where, so they include the learning rates of
    which short runs choose one.

    Raises:
        InputError: The training data cannot be used (see `load_training_data`).
        ModelError: The base model is no bundle, or of a kind that cannot be fine-tuned.
        TrainingDivergedError: The loss became NaN or infinite, or ran away.
        TransientError: Another process is training this very model.
    """
    network, old = load_bundle(base)
    in_two = {*training.hurdle, *old.scaler.hurdle}
    hurdle = tuple(name for name in training.targets if name in in_two)
    bases = members_of(network)
    members = len(bases) if len(bases) > 1 else training.members
    training = training.model_copy(update={"hurdle": hurdle, "members": members})
    data = load_training_data(store, training, old.graph, old.model.known_elements())
    settings = finetuning.applied_to(training, len(data.select("train")))
    origin = {
        "start": "refitted" if finetuning.recalibrate else "base",
        "rates": finetuning.rates,
        "weights": old.weights_sha256,
        "scaler": old.scaler.digest_content(),
        "freeze": finetuning.freeze,
        "scaling": finetuning.scaler,
    }
    digest = data.summary.data_digest
    model_id = name_model(old.model, settings, old.graph, digest, origin=origin)

    def start() -> RunStart:
        return _begin(model_id, store, (network, old), data, settings, how=finetuning)

    rates = finetuning.rates
    return complete_model(store, model_id, settings, data, start, rates=rates)


def _begin(
    model_id: str,
    store: Path,
    base: tuple[Network, ModelCard],
    data: TrainingData,
    settings: TrainingConfig,
    *,
    how: FinetuningConfig,
) -> RunStart:
    """Make the networks from which the members start, and their card."""
    network, old = base
    bases, graphs = members_of(network), graph_folder(store, old.graph)
    train = data.select("train")
    labels, dataset = data.labels[train], data.select_dataset(graphs, train)
    scaler = transferred_scaler(
        bases[0],
        old.scaler,
        settings.targets,
        labels,
        kind=how.scaler,
        hurdle=settings.hurdle,
    )
    cuts = _fit_cuts(network, old.scaler, scaler, dataset, labels)
    known = known_outputs(old.scaler, scaler, cuts)
    torch.manual_seed(settings.seed)  # a network that cannot be fitted keeps fresh rows
    starts = []
    for one in bases if how.recalibrate else ():
        made = transfer(one, old.scaler, old.model, scaler, cuts)
        made.to(choose_device(settings.device))
        starts.append(refit_output(made, dataset, scaler, labels, known))

    def build(index: int) -> Network:
        place = index % len(bases)
        if starts:
            made = deepcopy(starts[place])
        else:
            made = transfer(bases[place], old.scaler, old.model, scaler, cuts)
        freeze(made, how.freeze)
        return made

    fresh = new_card(model_id, old.model, settings, old.graph, data, scaler=scaler)
    card = card_of_finetuned(fresh, old, data, network, graphs, starts=starts)
    return RunStart(card, build, is_finetuning=True)


def _fit_cuts(
    network: Network,
    old: TargetScaler,
    new: TargetScaler,
    dataset: GraphDataset,
    labels: NDArray[np.float64],
) -> dict[str, Cut]:
    """Fit which values of a network mean zero, for targets that it has in one part only.

    Where it sums over atoms, its output layer cannot hold an intercept: none is fitted.
    """
    names = [one for one in new.hurdle if one in old.targets and one not in old.hurdle]
    if not names or layer_names_of(members_of(network)[0]).sums_atoms:
        return {}
    predicted = predict_columns(network, dataset, old)
    places = {name: new.targets.index(name) for name in names}
    return {
        name: fit_cut(
            (predicted[name] - new.mean[place]) / new.std[place], labels[:, place]
        )
        for name, place in places.items()
    }


def base_graph(base: Path, model: NetworkConfig, graph: GraphConfig) -> GraphConfig:
    """Return the graph settings of a base model, unless others are asked for.

    Settings that are what they are by default ask for nothing.

    Raises:
        ModelError: The base model is no bundle, or of a kind that cannot be fine-tuned, or
            network or graphs are configured in another way than its own.
    """
    network, card = load_bundle(base)
    layer_names_of(members_of(network)[0])
    if model not in (card.model, CGCNNConfig(), default_model()):
        raise ModelError(
            f"{card.model_id} is a network with {_difference(model, card.model)}; leave "
            "the settings in `model` out, or train afresh"
        )
    if graph not in (card.graph, model.default_graph()):
        raise ModelError(
            f"{card.model_id} learned from graphs with {_difference(graph, card.graph)}, "
            "and expects the same; leave the settings in `graph` out, or train afresh"
        )
    return card.graph


def _difference(wanted: FrozenModel, found: FrozenModel) -> str:
    """Name the settings of which the found values are not the wanted ones."""
    values, others = found.model_dump(), wanted.model_dump()
    if values.get("kind") != others.get("kind"):
        values = {"kind": values["kind"]}
    return ", ".join(
        f"{name} {value}, not {others[name]}"
        for name, value in values.items()
        if others[name] != value
    )
