"""Tables by patient, study, series or picture, and the DICOM files that carry the same ids.

The ids join rows and files and go no further: neither a note nor a refusal repeats one, and images
are called by their files.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from synthgen.data.dicom import PATIENT, Look, left_out, list_all, list_members, look, members_of
from synthgen.data.files import Listing
from synthgen.data.images import for_each
from synthgen.data.readers import FileBytes, ImageFile
from synthgen.data.readers.base import name_of
from synthgen.data.tabular import columns
from synthgen.data.tabular.divisions import joined_keys, plainly
from synthgen.data.tabular.files import Table, is_missing
from synthgen.data.tabular.members import Piece
from synthgen.errors import SynthgenError

Key = Literal[
    "PatientID", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "AccessionNumber"
]
LONGEST_FORM = 24  # signs of an id's form in a message


def key_column(table: Table, key: str, wanted: str | None) -> str:
    """The column that holds the ids: the one that is named, or is called as the tag is.

    Raises:
        SynthgenError: there is none.
    """
    if wanted is not None:
        return columns.named(table, wanted, "data.image")
    found = [name for name in table.names if columns.key_of(name) == key]
    if len(found) != 1:
        raise SynthgenError(
            f"{table.place} has {'several columns' if found else 'no column'} {key}; its columns "
            f"are {columns.listed(table.names)}.\nName the one of these ids: data.image=COLUMN."
        )
    return found[0]


def rows_as_images(table: Table, key: str, column: str) -> Piece:
    """A stand-in for each row's images, so that rows are judged as those of files are: two of one
    id say the same. It is named by the id, which no message shows."""
    images: list[ImageFile | None] = []
    for cell in columns.cells_of(table, column):
        images.append(None if is_missing(cell) else FileBytes(cell, b""))
    return Piece("", table, tuple(images), (f"one {key}",) * len(images))


def missing_ids(piece: Piece, key: str) -> list[str]:
    count = piece.images.count(None)
    has = "row has" if count == 1 else "rows have"
    return [f"{count:,} {has} no {key}, and say nothing."] if count else []


@dataclass(frozen=True)
class Tagged:
    """The DICOM pictures below a folder or in an archive, and what their tags hold."""

    files: Listing
    looks: tuple[Look, ...]
    notes: tuple[str, ...]

    def values(self, key: str) -> list[str]:
        return [one.values.get(key, "") for one in self.looks]


def tagged_files(root: Path, table: Path) -> Tagged:
    """Every picture in ``root``, less the ``table`` that may lie there too.

    Raises:
        SynthgenError: there is none.
    """
    listed = list_all(root) if root.is_dir() else list_members(members_of(root))
    own = [i for i, path in enumerate(listed.paths) if path != table]
    listed = chosen(listed, own)
    looks = for_each(lambda file: look(file, columns.KEYS), listed.paths, "Looking for ids")
    kept = [index for index, found in enumerate(looks) if found.other is None]
    if not kept:
        raise SynthgenError(
            f"None of the {len(looks):,} files in {root} is a DICOM file with a picture.\n"
            "data.key joins a table with DICOM files, which lie in data.folder; for other files "
            "data.image names the column of their names."
        )
    return Tagged(
        chosen(listed, kept), tuple(looks[index] for index in kept), tuple(left_out(looks))
    )


def with_patients(found: Tagged) -> Tagged:
    """With the patient of each file as its group, "" for none."""
    patients = (one.values.get(PATIENT, "") for one in found.looks)
    groups = tuple(f"{PATIENT} {one}" if one else None for one in patients)
    return replace(found, files=replace(found.files, groups=groups))


def chosen(listing: Listing, kept: Sequence[int]) -> Listing:
    """Some of the files of a listing."""
    return replace(
        listing,
        paths=tuple(listing.paths[index] for index in kept),
        names=tuple(listing.names[index] for index in kept),
        labels=tuple(listing.labels[index] for index in kept),
        split=tuple(listing.split[index] for index in kept),
        groups=tuple(listing.groups[index] for index in kept),
    )


def join(rows: Listing, found: Tagged, key: str, place: str) -> Listing:
    """The files, with what the row of their id says: ``rows`` lists the ids of the table ``place``
    as if they were files.

    Raises:
        SynthgenError: no id is in both.
    """
    ids = [name_of(path) for path in rows.paths]
    values = found.values(key)
    row_of = {one: number for number, one in enumerate(ids)}
    notes: tuple[str, ...] = ()
    if not row_of.keys() >= set(values) and _spelt_once(ids) and _spelt_once(values):
        loosely = {plainly(one): number for one, number in row_of.items()}
        matched = {one: loosely[plainly(one)] for one in set(values) if plainly(one) in loosely}
        if len(matched) > len(row_of.keys() & set(values)):
            row_of = matched
            notes = (f"Values of {key} that differ in capitals or leading zeros count as one.",)
    kept = [index for index, value in enumerate(values) if value and value in row_of]
    if not kept:
        raise _none_match(found, key, ids, place)
    places = [row_of[values[index]] for index in kept]
    labels = [rows.classes[rows.labels[place]] for place in places]
    there = set(labels)
    classes = tuple(name for name in rows.classes if name in there)
    number_of = {name: number for number, name in enumerate(classes)}
    files = chosen(found.files, kept)
    said = _on_rest(rows, set(places), len(values), values.count(""), len(kept), key)
    lost = [name for name in rows.classes if name not in there]
    if lost:
        said = (*said, f"No file is of the class {columns.listed(lost)}.")
    return replace(
        rows,
        paths=files.paths,
        names=files.names,
        labels=tuple(number_of[label] for label in labels),
        classes=classes,
        split=tuple(rows.split[place] for place in places),
        groups=_groups([rows.groups[place] for place in places], files.groups),
        attributes=tuple(rows.attributes[place] for place in places) if rows.attributes else (),
        notes=(*rows.notes, *found.notes, *notes, *said),
    )


def _spelt_once(values: Sequence[str]) -> bool:
    """Whether no two different values are one but for capitals and leading zeros."""
    distinct = set(values)
    return len({plainly(one) for one in distinct}) == len(distinct)


def _groups(
    of_rows: Sequence[str | None], of_files: Sequence[str | None]
) -> tuple[str | None, ...]:
    """What stays together by the table, and by the files' patients too."""
    if not any(of_rows) or not any(of_files):
        return tuple(of_rows)  # the patients are read with the pictures
    return tuple(joined_keys([of_rows, of_files]))


def _on_rest(
    rows: Listing, places: set[int], files: int, without: int, kept: int, key: str
) -> tuple[str, ...]:
    """Sentences on what was joined, and on files and rows without a partner."""
    count = len(rows.paths)
    said = [f"{kept:,} files were joined with {len(places):,} of {count:,} rows by {key}."]
    if without:
        said.append(f"Left out {without:,} files without a {key}.")
    strange = files - without - kept
    if strange:
        left_out = f"Left out {strange:,} of {files:,} files"
        said.append(f"{left_out}: no row with a label has their {key}.")
    idle = count - len(places)
    if idle:
        said.append(f"{idle:,} of {count:,} rows have no file of their {key}.")
    return tuple(said)


def _none_match(found: Tagged, key: str, ids: Sequence[str], place: str) -> SynthgenError:
    """That no row has a file, and what files and rows hold instead, by the form of their ids."""
    others = {
        one: len(set(ids) & set(found.values(one)))
        for one in columns.KEYS
        if one != key and found.looks
    }
    best = max(others, key=lambda one: others[one])
    advice = "Name the column with data.image=, or another of " + ", ".join(columns.KEYS) + "."
    if others[best]:
        advice = f"But {others[best]:,} rows hold the {best} of files: data.key={best}."
    values = [value for value in found.values(key) if value]
    held = f"are like {_form(values)}" if values else f"have none of {len(found.looks):,}"
    return SynthgenError(
        f"No file has a {key} that is in {place}: the files' {held}, the rows' like {_form(ids)} "
        f"(9 is any digit, A any letter).\n{advice}"
    )


def _form(values: Sequence[str]) -> str:
    """The commonest form of ids, which says nothing of one: AA-9999."""
    forms = Counter(re.sub(r"[^\W\d_]", "A", re.sub(r"\d", "9", value)) for value in values)
    form = forms.most_common(1)[0][0] if forms else "nothing"
    return form if len(form) <= LONGEST_FORM else f"{form[:LONGEST_FORM]}…"
