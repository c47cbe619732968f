"""Tables as people save them: CSV of any separator and encoding, JSON lines, Parquet and Arrow."""

import codecs
import csv
import io
import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

from synthgen.errors import SynthgenError

MISSING = frozenset({"", "nan", "<na>", "na", "n/a", "#n/a", "null", "nat"})  # small letters
SEPARATORS = (",", ";", "\t", "|")
MARKS = (  # the longer ones first: UTF-32's begins like UTF-16's
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
FOREIGN = {  # how files begin that only look like tables
    b"PK\x03\x04": ("an Excel workbook or another ZIP archive", "Save the sheet as CSV"),
    b"\xd0\xcf\x11\xe0": ("an old Excel workbook", "Save the sheet as CSV"),
    b"\x1f\x8b": ("compressed (gzip)", "Unpack it: gunzip FILE"),
    b"SQLite format 3": ("a SQLite database", "Export the table as CSV"),
    b"\x89HDF": ("an HDF5 file", "Save the table as CSV"),
    b"version https://": ("a pointer of Git LFS, not the file", "Get it: git lfs pull"),
}
PARQUET, ARROW = b"PAR1", b"ARROW1"


@dataclass(frozen=True)
class Table:
    """The cells of a table as text, stripped; a value that is missing is "".

    Attributes:
        place: the file or folder, for messages.
        names: the columns as they are written; one name may occur twice.
        columns: the cells of each column, one per row.
        classes: the names that a column's whole numbers stand for, where the file declares them.
        long_rows: rows with more cells than the table has columns.
        foreign: columns that hold no text or numbers, and what they hold.
    """

    place: str
    names: tuple[str, ...]
    columns: tuple[Sequence[str], ...]
    classes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    long_rows: tuple[int, ...] = ()
    foreign: Mapping[str, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.columns[0]) if self.columns else 0

    def without(self, name: str) -> Self:
        """The table less a column."""
        place = self.names.index(name)
        return replace(
            self,
            names=self.names[:place] + self.names[place + 1 :],
            columns=self.columns[:place] + self.columns[place + 1 :],
        )


def is_missing(cell: str) -> bool:
    """Whether a cell says that there is no value, as pandas, R and spreadsheets write it."""
    return cell.casefold() in MISSING


def read_table(path: Path) -> Table:
    """A table in any of the formats, told by how the file begins.

    Raises:
        SynthgenError: the file is a folder, damaged, or in a format that isn't read.
    """
    if path.is_dir():
        raise SynthgenError(
            f"data.path={path} is a folder, not a CSV file.\n"
            "Give the file itself, or use data=image_folder for a folder of class folders."
        )
    with path.open("rb") as file:
        head = file.read(16)
    if head.startswith((PARQUET, ARROW)):
        return arrow_table(str(path), *read_arrow(path))
    for start, (what, advice) in FOREIGN.items():
        if head.startswith(start):
            raise SynthgenError(f"{path} is {what}, not a CSV file.\n{advice}.")
    text, notes = _text_of(path)
    if text.lstrip().startswith("{"):
        return _json_lines(path, text, notes)
    if re.match(r"\s*\[\s*[{\]]", text):
        return _json_array(path, text, notes)
    return _separated(path, text, notes)


# Text.


def _text_of(path: Path) -> tuple[str, tuple[str, ...]]:
    """The text of a file, and a note if its encoding had to be guessed."""
    content = path.read_bytes()
    for mark, encoding in MARKS:
        if content.startswith(mark):
            try:
                return content.decode(encoding), ()
            except UnicodeDecodeError as error:
                raise _no_text(path, error) from error
    try:
        return content.decode("utf-8"), ()
    except UnicodeDecodeError as error:
        note = (
            f"{path.name} is not UTF-8 (line {content.count(10, 0, error.start) + 1}), so it was "
            "read as Windows-1252 (Latin-1); if names look wrong, save it as UTF-8."
        )
        try:
            return content.decode("cp1252"), (note,)
        except UnicodeDecodeError:
            raise _no_text(path, error) from error


def _no_text(path: Path, error: Exception) -> SynthgenError:
    return SynthgenError(f"{path} is not a CSV file in UTF-8 ({error}).\nSave it so.")


def _separated(path: Path, text: str, notes: tuple[str, ...]) -> Table:
    """A CSV file. Its separator is the one that cuts the first line into most cells."""
    first, *rest = re.split("\r\n|\n|\r", text, maxsplit=1)
    declared = re.fullmatch(r'"?sep=(.)"?\s*', first)  # a line that Excel writes
    if declared:
        text = rest[0] if rest else ""
    separator = declared[1] if declared else _separator(first)
    if "\0" in first:
        raise SynthgenError(
            f"{path} has NUL characters in its first line: perhaps UTF-16 without its mark.\n"
            "Save it as UTF-8."
        )
    try:
        rows = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
        names = _stripped(next(rows, []))
        table = [row for row in rows if row]
    except csv.Error as error:
        if "field limit" in str(error):
            raise SynthgenError(
                f"{path} has a cell of more than {csv.field_size_limit():,} letters, perhaps a "
                "picture written as text.\nSave pictures as files, and their names in the table."
            ) from error
        raise _no_text(path, error) from error
    if '"' in text and (line := _open_quote(text, separator)):
        raise SynthgenError(
            f"{path} has a quotation mark that isn't closed, in line {line}: it swallows the rows "
            "below.\nClose or remove it; inside of quotes write two."
        )
    width = len(names)
    once = [row for row in table if row[0].strip() != names[0] or _stripped(row) != names]
    if len(once) < len(table):  # as in tables that were put together
        count = len(table) - len(once)
        notes = (*notes, f"Left out {count:,} rows of {path.name} that repeat the first line.")
        table = once
    full = [row for row in table if any(cell.strip() for cell in row)]
    if len(full) < len(table):
        notes = (
            *notes,
            f"Left out {len(table) - len(full):,} rows of {path.name} without any value.",
        )
    return Table(
        str(path),
        names,
        tuple(
            [row[place].strip() if place < len(row) else "" for row in full]
            for place in range(width)
        ),
        notes=notes,
        long_rows=tuple(
            number for number, row in enumerate(full) if any(cell.strip() for cell in row[width:])
        ),
    )


def _stripped(row: Sequence[str]) -> tuple[str, ...]:
    return tuple(cell.strip() for cell in row)


def _open_quote(text: str, separator: str) -> int | None:
    """The line of a cell that begins with a quotation mark and swallows the lines below."""
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    first = 1
    try:
        for _ in rows:
            first = rows.line_num + 1
    except csv.Error:
        return first if rows.line_num > first else None
    return None


def _separator(line: str) -> str:
    """By the cells of the first line; a comma where none of the separators occurs."""
    cells = {mark: len(next(csv.reader([line], delimiter=mark), [])) for mark in SEPARATORS}
    return max(SEPARATORS, key=lambda mark: cells[mark])


def _json_lines(path: Path, text: str, notes: tuple[str, ...]) -> Table:
    rows: list[dict[str, Any]] = []
    for number, line in enumerate(text.splitlines()):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise SynthgenError(
                f"Line {number + 1} of {path} is not JSON ({error}).\nWrite one object per line."
            ) from error
        if not isinstance(row, dict):
            raise SynthgenError(
                f"Line {number + 1} of {path} is no JSON object.\nWrite one per line."
            )
        rows.append(row)
    return table_of_rows(str(path), rows, notes)


def _json_array(path: Path, text: str, notes: tuple[str, ...]) -> Table:
    try:
        rows = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise SynthgenError(f"{path} is not JSON ({error}).\nWrite it again.") from error
    if not all(isinstance(row, dict) for row in rows):
        raise SynthgenError(f"{path} is a list, but not of objects.\nWrite one for each image.")
    return table_of_rows(str(path), rows, notes)


def table_of_rows(
    place: str, rows: Sequence[Mapping[str, Any]], notes: tuple[str, ...] = ()
) -> Table:
    """Rows of values by name, as JSON has them; a name that a row lacks is a missing value."""
    names = tuple(dict.fromkeys(name for row in rows for name in row))
    foreign = {
        name: "lists or tables"
        for name in names
        if any(isinstance(row.get(name), list | dict) for row in rows)
    }
    kept = tuple(name for name in names if name not in foreign)
    columns = tuple([cell_of(row.get(name)) for row in rows] for name in kept)
    return Table(place, kept, columns, notes=notes, foreign=foreign)


def cell_of(value: Any) -> str:
    """A value of a typed table as a CSV file would have it."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace").strip()
    return str(value).strip()


# Parquet and Arrow.


def pyarrow_for(place: object) -> Any:
    """The package pyarrow, or one sentence that ``place`` needs it."""
    try:
        import pyarrow
        import pyarrow.ipc
        import pyarrow.parquet
    except ImportError:
        raise SynthgenError(
            f"Reading {place} needs the package pyarrow, which is not installed.\n"
            "Install it: pip install 'synthgen-images[formats]' (or pip install pyarrow)"
        ) from None
    return pyarrow


def read_arrow(path: Path) -> tuple[Any, Any]:
    """The schema of a Parquet or Arrow file, and a ``pyarrow.Table`` of its plain columns."""
    pyarrow = pyarrow_for(path)
    try:
        with path.open("rb") as file:
            head = file.read(len(ARROW))
        if head.startswith(PARQUET):
            opened = pyarrow.parquet.ParquetFile(path)
            return opened.schema_arrow, opened.read(columns=plain_names(opened.schema_arrow))
        table = pyarrow.ipc.open_file(pyarrow.memory_map(str(path))).read_all()
        return table.schema, table.select(plain_names(table.schema))
    except (pyarrow.ArrowException, OSError) as error:
        raise SynthgenError(
            f"{path} is damaged ({str(error).splitlines()[0]}).\nGet or write it again."
        ) from error


def plain_names(schema: Any) -> list[str]:
    return [one.name for one in schema if is_plain(one.type)]


def is_plain(kind: Any) -> bool:
    """Whether an Arrow type is text, a number, a truth value or a date, or codes for such."""
    from pyarrow import types

    if types.is_dictionary(kind):
        kind = kind.value_type
    return not (types.is_nested(kind) or types.is_binary(kind) or types.is_large_binary(kind))


def arrow_table(place: str, schema: Any, content: Any) -> Table:
    """The plain columns of a ``pyarrow.Table`` as text, with the class names that Hugging Face's
    ``datasets`` declares in the schema of its file."""
    names = tuple(content.schema.names)
    foreign = {one.name: str(one.type) for one in schema if one.name not in names}
    columns = tuple([cell_of(value) for value in one.to_pylist()] for one in content.columns)
    declared = features_of(schema.metadata)
    classes = {
        name: tuple(map(str, feature["names"]))
        for name, feature in declared.items()
        if name in names
        and feature.get("_type") == "ClassLabel"
        and isinstance(feature.get("names"), list)
    }
    return Table(place, names, columns, classes, foreign=foreign)


def features_of(metadata: Mapping[bytes, bytes] | None) -> dict[str, dict[str, Any]]:
    """What ``datasets`` says of each column in a schema's metadata; nothing if it wrote none."""
    try:
        features = json.loads((metadata or {})[b"huggingface"])["info"]["features"]
    except (KeyError, ValueError, TypeError):
        return {}
    return plain_features(features)


def plain_features(features: Any) -> dict[str, dict[str, Any]]:
    """``{column: feature}`` of what is a feature; anything else in that place is left out."""
    found: Iterable[tuple[Any, Any]] = features.items() if isinstance(features, dict) else ()
    return {str(name): one for name, one in found if isinstance(one, dict)}
