"""Images that a table lists, with their labels, groups and splits."""

import dataclasses
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from synthgen.data import columns
from synthgen.data.columns import AUTO, Choice
from synthgen.data.files import FileSource, Listing
from synthgen.data.source import existing, label_names, require_safe_names
from synthgen.data.table_files import Table, is_missing, read_table
from synthgen.data.table_paths import locate
from synthgen.errors import SynthgenError


@dataclass(frozen=True, kw_only=True)
class TableSource(FileSource):
    """Images with a row of a table each. Columns are found by their usual names or named.

    Args:
        image: the column that names the images.
        label: the column of the class; several columns of 0 and 1 with one 1 per row.
        group: the column (or columns) of what must stay in one split: a patient, a film. An empty
            cell is no group. ``auto`` takes patient_id, group and the like; None divides freely.
        split: the column of the official splits. ``auto`` takes split, subset and the like; None
            divides anew.
        splits: the values of that column that mean train, holdout and test; without train, all
            others do.
        attribute: a further column (scanner, site, sex) by whose values a trial's report compares
            recall; it changes nothing else. Images with an empty value are left out there.
    """

    image: str | None = None
    label: str | list[str] | None = None
    group: str | list[str] | None = AUTO
    split: str | None = AUTO
    splits: dict[str, str | list[str]] | None = None
    attribute: str | None = None

    def roles(self, table: Table, *taken: str) -> "Roles":
        """What each column of ``table`` says; those in ``taken`` name the images."""
        attribute = []
        if self.attribute:
            attribute = [columns.named(table, self.attribute, "data.attribute")]
        about = {*columns.called(table, columns.GROUP), *columns.called(table, columns.SPLIT)}
        label = columns.label_choice(table, self.label, [*taken, *attribute, *about])
        rest = [*taken, *label.columns]
        group = columns.group_choice(table, self.group, rest)
        split = columns.split_choice(table, self.split, self.splits, rest)
        return Roles(table, taken, label, group, split, *attribute)


@dataclass(frozen=True)
class Roles:
    """The columns of a table by what they say."""

    table: Table
    taken: tuple[str, ...]
    label: Choice
    group: Choice
    split: Choice
    attribute: str | None = None

    @property
    def notes(self) -> tuple[str, ...]:
        choices = (self.label, self.group, self.split)
        used = {*self.taken, self.attribute}.union(*(one.columns for one in choices))
        ignored = [name for name in self.table.names if name not in used]
        place = Path(self.table.place).name
        notes = (f"Ignored the columns {', '.join(ignored)} of {place}.",) if ignored else ()
        return (*notes, *self.table.notes, *(note for one in choices for note in one.notes))

    def listing(
        self,
        rows: Sequence[int],
        paths: Sequence[Path],
        names: Sequence[str],
        *found: SynthgenError,
    ) -> Listing:
        """The images of these rows; ``paths`` and ``names`` have one entry for each of them."""
        labels = [self.label.cells[row] for row in rows]
        unlabelled = [row for row, label in zip(rows, labels, strict=True) if label is None]
        problems = [*found, *self._without_label(unlabelled)]
        kept = [place for place, label in enumerate(labels) if label is not None]
        repeats = list(self._repeats([rows[i] for i in kept], [paths[i] for i in kept], problems))
        kept = [place for place, again in zip(kept, repeats, strict=True) if not again]
        notes = self.notes
        if any(repeats):
            notes += (f"{sum(repeats):,} rows name an image again; each was read once.",)
        if not kept:
            raise problems[0] if problems else self._empty()
        classes = self._classes([str(labels[i]) for i in kept])
        require_safe_names(classes)
        number_of = {name: number for number, name in enumerate(classes)}
        return Listing(
            tuple(paths[i] for i in kept),
            tuple(names[i] for i in kept),
            tuple(number_of[str(labels[i])] for i in kept),
            classes,
            self._of([rows[i] for i in kept], self.split),
            self._of([rows[i] for i in kept], self.group),
            tuple(problems),
            notes,
            self._attributes([rows[i] for i in kept]),
        )

    def _classes(self, labels: Sequence[str]) -> tuple[str, ...]:
        """In the order that the file declares, or else sorted."""
        there = set(labels)
        for name in self.label.columns:
            if name in self.table.classes:
                return tuple(one for one in self.table.classes[name] if one in there)
        return label_names(labels)

    def _of(self, rows: Sequence[int], choice: Choice) -> tuple[str | None, ...]:
        return tuple(choice.cells[row] for row in rows) if choice.cells else (None,) * len(rows)

    def _attributes(self, rows: Sequence[int]) -> tuple[str | None, ...]:
        if self.attribute is None:
            return ()
        cells = columns.cells_of(self.table, self.attribute)
        return tuple(cells[row] or None for row in rows)

    def _without_label(self, rows: Sequence[int]) -> Iterator[SynthgenError]:
        if rows:
            yield SynthgenError(
                f"{self.table.place} has no label ({' and '.join(self.label.columns)}) in data row "
                f"{rows[0] + 1}{_more(rows)}.\nComplete such rows or remove them."
            )

    def _repeats(
        self, rows: Sequence[int], paths: Sequence[Path], problems: list[SynthgenError]
    ) -> Iterator[bool]:
        """Whether each row says what an earlier one of the same image says; where it says something
        else, that is a problem."""
        first: dict[str, int] = {}
        told: set[str] = set()
        for row, path in zip(rows, paths, strict=True):
            earlier = first.setdefault(os.path.normpath(path), row)
            yield earlier != row
            for what, choice in (
                ("label", self.label),
                ("group", self.group),
                ("split", self.split),
            ):
                if choice.cells and choice.cells[earlier] != choice.cells[row] and what not in told:
                    told.add(what)
                    problems.append(
                        SynthgenError(
                            f"{self.table.place} names one image in data rows {earlier + 1} and "
                            f"{row + 1} with another {what} ({' and '.join(choice.columns)}).\n"
                            "An image has one: correct or remove such rows."
                        )
                    )

    def _empty(self) -> SynthgenError:
        return SynthgenError(f"{self.table.place} lists no images.\nAdd rows.")


def _more(rows: Sequence[int]) -> str:
    return f" (and {len(rows) - 1:,} more)" if len(rows) > 1 else ""


@dataclass(frozen=True, kw_only=True)
class CSV(TableSource):
    """A table of image files and their labels: CSV with any separator, TSV, JSON lines or Parquet.

    Args:
        path: the table.
        folder: where its paths start from; None is the table's own folder.
        suffix: an ending that its paths lack (.jpg); None looks for one.
    """

    path: str
    folder: str | None = None
    suffix: str | None = None

    kind: ClassVar[str] = "csv"

    @property
    def name(self) -> str:
        return Path(self.path).stem

    def listing(self) -> Listing:
        path = existing(self.path, "data.path")
        folder = path.parent if self.folder is None else existing(self.folder, "data.folder")
        table = read_table(path)
        if not len(table):
            columns.image_column(table, self.image, lambda _: 0)
            raise SynthgenError(f"{path} lists no images.\nAdd rows.")
        return table_listing(self, table, folder, self.suffix)


def table_listing(source: TableSource, table: Table, folder: Path, suffix: str | None) -> Listing:
    """The files that a table lists, its paths being relative to ``folder``."""

    def there(name: str) -> int:
        cells = [cell for cell in columns.cells_of(table, name)[:SAMPLE] if cell]
        found = locate(table.place, name, cells, folder, suffix)
        return sum(path.is_file() for path in found.paths)

    image = columns.image_column(table, source.image, there)
    roles = source.roles(table, image)
    cells = columns.cells_of(table, image)
    wrong = _wrong_rows(table, roles, cells)
    problems = [
        SynthgenError(
            f"{table.place} has {said} in data row {rows[0] + 1}{_more(rows)}.\n{_FIX[said]}"
        )
        for said, rows in wrong.items()
        if rows
    ]
    bad = {row for rows in wrong.values() for row in rows}
    rows = [row for row in range(len(table)) if row not in bad]
    if not rows:
        raise problems[0]
    names = [cells[row] for row in rows]
    found = locate(table.place, image, names, folder, suffix)
    listing = roles.listing(rows, found.paths, names, *problems, *found.problems)
    return with_notes(listing, found.notes)


def with_notes(listing: Listing, notes: Sequence[str]) -> Listing:
    return dataclasses.replace(listing, notes=(*listing.notes, *notes))


SAMPLE = 20  # rows that show which column names files
_EMPTY, _NUL, _LONG = (
    "an empty path or label", "a NUL character", "more cells than the first line"
)  # fmt: skip
_FIX = {
    _EMPTY: "Complete the row or remove it.",
    _NUL: "Write the row again; the file may be damaged.",
    _LONG: "Quote cells that hold a comma, or name the further column.",
}


def _wrong_rows(table: Table, roles: Roles, images: Sequence[str]) -> dict[str, list[int]]:
    """Rows that can't be used, each under the first thing that is wrong with it."""
    wrong: dict[str, list[int]] = {_LONG: list(table.long_rows), _NUL: [], _EMPTY: []}
    long = set(table.long_rows)
    for row, (image, label) in enumerate(zip(images, roles.label.cells, strict=True)):
        if row in long:
            continue
        if "\0" in image or "\0" in (label or ""):
            wrong[_NUL].append(row)
        elif is_missing(image) or label is None:
            wrong[_EMPTY].append(row)
    return wrong
