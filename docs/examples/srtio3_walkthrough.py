"""Walk strontium titanate from a CIF text to a prediction, and draw every step.

python docs/examples/srtio3_walkthrough.py --pictures FOLDER [--model REF]

Without --model the champion of the store predicts, or else an untrained network, whose
number means nothing and is labelled so.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import numpy as np
import torch
import typer

from crystalgnn_core.base import DEFAULT_STORE
from crystalgnn_core.errors import ModelError
from crystalgnn_core.graphs.build import build_dataset
from crystalgnn_core.graphs.config import GraphConfig
from crystalgnn_core.graphs.line_graph import pair_along_paths, pair_at_centers
from crystalgnn_core.learning.checkpoints import load_bundle
from crystalgnn_core.learning.registry import Registry
from crystalgnn_core.models.cgcnn.config import CGCNNConfig
from crystalgnn_core.models.elements import element_table
from crystalgnn_core.models.layers import GaussianExpansion
from crystalgnn_core.records.elements import SYMBOLS
from crystalgnn_core.sources.formats.cif.reader import crystal_from_cif
from deployments.tables import show_line

if TYPE_CHECKING:
    from torch_geometric.data import Batch

    from crystalgnn_core.records.crystal import Crystal

CIF = """data_SrTiO3
_cell_length_a 3.905
_cell_length_b 3.905
_cell_length_c 3.905
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma 90
_symmetry_space_group_name_H-M 'P 1'
loop_
_symmetry_equiv_pos_as_xyz
'x, y, z'
loop_
_atom_site_label
_atom_site_type_symbol
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
Sr0 Sr 0.0 0.0 0.0
Ti1 Ti 0.5 0.5 0.5
O2 O 0.5 0.5 0.0
O3 O 0.5 0.0 0.5
O4 O 0.0 0.5 0.5
"""
NEAREST = GraphConfig(strategy="knn_cgcnn", cutoff=8.0, n_neighbors=12)
SHELLS = GraphConfig(strategy="knn_shell", cutoff=8.0, n_neighbors=12)
BOND = 2.0  # angstrom: Ti-O bonds are shorter, everything else is longer
# columns of the element table, in its order
FEATURES = {
    "group": 19,
    "period": 7,
    "electronegativity": 10,
    "covalent radius": 10,
    "valence electrons": 12,
    "ionisation energy": 10,
    "electron affinity": 10,
    "block": 4,
    "atomic volume": 10,
}


class Prediction(NamedTuple):
    """What a network says.

    Attributes:
        network: Name of the model, or that there is none.
        values: Target to value and unit; the scaled output of an untrained network.
        scheme: What labels it learned from.
    """

    network: str
    values: dict[str, tuple[float, str]]
    scheme: str


class Walk(NamedTuple):
    """Every step's result.

    Attributes:
        crystal: The five atoms.
        nearest: Graph of the 12 nearest neighbours of each atom.
        shells: Graph of all neighbours as near as the twelfth.
        features: Element features, shape (3, 92): Sr, Ti, O.
        expansion: Distances of the shells in angstrom to their 41 Gaussian features.
        angles: Degrees at the centre of every pair of edges, and the centre's element.
        prediction: The end of the way.
    """

    crystal: Crystal
    nearest: Batch
    shells: Batch
    features: np.ndarray
    expansion: dict[float, np.ndarray]
    angles: tuple[np.ndarray, list[str]]
    prediction: Prediction


def walk(model: str | None, store: Path) -> Walk:
    """Go all the way, telling every number.

    Args:
        model: Reference of a model, or None for the store's champion.
        store: Store in which models are looked up.
    """
    crystal = crystal_from_cif(CIF)
    symbols = symbols_of(crystal.atomic_numbers)
    cell = np.linalg.norm(crystal.lattice, axis=1)
    show_line(f"1. crystal: {len(symbols)} atoms, {' '.join(symbols)}; cell {cell} Å")
    nearest, shells = graph_of(crystal, NEAREST), graph_of(crystal, SHELLS)
    for name, graph in (("12 nearest", nearest), ("whole shells", shells)):
        show_line(f"2. neighbours, {name}: {graph.edge_index.shape[1]} edges")
        for (pair, distance), count in count_edges(graph).items():
            show_line(f"   {pair:5s} {distance:.4f} Å  {count} edges")
    features = element_table()[[38, 22, 8]]
    show_line(f"3. element features: {features.shape[1]} per element, 0 or 1")
    for symbol, row in zip(("Sr", "Ti", "O"), features, strict=True):
        show_line(f"   {symbol:2s} set: {np.flatnonzero(row).tolist()}")
    expansion = expand(shells)
    for distance, values in expansion.items():
        highest = values.argmax()
        show_line(
            f"4. {distance:.4f} Å: {len(values)} Gaussians, the largest is number "
            f"{highest} (centre {0.2 * highest:.1f} Å): {values[highest]:.4f}"
        )
    angles = angles_of(shells)
    show_pairs(shells, angles)
    prediction = predict(crystal, model, store)
    show_line(f"7. prediction by {prediction.network} ({prediction.scheme}):")
    for name, (value, unit) in prediction.values.items():
        show_line(f"   {name} {value:.5f} {unit}")
    return Walk(crystal, nearest, shells, features, expansion, angles, prediction)


def symbols_of(numbers: np.ndarray) -> list[str]:
    """Return the element symbols of atomic numbers."""
    return [SYMBOLS[int(number) - 1] for number in numbers]


def graph_of(crystal: Crystal, config: GraphConfig) -> Batch:
    """Return a batch that holds the graph of one crystal."""
    dataset, refused = build_dataset([crystal], config)
    for error in refused.values():
        raise error
    return dataset.batch(np.zeros(1, dtype=np.int64))


def count_edges(graph: Batch) -> dict[tuple[str, float], int]:
    """Count the edges of every pair of elements (centre first) and distance in angstrom."""
    symbols = symbols_of(graph.atomic_numbers.numpy())
    neighbor, center = graph.edge_index.tolist()
    lengths = graph.edge_vector.norm(dim=1).double().numpy().round(4).tolist()
    pairs = [f"{symbols[c]}-{symbols[n]}" for c, n in zip(center, neighbor, strict=True)]
    return dict(sorted(Counter(zip(pairs, lengths, strict=True)).items()))


def expand(graph: Batch) -> dict[float, np.ndarray]:
    """Expand every distance that occurs in 41 Gaussians from 0 to 8 angstrom."""
    lengths = sorted({distance for _, distance in count_edges(graph)})
    expanded = GaussianExpansion(0.0, 8.0, 41, 1 / 0.2**2)(torch.tensor(lengths)).numpy()
    return dict(zip(lengths, expanded, strict=True))


def angles_of(graph: Batch, cutoff: float = np.inf) -> tuple[np.ndarray, list[str]]:
    """Return the angle in degrees at the centre of every ordered pair of edges.

    Args:
        graph: Batch with one graph.
        cutoff: Longer edges, in angstrom, are in no pair.

    Returns:
        Angles, shape (n_pairs,), and the element of each centre.
    """
    line = pair_at_centers(graph.edge_index, graph.edge_vector, graph.degree, cutoff)
    centers = graph.edge_index[1][line.bond_pairs[1]]
    degrees = torch.rad2deg(torch.arccos(line.cosine.double().clamp(-1, 1))).numpy()
    return degrees, symbols_of(graph.atomic_numbers[centers].numpy())


def show_pairs(graph: Batch, angles: tuple[np.ndarray, list[str]]) -> None:
    """Tell the sizes of the line graph and the angles between Ti-O bonds."""
    paths = pair_along_paths(graph.edge_index, graph.edge_vector, graph.degree)
    show_line(
        f"5. line graph: {len(angles[0])} pairs at the centres (M3GNet, DimeNet), "
        f"{paths.bond_pairs.shape[1]} along the paths (ALIGNN)"
    )
    degrees, centers = angles_of(graph, BOND)
    found = Counter(zip(centers, degrees.round().astype(int).tolist(), strict=True))
    for (center, degree), count in sorted(found.items()):
        show_line(f"   between Ti-O bonds at {center}: {count} pairs at {degree}°")
    show_line("6. batch: " + ", ".join(f"{k} {tuple(v.shape)}" for k, v in _fields(graph)))


def _fields(graph: Batch) -> list[tuple[str, torch.Tensor]]:
    return [(key, value) for key, value in graph.to_dict().items() if key != "num_nodes"]


def predict(crystal: Crystal, model: str | None, store: Path) -> Prediction:
    """Predict with a model's own graphs, or with an untrained CGCNN where there is none."""
    registry = Registry(store)
    if model is None and not registry.champions():
        torch.manual_seed(0)
        untrained = CGCNNConfig().build(1).eval()
        with torch.no_grad():
            value = untrained(graph_of(crystal, SHELLS)).item()
        values = {"output": (value, "without a unit or a meaning")}
        return Prediction("an UNTRAINED CGCNN", values, "random weights")
    network, card = load_bundle(registry.resolve(model or "champion"))
    if unseen := set(crystal.atomic_numbers.tolist()) - set(card.elements):
        names = ", ".join(symbols_of(np.array(sorted(unseen))))
        raise ModelError(f"{card.model_id} has not learned of {names}; give another model")
    with torch.no_grad():
        output = network(graph_of(crystal, card.graph)).double().numpy()
    values = {
        name: (float(value), card.units[name])
        for name, value in zip(
            card.scaler.targets, card.scaler.unscale(output)[0], strict=True
        )
    }
    return Prediction(card.model_id, values, ", ".join(set(card.label_schemes.values())))


def main(
    pictures: Annotated[Path, typer.Option(help="Folder for the pictures.")] = Path(
        "srtio3-pictures"
    ),
    model: Annotated[str | None, typer.Option(help="Model reference.")] = None,
    store: Annotated[Path, typer.Option(help="Store of models.")] = Path(DEFAULT_STORE),
) -> None:
    """Walk SrTiO3 from CIF to graph to prediction, and draw it."""
    from srtio3_pictures import draw

    for path in draw(walk(model, store), pictures):
        show_line(f"picture  {path}")


if __name__ == "__main__":
    typer.run(main)
