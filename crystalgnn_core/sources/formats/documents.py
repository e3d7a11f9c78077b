"""A JSON document of one material: where its structure stands, its id and its values."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from crystalgnn_core.errors import RecordError
from crystalgnn_core.sources.formats.columns import (
    ID_COLUMNS,
    plain_name,
    read_id,
    structure_content,
)
from crystalgnn_core.sources.formats.objects import crystal_from_any, is_structure
from crystalgnn_core.sources.formats.parsing import as_mapping, refuse, unreadable
from crystalgnn_core.wording import list_names

if TYPE_CHECKING:
    from crystalgnn_core.sources.formats.structure_input import Content

STRUCTURE_KEYS = ("structure", "atoms", "cif", "computed_structure_entry", "entry")
_OPTIMADE = "an answer of OPTIMADE; read its provider with --source optimade"


class Document(NamedTuple):
    """What a document says of a material.

    Attributes:
        material_id: Its identifier, empty if there is none.
        content: What holds the structure.
        values: What stands beside it.
    """

    material_id: str
    content: Content
    values: Mapping[str, Any]


def read_document(value: object, structure_key: str | None = None) -> Document:
    """Find structure, id and values of a material in a JSON value.

    The structure is the value itself, or stands one level below it: under the given key,
    under a usual one, or as the only structure there.
    """
    if isinstance(value, str) and structure_key is None:
        return Document("", structure_content(value, "JSON"), {})
    if not isinstance(value, Mapping):
        message = f"JSON {type(value).__name__} is no structure"
        return Document("", partial(refuse, message), {})
    if structure_key is None and is_structure(value):
        values = {**as_mapping(value.get("properties")), **value}
        return Document(
            id_in(value) or id_in(values), partial(crystal_from_any, value), values
        )
    inner = _structure_in(value, structure_key)
    own = _values_of(value) if is_entry(value) else {}
    values = {**inner.values, **own, **value}  # what is stated counts
    material_id = id_in(value) or inner.material_id or id_in(values)
    return Document(material_id, inner.content, values)


def id_in(value: Mapping[str, Any]) -> str:
    """Return the identifier in a document, empty if there is none."""
    found = next(filter(None, (read_id(value.get(key)) for key in ID_COLUMNS)), "")
    if found:
        return found
    plain = {plain_name(str(key)): held for key, held in value.items()}
    return next(filter(None, (read_id(plain.get(key)) for key in ID_COLUMNS)), "")


def has_structure(value: object) -> bool:
    """Return whether a value is a structure or a document of one, readable or not."""
    if not isinstance(value, Mapping):
        return False
    if is_structure(value) or _is_optimade(value):
        return True
    if any(is_structure_key(key) and _is_held(held) for key, held in value.items()):
        return True
    # not so an object of structures by their ids, or a column of a frame
    members = value.values()
    # a structure may be missing
    has_scalars = any(not isinstance(held, Mapping | list | None) for held in members)
    return has_scalars and any(is_structure(held) or is_entry(held) for held in members)


def is_row(value: object) -> bool:
    """Return whether a value is a document, a structure, or the text of one."""
    return has_structure(value) or (isinstance(value, str) and _is_held(value))


def is_structure_key(key: object) -> bool:
    """Return whether this is the usual key of a structure, in any letter case."""
    return isinstance(key, str) and plain_name(key) in STRUCTURE_KEYS


def is_entry(value: object) -> bool:
    """Return whether this is the dictionary of a `ComputedStructureEntry` of pymatgen."""
    return isinstance(value, Mapping) and {"structure", "energy"} <= value.keys()


def _structure_in(value: Mapping[str, Any], wanted: str | None) -> Document:
    """Return what one member of a document says, that which holds the structure."""
    try:
        key = _key_of(value, wanted)
    except RecordError as error:
        return Document("", partial(refuse, str(error)), {})
    held = value[key]
    if isinstance(held, Mapping):
        return read_document(held)
    if isinstance(held, str):
        return Document("", structure_content(held, key), {})
    given = f"{key} is {str(held)[:40]!r}, expected a structure of pymatgen or JARVIS"
    return Document("", partial(refuse, given), {})


def _key_of(value: Mapping[str, Any], wanted: str | None) -> str:
    names = STRUCTURE_KEYS if wanted is None else (wanted,)
    given = [name for name in names if name in value]
    if wanted is None and not given:
        given = [name for name in value if is_structure_key(name)]
    for name in given:
        if value[name] is not None:
            return name
    if given:
        return given[0]
    if _is_optimade(value):
        raise unreadable(_OPTIMADE)
    found = [name for name, held in value.items() if is_structure(held) or is_entry(held)]
    found = found or [name for name, held in value.items() if has_structure(held)]
    if wanted is None and len(found) == 1:
        return found[0]
    if wanted is None and found:
        raise unreadable(
            f"{list_names(found)} hold structures; choose one with columns.structure"
        )
    keys = list_names([str(key) for key in list(value)[:6]]) or "none"
    expected = wanted or "structure, atoms or cif"
    raise unreadable(
        f"keys {keys} describe no structure; expected {expected}, or those of a pymatgen "
        "Structure (lattice, sites) or of JARVIS atoms (lattice_mat, coords, elements)"
    )


def _is_optimade(value: Mapping[str, Any]) -> bool:
    """Return whether this is an entry of OPTIMADE, or an answer with a single one."""
    held = (value, as_mapping(value.get("data")))
    return any({"id", "type", "attributes"} <= each.keys() for each in held)


def _is_held(value: object) -> bool:
    if isinstance(value, str):  # of a CIF or of JSON, and no name
        return any(part in value for part in ("\n", "\\n", "{"))
    return is_structure(value) or is_entry(value)


def _values_of(entry: Mapping[str, Any]) -> dict[str, Any]:
    parameters, data = (as_mapping(entry.get(key)) for key in ("parameters", "data"))
    stated, correction = entry.get("uncorrected_energy"), entry.get("correction")
    energy = entry["energy"] if stated is None else stated
    return {
        **data,
        "run_type": parameters.get("run_type") or data.get("run_type"),
        "uncorrected_energy": energy,
        "corrected_energy": _sum_of(energy, correction),
    }


def _sum_of(energy: object, correction: object) -> float | None:
    if not (isinstance(energy, int | float) and isinstance(correction, int | float)):
        return None
    try:
        return energy + correction
    except OverflowError:  # an integer of hundreds of digits, which is no energy
        return None
