"""Which column of a table says what: named by the person, or called as people call it."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePath

from synthgen.data.readers import extensions
from synthgen.data.tabular.files import Table
from synthgen.errors import SynthgenError, nearest

AUTO = "auto"
IMAGE = (
    "path", "file", "filename", "file_name", "filepath", "file_path", "image", "image_id",
    "image_path", "image_name", "image_file", "img", "img_path", "isic_id",
)  # fmt: skip
LABEL = (
    "label", "labels", "class", "class_name", "class_label", "category", "target", "dx",
    "diagnosis", "cls", "class_id", "class_idx", "label_id", "label_name", "category_id",
    "category_name",
)  # fmt: skip
WHO = ("patient", "subject", "participant", "person", "donor", "group", "video")
WHAT = (
    "lesion", "case", "study", "series", "exam", "specimen", "slide", "wsi", "scene", "sequence",
    "seq", "track", "clip", "animal", "mouse", "individual", "eye", "user", "accession",
)  # fmt: skip
NUMBERED = ("_id", "id", "_number", "number", "_num", "_no", "_nr", "_name", "_uid", "uid")
GROUP = {
    "pid", "mrn", "studyinstanceuid", "seriesinstanceuid",
    *WHO, *(f"{one}{end}" for one in (*WHO, *WHAT) for end in NUMBERED),
}  # fmt: skip
FILE_SPLIT = "split by file name"  # a column that is made of the names of files and folders
SPLIT = (
    "split", "subset", "partition", "data_split", "dataset_split", "set", "fold",
    "split_by_file_name",
)  # fmt: skip
CALLED = {  # the usual names of the three splits
    "train": "train", "training": "train",
    "holdout": "holdout", "val": "holdout", "valid": "holdout", "validation": "holdout",
    "validate": "holdout", "dev": "holdout",
    "test": "test", "testing": "test",
}  # fmt: skip
TWO = {"0": False, "1": True, "0.0": False, "1.0": True, "false": False, "true": True}
KEYS = ("PatientID", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "AccessionNumber")
ID_COLUMNS = {key.casefold(): key for key in KEYS}
MANY = 60  # columns, as no table of files has them
PIXELS = (
    "If it holds the pixels themselves, save them as arrays for data=npz: numpy.savez(FILE, "
    "images=…, labels=…)."
)
SHOWN = 20  # columns and values in a message


@dataclass(frozen=True)
class Choice:
    """What a table says of one thing: the columns that were taken, their cells and what to note.

    ``cells`` is empty if no column says it; None is a row that doesn't. ``texts`` are the cells as
    they stand, where these name the classes.
    """

    columns: tuple[str, ...] = ()
    cells: tuple[str | None, ...] = ()
    notes: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()


def plain(name: str) -> str:
    """A column's name without capitals, spaces and hyphens, which people write as they like."""
    return re.sub(r"[\s\-.]+", "_", name.strip().casefold())


def is_called(name: str, usual: Iterable[str]) -> bool:
    """Whether a column has one of the usual names: class_id is also ClassId and "Class ID"."""
    return _bare(name) in {_bare(one) for one in usual}


def _bare(name: str) -> str:
    return plain(name).replace("_", "")


def key_of(name: str) -> str | None:
    """The tag of DICOM that a column is called after: patient_id and Patient ID are PatientID."""
    return ID_COLUMNS.get(_bare(name))


def listed(names: Iterable[str]) -> str:
    found = [name for name in names if name]
    return (", ".join(found[:SHOWN]) + (", …" if len(found) > SHOWN else "")) or "nothing"


def named(table: Table, name: str, setting: str) -> str:
    """The column that a setting names, in whatever capitals."""
    wanted = plain(name)
    found = [one for one in table.names if one == name] or [
        one for one in table.names if plain(one) == wanted
    ]
    if len(found) > 1:
        raise SynthgenError(
            f"{table.place} has more than one column {found[0].strip()}.\n"
            "Keep one of them, or give the others other names."
        )
    if not found:
        if name in table.foreign:
            raise SynthgenError(
                f"The column {name} of {table.place}, which {setting} names, holds "
                f"{table.foreign[name]}.\nName a column of text or numbers."
            )
        close = nearest(name, table.names)
        raise SynthgenError(
            f"{table.place} has no column {name!r}, which {setting} names.\n"
            f"Its columns are {listed(table.names)}."
            + (f" Did you mean {close!r}?" if close else "")
        )
    return found[0]


def attribute_column(table: Table, name: str) -> str:
    """The column whose values a report may print: none that names people.

    Raises:
        SynthgenError: it isn't there, or its name says that it tells patients apart.
    """
    column = named(table, name, "data.attribute")
    if plain(column) in GROUP:
        raise SynthgenError(
            f"data.attribute={name} names groups (patients, films), and reports print its values.\n"
            "Choose a column like a scanner, a site or a sex."
        )
    return column


def cells_of(table: Table, name: str) -> Sequence[str]:
    return table.columns[table.names.index(name)]


def called(table: Table, usual: Iterable[str], taken: Iterable[str] = ()) -> list[str]:
    """The columns with one of the usual names, in the order of the table. One that is there twice
    is refused, for either could be meant."""
    usual, taken = set(usual), set(taken)
    found = [name for name in table.names if is_called(name, usual) and name not in taken]
    twice = [name for name, count in Counter(map(plain, found)).items() if count > 1]
    if twice:
        raise SynthgenError(
            f"{table.place} has more than one column {twice[0]}.\n"
            "Keep one of them, or give the others other names."
        )
    return found


def no_column(table: Table, what: str, setting: str) -> SynthgenError:
    """That neither a setting nor a usual name tells which column is meant."""
    if headless(table.names):
        advice = "Put one above it, like path,label, with commas between the columns."
        if len(table.names) > MANY:
            advice = PIXELS
        return SynthgenError(
            f"{table.place} has no first line that names its columns; it begins with "
            f"{listed(table.names)}.\n{advice}"
        )
    held, advice = "", f"Name it: {setting}=COLUMN."
    if table.foreign:
        held = f" ({listed(f'{k}: {v}' for k, v in table.foreign.items())})"
        advice += " A table that holds the images themselves: data=hugging_face."
    elif len(table.names) > MANY or "pixels" in map(plain, table.names):
        advice += f" {PIXELS}"
    return SynthgenError(
        f"{table.place} has no column {what}; its first line has {listed(table.names)}{held}.\n"
        f"{advice}"
    )


def flags_of(table: Table) -> dict[str, str]:
    """Columns that are called after a split that they tell: is_valid, is_train, is_test_set."""
    found = {}
    for name in table.names:
        first, *words = plain(name).split("_")
        meant = [CALLED[word] for word in words if word in CALLED]
        if first in ("is", "in") and len(meant) == 1:
            found[name] = meant[0]
    return found


def is_two_valued(table: Table, name: str) -> bool:
    cells = {cell.casefold() for cell in cells_of(table, name)}
    return bool(cells) and cells <= TWO.keys()


def tells_splits(table: Table, name: str) -> bool:
    """Whether all values of a column are names of splits, train and another."""
    values = {cell.casefold() for cell in cells_of(table, name)}
    return CALLED.keys() >= values and {"train"} < {CALLED[value] for value in values}


def headless(names: Sequence[str]) -> bool:
    """Whether a first line is a row like the others: it names an image file, or nothing but
    numbers."""
    known = extensions()
    words = [word for name in names for word in (name, *name.split())]
    files = any(PurePath(word.replace("\\", "/")).suffix.lower() in known for word in words)
    return files or (bool(names) and all(is_number(name) for name in names))


def is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def image_column(table: Table, wanted: str | None, there: Callable[[str], int]) -> str:
    """The column that names the image files; of several, the one of which most are there.

    Args:
        there: how many of the first rows of a column name a file.

    Raises:
        SynthgenError: no column has such a name, or two name as many files.
    """
    if wanted is not None:
        return named(table, wanted, "data.image")
    found = called(table, IMAGE)
    if not found:
        error = no_column(table, "path", "data.image")
        ids = [name for name in table.names if key_of(name)]
        if ids:
            raise SynthgenError(
                f"{table.place} has no column path; {ids[0]} may be an id of DICOM files.\nJoin "
                f"them by it: data.key={key_of(ids[0])} data.folder=FOLDER, the folder or ZIP "
                "archive of the files; or name the column of the paths: data.image=COLUMN."
            )
        raise SynthgenError(f"{error} Each row is one image: path, filename, image_id, …")
    if len(found) == 1:
        return found[0]
    counts = {name: there(name) for name in found}
    best = [name for name in found if counts[name] == max(counts.values())]
    exact = [name for name in best if plain(name) == "path"]
    same = all(cells_of(table, name) == cells_of(table, best[0]) for name in best)
    if len(best) > 1 and not exact and not same:
        raise SynthgenError(
            f"{table.place} has {' and '.join(best)}; either could name the files.\n"
            f"Say which: {' or '.join(f'data.image={name}' for name in best)}."
        )
    return (exact or best)[0]
