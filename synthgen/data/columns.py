"""Which column of a table says what: named by the person, or called as people call it."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath

from synthgen.data.assign import SPLITS, connected_units
from synthgen.data.readers import extensions
from synthgen.data.table_files import Table, is_missing
from synthgen.errors import SynthgenError, nearest

AUTO = "auto"
IMAGE = (
    "path", "file", "filename", "file_name", "filepath", "file_path", "image", "image_id",
    "image_path", "image_name", "image_file", "img", "img_path", "isic_id",
)  # fmt: skip
LABEL = (
    "label", "labels", "class", "class_name", "class_label", "category", "target", "dx",
    "diagnosis", "cls",
)  # fmt: skip
WHO = ("patient", "subject", "participant", "person", "group", "video", "scene")
WHAT = ("lesion", "case", "study", "exam", "specimen", "slide", "sequence", "track")
GROUP = {*WHO, *(f"{one}{end}" for one in (*WHO, *WHAT) for end in ("_id", "id", "_number"))}
FILE_SPLIT = "split by file name"  # a column that is made of the names of files and folders
SPLIT = (
    "split", "subset", "partition", "data_split", "dataset_split", "set", "fold",
    "split_by_file_name",
)  # fmt: skip
CALLED = {  # the usual names of the three splits
    "train": "train", "training": "train",
    "holdout": "holdout", "val": "holdout", "valid": "holdout", "validation": "holdout",
    "test": "test", "testing": "test",
}  # fmt: skip
TWO = {"0": False, "1": True, "0.0": False, "1.0": True, "false": False, "true": True}
SHOWN = 20  # columns and values in a message


@dataclass(frozen=True)
class Choice:
    """What a table says of one thing: the columns that were taken, their cells and what to note.

    ``cells`` is empty if no column says it; None is a row that doesn't.
    """

    columns: tuple[str, ...] = ()
    cells: tuple[str | None, ...] = ()
    notes: tuple[str, ...] = ()


def plain(name: str) -> str:
    """A column's name without capitals, spaces and hyphens, which people write as they like."""
    return re.sub(r"[\s\-.]+", "_", name.strip().casefold())


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


def cells_of(table: Table, name: str) -> Sequence[str]:
    return table.columns[table.names.index(name)]


def called(table: Table, usual: Iterable[str], taken: Iterable[str] = ()) -> list[str]:
    """The columns with one of the usual names, in the order of the table. One that is there twice
    is refused, for either could be meant."""
    usual, taken = set(usual), set(taken)
    found = [name for name in table.names if plain(name) in usual and name not in taken]
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
        return SynthgenError(
            f"{table.place} has no first line that names its columns; it begins with "
            f"{listed(table.names)}.\nPut one above it, like path,label."
        )
    held = f" ({listed(f'{k}: {v}' for k, v in table.foreign.items())})" if table.foreign else ""
    return SynthgenError(
        f"{table.place} has no column {what}; its first line has {listed(table.names)}{held}.\n"
        f"Name it: {setting}=COLUMN."
    )


def headless(names: Sequence[str]) -> bool:
    """Whether a first line is a row like the others: it names an image file, or nothing but
    numbers."""
    known = extensions()
    files = any(PurePath(name.replace("\\", "/")).suffix.lower() in known for name in names)
    return files or (bool(names) and all(_is_number(name) for name in names))


def _is_number(text: str) -> bool:
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
        raise no_column(table, "path", "data.image")
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


# The label.


def label_choice(table: Table, wanted: str | Sequence[str] | None, taken: Sequence[str]) -> Choice:
    """The class of each row, None where it is missing. Several columns are one-hot.

    Raises:
        SynthgenError: no column tells, two tell different things, or a row has two classes.
    """
    if isinstance(wanted, str):
        return _labels_in(table, named(table, wanted, "data.label"))
    if wanted:
        return _one_hot(table, [named(table, name, "data.label") for name in wanted])
    found = called(table, LABEL, taken) or [name for name in table.classes if name not in taken]
    if not found:
        several = [
            name for name in table.names if name not in taken and _is_two_valued(table, name)
        ]
        if len(several) < 2:
            raise no_column(table, "label", "data.label")
        return _one_hot(table, several)
    if len(found) == 1:
        return _labels_in(table, found[0])
    return _best_of(table, found)


def _best_of(table: Table, found: list[str]) -> Choice:
    """One of several columns of labels: of those that say the same, the one with names."""
    first = cells_of(table, found[0])
    same = all(_one_to_one(first, cells_of(table, name)) for name in found[1:])
    if same:
        best = min(found, key=lambda name: _all_numbers(table, name))
        note = f"{' and '.join(found)} say the same; {best} was taken as the label."
    elif "label" in map(plain, found):
        best = next(name for name in found if plain(name) == "label")
        others = ", ".join(name for name in found if name != best)
        note = f"The label is the column {best}, not {others}; data.label= takes another."
    else:
        raise SynthgenError(
            f"{table.place} has {' and '.join(found)}, which differ; either could be the label.\n"
            f"Say which: {' or '.join(f'data.label={name}' for name in found)}."
        )
    choice = _labels_in(table, best)
    return Choice((*choice.columns, *(found if same else ())), choice.cells, (*choice.notes, note))


def _one_to_one(one: Sequence[str], other: Sequence[str]) -> bool:
    pairs = set(zip(one, other, strict=True))
    return len(pairs) == len(set(one)) == len(set(other))


def _all_numbers(table: Table, name: str) -> bool:
    if name in table.classes:
        return False
    return all(_is_number(cell) for cell in set(cells_of(table, name)) if cell)


def _labels_in(table: Table, name: str) -> Choice:
    cells = cells_of(table, name)
    if name in table.classes:
        return _declared(table, name, cells)
    labels, notes = whole_numbers([None if is_missing(cell) else cell for cell in cells])
    _require_one_spelling(table, name, labels)
    if len({cell for cell in cells if is_missing(cell)} - {""}):
        notes = (*notes, f"Values like NaN or NA in the column {name} were taken as missing.")
    return Choice((name,), tuple(labels), notes)


def _declared(table: Table, name: str, cells: Sequence[str]) -> Choice:
    """Whole numbers that stand for names; -1 stands for none."""
    classes = table.classes[name]
    names: dict[str, str | None] = {str(number): one for number, one in enumerate(classes)}
    names |= {one: one for one in classes} | {"": None, "-1": None}
    strange = next((cell for cell in cells if cell not in names), None)
    if strange is not None:
        raise SynthgenError(
            f"{table.place} has the label {strange!r} in {name}, which declares only "
            f"{len(classes)} classes.\nWrite the table again."
        )
    return Choice((name,), tuple(names[cell] for cell in cells))


def whole_numbers(labels: list[str | None]) -> tuple[list[str | None], tuple[str, ...]]:
    """Labels that are whole numbers throughout as such: "1.0", which pandas writes where a value
    was missing, is "1". Any other text stays as it is."""
    distinct = {label for label in labels if label is not None}
    whole = {one: _whole(one) for one in distinct}
    if all(number is not None for number in whole.values()) and any(
        number != one for one, number in whole.items()
    ):
        note = "The labels are whole numbers, some written with a point: 1.0 and 1 are one class."
        return [None if one is None else whole[one] for one in labels], (note,)
    return labels, ()


def _whole(text: str) -> str | None:
    """ "1.0" -> "1"; "01" stays, for a leading zero is meant; None for what is no whole number."""
    match = re.fullmatch(r"([+-]?\d+)(\.0*)?", text, re.ASCII)
    return None if match is None else match[1].lstrip("+")


def _require_one_spelling(table: Table, name: str, labels: Sequence[str | None]) -> None:
    """ "01" and "1" may be one class or two: that is the person's to say."""
    spelled: dict[str, str] = {}
    for label in dict.fromkeys(labels):
        if label is None or not re.fullmatch(r"-?\d+", label, re.ASCII):
            continue
        number = re.sub(r"^(-?)0+(?=\d)", r"\1", label)
        other = spelled.setdefault(number, label)
        if other != label:
            raise SynthgenError(
                f"{table.place} has the labels {other!r} and {label!r} in {name}: one class or two?"
                "\nWrite them alike, or as names."
            )


def _is_two_valued(table: Table, name: str) -> bool:
    cells = {cell.casefold() for cell in cells_of(table, name)}
    return bool(cells) and cells <= TWO.keys()


def _one_hot(table: Table, names: list[str]) -> Choice:
    """Columns of 0 and 1, of which each row has a single 1."""
    for name in names:
        if not _is_two_valued(table, name):
            raise SynthgenError(
                f"The column {name} of {table.place} holds other values than 0 and 1.\n"
                "data.label=[A,B,…] names columns that hold 1 for the class of an image."
            )
    rows = zip(*([TWO[cell.casefold()] for cell in cells_of(table, n)] for n in names), strict=True)
    labels: list[str | None] = []
    for number, row in enumerate(rows):
        of_row = [name for name, is_it in zip(names, row, strict=True) if is_it]
        if len(of_row) > 1:
            raise SynthgenError(
                f"{table.place} is multi-label: data row {number + 1} is {' and '.join(of_row)}.\n"
                f"An image has one class here: choose a column, like data.label={names[0]}, or "
                "those that exclude each other, data.label=[A,B,…]."
            )
        labels.append(of_row[0] if of_row else None)
    note = f"The label is the column that holds 1: {listed(names)}."
    unused = [name for name in names if name not in set(labels)]
    if unused:
        note += f" No row has {listed(unused)}."
    return Choice(tuple(names), tuple(labels), (note,))


# Groups: what must never be torn apart. Their values name people and never leave this file but as
# keys that split the data.


def group_choice(table: Table, wanted: str | Sequence[str] | None, taken: Sequence[str]) -> Choice:
    """The key of the group of each row, None for a row that belongs to none.

    Raises:
        SynthgenError: several columns group the images in ways that cross.
    """
    if wanted is None:
        return _left_out(called(table, GROUP, taken))
    if wanted != AUTO:
        given = [wanted] if isinstance(wanted, str) else list(wanted)
        return _grouped(table, [named(table, name, "data.group") for name in given], ())
    found = called(table, GROUP, taken)
    same = [name for name in found if len(set(cells_of(table, name))) < 2]
    notes = tuple(f"{name} is the same in all rows, so it divides nothing." for name in same)
    found = [name for name in found if name not in same]
    if not found:
        return Choice(tuple(same), (), notes)
    coarsest = [one for one in found if all(_within(table, other, one) for other in found)]
    if not coarsest:
        raise SynthgenError(
            f"{table.place} has {' and '.join(found)}, which group the images in ways that cross.\n"
            f"Say what must stay in one split: data.group={found[0]}, "
            f"data.group=[{','.join(found)}] for all, or data.group=null."
        )
    inner = [name for name in found if name != coarsest[0]]
    if inner:
        notes += (f"{' and '.join(inner)} lie within {coarsest[0]}, which keeps them together.",)
    choice = _grouped(table, coarsest[:1], notes)
    return Choice((*choice.columns, *inner, *same), choice.cells, choice.notes)


def _left_out(found: list[str]) -> Choice:
    if not found:
        return Choice()
    note = (
        f"data.group=null: images of one {' or '.join(found)} may lie in several splits, so that "
        "results may be too good."
    )
    return Choice(tuple(found), (), (note,))


def _within(table: Table, fine: str, coarse: str) -> bool:
    """Whether rows that share a value of ``fine`` share one of ``coarse``."""
    parent: dict[str, str] = {}
    for one, other in zip(cells_of(table, fine), cells_of(table, coarse), strict=True):
        if not is_missing(one) and parent.setdefault(one, other) != other:
            return False
    return True


def _grouped(table: Table, names: list[str], notes: tuple[str, ...]) -> Choice:
    """Keys of rows that share a value in any of the columns."""
    columns = [
        [None if is_missing(cell) else f"{cell}" for cell in cells_of(table, name)]
        for name in names
    ]
    keys = columns[0] if len(columns) == 1 else _joined(columns)
    without, shown = keys.count(None), " and ".join(names)
    notes += (f"Images with the same {shown} stay in one split.",)
    if without:
        notes += (f"{without:,} of {len(keys):,} images have no {shown}: each stands by itself.",)
    return Choice(tuple(names), tuple(keys), notes)


def _joined(columns: Sequence[Sequence[str | None]]) -> list[str | None]:
    """One key for rows that any column joins: the smallest of the values that join them."""
    numbers = [str(number) for number in range(len(columns[0]))]
    tagged = [
        [None if cell is None else f"{place} {cell}" for cell in cells]
        for place, cells in enumerate(columns)
    ]
    keys: list[str | None] = [None] * len(numbers)
    for unit in connected_units(numbers, *tagged):
        values = [cells[row] for row in unit for cells in tagged if cells[row] is not None]
        for row in unit:
            keys[row] = min(values, default=None)  # type: ignore[type-var]
    return keys


# Official splits.


def split_choice(
    table: Table,
    wanted: str | None,
    meaning: Mapping[str, str | Sequence[str]] | None,
    taken: Sequence[str],
) -> Choice:
    """The official split of each row. ``meaning``: split -> the values that stand for it.

    Raises:
        SynthgenError: a value that stands for no split, or two columns that differ.
    """
    if wanted is None:
        return Choice()
    found = called(table, SPLIT, taken) if wanted == AUTO else [named(table, wanted, "data.split")]
    if meaning is not None:
        if len(found) != 1:
            raise SynthgenError(
                f"data.splits needs the column that it speaks of; {table.place} has "
                f"{listed(table.names)}.\nName it: data.split=COLUMN."
            )
        return _split_in(table, found[0], _values(meaning))
    choices = [
        _split_in(table, name, CALLED)
        for name in found
        if wanted != AUTO or _speaks_of_splits(table, name)
    ]
    if len({choice.cells for choice in choices}) > 1:
        both = [choice.columns[0] for choice in choices]
        raise SynthgenError(
            f"{table.place} has {' and '.join(both)}, which divide it differently.\n"
            f"Say which: {' or '.join(f'data.split={name}' for name in both)}, or data.split=null."
        )
    if not choices:
        return Choice()
    return Choice(tuple(c.columns[0] for c in choices), choices[0].cells, choices[0].notes)


def _speaks_of_splits(table: Table, name: str) -> bool:
    """``set`` and ``fold`` may be anything, unless their values are names of splits."""
    values = {cell.casefold() for cell in cells_of(table, name)}
    return plain(name) not in ("set", "fold") or bool(values & CALLED.keys())


def _values(meaning: Mapping[str, str | Sequence[str]]) -> dict[str, str]:
    """``data.splits`` turned round: value -> split."""
    found: dict[str, str] = {}
    for split, values in meaning.items():
        if split.casefold() not in CALLED:
            raise SynthgenError(
                f"data.splits names {split!r}, which is no split.\nThey are {', '.join(SPLITS)}."
            )
        part = CALLED[split.casefold()]
        for value in [values] if isinstance(values, str) else values:
            if found.setdefault(value.casefold(), part) != part:
                raise SynthgenError(f"data.splits gives {value!r} to two splits.\nChoose one.")
    return found


def _split_in(table: Table, name: str, meaning: Mapping[str, str]) -> Choice:
    cells = [cell.casefold() for cell in cells_of(table, name)]
    rest = None if meaning is CALLED or "train" in meaning.values() else "train"
    strange = [cell for cell in dict.fromkeys(cells) if cell not in meaning]
    if strange and rest is None:
        shown = "no value" if strange == [""] else listed(map(repr, strange))
        raise SynthgenError(
            f"The column {name} of {table.place} has {shown}, which stands for no split.\n"
            "Say which values do: data.splits={train: A, test: B}; or data.split=null to divide "
            "anew."
        )
    split = tuple(meaning.get(cell, rest) for cell in cells)
    counts = Counter(split)
    if "train" not in counts:
        raise SynthgenError(
            f"The column {name} of {table.place} leaves nothing to train on.\n"
            "Say which values mean train: data.splits={train: A}; or data.split=null."
        )
    said = ", ".join(f"{part} {counts[part]:,}" for part in SPLITS if part in counts)
    source = "that the files' names tell" if name == FILE_SPLIT else f"of the column {name}"
    return Choice((name,), split, (f"The splits are those {source}: {said}.",))
