"""What a record of JARVIS-DFT says: its id, its structure and its labels."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Literal

import orjson

from crystalgnn_core.errors import RecordError
from crystalgnn_core.records.label_schemes import JARVIS_OPTB88VDW, MBJ
from crystalgnn_core.records.labels import MISSING_WORDS, label_value
from crystalgnn_core.records.schema import RawRecord
from crystalgnn_core.sources.formats.columns import read_id
from crystalgnn_core.sources.formats.objects import crystal_from_any
from crystalgnn_core.sources.formats.parsing import (
    describe_cause,
    parsing,
    refused_row,
    unreadable,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from crystalgnn_core.sources.jarvis.source import JarvisSource

Gap = Literal["optb88vdw", "mbj"]
FUNCTIONAL = "OptB88vdW"
GAPS: dict[Gap, tuple[str, str]] = {
    "optb88vdw": ("optb88vdw_bandgap", JARVIS_OPTB88VDW),
    "mbj": ("mbj_bandgap", MBJ),
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


def schemes_of(gap: Gap) -> dict[str, str]:
    """Return target to label scheme, where this gap counts as the band gap."""
    scheme = GAPS[gap][1]
    return dict.fromkeys(KEYS, JARVIS_OPTB88VDW) | {"band_gap": scheme, "is_metal": scheme}


def read_record(
    text: bytes, where: str, source: JarvisSource, version: str, schemes: Mapping[str, str]
) -> RawRecord:
    """Read the JSON text of a record; what is wrong with it becomes its error."""
    material_id = ""
    try:
        record = _parse(text)
        material_id = read_id(record.get("jid"))
        run_type = _functional_of(record)
        atoms = record.get("atoms")
        if not isinstance(atoms, dict):
            raise unreadable(f"atoms is {str(atoms)[:40]!r}, expected a structure")
        with parsing("JARVIS atoms"):
            crystal = crystal_from_any(atoms)
    except RecordError as error:
        if not material_id and (found := _JID.search(text)):
            material_id = found[1].decode("utf-8", errors="replace")
        return refused_row(material_id, where, error)
    if not material_id:
        fault = RecordError(
            "missing_id", "the record has no jid; give every record its own"
        )
        return refused_row("", where, fault)
    return RawRecord(
        material_id,
        crystal,
        labels=labels_of(record, source.gap, source.metal_at_most),
        label_schemes=schemes,
        run_type=run_type,
        source_version=version,
        license=source.license,
    )


def labels_of(record: Mapping[str, Any], gap: Gap, metal_at_most: float) -> dict[str, Any]:
    """Return the labels of a record as it gives them, and the class of its gap."""
    labels = {name: record.get(key) for name, key in KEYS.items()}
    labels["band_gap"] = record.get(GAPS[gap][0])
    try:
        value = label_value(labels["band_gap"])
    except RecordError:
        return labels  # the check of the gap names the fault
    if value is not None and value >= 0.0:
        labels["is_metal"] = float(value <= metal_at_most)
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
