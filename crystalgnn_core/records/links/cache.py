"""What is known of structures and of pairs of them, so that nothing is compared twice."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, NamedTuple

import pyarrow as pa

from crystalgnn_core.base import digest_of
from crystalgnn_core.errors import IntegrityError
from crystalgnn_core.records.links.symmetry import Fingerprint
from crystalgnn_core.storage.files import read_table, write_table

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from crystalgnn_core.records.links.config import LinkConfig

logger = logging.getLogger(__name__)
METHOD = 1  # raise it when structures are compared in another way

_FINGERPRINTS = pa.schema(
    [
        pa.field("structure_digest", pa.string(), nullable=False),
        pa.field("space_groups", pa.list_(pa.int16()), nullable=False),
        pa.field("n_primitive", pa.list_(pa.int32()), nullable=False),
        pa.field("volume_per_atom", pa.float64(), nullable=False),
    ]
)
_PAIRS = pa.schema(
    [
        pa.field("first", pa.string(), nullable=False),
        pa.field("second", pa.string(), nullable=False),
        pa.field("rms", pa.float64()),
    ]
)


class KnownStructure(NamedTuple):
    """What is known of one structure.

    Attributes:
        fingerprints: Its symmetry at each tolerance.
        volume_per_atom: Cubic angstrom.
    """

    fingerprints: tuple[Fingerprint, ...]
    volume_per_atom: float


class LinkCache:
    """Fingerprints and comparisons of earlier runs with the same tolerances.

    Attributes:
        known: Structure digest to what is known of it.
        pairs: Two digests, ascending, to the distance of the structures in angstrom, or
            None where they do not match.

    Other tolerances than those of `config` have files of their own.
    """

    def __init__(self, folder: Path, config: LinkConfig) -> None:
        self._fingerprints_path, self._pairs_path = cache_files(folder, config)
        self.known = _read_known(self._fingerprints_path)
        self.pairs = _read_pairs(self._pairs_path)

    def save(self) -> None:
        """Write everything, in an order that does not depend on when it was found."""
        digests = sorted(self.known)
        rows = [self.known[digest] for digest in digests]
        write_table(
            self._fingerprints_path,
            pa.table(
                {
                    "structure_digest": digests,
                    "space_groups": [[f[0] for f in row.fingerprints] for row in rows],
                    "n_primitive": [[f[1] for f in row.fingerprints] for row in rows],
                    "volume_per_atom": [row.volume_per_atom for row in rows],
                },
                schema=_FINGERPRINTS,
            ),
        )
        keys = sorted(self.pairs)
        write_table(
            self._pairs_path,
            pa.table(
                {
                    "first": [first for first, _ in keys],
                    "second": [second for _, second in keys],
                    "rms": [self.pairs[key] for key in keys],
                },
                schema=_PAIRS,
            ),
        )

    def drop_others(self, digests: Collection[str]) -> None:
        """Drop what is known of structures that no record has any more."""
        kept = set(digests)
        self.known = {key: self.known[key] for key in self.known.keys() & kept}
        self.pairs = {
            pair: rms for pair, rms in self.pairs.items() if kept.issuperset(pair)
        }


def cache_files(folder: Path, config: LinkConfig) -> tuple[Path, Path]:
    """Return the files of fingerprints and comparisons with some tolerances."""
    symmetry = digest_of([METHOD, config.symprecs])
    matching = digest_of([METHOD, config.matching_digest()])
    return (
        folder / f"fingerprints-{symmetry}.parquet",
        folder / f"pairs-{matching}.parquet",
    )


def _read_known(path: Path) -> dict[str, KnownStructure]:
    table = _read(path, _FINGERPRINTS)
    return {
        row["structure_digest"]: KnownStructure(
            tuple(map(Fingerprint, row["space_groups"], row["n_primitive"])),
            row["volume_per_atom"],
        )
        for row in table.to_pylist()
    }


def _read_pairs(path: Path) -> dict[tuple[str, str], float | None]:
    table = _read(path, _PAIRS)
    columns = (table[name].to_pylist() for name in _PAIRS.names)
    return {(first, second): rms for first, second, rms in zip(*columns, strict=True)}


def _read(path: Path, schema: pa.Schema) -> pa.Table:
    """Read a cache; one that is damaged is made again, as nothing else is lost by it."""
    if not path.is_file():
        return schema.empty_table()
    try:
        return read_table(path).cast(schema)
    except (IntegrityError, ValueError):
        logger.warning("%s: damaged; structures are compared again", path)
        return schema.empty_table()
