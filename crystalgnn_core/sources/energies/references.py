"""Energies of the elements, given as numbers or calculated in runs and entries."""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING, Any

from crystalgnn_core.errors import RecordError, SourceError
from crystalgnn_core.records.elements import SYMBOLS
from crystalgnn_core.sources.energies.engine import correction_engine
from crystalgnn_core.sources.energies.formation import check_run_type, correction_of
from crystalgnn_core.sources.energies.totals import calculation_of
from crystalgnn_core.sources.formats import JSON_ROWS, VASP_RUN
from crystalgnn_core.sources.formats.folders import find_files, find_runs, matches
from crystalgnn_core.sources.formats.json_rows import JsonFile, open_json_rows
from crystalgnn_core.sources.formats.parsing import read_row
from crystalgnn_core.sources.formats.vasprun import may_be_of_one_element, read_vasp_run
from crystalgnn_core.sources.ingest.origins import readers_digest
from crystalgnn_core.storage.digests import read_note, sha256_of_files, write_note
from crystalgnn_core.storage.paths import local_path
from crystalgnn_core.wording import describe_missing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    from crystalgnn_core.records.crystal import Crystal
    from crystalgnn_core.sources.energies.formation import FormationEnergy
    from crystalgnn_core.sources.formats.calculation import Calculation

logger = logging.getLogger(__name__)
_SLICE = 1000  # entries that are read at a time


def reference_energies(config: FormationEnergy, folder: Path) -> dict[str, float]:
    """Return the energy of each element in eV/atom, corrected as the others are.

    Of calculations, the lowest of each element counts; compounds are left out, and those
    that are damaged, did not converge or have other settings, with a line in the log. What
    comes of them is noted in a folder, so that files that are as they were are not read
    again.

    Raises:
        SourceError: The path is missing, or holds no calculation of an element.
    """
    references = config.references
    if references.path is None:
        return dict(references.energies)
    path = local_path(references.path)
    if not (path.is_file() or path.is_dir()):
        raise SourceError(f"formation_energy.references.path: {describe_missing(path)}")
    files = [path]
    if path.is_dir():
        runs, _ = find_runs(path, VASP_RUN.patterns)
        files = sorted({*runs, *find_files(path, JSON_ROWS.patterns)})
    digests = sha256_of_files(files, folder / "reference-digests.json")
    note, settings = (
        folder / "references.json",
        readers_digest(config.settings_digest(), correction_engine(config)),
    )
    known = (read_note(note) or {}).get(settings, {})
    found: dict[str, dict[str, float]] = {}
    for file, digest in zip(files, digests, strict=True):
        name = f"{file.name} {digest}"
        found[name] = known[name] if name in known else _lowest_energies(file, config)
    if found != known:
        write_note(note, {settings: found})
    lowest = _lowest(energy for of_file in found.values() for energy in of_file.items())
    if not lowest:
        raise SourceError(
            f"{path}: holds no usable calculation of an element, expected runs "
            f"({', '.join(VASP_RUN.patterns)}) or entries ({', '.join(JSON_ROWS.patterns)})"
        )
    logger.info("references of %s: %s", path, ", ".join(sorted(lowest)))
    return lowest


def _lowest(energies: Iterable[tuple[str, float]]) -> dict[str, float]:
    lowest: dict[str, float] = {}
    for symbol, energy in energies:
        lowest[symbol] = min(energy, lowest.get(symbol, energy))
    return dict(sorted(lowest.items()))


def _lowest_energies(file: Path, config: FormationEnergy) -> dict[str, float]:
    """Return the lowest energy per atom of each element in the calculations of a file."""
    found = []
    for where, calculation in _calculations(file):
        energy = read_row(partial(_energy_of, calculation, config), "a calculation")
        if isinstance(energy, RecordError):
            logger.warning("reference %s: left out, %s", where, energy)
        elif energy is not None:
            found.append(energy)
    return _lowest(found)


def _calculations(file: Path) -> Iterator[tuple[str, Calculation]]:
    """Yield the readable calculations of a file with the name of each."""
    try:
        if matches(file.name, JSON_ROWS.patterns):
            yield from _entries(file)
        elif may_be_of_one_element(file):
            yield str(file), read_vasp_run(file).calculation
    except (RecordError, SourceError, OSError) as error:
        logger.warning("reference %s: left out, %s", file, error)


def _entries(file: Path) -> Iterator[tuple[str, Calculation]]:
    found = open_json_rows(file)
    if not isinstance(found, JsonFile):
        return
    for part in found.slices(_SLICE):
        for given in found.rows(part):
            where = f"{given.where} ({given.material_id})"
            if isinstance(given.content, str):
                continue
            calculation = read_row(partial(_entry_of, given.content, given.values))
            if isinstance(calculation, RecordError):
                logger.warning("reference %s: left out, %s", where, calculation)
            else:
                yield where, calculation


def _entry_of(read: Callable[[], Crystal], values: Mapping[str, Any]) -> Calculation:
    return calculation_of(read(), values)


def _energy_of(
    calculation: Calculation, config: FormationEnergy
) -> tuple[str, float] | None:
    """Return the element of a calculation and its energy, None for a compound."""
    numbers = calculation.crystal.atomic_numbers.tolist()
    if len(set(numbers)) > 1:
        return None
    # an element needs no U where its compounds do
    check_run_type(
        calculation.run_type,
        dict.fromkeys(
            name for run in config.run_types for name in (run, run.split("+U")[0])
        ),
        calculation.remark,
    )
    energy = calculation.energy + correction_of(calculation, config)
    return SYMBOLS[numbers[0] - 1], energy / len(numbers)
