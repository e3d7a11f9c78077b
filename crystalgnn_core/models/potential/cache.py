"""Features of crystals, computed once; kept in the user's cache."""

from __future__ import annotations

import hashlib
import logging
import time
import zipfile
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from pymatgen.core.lattice import Lattice
from pymatgen.core.periodic_table import Element
from pymatgen.core.structure import Structure

from crystalgnn_core.models.potential.base import find_potential
from crystalgnn_core.remote.cache import cache_folder
from crystalgnn_core.storage.files import atomic_path

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray
    from torch_geometric.data import Batch

logger = logging.getLogger(__name__)
CHUNK = 256  # crystals of a file; what an interrupted run loses at most
SECONDS = 20.0  # between two lines that say how far it is
_UNREADABLE = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile)


def mean_features(batch: Batch, name: str) -> NDArray[np.float64]:
    """Return the mean over the atoms of each crystal of a batch, from the cache if there.

    Args:
        batch: Crystals: `atomic_numbers`, `lattice`, `frac_coords`, `ptr`.
        name: Of the potential.

    Returns:
        Shape (n_graphs, width), values of single precision.
    """
    potential = find_potential(name)
    crystals, pointer = _crystals(batch)
    keys = [_key(*crystal) for crystal in crystals]
    folder = cache_folder() / "potentials" / f"{name}-{potential.version}"
    known = _read(folder, set(keys), potential.width)
    missing = [at for at in range(len(keys)) if keys[at] not in known]
    said = time.monotonic()
    for start in range(0, len(missing), CHUNK):
        some = missing[start : start + CHUNK]
        if time.monotonic() - said > SECONDS:
            said = time.monotonic()
            logger.info("features of %s: %d of %d crystals", name, start, len(missing))
        atoms = potential.features([_structure(*crystals[at]) for at in some])
        sizes = np.diff(pointer)[some]
        rows = np.add.reduceat(atoms, sizes.cumsum() - sizes) / sizes[:, None]
        found = dict(zip([keys[at] for at in some], rows.astype(np.float32), strict=True))
        _write(folder, found)
        known |= found
    return np.stack([known[key] for key in keys]).astype(np.float64)


Arrays = tuple["NDArray[np.int64]", "NDArray[np.float32]", "NDArray[np.float32]"]


def _crystals(batch: Batch) -> tuple[list[Arrays], NDArray[np.int64]]:
    """Return numbers, lattice and coordinates of each crystal, and where it begins."""
    pointer = batch.ptr.cpu().numpy()
    numbers, cells = batch.atomic_numbers.cpu().numpy(), batch.lattice.cpu().numpy()
    coords = batch.frac_coords.cpu().numpy()
    spans = [slice(*pair) for pair in pairwise(pointer.tolist())]
    return [
        (numbers[span], cell, coords[span]) for span, cell in zip(spans, cells, strict=True)
    ], pointer


def _key(*arrays: NDArray[np.int64] | NDArray[np.float32]) -> str:
    content = b"".join(np.ascontiguousarray(array).tobytes() for array in arrays)
    return hashlib.sha256(content).hexdigest()


def _structure(
    numbers: NDArray[np.int64], cell: NDArray[np.float32], coords: NDArray[np.float32]
) -> Structure:
    lattice = Lattice(cell.astype(np.float64))
    return Structure(
        lattice, [Element.from_Z(int(n)) for n in numbers], coords.astype(np.float64)
    )


def _read(folder: Path, keys: set[str], width: int) -> dict[str, NDArray[np.float32]]:
    """Read the rows of some crystals; a damaged file counts as missing."""
    found: dict[str, NDArray[np.float32]] = {}
    for path in sorted(folder.glob("*.npz")):
        if len(found) == len(keys):
            break
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
                names = stored["keys"].tolist()
                if keys.isdisjoint(names):
                    continue
                rows = stored["rows"]
            if rows.shape != (len(names), width) or rows.dtype != np.float32:
                continue
        except _UNREADABLE:
            logger.warning("%s: damaged, computed again", path)
            continue
        found |= {key: rows[at] for at, key in enumerate(names) if key in keys}
    return found


def _write(folder: Path, rows: dict[str, NDArray[np.float32]]) -> None:
    """Keep the rows of some crystals; where nothing can be written, do without."""
    keys = np.array(sorted(rows))
    try:
        with atomic_path(folder / f"{_key(keys)[:32]}.npz", with_checksum=False) as path:
            np.savez(path, keys=keys, rows=np.stack([rows[key] for key in keys.tolist()]))
    except OSError as error:
        logger.warning("%s: features cannot be kept (%s)", folder, error)
