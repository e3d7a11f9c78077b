"""Checkpoints of the CGCNN code, read without running anything that they contain."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from crystalgnn_core.errors import ModelError
from crystalgnn_core.graphs.config import GraphConfig
from crystalgnn_core.models.cgcnn.config import CGCNNConfig
from crystalgnn_core.models.elements import N_ELEMENT_FEATURES
from crystalgnn_core.models.published.model import PublishedModel
from crystalgnn_core.models.published.opening import (
    checked_scale,
    checked_state,
    load_torch,
    opening,
    stated_number,
)
from crystalgnn_core.targets import get_target

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from torch import Tensor

    from crystalgnn_core.targets import TargetKind

# names in the published files
_TARGETS = {
    "formation_energy_per_atom": "formation_energy_per_atom",
    "band_gap": "band_gap",
    "bulk_moduli": "bulk_modulus",
    "shear_moduli": "shear_modulus",
}
# names of the published files whose own names of their targets are not known
_FILES = {
    "efermi": "fermi_energy",
    "poisson-ratio": "poisson_ratio",
    # the authors' README: metal (1) or semiconductor (0)
    "semi-metal-classification": "is_metal",
}
_STATES = ("state_dict", "model_state_dict")  # of the code, and of forks
_NO_ERROR = 1e10  # of the code before the first validation
TASKS: tuple[TargetKind, ...] = ("regression", "classification")


def read_cgcnn(path: Path) -> PublishedModel:
    """Read a checkpoint of the CGCNN code (Xie & Grossman 2018), `.pth.tar`.

    The two outputs a, b of a classifier become one: exp(b) / (exp(a) + exp(b)) is the
    logistic function of b - a. Its dropout acts in training alone.

    Only tensors, numbers, text, lists and dicts are read: a file that holds anything else,
    which a pickle could run, is refused.

    Raises:
        ModelError: No such file, no such checkpoint, or one for another task.
    """
    with opening(path, "checkpoint of the CGCNN code"):
        content = _load(path)
        state, settings = checked_state(content["state_dict"]), content["args"]
        config = _cgcnn_config(state)
        kind = _task(path, settings)
        scale = _scale(content["normalizer"])
        used = {name: state[name] for name in state if "num_batches" not in name}
        weights = _single_output(used) if kind == "classification" else used
        error = stated_number(content.get("best_mae_error"))
        n_rows, remarks = _rows(settings)
        epoch = int(stated_number(content.get("epoch")) or 0)
        target = _target(path, settings, kind)
    mean, std = scale if kind == "regression" else (0.0, 1.0)
    return PublishedModel(
        config=config,
        graph=GraphConfig(strategy="knn_cgcnn", cutoff=8.0, n_neighbors=12),
        weights=weights,
        target=target,
        kind=kind,
        mean=mean,
        std=std,
        elements=config.known_elements(),
        n_rows=n_rows,
        error=None if error == _NO_ERROR else error,
        error_split="val",
        epoch=epoch,
        remarks=remarks,
    )


def _scale(normalizer: object) -> tuple[float, float]:
    given = normalizer if isinstance(normalizer, dict) else {}
    mean, std = (stated_number(given.get(name)) for name in ("mean", "std"))
    if mean is None or std is None:
        raise ValueError("its normalizer does not hold one mean and one std")
    return checked_scale(mean, std)


def _rows(settings: Mapping[str, Any]) -> tuple[dict[str, int], tuple[str, ...]]:
    """Return the rows of each split, and what is stated in place of their number."""
    n_rows, remarks = {}, []
    for split in ("train", "val", "test"):
        stated = settings.get(f"{split}_size")
        number = stated_number(stated or 0)
        if number is not None and number >= 0 and number.is_integer():
            n_rows[split] = int(number)
        else:
            remarks.append(f"{split}_size is {stated!r}, no number of rows")
    return n_rows, tuple(remarks)


def _task(path: Path, settings: Mapping[str, Any]) -> TargetKind:
    task = settings.get("task", "regression")
    for kind in TASKS:
        if task == kind:
            return kind
    raise ModelError(f"{path}: a CGCNN for {task}; expected {' or '.join(TASKS)}")


def _single_output(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Put the difference of both outputs of a classifier in their place."""
    weight, bias = state["fc_out.weight"], state["fc_out.bias"]
    if len(weight) != 2:
        raise ValueError(f"{len(weight)} outputs, not one for each of two classes")
    return {
        **state,
        "fc_out.weight": weight[1:] - weight[:1],
        "fc_out.bias": bias[1:] - bias[:1],
    }


def _target(path: Path, settings: Mapping[str, Any], kind: TargetKind) -> str | None:
    """Say what a checkpoint predicts, by its own words or by the name of the file."""
    given = settings.get("data_options")
    last = given[-1] if isinstance(given, list | tuple) and given else given
    stated = _TARGETS.get(str(last))
    named = _FILES.get(path.name.removesuffix(".pth.tar"))
    found = (name for name in (stated, named) if name and get_target(name).kind == kind)
    return next(found, None)


def _load(path: Path) -> dict[str, Any]:
    with path.open("rb") as stream:
        content = load_torch(stream)
    if not isinstance(content, dict):
        raise ModelError(f"{path}: holds a {type(content).__name__}, not a checkpoint")
    given = next((name for name in _STATES if name in content), "state_dict")
    content = {"state_dict" if name == given else name: content[name] for name in content}
    missing = [name for name in ("state_dict", "normalizer", "args") if name not in content]
    if missing:
        held = ", ".join(map(str, list(content)[:5])) or "nothing"
        raise ModelError(
            f"{path}: no checkpoint of the CGCNN code: it holds {held}, but no "
            f"{' and no '.join(missing)}"
        )
    for name in ("state_dict", "args"):
        if not isinstance(content[name], dict):
            found = type(content[name]).__name__
            raise ModelError(f"{path}: its {name} is a {found}; expected names and values")
    return content


def _cgcnn_config(state: Mapping[str, Tensor]) -> CGCNNConfig:
    """Read the sizes off the weights, and see that the features are those of the code."""
    width, n_inputs = state["embedding.weight"].shape
    config = CGCNNConfig(
        atom_width=width,
        n_convolutions=len({name.split(".")[1] for name in state if "convs." in name}),
        hidden_width=len(state["conv_to_fc.weight"]),
        n_hidden=1 + len({name.split(".")[1] for name in state if "fcs." in name}),
    )
    edge_width = state["convs.0.fc_full.weight"].shape[1] - 2 * width
    if (n_inputs, edge_width) != (N_ELEMENT_FEATURES, config.n_centers):
        raise ValueError(
            f"{n_inputs} features per atom and {edge_width} per edge, not the "
            f"{N_ELEMENT_FEATURES} and {config.n_centers} of the published code"
        )
    return config
