"""Find the pairs of structures that match: by formula, symmetry and volume, then sites."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator
from itertools import combinations, islice
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np

from crystalgnn_core.parallel import map_in_processes
from crystalgnn_core.records.links.cache import KnownStructure
from crystalgnn_core.records.links.matching import Pair, compare_pairs
from crystalgnn_core.records.links.symmetry import take_fingerprints

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from crystalgnn_core.records.crystal import Crystal
    from crystalgnn_core.records.links.cache import LinkCache
    from crystalgnn_core.records.links.config import LinkConfig

logger = logging.getLogger(__name__)
R = TypeVar("R")
T = TypeVar("T")
# reads the structures with the given digests
Loader = Callable[[Collection[str]], Iterable[tuple[str, "Crystal"]]]
STRUCTURES_PER_JOB = 200
PAIRS_PER_JOB = 100
MANY_JOBS = 3  # from which worker processes, which start in seconds, are worth it
SAVED_TOGETHER = 10_000  # what a killed run loses at most


class Material(NamedTuple):
    """A structure, whichever rows have it.

    Attributes:
        digest: Its digest.
        formula: Reduced formula.
        sources: Sources that have it.
    """

    digest: str
    formula: str
    sources: frozenset[str]


def complete_fingerprints(
    load: Loader, digests: Collection[str], cache: LinkCache, config: LinkConfig
) -> int:
    """Add to the cache what it does not know yet of some structures, and save it.

    Returns:
        Number of structures whose symmetry was sought.
    """
    missing = sorted(set(digests) - cache.known.keys())
    for some in _in_lists(missing, SAVED_TOGETHER):
        crystals = load(some)
        jobs = (
            (dict(piece), config.symprecs)
            for piece in _in_lists(crystals, STRUCTURES_PER_JOB)
        )
        for known in _run(_fingerprint_job, jobs, n_jobs=len(some) // STRUCTURES_PER_JOB):
            cache.known |= known
        cache.save()
        logger.info("symmetry of %d structures found", len(some))
    return len(missing)


def compare_missing(
    load: Loader, pairs: Iterable[Pair], cache: LinkCache, config: LinkConfig
) -> int:
    """Compare the pairs that are not in the cache yet, add them, and save it.

    Returns:
        Number of pairs that were compared.
    """
    missing = sorted(pair for pair in set(pairs) if pair[:2] not in cache.pairs)
    for some in _in_lists(missing, SAVED_TOGETHER):
        digests = {digest for pair in some for digest in pair[:2]}
        crystals = dict(load(digests))
        jobs = (
            _pair_job(piece, crystals, config) for piece in _in_lists(some, PAIRS_PER_JOB)
        )
        results = _run(compare_pairs, jobs, n_jobs=len(some) // PAIRS_PER_JOB)
        found = [rms for result in results for rms in result]
        cache.pairs |= {pair[:2]: rms for pair, rms in zip(some, found, strict=True)}
        cache.save()
        logger.info("%d pairs of structures compared", len(some))
    return len(missing)


def candidate_pairs(
    materials: Iterable[Material], known: Mapping[str, KnownStructure], config: LinkConfig
) -> Iterator[Pair]:
    """Yield the pairs that are worth comparing, each once.

    They agree in formula, in fingerprint at one tolerance at least, and about in volume per
    atom; and, unless `within_sources` is set, are of two sources.
    """
    by_formula: dict[str, list[Material]] = defaultdict(list)
    for material in materials:
        by_formula[material.formula].append(material)
    for group in by_formula.values():
        seen: set[tuple[str, str]] = set()
        for level, symprec in enumerate(config.symprecs):
            buckets: dict[tuple[int, int], list[Material]] = defaultdict(list)
            for material in group:
                buckets[known[material.digest].fingerprints[level].key].append(material)
            for bucket in buckets.values():
                for first, second in combinations(sorted(bucket), 2):
                    ends = first.digest, second.digest
                    if ends not in seen and _may_match(first, second, known, config):
                        seen.add(ends)
                        yield Pair(*ends, symprec)


def pair_of(
    first: str, second: str, known: Mapping[str, KnownStructure], config: LinkConfig
) -> Pair | None:
    """Return the pair of two structures, or None where their symmetries never agree."""
    ends = min(first, second), max(first, second)
    both = zip(*(known[end].fingerprints for end in ends), strict=True)
    for symprec, (one, other) in zip(config.symprecs, both, strict=True):
        if one.key == other.key:
            return Pair(*ends, symprec)
    return None


def _may_match(
    first: Material,
    second: Material,
    known: Mapping[str, KnownStructure],
    config: LinkConfig,
) -> bool:
    if not config.within_sources and len(first.sources | second.sources) < 2:
        return False
    volumes = known[first.digest].volume_per_atom, known[second.digest].volume_per_atom
    return max(volumes) - min(volumes) <= config.volume_tolerance * min(volumes)


def _fingerprint_job(
    crystals: Mapping[str, Crystal], symprecs: Sequence[float]
) -> dict[str, KnownStructure]:
    found = take_fingerprints(list(crystals.values()), symprecs)
    volumes = (
        abs(float(np.linalg.det(crystal.lattice))) / len(crystal.atomic_numbers)
        for crystal in crystals.values()
    )
    return dict(zip(crystals, map(KnownStructure, found, volumes), strict=True))


def _pair_job(
    pairs: Sequence[Pair], crystals: Mapping[str, Crystal], config: LinkConfig
) -> tuple[Sequence[Pair], dict[str, Crystal], LinkConfig]:
    needed = {digest for pair in pairs for digest in pair[:2]}
    return pairs, {digest: crystals[digest] for digest in sorted(needed)}, config


def _run(
    function: Callable[..., R], jobs: Iterable[tuple[Any, ...]], *, n_jobs: int
) -> Iterator[R]:
    """Run few jobs in this process, and many in worker processes; results in order."""
    if n_jobs < MANY_JOBS:
        return (function(*job) for job in jobs)
    return map_in_processes(function, jobs)


def _in_lists(items: Iterable[T], size: int) -> Iterator[list[T]]:
    iterator = iter(items)
    while some := list(islice(iterator, size)):
        yield some
