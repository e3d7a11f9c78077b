"""A batch of crystals as flat arrays, ready for the compiled kernels."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pyarrow.compute as pc

from crystalgnn_core.records.crystal import lay_out

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa
    from numpy.typing import NDArray

    from crystalgnn_core.records.crystal import Crystal


class CrystalBatch(NamedTuple):
    """Crystals laid end to end.

    Attributes:
        atomic_numbers: Shape (n_atoms,), int16.
        lattices: Row vectors in angstrom, shape (n_crystals, 3, 3), float64.
        frac_coords: Wrapped into [0, 1), shape (n_atoms, 3), float64.
        offsets: First atom of each crystal and the end, shape (n_crystals + 1,), int64.
    """

    atomic_numbers: NDArray[np.int16]
    lattices: NDArray[np.float64]
    frac_coords: NDArray[np.float64]
    offsets: NDArray[np.int64]

    def __len__(self) -> int:
        """Return the number of crystals."""
        return len(self.lattices)

    @classmethod
    def from_crystals(cls, crystals: Sequence[Crystal]) -> CrystalBatch:
        """Lay crystals end to end."""
        flat = lay_out(crystals)
        return cls(flat.atomic_numbers, flat.lattices, _wrap(flat.frac_coords), flat.starts)

    @classmethod
    def from_table(cls, table: pa.Table) -> CrystalBatch:
        """Read the columns `atomic_numbers`, `lattice` and `frac_coords` of records."""
        numbers = table["atomic_numbers"].combine_chunks()
        sizes = pc.list_value_length(numbers).to_numpy(zero_copy_only=False)
        lattices = table["lattice"].combine_chunks().flatten().to_numpy()
        coordinates = table["frac_coords"].combine_chunks().flatten().to_numpy()
        return cls(
            numbers.flatten().to_numpy().astype(np.int16),
            np.array(lattices, dtype=np.float64).reshape(-1, 3, 3),
            _wrap(coordinates.reshape(-1, 3)),
            np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64),
        )


def _wrap(frac_coords: NDArray[np.float64]) -> NDArray[np.float64]:
    wrapped = np.array(frac_coords, dtype=np.float64)
    wrapped -= np.floor(wrapped)
    wrapped[wrapped >= 1.0] = 0.0  # -1e-17 wraps to exactly 1.0
    return wrapped
