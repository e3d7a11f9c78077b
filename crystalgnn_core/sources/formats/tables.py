"""Tables in Parquet and CSV files, read by ranges of rows."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from itertools import accumulate, islice
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from crystalgnn_core.errors import SourceError
from crystalgnn_core.sources.formats import CSV, formats_of, head_of, known_patterns
from crystalgnn_core.sources.formats.archives import merge_if_packed
from crystalgnn_core.sources.formats.csv_stream.records import dialect_of, records_of
from crystalgnn_core.sources.formats.folders import matches

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

_BATCH_SIZE = 1024  # rows that are held at a time, with their CIF texts
_BUFFER = 2**20  # bytes of a column that are read at a time, not all of a row group
_INDEX = re.compile(r"(?:|unnamed: ?\d+(?:\.\d+)?|index|level_0)", re.IGNORECASE)
LABEL_TABLE = "id_prop.csv"  # of CGCNN and ALIGNN, usually without names
FAULT = "\0fault"  # key under which a row says why it cannot be read
_LONG_GROUP, _MAX_SLICES = 50_000, 16  # rows of a row group, and ranges it is cut into


class Table(ABC):
    """Rows with named columns, read by ranges of rows.

    Attributes:
        path: The file.
        columns: Names of its columns.
        has_names: Whether the file names its columns; otherwise their names are their
            places, from 0.
        index: Columns in which pandas or R may have written the names of rows.
    """

    path: Path
    columns: list[str]
    has_names: bool = True
    index: Sequence[str] = ()

    @abstractmethod
    def slices(self, size: int) -> list[dict[str, int]]:
        """List ranges of about `size` rows: first `row`, `n_rows`, what finds the first."""

    @abstractmethod
    def rows(
        self, part: Mapping[str, Any], columns: list[str]
    ) -> Iterator[dict[str, object]]:
        """Yield the wanted columns of each row of a range; of a bad row its `FAULT`.

        Raises:
            SourceError: The file is damaged.
        """


class ParquetTable(Table):
    """A Parquet file."""

    def __init__(self, path: Path) -> None:
        try:
            self._file = pq.ParquetFile(path, buffer_size=_BUFFER)
        except (pa.ArrowException, OSError, UnicodeEncodeError) as error:  # of the path
            raise SourceError(f"{path}: not a readable Parquet file ({error})") from error
        self.path = path
        schema = self._file.schema_arrow
        self.columns = [str(name) for name in schema.names]
        noted = (schema.pandas_metadata or {}).get("index_columns", [])
        self.index = [name for name in self.columns if name in noted or is_index(name)]

    def slices(self, size: int) -> list[dict[str, int]]:
        """List ranges of rows.

        A row group can only be decoded from its beginning, so a long one is cut into few
        ranges, and no more than a tenth of the time of reading CIFs goes into that.
        """
        n_rows = self._file.metadata.num_rows
        longest = max(self._group_sizes(), default=0)
        if longest > _LONG_GROUP:
            size = max(size, -(-longest // _MAX_SLICES))
        starts = range(0, n_rows, size)
        return [{"row": start, "n_rows": min(size, n_rows - start)} for start in starts]

    def rows(
        self, part: Mapping[str, Any], columns: list[str]
    ) -> Iterator[dict[str, object]]:
        """Yield the rows of a range."""
        start, stop = part["row"], part["row"] + part["n_rows"]
        at, groups = self._groups_of(start, stop)
        batches = self._file.iter_batches(_BATCH_SIZE, row_groups=groups, columns=columns)
        while at < stop:
            try:
                batch = next(batches)
            except (pa.ArrowException, OSError) as error:
                raise SourceError(f"{self.path}: damaged Parquet file ({error})") from error
            wanted = batch.slice(max(start - at, 0), stop - max(start, at))
            yield from _rows_of(wanted)
            at += batch.num_rows

    def _groups_of(self, start: int, stop: int) -> tuple[int, list[int]]:
        """Return the row groups that hold a range of rows, and the first row of these."""
        sizes = self._group_sizes()
        ends = list(accumulate(sizes))
        spans = enumerate(zip(sizes, ends, strict=True))
        groups = [i for i, (size, end) in spans if end - size < stop and end > start]
        return ends[groups[0]] - sizes[groups[0]], groups

    def _group_sizes(self) -> list[int]:
        metadata = self._file.metadata
        return [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)]


class CsvTable(Table):
    """A CSV file, read as text, so that ids keep their leading zeros.

    Args:
        path: The file.
        has_names: Whether its first line names the columns.
    """

    def __init__(self, path: Path, *, has_names: bool = True) -> None:
        self.path = path
        self.has_names = has_names
        self._dialect = dialect_of(path)
        self._start = self._dialect.start
        first = next(records_of(path, self._dialect, self._start), None)
        if first is None:
            raise SourceError(f"{path}: the file is empty; expected a header line")
        end, fields, fault = first
        if fault is not None:
            raise SourceError(f"{path}: the header is damaged ({fault})")
        names = fields if has_names else map(str, range(len(fields)))
        self.columns = [name.strip() for name in names]
        if has_names:
            self._start = end
            self.index = list(filter(is_index, self.columns))

    def slices(self, size: int) -> list[dict[str, int]]:
        """List ranges of `size` rows, with the `offset` in bytes of the first."""
        parts: list[dict[str, int]] = []
        start = self._start
        for row, (end, *_) in enumerate(records_of(self.path, self._dialect, self._start)):
            if row % size == 0:
                parts.append({"row": row, "n_rows": 0, "offset": start})
            parts[-1]["n_rows"] += 1
            start = end
        return merge_if_packed(self.path, parts)

    def rows(
        self, part: Mapping[str, Any], columns: list[str]
    ) -> Iterator[dict[str, object]]:
        """Yield the wanted columns of each row.

        Of a row of the wrong length there is its fault, without names the first column too.
        """
        places = {name: self.columns.index(name) for name in columns}
        first = {} if self.has_names else {n: at for n, at in places.items() if at == 0}
        n_columns = len(self.columns)
        for _, fields, fault in islice(
            records_of(self.path, self._dialect, part["offset"]), part["n_rows"]
        ):
            if fault is None and len(fields) == n_columns:
                yield {name: fields[at] for name, at in places.items()}
                continue
            length = f"the row has {len(fields)} cells, the first line {n_columns}"
            known = {name: fields[at] for name, at in first.items() if fields}
            yield {**known, FAULT: fault or length}


def open_table(path: Path) -> Table:
    """Open a table and read the names of its columns.

    Raises:
        SourceError: The file is of another kind, empty or damaged.
    """
    head = head_of(path)
    for kind in formats_of(path.name, head):
        if kind.holds == "table":
            table: Table = kind.read(path)
            return table
    if b"\0" in head and matches(path.name, CSV.patterns):
        dialect_of(path)  # says where it is no text
    suffixes = (name.lstrip("*") for name in known_patterns("table"))
    raise SourceError(f"{path}: a table must be {' or '.join(suffixes)}")


def is_index(name: str) -> bool:
    """Return whether pandas or R may have named the column of an index so."""
    return _INDEX.fullmatch(name) is not None


def _rows_of(batch: pa.RecordBatch) -> list[dict[str, object]]:
    """Return the rows of a batch; of texts that are no UTF-8 the bytes."""
    try:
        rows: list[dict[str, object]] = batch.to_pylist()
    except UnicodeDecodeError:
        names = batch.schema.names
        columns = [list(map(_cell_of, column)) for column in batch.columns]
        rows = [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]
    return rows


def _cell_of(scalar: pa.Scalar) -> object:
    try:
        return scalar.as_py()
    except UnicodeDecodeError:
        is_text = hasattr(scalar, "as_buffer")  # and no text in a list or structure
        return scalar.as_buffer().to_pybytes() if is_text else b"\xff"
