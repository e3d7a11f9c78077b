"""Weights of the MEGNet code (Chen et al. 2019): Keras files with their settings beside."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import torch

from crystalgnn_core.errors import ModelError
from crystalgnn_core.graphs.config import GraphConfig
from crystalgnn_core.models.megnet.config import MEGNetConfig
from crystalgnn_core.models.published.model import PublishedModel
from crystalgnn_core.models.published.opening import (
    UnsupportedError,
    checked_scale,
    opening,
    read_settings,
    stated_number,
)
from crystalgnn_core.targets import get_target

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from crystalgnn_core.targets import TargetKind

_TARGETS = {
    "Formation energy": "formation_energy_per_atom",
    "Band gap regressor": "band_gap",
    "log10 of bulk moduli": "bulk_modulus",
    "log10 of shear moduli": "shear_modulus",
    "Fermi energy": "fermi_energy",
    "Band gap classifier": "is_metal",
}
# the file: 1 for a band gap above zero, 0 for none
_INVERTED = "band gap classifier"
_FUNCTIONS = {"phi_e": "e", "phi_v": "v", "phi_u": "u"}
_GRAPH = "CrystalGraph"
_KINDS = ("atoms", "bonds", "state")
N_DENSE, N_LAYERS = 2, 3  # of the inputs of a block, of each of its functions


def read_megnet(path: Path) -> PublishedModel:
    """Read a `.hdf5` of the MEGNet code, with its settings in `<path>.json`.

    Raises:
        ModelError: One of the files is missing or is not what that code writes.
    """
    settings = _settings(path)
    with opening(path, "model of the MEGNet code"):
        with h5py.File(path) as content:
            _check_size(content.attrs.get_id("model_config"), path)
            layers = json.loads(content.attrs["model_config"])["config"]["layers"]
            _check_built(layers, settings)
            config, graph = _configs(layers, settings)
            arrays = _Arrays(content["model_weights"], path)
            weights = _weights(arrays, config)
            kind = _kind(layers)
            mean, std = _scale(settings)
        given = settings.get("metadata")
        metadata = given if isinstance(given, dict) else {}
        name = str(metadata.get("name", "")).lower()
        stated = metadata.get("metric value") if metadata.get("metric") == "mae" else None
        error = stated_number(stated)
    if kind == "classification" and name == _INVERTED:
        weights |= {key: -weights[key] for key in ("output.4.weight", "output.4.bias")}
    return PublishedModel(
        config=config,
        graph=graph,
        weights=weights,
        target=_target(name, kind),
        kind=kind,
        mean=mean,
        std=std,
        elements=tuple(range(1, len(weights["embedding.weight"]))),
        n_rows={},
        error=error,
        error_split="test",
        epoch=0,
    )


def _settings(path: Path) -> dict[str, Any]:
    beside = path.with_name(path.name + ".json")
    if not beside.is_file():
        raise ModelError(
            f"{beside}: no such file; a MEGNet model is a .hdf5 file with a .hdf5.json "
            "beside it"
        )
    with opening(beside, "file with the settings of a MEGNet model", is_text=True):
        content = read_settings(beside)
        # older versions of that code write "convertor"
        graph = content.get("graph_converter") or content["graph_convertor"]
        return {**content, "graph": graph}


def _check_built(layers: list[dict[str, Any]], settings: dict[str, Any]) -> None:
    """Refuse networks and graphs of that code that are not built here, by name."""
    n_embeddings = sum(layer["class_name"] == "Embedding" for layer in layers)
    if n_embeddings != 1:
        raise UnsupportedError(
            f"{n_embeddings} embeddings, of the elements and of a state such as the "
            "fidelity of the label (as in mf_2020); one of the elements is built here"
        )
    graph = settings["graph"].get("@class", _GRAPH)
    if graph != _GRAPH:
        raise UnsupportedError(
            f"its graphs are {graph}, as of molecules (qm9) or disordered crystals; only "
            f"{_GRAPH} is built here"
        )


def _check_size(attribute: h5py.h5a.AttrID | h5py.Dataset, path: Path) -> None:
    """Refuse values that declare more bytes than their file holds."""
    n_bytes = math.prod(attribute.shape) * attribute.dtype.itemsize
    if n_bytes > path.stat().st_size:
        raise ValueError(f"it declares an array of {n_bytes:,} bytes, more than it holds")


def _target(name: str, kind: TargetKind) -> str | None:
    found = {key.lower(): target for key, target in _TARGETS.items()}.get(name)
    return found if found is not None and get_target(found).kind == kind else None


def _kind(layers: list[dict[str, Any]]) -> TargetKind:
    """Know a classifier by the function that makes a probability of its last output."""
    dense = [layer["config"] for layer in layers if layer["class_name"] == "Dense"]
    function = dense[-1].get("activation", "linear")
    if function not in {"linear", "sigmoid"}:
        raise ValueError(f"an output through {function!r}, expected none or 'sigmoid'")
    return "classification" if function == "sigmoid" else "regression"


def _scale(settings: dict[str, Any]) -> tuple[float, float]:
    """Return mean and spread of what the outputs are in, 0 and 1 where none are given."""
    scaler = settings.get("target_scaler") or {}
    if not scaler.get("is_intensive", True):
        raise ValueError("values of a whole cell, expected some that do not grow with it")
    return checked_scale(float(scaler.get("mean", 0.0)), float(scaler.get("std", 1.0)))


def _configs(
    layers: list[dict[str, Any]], settings: dict[str, Any]
) -> tuple[MEGNetConfig, GraphConfig]:
    """Read the sizes off the layers, and the graph off the settings."""
    by_kind: dict[str, list[dict[str, Any]]] = {}
    for layer in layers:
        by_kind.setdefault(layer["class_name"], []).append(layer["config"])
    converters = settings["graph"]
    bonds = converters.get("bond_converter") or converters["bond_convertor"]
    centers = np.array(bonds["centers"]["data"], dtype=float)
    if not np.allclose(centers, np.linspace(centers[0], centers[-1], len(centers))):
        raise ValueError("the centres of the Gaussians are not an even grid")
    block, reading = by_kind["MEGNetLayer"][0], by_kind["Set2Set"][0]
    hidden, _, width = block["units_e"]
    config = MEGNetConfig(
        embedding_width=by_kind["Embedding"][0]["output_dim"],
        width=width,
        hidden_width=hidden,
        n_blocks=len(by_kind["MEGNetLayer"]),
        n_gaussians=len(centers),
        basis_start=float(centers[0]),
        basis_stop=float(centers[-1]),
        gaussian_width=float(bonds["width"]),
        query_width=reading["n_hidden"],
        n_passes=reading["T"],
    )
    cutoff = float(settings["graph"]["cutoff"])
    return config, GraphConfig(strategy="radius", cutoff=cutoff, too_few="keep")


class _Arrays:
    """The arrays of a Keras file by layer and name; Keras repeats the layer's name."""

    def __init__(self, content: h5py.Group, path: Path) -> None:
        self._content, self._path = content, path

    def matrix(self, layer: str, name: str) -> Tensor:
        """Return a kernel as torch has it, shape (n_outputs, n_inputs)."""
        return self.vector(layer, name).T.contiguous()

    def vector(self, layer: str, name: str) -> Tensor:
        """Return an array as it is."""
        data = self._content[layer][layer][name]
        _check_size(data, self._path)
        return torch.from_numpy(np.asarray(data, dtype=np.float32))


def _weights(arrays: _Arrays, config: MEGNetConfig) -> dict[str, Tensor]:
    """Name the arrays as our network does."""
    found = {"embedding.weight": arrays.vector("embedding_1", "embeddings:0")}
    number = 0
    for block in range(config.n_blocks):
        for kind in _KINDS:
            for layer in range(N_DENSE):
                number += 1
                _put_dense(found, f"inputs.{block}.{kind}.{2 * layer}", arrays, number)
        _put_block(found, block, arrays)
    for index, name in enumerate(("read_atoms", "read_bonds"), start=1):
        _put_reading(found, name, arrays, f"set2_set_{index}")
    for layer in range(3):
        number += 1
        _put_dense(found, f"output.{2 * layer}", arrays, number)
    return found


def _put_dense(found: dict[str, Tensor], name: str, arrays: _Arrays, number: int) -> None:
    layer = f"dense_{number}"
    found[f"{name}.weight"] = arrays.matrix(layer, "kernel:0")
    found[f"{name}.bias"] = arrays.vector(layer, "bias:0")


def _put_block(found: dict[str, Tensor], block: int, arrays: _Arrays) -> None:
    layer = f"meg_net_layer_{block + 1}"
    for function, letter in _FUNCTIONS.items():
        for index in range(N_LAYERS):
            name = f"blocks.{block}.{function}.{2 * index}"
            path = f"{layer}/{function}"
            found[f"{name}.weight"] = arrays.matrix(
                layer, f"{path}/weight_{letter}_{index}:0"
            )
            found[f"{name}.bias"] = arrays.vector(layer, f"{path}/bias_{letter}_{index}:0")


def _put_reading(found: dict[str, Tensor], name: str, arrays: _Arrays, layer: str) -> None:
    found[f"{name}.memory.weight"] = arrays.matrix(layer, "x_to_m_weight:0")
    found[f"{name}.memory.bias"] = arrays.vector(layer, "x_to_m_bias:0")
    for kind, values in (
        ("weight", arrays.matrix(layer, "recurrent_kernel:0")),
        ("bias", arrays.vector(layer, "recurrent_bias:0")),
    ):
        share_in, _, candidate, share_out = values.chunk(4)  # the second one forgets
        found[f"{name}.cell.{kind}"] = torch.cat((share_in, candidate, share_out))
