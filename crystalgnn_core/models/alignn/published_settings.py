"""`config.json` of an ALIGNN archive: network, graphs, and what is predicted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from crystalgnn_core.graphs.config import GraphConfig
from crystalgnn_core.models.alignn.config import ALIGNNConfig
from crystalgnn_core.models.published.opening import UnsupportedError
from crystalgnn_core.records.label_schemes import JARVIS_OPTB88VDW, MBJ, MP_LEGACY

if TYPE_CHECKING:
    from collections.abc import Mapping

_N_INPUTS = 92  # features of an element
_LONGEST_BOND = 50.0  # angstrom; the original forms angles of all bonds
_BATCH_NORMED, _LAYER_NORMED = ("alignn",), ("alignn_atomwise", "alignn_atomwise_pure")
_WHOLE = {"radius_graph", "pure_torch", "torch_graph", "fast_graph"}  # without a bound
_ROUND_OFF = 1e-5  # angstrom within which its code finds distances equal

# names in `config.json`, and in the names of the archives
_TARGETS = {
    "formation_energy_peratom": "formation_energy_per_atom",
    "optb88vdw_bandgap": "band_gap",
    "mbj_bandgap": "band_gap",
    "bulk_modulus_kv": "bulk_modulus",
    "shear_modulus_gv": "shear_modulus",
    "e_form": "formation_energy_per_atom",
    "gap pbe": "band_gap",
    "gappbe": "band_gap",
}
_SCHEMES = {
    "jv": JARVIS_OPTB88VDW,
    "dft_3d": JARVIS_OPTB88VDW,
    "jdft_3d-8-18-2021": JARVIS_OPTB88VDW,
    "mp": MP_LEGACY,
    "megnet": MP_LEGACY,
    "megnet2": MP_LEGACY,
}
_MODIFIED_BECKE_JOHNSON = "mbj_bandgap"


def network_config(settings: Mapping[str, Any]) -> ALIGNNConfig:
    """Read the sizes.

    Raises:
        UnsupportedError: The network computes something that ours does not.
    """
    model = settings["model"]
    kind = model.get("name")
    if kind not in _BATCH_NORMED + _LAYER_NORMED:
        raise UnsupportedError(f"a network {kind!r} is not built here")
    gradient = model.get("calculate_gradient", True) and model.get("gradwise_weight", 1.0)
    repels = model.get("use_zbl")
    if repels is None:
        repels = kind == "alignn_atomwise_pure" and bool(gradient)
    for key, found, wanted in (
        ("output_features", model.get("output_features", 1), 1),
        ("classification", bool(model.get("classification")), False),
        ("classification_threshold", settings.get("classification_threshold"), None),
        ("link", model.get("link", "identity"), "identity"),
        ("extra_features", model.get("extra_features", 0), 0),
        ("atom_features", settings.get("atom_features", "cgcnn"), "cgcnn"),
        ("atom_input_features", _n_inputs(model), _N_INPUTS),
        ("conv_type", model.get("conv_type", "alignn"), "alignn"),
        ("use_cutoff_function", bool(model.get("use_cutoff_function")), False),
        ("standard_scalar_and_pca", bool(settings.get("standard_scalar_and_pca")), False),
        ("use_zbl", repels and bool(gradient), False),
    ):
        if found != wanted:
            raise UnsupportedError(f"{key} is {found!r}; only {wanted!r} is built here")
    is_original = kind in _BATCH_NORMED
    return ALIGNNConfig(
        hidden_width=model.get("hidden_features", 256 if is_original else 64),
        embedding_width=model.get("embedding_features", 64),
        n_line_convolutions=model.get("alignn_layers", 4 if is_original else 2),
        n_convolutions=model.get("gcn_layers", 4 if is_original else 2),
        n_distance_features=model.get("edge_input_features", 80),
        n_angle_features=model.get("triplet_input_features", 40),
        angle_cutoff=_angle_cutoff(settings),
        normalization="batch" if is_original else "layer",
    )


def _n_inputs(model: Mapping[str, Any]) -> int:
    is_original = model.get("name") in _BATCH_NORMED
    return int(model.get("atom_input_features", _N_INPUTS if is_original else 1))


def _angle_cutoff(settings: Mapping[str, Any]) -> float:
    """Return the longest bond of an angle; only one way to build graphs has a bound."""
    if settings.get("neighbor_strategy") != "pure_torch":
        return _LONGEST_BOND
    return float(settings.get("three_body_cutoff", 3.5) or _LONGEST_BOND)


def graph_config(settings: Mapping[str, Any]) -> GraphConfig:
    """Read how the network's graphs are built.

    Raises:
        UnsupportedError: Such graphs are not built here.
    """
    strategy = settings.get("neighbor_strategy", "k-nearest")
    cutoff = float(settings.get("cutoff", 8.0))
    n_neighbors = settings.get("max_neighbors", 12)
    if strategy == "k-nearest" and settings.get("use_canonize", True):
        return GraphConfig(
            strategy="knn_alignn",
            cutoff=cutoff,
            n_neighbors=n_neighbors,
            shell_tolerance=_ROUND_OFF,
            max_cutoff=2 * cutoff,
            symmetric=True,
        )
    is_capped = strategy in {"pure_torch", "torch_graph", "fast_graph"} and n_neighbors
    if is_capped or strategy not in _WHOLE:
        bound = f" with max_neighbors {n_neighbors}" if is_capped else ""
        raise UnsupportedError(
            f"graphs of neighbor_strategy {strategy}{bound} are not built here; only "
            "k-nearest with use_canonize, and all within the cutoff"
        )
    return GraphConfig(strategy="radius", cutoff=cutoff, too_few="keep")


def target_and_scheme(
    name: str, settings: Mapping[str, Any]
) -> tuple[str | None, str | None]:
    """Return target and label scheme, by the settings, else by the archive's name.

    Args:
        name: Such as `jv_bulk_modulus_kv_alignn.zip`.
        settings: `config.json`.

    Returns:
        Each None where neither says it.
    """
    target, data_set = settings.get("target"), settings.get("dataset")
    if target not in _TARGETS:
        data_set, _, rest = name.removesuffix(".zip").partition("_")
        target = rest.removesuffix("_alignn")
    if target == _MODIFIED_BECKE_JOHNSON:
        return "band_gap", MBJ
    return _TARGETS.get(str(target)), _SCHEMES.get(str(data_set))
