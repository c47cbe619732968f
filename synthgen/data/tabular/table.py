"""Images that a table lists, with their labels, groups and splits."""

import dataclasses
import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from synthgen.data.files import FileSource, Listing
from synthgen.data.medical import MedicalFiles
from synthgen.data.readers import ImageFile, name_of
from synthgen.data.source import existing, label_names, require_safe_names
from synthgen.data.tabular import columns
from synthgen.data.tabular.columns import AUTO, CALLED, Choice
from synthgen.data.tabular.divisions import (
    group_choice,
    group_choice_of_part,
    require_training,
    split_choice,
)
from synthgen.data.tabular.files import Table, is_missing, read_table
from synthgen.data.tabular.keyed import (
    Key,
    join,
    key_column,
    missing_ids,
    rows_as_images,
    tagged_files,
    with_patients,
)
from synthgen.data.tabular.labels import label_choice
from synthgen.data.tabular.members import Piece
from synthgen.data.tabular.paths import locate
from synthgen.errors import SynthgenError


@dataclass(frozen=True, kw_only=True)
class TableSource(FileSource):
    """Images with a row of a table each. Columns are found by their usual names or named.

    Args:
        image: the column that names the images.
        label: the column of the class; several columns of 0 and 1 with one 1 per row.
        missing_label: texts that stand for no label, beside an empty cell; such rows are left out
            if they are the fewer. None: nan, NA, None, a dash and the like, and -1 beside 0 and 1.
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
    missing_label: list[str] | None = None
    group: str | list[str] | None = AUTO
    split: str | None = AUTO
    splits: dict[str, str | list[str]] | None = None
    attribute: str | None = None

    reading: ClassVar[tuple[str, ...]] = (
        *FileSource.reading, "image", "label", "missing_label", "group", "split"
    )  # fmt: skip

    def rows(self, table: Table) -> "Rows":
        """What each column of ``table`` says; none of them names the images any more."""
        label, attribute = self._label(table)
        group = group_choice(table, self.group, label.columns)
        split = split_choice(table, self.split, self.splits, label.columns)
        require_training(table, split)
        return Rows(table, label, group, split, *attribute)

    def rows_of_part(self, table: Table) -> "PartOfRows":
        """The same of a table of some of the images, which may be of one split."""
        label, attribute = self._label(table)
        group = group_choice_of_part(table, self.group, label.columns)
        split = split_choice(table, self.split, self.splits, label.columns)
        return PartOfRows(table, label, group, split, *attribute)

    def _label(self, table: Table) -> tuple[Choice, list[str]]:
        """The class of each row, and the column of the attribute, if there is one."""
        attribute = []
        if self.attribute:
            attribute = [columns.attribute_column(table, self.attribute)]
        about = {*columns.called(table, columns.GROUP), *columns.called(table, columns.SPLIT)}
        label = label_choice(table, self.label, [*attribute, *about], self.missing_label)
        return label, attribute


@dataclass(frozen=True)
class Rows:
    """A table whose columns are known by what they say."""

    table: Table
    label: Choice
    group: Choice
    split: Choice
    attribute: str | None = None

    def listing(self, piece: Piece, *problems: SynthgenError) -> Listing:
        """The images of ``piece``, one for each row; ``problems`` are told before those found here.
        Rows without an image were told already.

        Raises:
            SynthgenError: nothing can be listed.
        """
        labels, found = self.label.cells, list(problems)
        there = [row for row, image in enumerate(piece.images) if image is not None]
        without = [row for row in there if labels[row] is None]
        few = len(self.label.columns) == 1 and 2 * len(without) < len(there)
        found += () if few else self._without_label(without, piece)
        labelled = [row for row in there if labels[row] is not None]
        again = set(self._repeats(labelled, piece, found))
        rows = [row for row in labelled if row not in again]
        if not rows:
            raise found[0] if found else no_rows(self.table)
        repeats = f"{len(again):,} rows name an image again; each was read once."
        classes = self._classes([str(labels[row]) for row in rows])
        require_safe_names(classes)
        number_of = {name: number for number, name in enumerate(classes)}
        images = [piece.images[row] for row in rows]
        return Listing(
            tuple(image for image in images if image is not None),
            tuple(piece.names[row] for row in rows),
            tuple(number_of[str(labels[row])] for row in rows),
            classes,
            _of(rows, self.split.cells),
            _of(rows, self.group.cells),
            tuple(found),
            (
                *self._notes(),
                *self._unlabelled(without),
                *((repeats,) if again else ()),
                *self._alone(classes),
            ),
            self._attributes(rows),
        )

    def _notes(self) -> tuple[str, ...]:
        choices = (self.label, self.group, self.split)
        used = {self.attribute}.union(*(one.columns for one in choices))
        ignored = [name for name in self.table.names if name and name not in used]
        place = Path(self.table.place).name
        notes = []
        if ignored:
            which = f"column{'s' if len(ignored) > 1 else ''} {', '.join(ignored)}"
            hint = "; data.group=COLUMN keeps images that share a value in one split"
            notes = [f"Ignored the {which} of {place}{'' if self.group.columns else hint}."]
        return (*notes, *self.table.notes, *(note for one in choices for note in one.notes))

    def _classes(self, labels: Sequence[str]) -> tuple[str, ...]:
        """In the order that the file declares, or else sorted."""
        there = set(labels)
        for name in self.label.columns:
            if name in self.table.classes:
                return tuple(one for one in self.table.classes[name] if one in there)
        return label_names(labels)

    def _attributes(self, rows: Sequence[int]) -> tuple[str | None, ...]:
        if self.attribute is None:
            return ()
        cells = columns.cells_of(self.table, self.attribute)
        return tuple(cells[row] or None for row in rows)

    def _without_label(self, rows: Sequence[int], piece: Piece) -> Iterator[SynthgenError]:
        if rows:
            said = self._missing_as(rows)
            advice = "Complete such rows or remove them"
            if said:
                advice += f"; if {next(iter(said))} is a class: data.missing_label=[]"
            yield SynthgenError(
                f"{self.table.place} has no label ({' and '.join(self.label.columns)}) in data row "
                f"{rows[0] + 1}{_more(rows)}: {piece.names[rows[0]]}.\n{advice}."
            )

    def _alone(self, classes: Sequence[str]) -> Iterator[str]:
        if len(classes) == 1:
            told = " and ".join(self.label.columns)
            yield f"All images have the label {classes[0]} ({told}), so there is one class."

    def _unlabelled(self, rows: Sequence[int]) -> Iterator[str]:
        """A sentence on rows that are left out, and what stands for their label."""
        if rows:
            said = ", ".join(f"{text}: {count:,}" for text, count in self._missing_as(rows).items())
            hint = f" ({said}; data.missing_label=[] makes classes of those)" if said else ""
            yield (f"Left out {len(rows):,} rows without a label in {self.label.columns[0]}{hint}.")

    def _missing_as(self, rows: Sequence[int]) -> Counter[str]:
        """The texts that stand for no label, with their numbers, less empty cells, and less what a
        file itself declares to be none."""
        if self.label.columns[0] in self.table.classes:
            return Counter()
        cells = columns.cells_of(self.table, self.label.columns[0])
        return Counter(cells[row] for row in rows if cells[row])

    def _repeats(
        self, rows: Sequence[int], piece: Piece, found: list[SynthgenError]
    ) -> Iterator[int]:
        """Rows whose image an earlier one names; where it says something else of it, that goes to
        ``found``."""
        kinds = {"label": self.label, "group": self.group, "split": self.split}
        first: dict[str, int] = {}
        told: set[str] = set()
        for row in rows:
            earlier = first.setdefault(_identity(piece.images[row]), row)
            if earlier == row:
                continue
            yield row
            for what, choice in kinds.items():
                if choice.cells and choice.cells[earlier] != choice.cells[row] and what not in told:
                    told.add(what)
                    found.append(self._differ(earlier, row, what, choice, piece.names[row]))

    def _differ(
        self, earlier: int, row: int, what: str, choice: Choice, name: str
    ) -> SynthgenError:
        return SynthgenError(
            f"{self.table.place} gives {name} another {what} ({' and '.join(choice.columns)}) in "
            f"data row {row + 1} than in {earlier + 1}.\n"
            "An image has one: correct or remove such rows."
        )


class PartOfRows(Rows):
    """Rows of some of the images. What only all of them together can tell is left to who has them:
    how many have no label or group, and whether there is one class."""

    def _notes(self) -> tuple[str, ...]:
        return tuple(note for note in super()._notes() if "each stands by itself" not in note)

    def _without_label(self, rows: Sequence[int], piece: Piece) -> Iterator[SynthgenError]:
        return iter(()) if self.label.texts else super()._without_label(rows, piece)

    def _unlabelled(self, rows: Sequence[int]) -> Iterator[str]:
        return iter(())

    def _alone(self, classes: Sequence[str]) -> Iterator[str]:
        return iter(())


def _identity(image: ImageFile | None) -> str:
    name = "" if image is None else name_of(image)
    return os.path.normpath(name) if ".." in name else name  # the rest a Path does itself


def _of(rows: Sequence[int], cells: Sequence[str | None]) -> tuple[str | None, ...]:
    return tuple(cells[row] for row in rows) if cells else (None,) * len(rows)


def _more(rows: Sequence[int]) -> str:
    return f" (and {len(rows) - 1:,} more)" if len(rows) > 1 else ""


def no_rows(table: Table) -> SynthgenError:
    return SynthgenError(f"{table.place} lists no images.\nAdd rows.")


# Tables of files.


@dataclass(frozen=True, kw_only=True)
class CSV(TableSource, MedicalFiles):
    """A table of image files and their labels: CSV with any separator, TSV, JSON lines or Parquet.

    Args:
        path: the table.
        folder: where its paths start from; None is the table's own folder.
        suffix: an ending that its paths lack (.jpg); None looks for one.
        key: the DICOM tag by which rows and files are joined, for tables by patient or study, say:
            then ``folder`` is a folder or ZIP archive of DICOM files, and ``image`` the column of
            those ids, if it isn't called as the tag is.
    """

    path: str
    folder: str | None = None
    suffix: str | None = None
    key: Key | None = None

    kind: ClassVar[str] = "csv"
    reading: ClassVar[tuple[str, ...]] = tuple(
        dict.fromkeys((*TableSource.reading, *MedicalFiles.reading, "key"))
    )

    @property
    def name(self) -> str:
        return Path(self.path).stem

    def listing(self) -> Listing:
        path = existing(self.path, "data.path")
        folder = path.parent if self.folder is None else existing(self.folder, "data.folder")
        table = read_table(path)
        if self.key is not None:
            return self._joined(table, self.key, path, folder)
        found = located(table, self.image, folder, self.suffix)
        listing = self.rows(found.piece.table).listing(found.piece, *found.problems)
        return with_notes(listing, (*found.notes, *_unused_folders(listing)))

    def _joined(self, table: Table, key: Key, path: Path, folder: Path) -> Listing:
        """The DICOM files in ``folder``, by the ids that ``key`` names."""
        column = key_column(table, key, self.image)
        piece = rows_as_images(table, key, column)
        found = tagged_files(folder, path)
        rows = self.rows(table.without(column)).listing(piece)
        listing = join(
            rows, with_patients(found) if self.patients == "group" else found, key, str(path)
        )
        return with_notes(listing, missing_ids(piece, key))


PATIENT = re.compile(r"(patient|subject|participant|case|study)[-_ ]?\d+", re.IGNORECASE)


def _unused_folders(listing: Listing) -> Iterator[str]:
    """A sentence where paths lie in folders of splits, or of patients, that no column tells."""
    folders = dict.fromkeys(name.replace("\\", "/").rpartition("/")[0] for name in listing.names)
    paths = [[part for part in folder.split("/") if part] for folder in folders]
    levels = [dict.fromkeys(level) for level in zip(*paths, strict=False)]  # down to the shallowest
    splits = next((one for one in levels if len(one) > 1), {})
    if set(listing.split) == {None} and splits and CALLED.keys() >= {one.lower() for one in splits}:
        yield (
            f"The paths lie in {' and '.join(splits)}, but no column says so: the images are "
            "divided anew. A column split keeps them apart."
        )
    people = any(len(one) > 1 and all(map(PATIENT.fullmatch, one)) for one in levels)
    if set(listing.groups) == {None} and people:
        yield (
            "The paths lie in folders of patients or studies, but no column says so: images of one "
            "may lie in several splits. A column patient_id keeps them together."
        )


@dataclass(frozen=True)
class Files:
    """The files that a table lists, and what was wrong with its rows."""

    piece: Piece
    problems: tuple[SynthgenError, ...]
    notes: tuple[str, ...]


SAMPLE = 20  # rows that show which column names files
_EMPTY, _NUL, _LONG = "an empty path", "a NUL character", "more cells than the first line"
_FIX = {
    _EMPTY: "Complete such rows or remove them.",
    _NUL: "Write such rows again; the file may be damaged.",
    _LONG: "Quote cells that hold a separator, or name the further column.",
}


def located(table: Table, image: str | None, folder: Path, suffix: str | None) -> Files:
    """The files that a table lists, its paths being relative to ``folder``.

    Raises:
        SynthgenError: no column names files, or two could.
    """

    def there(name: str) -> int:
        cells = [cell for cell in columns.cells_of(table, name)[:SAMPLE] if cell]
        found = locate(table.place, name, cells, folder, suffix)
        return sum(os.path.isfile(path) for path in found.paths)  # False for what is too long

    column = columns.image_column(table, image, there)
    cells = columns.cells_of(table, column)
    wrong = _wrong_rows(table, cells)
    bad = {row for rows in wrong.values() for row in rows}
    rows = [row for row in range(len(cells)) if row not in bad]
    problems = [
        SynthgenError(
            f"{table.place} has {said} in data row {rows[0] + 1}{_more(rows)}.\n{_FIX[said]}"
        )
        for said, rows in wrong.items()
        if rows
    ]
    found = locate(table.place, column, [cells[row] for row in rows], folder, suffix)
    usual = image is not None or columns.plain(column) == "path"
    said = () if usual else (f"The column {column} names the images.",)
    images: list[ImageFile | None] = [None] * len(cells)
    for row, path in zip(rows, found.paths, strict=True):
        images[row] = path
    piece = Piece("", table.without(column), tuple(images), tuple(cells))
    return Files(piece, (*problems, *found.problems), (*said, *found.notes))


def _wrong_rows(table: Table, images: Sequence[str]) -> dict[str, list[int]]:
    """Rows that name no file, each under the first thing that is wrong with it."""
    wrong: dict[str, list[int]] = {_LONG: list(table.long_rows), _NUL: [], _EMPTY: []}
    long = set(table.long_rows)
    for row, image in enumerate(images):
        if row not in long and ("\0" in image or is_missing(image)):
            wrong[_NUL if "\0" in image else _EMPTY].append(row)
    return wrong


def with_notes(listing: Listing, notes: Sequence[str]) -> Listing:
    return dataclasses.replace(listing, notes=(*listing.notes, *notes))
