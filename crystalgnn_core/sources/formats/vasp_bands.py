"""The band gap of a VASP run, by how its bands are filled."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from crystalgnn_core.errors import RecordError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    Values = NDArray[np.float64]

_WHOLE = 0.01  # by which the share of a filled or an empty band may be off
_SMEARED = 0.25  # a state within one width of a smeared Fermi level is off by more
_EXCITED = 0.05  # eV by which a filled band lies above an empty one, and not by rounding
_TETRAHEDRA = -4  # ISMEAR of these methods, which fill in parts only what E_F crosses


def band_gap(
    channels: Sequence[ArrayLike], weights: ArrayLike | None = None, ismear: int = 0
) -> float:
    """Return the lowest empty energy minus the highest filled one, in eV; 0 for a metal.

    The number of filled bands decides, not the Fermi energy, which VASP may place within a
    band. It is that of the k-points with a weight; at the others, as in lists for hybrid
    functionals, the lowest bands are the filled ones.

    A metal has another number at other k-points, or partly filled bands beyond what
    smearing does to a small gap.

    Args:
        channels: Of each spin energy and share, shape (n_kpoints, n_bands, 2).
        weights: Of the k-points; None weighs all alike.
        ismear: How VASP filled the bands, its ISMEAR.

    Raises:
        RecordError: `missing_label`, there are no bands to take a gap from.
    """
    if not channels:
        raise _no_gap("the run states no eigenvalues")
    values = np.stack([np.asarray(channel, dtype=float) for channel in channels])
    energies, shares = values[..., 0], values[..., 1]  # (n_spins, n_kpoints, n_bands)
    if shares.max(initial=0.0) > 1.5:  # two electrons in a band of both spins
        shares = shares / 2.0
    share = _weights(weights, energies.shape[1])
    is_weighted = share > 0.0
    weighted = shares[:, is_weighted]
    counts = (weighted > 0.5).sum(axis=2)  # filled bands
    if counts.max() == energies.shape[2]:
        raise _no_gap(f"all {counts.max()} bands are filled; raise NBANDS to see others")
    if not counts.any():
        raise _no_gap("no band is filled")
    if (counts != counts[:, :1]).any():
        return 0.0
    lowest, highest = _edges(energies[:, is_weighted], weighted > 0.5)
    off = np.abs(weighted - (weighted > 0.5)).max()
    if off > _WHOLE:
        excess = ((weighted.sum(axis=2) - counts) @ share[is_weighted]).sum()
        if ismear <= _TETRAHEDRA or off > _SMEARED or abs(excess) > _WHOLE:
            return 0.0
    elif highest - lowest > _EXCITED:
        raise _no_gap(
            f"a filled band lies {highest - lowest:.3f} eV above an empty one, as in an "
            "excited state or with a given moment (ISMEAR = -2, NUPDOWN)"
        )
    if not is_weighted.all():
        others = np.sort(energies[:, ~is_weighted], axis=2)
        is_filled = np.arange(energies.shape[2]) < counts[:, :1, None]
        edges = _edges(others, np.broadcast_to(is_filled, others.shape))
        lowest, highest = min(lowest, edges[0]), max(highest, edges[1])
    return max(lowest - highest, 0.0)


def _edges(energies: Values, is_filled: NDArray[np.bool_]) -> tuple[float, float]:
    """Return the lowest energy of an empty band and the highest of a filled one."""
    return float(energies[~is_filled].min()), float(energies[is_filled].max())


def _weights(given: ArrayLike | None, n_kpoints: int) -> Values:
    """Return weights that add up to 1; all alike where none fit the k-points."""
    weights = np.asarray([] if given is None else given, dtype=float)
    if weights.shape != (n_kpoints,) or not weights.max(initial=0.0) > 0.0:
        weights = np.ones(n_kpoints)
    return weights / weights.sum()


def _no_gap(cause: str) -> RecordError:
    return RecordError("missing_label", f"no band gap: {cause}")
