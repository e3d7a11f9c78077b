"""CHGNet as a source of features."""

from __future__ import annotations

import io
from contextlib import redirect_stdout
from functools import cached_property
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from crystalgnn_core.models.potential.base import Potential
from crystalgnn_core.parallel import without_warnings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from pymatgen.core.structure import Structure

BATCH = 16  # as CHGNet's own default
N_LAYERS, LAYER_WIDTH = 4, 64


class CHGNet(Potential):
    """The atom features behind each of CHGNet's four layers, site energy, magnetic moment.

    Deng et al., Nat. Mach. Intell. 5, 1031 (2023). The weights come with the package.
    """

    version = "0.3.0"
    width = N_LAYERS * LAYER_WIDTH + 2
    elements = tuple(range(1, 95))
    package = "chgnet"
    install = "pip install 'crystalgnn[potential]'"
    remark = (
        "features come from CHGNet 0.3.0, whose weights have learned the energies, forces, "
        "stresses and magnetic moments of MPtrj, relaxations of nearly all structures of "
        "the Materials Project: errors of energies on rows from there are too low"
    )

    def features(self, structures: Sequence[Structure]) -> NDArray[np.float64]:
        """Describe atoms; one without a neighbour in 6 angstrom hears of no other."""
        rows = [np.empty((0, self.width))]
        for start in range(0, len(structures), BATCH):
            # hooks are on layers that threads share
            with self._lock, without_warnings():
                convert = self._network.graph_converter
                graphs = [convert(one) for one in structures[start : start + BATCH]]
                rows.append(self._run(graphs))
        return np.concatenate(rows)

    _lock = Lock()

    @cached_property
    def _network(self) -> Any:  # noqa: ANN401  a class of a package that may be missing
        from chgnet.model.model import CHGNet as Network

        with redirect_stdout(io.StringIO()):  # it announces itself
            network = Network.load(model_name=self.version, use_device="cpu", verbose=False)
        network.graph_converter.set_isolated_atom_response("ignore")
        return network.eval()

    def _run(self, graphs: list[Any]) -> NDArray[np.float64]:
        network, layers = self._network, []
        hooks = [
            layer.register_forward_hook(lambda *call: layers.append(call[-1]))
            for layer in network.atom_conv_layers
        ]
        try:
            with torch.no_grad():
                found = network(graphs, task="em", return_site_energies=True)
        finally:
            for hook in hooks:
                hook.remove()
        own = [
            torch.cat(list(found[name])).reshape(-1, 1) for name in ("site_energies", "m")
        ]
        return np.asarray(torch.cat([*layers, *own], dim=1).double().numpy())
