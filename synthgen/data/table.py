"""A CSV file that lists images, their labels and, if wanted, what belongs together."""

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from synthgen.data.files import FileSource, Listing
from synthgen.data.names import label_names, require_safe_names
from synthgen.data.source import existing
from synthgen.errors import SynthgenError

COLUMNS = ("path", "label", "group")


@dataclass(frozen=True, kw_only=True)
class CSV(FileSource):
    """A CSV file with the columns ``path``, ``label`` and optionally ``group``, in any order.

    Paths are relative to the CSV file. Images of one group (a patient, a camera, a film) always
    stay in the same split; an empty group is no group.

    Args:
        attribute: a further column (scanner, site, sex) by whose values a trial's report compares
            recall; it changes nothing else. Images with an empty value are left out there.
    """

    path: str
    attribute: str | None = None

    kind: ClassVar[str] = "csv"

    @property
    def name(self) -> str:
        return Path(self.path).stem

    def listing(self) -> Listing:
        path = existing(self.path, "data.path")
        attribute = self.attribute.strip().lower() if self.attribute else None
        rows, notes = _rows(path, attribute)
        wrong = {number: said for number, row in enumerate(rows) if (said := _wrong_with(row))}
        problems = [
            SynthgenError(f"{path} has {said} in data row {number + 1}.\n{_FIX[said]}")
            for number, said in wrong.items()
        ]
        rows = [row for number, row in enumerate(rows) if number not in wrong]
        if not rows:
            raise problems[0] if problems else SynthgenError(f"{path} lists no images.\nAdd rows.")
        classes = label_names([row["label"] for row in rows])
        require_safe_names(classes)
        number_of = {name: number for number, name in enumerate(classes)}
        return Listing(
            tuple(path.parent / row["path"] for row in rows),
            tuple(row["path"] for row in rows),
            tuple(number_of[row["label"]] for row in rows),
            classes,
            (None,) * len(rows),
            tuple(row["group"] or None for row in rows),
            tuple(problems),
            notes,
            tuple(row[attribute] or None for row in rows) if attribute else (),
        )


_EMPTY, _NUL, _LONG = (
    "an empty path or label", "a NUL character", "more cells than the first line"
)  # fmt: skip
_FIX = {
    _EMPTY: "Complete the row or remove it.",
    _NUL: "Write the row again; the file may be damaged.",
    _LONG: "Quote cells that hold a comma, or name the further column.",
}


def _wrong_with(row: dict[str, str]) -> str | None:
    """What makes a row of ``_rows`` unusable."""
    if row[_LONG]:
        return _LONG
    if any("\0" in cell for cell in row.values()):
        return _NUL
    return None if row["path"] and row["label"] else _EMPTY


def _rows(path: Path, attribute: str | None) -> tuple[list[dict[str, str]], tuple[str, ...]]:
    """The rows with the known columns and ``attribute``, stripped, and a note on columns left out.
    A cell ``_LONG`` holds what stands beyond the last column."""
    wanted = tuple(dict.fromkeys((*COLUMNS, attribute or COLUMNS[0])))
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, restkey=_LONG)
            header = [(name or "").strip().lower() for name in reader.fieldnames or ()]
            reader.fieldnames = header
            table = [
                {name: (row.get(name) or "").strip() for name in wanted}
                | {_LONG: "".join(row.get(_LONG) or ()).strip()}
                for row in reader
            ]
    except IsADirectoryError as error:
        raise SynthgenError(
            f"data.path={path} is a folder, not a CSV file.\n"
            "Give the file itself, or use data=image_folder for a folder of class folders."
        ) from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise SynthgenError(f"{path} is not a CSV file in UTF-8 ({error}).\nSave it so.") from error
    missing = [name for name in ("path", "label") if name not in header]
    if missing:
        raise SynthgenError(
            f"{path} has no column {' and '.join(missing)}; its first line has "
            f"{', '.join(filter(None, header)) or 'nothing'}.\n"
            "The first line must name the columns: path,label or path,label,group."
        )
    twice = [name for name in wanted if header.count(name) > 1]
    if twice:
        raise SynthgenError(
            f"{path} has more than one column {' and '.join(twice)}.\n"
            "Keep one of them, or give the others other names."
        )
    if attribute is not None and attribute not in header:
        raise SynthgenError(
            f"{path} has no column {attribute!r}, which data.attribute names.\n"
            f"Its columns are {', '.join(filter(None, header))}."
        )
    ignored = [name for name in header if name not in wanted]
    notes = (f"Ignored the columns {', '.join(ignored)} of {path.name}.",) if ignored else ()
    return table, notes
