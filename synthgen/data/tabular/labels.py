"""The class of each row of a table: in one column, or in several of 0 and 1."""

import re
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal

from synthgen.data.tabular.columns import (
    LABEL,
    TWO,
    Choice,
    called,
    cells_of,
    flags_of,
    is_called,
    is_number,
    is_two_valued,
    listed,
    named,
    no_column,
    plain,
)
from synthgen.data.tabular.files import Table, is_missing
from synthgen.errors import SynthgenError

NONE_GIVEN = frozenset({"-", "--", "?", "None"})  # written where a label is missing
UNLABELLED = "-1"  # beside classes that are numbered from 0


def label_choice(
    table: Table,
    wanted: str | Sequence[str] | None,
    taken: Sequence[str],
    missing: Sequence[str] | None = None,
) -> Choice:
    """The class of each row, None where it is missing. Several columns are one-hot.

    Args:
        missing: what stands for no label, beside an empty cell; None for what usually does.

    Raises:
        SynthgenError: no column tells, two tell different things, or a row has two classes.
    """
    if isinstance(wanted, str):
        column = named(table, wanted, "data.label")
        if not is_called(column, LABEL) and is_two_valued(table, column):
            return _with_or_without(table, column)
        return _labels_in(table, column, missing)
    if wanted:
        return _one_hot(table, [named(table, name, "data.label") for name in wanted])
    found = called(table, LABEL, taken) or [name for name in table.classes if name not in taken]
    if not found:
        several = [
            name
            for name in table.names
            if name not in (*taken, *flags_of(table)) and is_two_valued(table, name)
        ]
        if len(several) < 2:
            raise no_column(table, "label", "data.label")
        choice = _one_hot(table, several)
        if len(several) == 2:
            raise _either_could_be(table, several)
        return choice
    if len(found) > 1:
        return _best_of(table, found, missing)
    choice = _labels_in(table, found[0], missing)
    said = () if plain(found[0]) == "label" else (f"The label is the column {found[0]}.",)
    return replace(choice, notes=(*said, *choice.notes))


def _either_could_be(table: Table, two: list[str]) -> SynthgenError:
    """Two columns of 0 and 1 may be one-hot, or any two facts (male, smoker)."""
    first, second = two
    return SynthgenError(
        f"{table.place} has no column label, and its columns of 0 and 1, {first} and {second}, may "
        f"be two classes or two facts.\nSay which: data.label=[{first},{second}] if each row is "
        f"one of them, data.label={first} for {first} against no {first}, or data.label=COLUMN."
    )


def _with_or_without(table: Table, name: str) -> Choice:
    """One finding of several, as 0 and 1: whatever else an image shows."""
    labels = [name if TWO[cell.casefold()] else f"no {name}" for cell in cells_of(table, name)]
    note = f"The classes are {name} (1) and no {name} (0), whatever other columns say."
    return Choice((name,), tuple(labels), (note,))


def _best_of(table: Table, found: list[str], missing: Sequence[str] | None) -> Choice:
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
    choice = _labels_in(table, best, missing)
    columns = (*choice.columns, *(found if same else ()))
    return replace(choice, columns=columns, notes=(*choice.notes, note))


def _one_to_one(one: Sequence[str], other: Sequence[str]) -> bool:
    pairs = set(zip(one, other, strict=True))
    return len(pairs) == len(set(one)) == len(set(other))


def _all_numbers(table: Table, name: str) -> bool:
    if name in table.classes:
        return False
    return all(is_number(cell) for cell in set(cells_of(table, name)) if cell)


def _labels_in(table: Table, name: str, missing: Sequence[str] | None) -> Choice:
    cells = cells_of(table, name)
    if name in table.classes:
        return _declared(table, name, cells)
    none = missing_texts(cells, missing)
    labels, notes = whole_numbers([None if cell in none else cell for cell in cells])
    _require_one_spelling(table, name, labels)
    _require_one_label(table, name, labels)
    return Choice((name,), tuple(labels), notes, tuple(cells))


def classes_of(
    place: str, column: str, texts: Sequence[str], missing: Sequence[str] | None
) -> dict[str, str | None]:
    """The class that each text of a column stands for, None for none, where these are all texts
    of it. Raises SynthgenError as :func:`label_choice` does."""
    table = Table(place, (column,), (list(texts),))
    return dict(zip(texts, _labels_in(table, column, missing).cells, strict=True))


def missing_texts(cells: Sequence[str], missing: Sequence[str] | None = None) -> frozenset[str]:
    """Those of the texts that stand for no label: empty ones and what ``missing`` says, or usually
    nan, NA, None, a dash or question mark, and -1 beside classes numbered from 0. A dash beside a
    plus is a class, and so is "none"."""
    texts = set(cells)
    if missing is not None:
        return frozenset(texts & {"", *missing})
    found = {text for text in texts if is_missing(text) or text in NONE_GIVEN}
    if "+" in texts:
        found.discard("-")
    rest = {_whole(text) for text in texts - found - {UNLABELLED, f"{UNLABELLED}.0"}}
    if None not in rest and "0" in rest and "1" in rest and not any("-" in str(n) for n in rest):
        found |= texts & {UNLABELLED, f"{UNLABELLED}.0"}
    return frozenset(found)


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
    """1.0 as 1; 01 stays, for a leading zero is meant; None for what is no whole number."""
    match = re.fullmatch(r"([+-]?\d+)(\.0*)?", text, re.ASCII)
    return None if match is None else match[1].lstrip("+")


def _require_one_spelling(table: Table, name: str, labels: Sequence[str | None]) -> None:
    """Refuse two ways to write a number: 01 and 1 may be one class or two, as the person means."""
    spelled: dict[Decimal, str] = {}
    for label in dict.fromkeys(labels):
        if label is None or not is_number(label):
            continue
        other = spelled.setdefault(Decimal(label), label)
        if other != label:
            raise SynthgenError(
                f"{table.place} has the labels {other!r} and {label!r} in {name}: one class or two?"
                "\nWrite them alike, or as names."
            )


def _require_one_label(table: Table, name: str, labels: Sequence[str | None]) -> None:
    """Refuse the labels of one image, put together: "A|B" and "A B" where A and B are classes too,
    "['A', 'B']" and "16 0"."""
    known = dict.fromkeys(label for label in labels if label is not None)
    numbers = all(re.fullmatch(r"\d+( \d+)*", label) for label in known)
    for label in known:
        parts = [part for part in re.split(r"\s*[|;,]\s*|\s+", label) if part]
        several = "|" in label or re.fullmatch(r"\[.*\]", label, re.DOTALL)
        if several or (len(parts) > 1 and (numbers or known.keys() >= set(parts))):
            raise SynthgenError(
                f"{table.place} is multi-label: {name} in data row {labels.index(label) + 1} is "
                f"{label[:60]!r}.\nAn image has one class here: keep rows with one, or make a "
                "column of 0 and 1 for each and name one, data.label=COLUMN."
            )


def _one_hot(table: Table, names: list[str]) -> Choice:
    """Columns of 0 and 1, of which each row has a single 1."""
    for name in names:
        if not is_two_valued(table, name):
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
