"""Which columns of a user's table hold what, and how a cell is read."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, Annotated

from pydantic import BeforeValidator, Field

from crystalgnn_core.base import FrozenModel
from crystalgnn_core.errors import ConfigError, RecordError
from crystalgnn_core.records.label_schemes import SchemeName
from crystalgnn_core.records.labels import class_value, label_value
from crystalgnn_core.sources.formats.objects import (
    crystal_from_any,
    crystal_from_json,
    is_json,
)
from crystalgnn_core.sources.formats.parsing import quoted, refuse, unreadable
from crystalgnn_core.sources.formats.tables import LABEL_TABLE, CsvTable
from crystalgnn_core.targets import get_target
from crystalgnn_core.wording import did_you_mean, list_names

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from crystalgnn_core.records.crystal import Crystal
    from crystalgnn_core.sources.formats.tables import Table

ID_COLUMNS = (
    *("material_id", "candidate_id", "id", "jid", "qmof_id", "entry_id", "task_id"),
    *("mat_id", "mp_id", "mpid", "oqmd_id", "auid", "immutable_id", "identifier"),
    *("structure_id", "cod_id", "icsd_id"),
)
STRUCTURE_COLUMNS = ("cif", "structure", "atoms", "computed_structure_entry", "entry")
_NO_IDS = frozenset({"nan", "None", "<NA>", "NaT"})  # as pandas writes a missing value


def _name_of(value: object) -> object:
    return str(value) if type(value) is int else value


class TargetColumn(FrozenModel):
    """Where a target's labels stand and how they were computed.

    Attributes:
        column: Name of the column; in a table without names its place, the ids being 0.
        label_scheme: Label scheme of its values; a known one under its own name, see
            `records.label_schemes`.
        scale: Factor that turns its values into the unit of the target.
        at_most: For a class whose column holds numbers: 1 where the value, after `scale`,
            is not above this, else 0. None takes the column for 0, 1, true and false.
        divide_by_n_sites: Whether its values are of the whole cell and the target is per
            atom: they are divided by the number of sites.
    """

    column: Annotated[str, BeforeValidator(_name_of)]
    label_scheme: SchemeName
    scale: Annotated[float, Field(allow_inf_nan=False)] = 1.0
    at_most: Annotated[float, Field(allow_inf_nan=False)] | None = None
    divide_by_n_sites: bool = False

    def check(self, name: str) -> None:
        """Check that the settings fit the target.

        Raises:
            ValueError: `at_most` for a number, or `scale` or `divide_by_n_sites` for
                classes that are given.
        """
        is_class = get_target(name).is_class
        if self.at_most is not None and not is_class:
            raise ValueError(f"{name} is no class, so targets.{name}.at_most has no use")
        used = [each for each in ("scale", "divide_by_n_sites") if self._is_used(each)]
        if used and is_class and self.at_most is None:
            raise ValueError(f"{name} is a class; targets.{name}.{used[0]} needs at_most")

    def unused_settings(self) -> set[str]:
        """Return the settings that files did not have from the start and do not use.

        The digest of an OPTIMADE source has always held them, so they bear no mark.
        """
        later = ("at_most", "divide_by_n_sites")
        return {each for each in later if not self._is_used(each)}

    def _is_used(self, name: str) -> bool:
        return bool(getattr(self, name) != type(self).model_fields[name].default)

    def read(self, name: str, value: object, n_sites: int) -> float | None:
        """Read the label of a target from a cell of the column.

        Returns:
            The label in the unit of the target, or None where it is missing.

        Raises:
            RecordError: `invalid_label`.
        """
        if self.at_most is None and get_target(name).is_class:
            return class_value(value)
        number = label_value(value)
        if number is None:
            return None
        if self.divide_by_n_sites and n_sites:  # none is for the checks of cells to name
            number /= n_sites
        if self.at_most is None:
            return number * self.scale
        if math.isinf(number):
            raise RecordError(
                "invalid_label", f"value is {number}, expected a finite number"
            )
        return float(number * self.scale <= self.at_most)


class TableColumns(FrozenModel):
    """Columns of a table; None takes the first usual name that is there.

    Attributes:
        structure: CIF text, or JSON of a pymatgen structure or of JARVIS atoms; in a JSON
            file the key of it.
        material_id: Identifier; also keys the label table of a folder.
        split: `train`, `val` or `test`.
    """

    structure: str | None = None
    material_id: str | None = None
    split: str | None = None


def find_columns(
    table: Table,
    given: TableColumns,
    targets: Mapping[str, TargetColumn],
    *,
    with_structures: bool,
) -> dict[str, str]:
    """Map `material_id`, `structure`, `split` and targets to the columns of a table.

    A table of labels needs no structures.

    Returns:
        Field name to column name; `split` only where the table has such a column.

    Raises:
        ConfigError: A column is missing; the message lists those there are.
    """
    usual = ID_COLUMNS if table.has_names else ()
    if table.path.name.lower() == LABEL_TABLE:
        usual = (*usual, table.columns[0])
    found = {"material_id": pick_column(table, given.material_id, usual)}
    if with_structures:
        found["structure"] = pick_column(table, given.structure, STRUCTURE_COLUMNS)
    if given.split is not None or named_columns(table.columns, ("split",), is_usual=True):
        found["split"] = pick_column(table, given.split, ("split",))
    for name, target in targets.items():
        found[name] = pick_column(table, target.column, ())
    return found


def text_of(value: object) -> object:
    """Decode bytes, and return anything else as it is.

    Raises:
        RecordError: The bytes are no UTF-8.
    """
    if not isinstance(value, bytes | bytearray | memoryview):
        return value
    try:
        return bytes(value).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise unreadable(
            f"bytes that are no UTF-8 text (byte {error.start + 1}); store it as text"
        ) from error


def read_id(value: object) -> str:
    """Read the cell of an identifier; empty if it is missing or none."""
    if isinstance(value, str):
        return "" if value in _NO_IDS else value.strip()
    if isinstance(value, float | Decimal):  # integers with gaps read back as floats
        if not math.isfinite(value):
            return ""
        value = int(value) if value == int(value) else value
    if isinstance(value, bytes):
        return value.decode("utf-8", errors="backslashreplace").strip()
    if value is None or isinstance(value, Mapping | list):
        return ""
    found = str(value).strip()
    return "" if found in _NO_IDS else found


def structure_content(
    value: object, column: str, *, fault: str | None = None
) -> str | Callable[[], Crystal]:
    """Return the CIF text in a cell of the structure column, or a reader of other forms.

    Args:
        value: The cell.
        column: Name of the column.
        fault: Why the row cannot be read, if so.
    """
    if fault is not None:
        return partial(refuse, fault)
    if not isinstance(value, str):
        try:
            value = text_of(value)
        except RecordError as error:
            return partial(refuse, f"column {column} holds {error}")
    if isinstance(value, str) and value.strip():
        if is_json(value):
            return partial(crystal_from_json, value)
        return _cif_in(value, column)
    if isinstance(value, Mapping):
        return partial(crystal_from_any, value)
    return partial(refuse, f"column {column} is empty, expected CIF text or JSON")


def _cif_in(text: str, column: str) -> str | Callable[[], Crystal]:
    """Return the text of a CIF, or why this is none: a word, a name of a file, a number."""
    text = text if "\n" in text else with_line_ends(text)
    if re.search(r"[\n\r]|^data_", text.strip(), re.IGNORECASE):
        return text
    advice = "expected CIF text or JSON"
    if text.lstrip().startswith(('"', "[")):
        advice += "; if it is JSON within a text, decode it once more"
    elif re.search(r"\.\w{2,7}$", text.strip()):
        advice += "; if it is the name of a file, give the text of that file"
    return partial(refuse, f"column {column} holds {quoted(text)}, {advice}")


def with_line_ends(text: str) -> str:
    r"""Put line ends in place of `\n` in two characters, in a text without any."""
    return text.replace("\\r\\n", "\n").replace("\\n", "\n").replace("\\t", "\t")


def pick_column(table: Table, wanted: str | None, usual: tuple[str, ...]) -> str:
    """Return the wanted column, or the first usual one that is there in any letter case.

    Raises:
        ConfigError: The table has none of them, or two of one name.
    """
    names = usual if wanted is None else (wanted,)
    found = named_columns(table.columns, names, is_usual=wanted is None)
    if len(found) == 1:
        return found[0]
    if found:
        several = f"{len(found)} columns {' and '.join(found[:3])}"
        raise ConfigError(f"{table.path.name} has {several}; rename or remove all but one")
    missing = f"{table.path.name} has no column {' or '.join(names[:3])}"
    shown = list_names(table.columns)
    if len(table.columns) == 1 and isinstance(table, CsvTable):
        advice = ": part cells with commas, semicolons or tabs"
        raise ConfigError(f"{missing}; its only column is {shown}{advice}")
    near = did_you_mean(names[0], table.columns)
    raise ConfigError(f"{missing}; its columns are {shown}{near}")


def named_columns(
    columns: Sequence[str], names: Sequence[str], *, is_usual: bool
) -> list[str]:
    """List the columns of the first name that is there, several if it stands twice.

    Blanks around a name do not count, nor for usual names letter case, and blanks and
    hyphens in place of underscores.
    """
    for name in names:
        if found := [column for column in columns if column == name]:
            return found
    plain = plain_name if is_usual else str.strip
    for name in names:
        if found := [column for column in columns if plain(column) == plain(name)]:
            return found
    return []


def plain_name(name: str) -> str:
    """Return a name in small letters, with underscores for blanks and hyphens."""
    return name.strip().lower().replace(" ", "_").replace("-", "_")
