"""Go on training a finished model, on other labels: fine-tuning."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crystalgnn_core.errors import ModelError
from crystalgnn_core.graphs.shards import graph_folder
from crystalgnn_core.learning.checkpoints import load_bundle
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
    transfer,
    transferred_scaler,
)
from crystalgnn_core.models.cgcnn.config import CGCNNConfig
from crystalgnn_core.models.ensemble import members_of
from crystalgnn_core.models.network import layer_names_of

if TYPE_CHECKING:
    from pathlib import Path

    from crystalgnn_core.base import FrozenModel
    from crystalgnn_core.graphs.config import GraphConfig
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

    Each member of a model of several is fine-tuned from itself; `training.members` counts
    for a base model of one network, from which all members start.

    Batch normalisation goes on using the means and variances that the base model came with:
    those of a few small batches of one chemistry would change what every layer has learned.
    Its factors and offsets learn.

    The result's id is the digest of the base model's weights, the settings and the data, so
    that an interrupted run is continued and a finished one reused, as in `train_model`. The
    store must hold the graphs as the base model expects them.

    Raises:
        InputError: The training data cannot be used (see `load_training_data`).
        ModelError: The base model is no bundle, or of a kind that cannot be fine-tuned.
        TrainingDivergedError: The loss became NaN or infinite, or ran away.
        TransientError: Another process is training this very model.
    """
    network, old = load_bundle(base)
    settings = finetuning.applied_to(training)
    in_two = {*settings.hurdle, *old.scaler.hurdle}
    hurdle = tuple(name for name in settings.targets if name in in_two)
    bases = members_of(network)
    members = len(bases) if len(bases) > 1 else settings.members
    settings = settings.model_copy(update={"hurdle": hurdle, "members": members})
    data = load_training_data(store, settings, old.graph, old.model.known_elements())
    origin = {
        "weights": old.weights_sha256,
        "scaler": old.scaler.digest_content(),
        "freeze": finetuning.freeze,
        "scaling": finetuning.scaler,
    }
    digest = data.summary.data_digest
    model_id = name_model(old.model, settings, old.graph, digest, origin=origin)

    def start() -> RunStart:
        labels = data.labels[data.select("train")]
        scaler = transferred_scaler(
            bases[0],
            old.scaler,
            settings.targets,
            labels,
            kind=finetuning.scaler,
            hurdle=hurdle,
        )
        fresh = new_card(model_id, old.model, settings, old.graph, data, scaler=scaler)
        graphs = graph_folder(store, old.graph)
        card = card_of_finetuned(fresh, old, data, network, graphs)
        cuts = _fit_cuts(network, old.scaler, scaler, data, graphs)

        def build(index: int) -> Network:
            made = transfer(bases[index % len(bases)], old.scaler, old.model, scaler, cuts)
            freeze(made, finetuning.freeze)
            return made

        return RunStart(card, build, holds_statistics=True)

    return complete_model(store, model_id, settings, data, start)


def _fit_cuts(
    network: Network,
    old: TargetScaler,
    new: TargetScaler,
    data: TrainingData,
    graphs: Path,
) -> dict[str, Cut]:
    """Fit which values of a network mean zero, for targets that it has in one part only.

    Where it sums over atoms, its output layer cannot hold an intercept: none is fitted.
    """
    names = [one for one in new.hurdle if one in old.targets and one not in old.hurdle]
    if not names or layer_names_of(members_of(network)[0]).sums_atoms:
        return {}
    train = data.select("train")
    predicted = predict_columns(network, data.select_dataset(graphs, train), old)
    places = {name: new.targets.index(name) for name in names}
    return {
        name: fit_cut(
            (predicted[name] - new.mean[place]) / new.std[place], data.labels[train, place]
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
