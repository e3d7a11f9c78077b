"""From documents of the Materials Project to raw records: fields, licences, structures."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from crystalgnn_core.errors import RecordError
from crystalgnn_core.records.schema import RawRecord
from crystalgnn_core.sources.formats.objects import crystal_from_any
from crystalgnn_core.sources.formats.parsing import (
    as_mapping,
    parsing,
    refused_row,
    unreadable,
)
from crystalgnn_core.sources.materials_project.labels import (
    BANDS,
    ELASTIC,
    HULL,
    MIXED,
    Document,
    id_of,
    labels_of,
    schemes_of,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from crystalgnn_core.records.crystal import Crystal
    from crystalgnn_core.sources.materials_project.client import Release
    from crystalgnn_core.sources.materials_project.labels import Energy, ThermoType
    from crystalgnn_core.sources.materials_project.source import MaterialsProjectSource

logger = logging.getLogger(__name__)
LICENSES = {"BY-C": "CC-BY-4.0", "BY-NC": "CC-BY-NC-4.0"}
NONCOMMERCIAL = "BY-NC"


def summary_fields(thermo_type: ThermoType, *, with_structure: bool) -> tuple[str, ...]:
    """Name the fields of a summary document that are asked for.

    All labels are few bytes beside a structure, so a listing without structures shows
    whether any of them changed.
    """
    labels = (*BANDS.values(), *ELASTIC.values())
    mixed = HULL if thermo_type == MIXED else ()
    structure = ("structure",) if with_structure else ()
    return ("material_id", "last_updated", "builder_meta", *labels, *mixed, *structure)


def time_of(document: Document) -> datetime | None:
    """Return when a document changed last, or None where it does not say."""
    found = as_mapping(document).get("last_updated")
    if isinstance(found, Mapping):
        found = found.get("$date")
    try:
        moment = datetime.fromisoformat(str(found))
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):  # the latter at the ends of the calendar
        return None


def state_of(
    document: Document, energy: Energy | None, restricted: Collection[str]
) -> dict[str, Any]:
    """Return all that decides about a row apart from structure, id and time; JSON."""
    if not isinstance(document, Mapping):
        return {}
    meta = _meta(document)
    fields = (*BANDS.values(), *ELASTIC.values(), *HULL)
    terms = {"is_restricted": True} if _is_restricted(meta, restricted) else {}
    return {
        **terms,
        **{name: document.get(name) for name in fields},
        "license": meta.get("license"),
        "batch_id": meta.get("batch_id"),
        "energy": None if energy is None else list(energy),
    }


def raw_records(
    documents: Sequence[Document],
    energies: Mapping[str, Energy],
    source: MaterialsProjectSource,
    release: Release,
) -> list[RawRecord]:
    """Turn summary documents into raw records, one each; a bad one carries its error."""
    records = [
        _raw_record(document, energies.get(id_of(document)), source, release)
        for document in documents
    ]
    whole = [document for document in documents if isinstance(document, Mapping)]
    wanted = summary_fields(source.thermo_type, with_structure=True)
    absent = [name for name in wanted if whole and not any(name in doc for doc in whole)]
    if absent:
        logger.warning("none of %d documents has %s", len(whole), ", ".join(absent))
    return records


def record_without_id() -> RawRecord:
    """Return the record of a document that nobody can ask for."""
    message = "the document has no material_id such as mp-149"
    return RawRecord("", None, error=("missing_id", message))


def _raw_record(
    document: Document,
    energy: Energy | None,
    source: MaterialsProjectSource,
    release: Release,
) -> RawRecord:
    name = id_of(document)
    if not name:
        return record_without_id()
    meta = _meta(document)
    is_restricted = _is_restricted(meta, release.restricted)
    details: dict[str, Any] = {
        "license": _license_of(meta, source.license, is_restricted=is_restricted),
        "last_updated": time_of(document),
        "source_version": str(meta.get("database_version") or release.version),
        "run_type": None if energy is None else energy.run_type,
    }
    try:
        if not source.allow_noncommercial:
            _check_license(meta, is_restricted=is_restricted)
        if energy is not None and not energy.is_unique:
            raise RecordError(
                "invalid_label", f"several energies of the hull {source.thermo_type}"
            )
        crystal = _crystal_of(document)
    except RecordError as error:
        return refused_row(name, "", error)._replace(**details)
    labels = labels_of(document, energy, source.thermo_type)
    schemes = schemes_of(source.thermo_type, str(meta.get("batch_id") or ""))
    return RawRecord(name, crystal, labels=labels, label_schemes=schemes, **details)


def _check_license(meta: Mapping[str, Any], *, is_restricted: bool) -> None:
    stated = str(meta.get("license") or "").upper().replace("_", "-").split("-")
    if "NC" in stated or is_restricted:
        raise RecordError(
            "license_excluded",
            f"licence {meta.get('license') or 'not stated'}, "
            f"batch {meta.get('batch_id') or 'not stated'}: "
            "commercial use is excluded; set allow_noncommercial to keep such rows",
        )


def _license_of(
    meta: Mapping[str, Any], usual: str | None, *, is_restricted: bool
) -> str | None:
    """Return the licence that a document states, or else that of its batch."""
    stated = str(meta.get("license") or "")
    if stated:
        return LICENSES.get(stated, stated)
    return LICENSES[NONCOMMERCIAL] if is_restricted else usual


def _is_restricted(meta: Mapping[str, Any], restricted: Collection[str]) -> bool:
    return str(meta.get("batch_id")) in restricted


def _crystal_of(document: Mapping[str, Any]) -> Crystal | None:
    structure = document.get("structure")
    if structure is None:
        return None
    if not isinstance(structure, Mapping):
        raise unreadable(f"structure is a {type(structure).__name__}, expected sites")
    with parsing("a pymatgen structure"):
        return crystal_from_any(structure)


def _meta(document: Mapping[str, Any]) -> Mapping[str, Any]:
    return as_mapping(document.get("builder_meta"))
