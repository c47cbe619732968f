"""Which rows of a table must stay together, and which official split each is in."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence

from synthgen.data.assign import SPLITS, connected_units
from synthgen.data.tabular.columns import (
    AUTO,
    CALLED,
    FILE_SPLIT,
    GROUP,
    SPLIT,
    TWO,
    Choice,
    called,
    cells_of,
    flags_of,
    is_two_valued,
    listed,
    named,
    plain,
    tells_splits,
)
from synthgen.data.tabular.files import Table, is_missing
from synthgen.errors import SynthgenError

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
    found = [name for name in called(table, GROUP, taken) if not tells_splits(table, name)]
    same = [name for name in found if len(set(cells_of(table, name))) < 2]
    notes = tuple(f"{name} is the same in all rows, so it divides nothing." for name in same)
    found = [name for name in found if name not in same]
    if not found:
        return Choice(tuple(same), (), notes)
    return _by_coarsest(table, found, same, notes)


def group_choice_of_part(
    table: Table, wanted: str | Sequence[str] | None, taken: Sequence[str]
) -> Choice:
    """The same for a table of some of the images: what is one value here may not be so elsewhere,
    as where each part holds a patient of its own."""
    if wanted != AUTO:
        return group_choice(table, wanted, taken)
    found = [name for name in called(table, GROUP, taken) if not tells_splits(table, name)]
    return _by_coarsest(table, found, [], ()) if found else Choice()


def _by_coarsest(table: Table, found: list[str], same: list[str], notes: tuple[str, ...]) -> Choice:
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
    columns = []
    for name in names:
        cells = [None if is_missing(cell) else f"{cell}" for cell in cells_of(table, name)]
        alike = _one_spelling(cells)
        columns.append(alike)
        if alike != cells:
            notes += (f"Values of {name} that differ in capitals, zeros or .0 count as one.",)
    keys = columns[0] if len(columns) == 1 else joined_keys(columns)
    without, shown = keys.count(None), " and ".join(names)
    notes += (f"Images with the same {shown} stay in one split.",)
    if without:
        notes += (f"{without:,} of {len(keys):,} images have no {shown}: each stands by itself.",)
    return Choice(tuple(names), tuple(keys), notes)


def _one_spelling(cells: Sequence[str | None]) -> list[str | None]:
    """1, 1.0 and 001, P1 and p1 as one value: who is one person must not be two."""
    plain_of = {cell: plainly(cell) for cell in set(cells) if cell is not None}
    first: dict[str, str] = {}
    for cell in sorted(plain_of):
        first.setdefault(plain_of[cell], cell)
    return [None if cell is None else first[plain_of[cell]] for cell in cells]


def plainly(cell: str) -> str:
    """An id as people mean it: without its capitals and leading zeros."""
    number = re.fullmatch(r"0*(\d+)(\.0*)?", cell, re.ASCII)
    return number[1] if number else " ".join(cell.casefold().split())


def joined_keys(columns: Sequence[Sequence[str | None]]) -> list[str | None]:
    """One key for rows that any column joins: the smallest of the values that join them."""
    numbers = [str(number) for number in range(len(columns[0]))]
    tagged = [
        [None if cell is None else f"{place} {cell}" for cell in cells]
        for place, cells in enumerate(columns)
    ]
    keys: list[str | None] = [None] * len(numbers)
    for unit in connected_units(numbers, *tagged):
        values = [cell for row in unit for cells in tagged if (cell := cells[row]) is not None]
        for row in unit:
            keys[row] = min(values, default=None)
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
    if wanted == AUTO:
        found = called(table, SPLIT, taken)
        others = [name for name in table.names if name and name not in (*taken, *found)]
        if meaning is None or not found:
            found += [name for name in others if tells_splits(table, name)]
    else:
        found = [named(table, wanted, "data.split")]
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
        return _flags(table, taken) if wanted == AUTO else Choice()
    return Choice(tuple(c.columns[0] for c in choices), choices[0].cells, choices[0].notes)


def require_training(table: Table, split: Choice) -> None:
    """Raises SynthgenError for a table whose column of splits has nothing to train on."""
    if split.cells and "train" not in split.cells:
        raise SynthgenError(
            f"The column {split.columns[0]} of {table.place} leaves nothing to train on.\n"
            "Say which values mean train: data.splits={train: A}; or data.split=null."
        )


def _flags(table: Table, taken: Sequence[str]) -> Choice:
    """The splits that columns of 0 and 1 tell: is_valid, is_test; where none holds 1, an image is
    of the split that has no column. Raises SynthgenError where that isn't train alone."""
    flags = {
        name: part
        for name, part in flags_of(table).items()
        if name not in taken and is_two_valued(table, name)
    }
    if not flags:
        return Choice()
    rows = list(zip(*(cells_of(table, name) for name in flags), strict=True))
    said = [
        {part for cell, part in zip(row, flags.values(), strict=True) if TWO[cell.casefold()]}
        for row in rows
    ]
    none = {"train"} - set(flags.values())
    split = [next(iter(one or none)) if len(one or none) == 1 else None for one in said]
    counts = Counter(split)
    if None in split or 2 * counts["train"] < len(split):
        first = next(iter(flags))
        other = "test" if flags[first] == "train" else "train"
        as_written = {TWO[cell.casefold()]: cell for cell in cells_of(table, first)}
        meaning = f'{flags[first]}: "{as_written.get(True)}", {other}: "{as_written.get(False)}"'
        raise SynthgenError(
            f"{' and '.join(flags)} in {table.place} may tell the splits, but it is open which "
            f"rows are for training or testing.\nSay it: data.split={first} "
            f"'data.splits={{{meaning}}}'; or data.split=null to divide anew."
        )
    parts = ", ".join(f"{part} {counts[part]:,}" for part in SPLITS if part in counts)
    note = f"The splits are those of the column {' and '.join(flags)}: {parts}."
    return Choice(tuple(flags), tuple(split), (note,))


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
    said = ", ".join(f"{part} {counts[part]:,}" for part in SPLITS if part in counts)
    source = "that the files' names tell" if name == FILE_SPLIT else f"of the column {name}"
    return Choice((name,), split, (f"The splits are those {source}: {said}.",))
