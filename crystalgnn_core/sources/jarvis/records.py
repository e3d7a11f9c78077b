"""What a record of JARVIS-DFT says: its id, its structure and its labels."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, cast

import orjson

from crystalgnn_core.errors import RecordError
from crystalgnn_core.records.labels import MISSING_WORDS, label_value
from crystalgnn_core.records.schema import RawRecord
from crystalgnn_core.sources.formats.columns import read_id
from crystalgnn_core.sources.formats.objects import crystal_from_any
from crystalgnn_core.sources.formats.parsing import describe_cause, unreadable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from crystalgnn_core.records.schema import RejectReason

Gap = Literal["optb88vdw", "mbj"]
FUNCTIONAL = "OptB88vdW"
SCHEME, MBJ_SCHEME = "JARVIS OptB88vdW", "MBJ"
GAPS: dict[Gap, tuple[str, str]] = {
    "optb88vdw": ("optb88vdw_bandgap", SCHEME),
    "mbj": ("mbj_bandgap", MBJ_SCHEME),
}
KEYS = {
    "formation_energy_per_atom": "formation_energy_peratom",
    "energy_above_hull": "ehull",
    "bulk_modulus": "bulk_modulus_kv",  # Voigt averages
    "shear_modulus": "shear_modulus_gv",
    "poisson_ratio": "poisson",
}
TARGETS = ("formation_energy_per_atom", "band_gap", *list(KEYS)[1:], "is_metal")
_JID = re.compile(rb'"jid"\s*:\s*"([^"\\]{1,80})"')


class Reading(NamedTuple):
    """How records are read.

    Attributes:
        gap: Gap that counts as the band gap.
        metal_at_most: Largest gap of a metal in eV.
        source_version: Release.
        license: Licence of the rows.
    """

    gap: Gap
    metal_at_most: float
    source_version: str
    license: str | None

    @property
    def schemes(self) -> dict[str, str]:
        """Target to label scheme."""
        gap = GAPS[self.gap][1]
        return dict.fromkeys(KEYS, SCHEME) | {"band_gap": gap, "is_metal": gap}


def read_record(
    text: bytes, where: str, reading: Reading, schemes: Mapping[str, str]
) -> RawRecord:
    """Read the JSON text of a record; what is wrong with it becomes its error.

    Args:
        text: The record.
        where: File and row, for messages.
        reading: How it is read.
        schemes: `reading.schemes`.
    """
    material_id = ""
    try:
        record = _parse(text)
        material_id = read_id(record.get("jid"))
        run_type = _functional_of(record)
        crystal = crystal_from_any(_atoms_of(record))
    except RecordError as error:
        if not material_id and (found := _JID.search(text)):
            material_id = found[1].decode("utf-8", errors="replace")
        name = f"{material_id}: {where}" if material_id else where
        reason = cast("RejectReason", error.reason)
        return RawRecord(material_id, None, error=(reason, f"{name}: {error}"))
    if not material_id:
        message = f"{where}: the record has no jid; give every record its own"
        return RawRecord("", None, error=("missing_id", message))
    return RawRecord(
        material_id,
        crystal,
        labels=labels_of(record, reading),
        label_schemes=schemes,
        run_type=run_type,
        source_version=reading.source_version,
        license=reading.license,
    )


def labels_of(record: Mapping[str, Any], reading: Reading) -> dict[str, Any]:
    """Return the labels of a record as it gives them, and the class of its gap."""
    labels = {name: record.get(key) for name, key in KEYS.items()}
    gap = labels["band_gap"] = record.get(GAPS[reading.gap][0])
    try:
        value = label_value(gap)
    except RecordError:
        return labels  # the check of the gap names the fault
    if value is not None and value >= 0.0:
        labels["is_metal"] = float(value <= reading.metal_at_most)
    return labels


def _parse(text: bytes) -> Mapping[str, Any]:
    try:
        record = orjson.loads(text)
    except ValueError:  # NaN and the like, which Python writes and JSON does not know
        try:
            record = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise unreadable(f"not valid JSON ({describe_cause(error)})") from error
    if not isinstance(record, dict):
        raise unreadable(f"a JSON {type(record).__name__}, expected a record of JARVIS-DFT")
    return record


def _atoms_of(record: Mapping[str, Any]) -> Mapping[str, Any]:
    atoms = record.get("atoms")
    if not isinstance(atoms, dict):
        raise unreadable(f"atoms is {str(atoms)[:40]!r}, expected a structure")
    return atoms


def _functional_of(record: Mapping[str, Any]) -> str | None:
    """Return the functional, if the record names it.

    Raises:
        RecordError: `invalid_label`, it is not the one that the label schemes name.
    """
    functional = record.get("func")
    if not isinstance(functional, str) or functional.strip().lower() in MISSING_WORDS:
        return None
    if functional.lower() != FUNCTIONAL.lower():
        raise RecordError(
            "invalid_label",
            f"func is {functional[:40]!r}, expected {FUNCTIONAL}; labels of another "
            "functional are of another scheme",
        )
    return FUNCTIONAL
