"""The report's numbers arranged as the page shows them: plain dataclasses, no markup."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from synthgen.evaluation.fairness import FEWEST
from synthgen.evaluation.report.formatting import (
    ARMS,
    NOT_TESTED,
    REFERENCES,
    TOO_FEW,
    arm_of,
    classifier_note,
    direction,
    full_label,
    metric_label,
    show,
)
from synthgen.evaluation.schema import Reference, Result
from synthgen.stats import simultaneous, t_critical

Found = TypeVar("Found", bound=Result)
MODEL, REAL = "model", "real"


@dataclass(frozen=True)
class Cell:
    """One number as text; ``strong`` marks the worst or best of its column."""

    text: str
    interval: str = ""
    strong: bool = False
    tip: str = ""  # how the number was come by
    style: str = ""


@dataclass(frozen=True)
class Column:
    label: str
    note: str  # direction, and what measured it
    name: str
    tip: str = ""


@dataclass(frozen=True)
class Row:
    label: str
    note: str
    cells: list[Cell | None]
    style: str = ""


@dataclass(frozen=True)
class Table:
    title: str
    columns: list[Column]
    rows: list[Row]


def class_of(result: Result) -> str | None:
    """The class that a result is about, or None for an overall (or group) result."""
    return None if result.scope is None else result.scope.get("class")


def overall(results: Iterable[Found], prefix: str) -> list[Found]:
    """Results of no particular class or group whose name starts with ``prefix``."""
    return [r for r in results if r.scope is None and r.name.startswith(prefix)]


def cell(result: Result | None, *, strong: bool = False) -> Cell | None:
    """The value, or that it was not tested and on how many images."""
    if result is None:
        return None
    tip = protocol_of(result)
    if result.value is None:
        sizes = f"n = {result.n_real:,} real, {result.n_fake:,} synthetic"
        return Cell(NOT_TESTED, sizes, tip=f"{tip} · {TOO_FEW}", style="missing")
    return Cell(*show(result, result.name), strong=strong, tip=tip)


def measured_by(result: Result) -> str:
    return ", ".join(filter(None, (result.extractor, result.classifier)))


def column(result: Result) -> Column:
    """Head of a column. The extractor or classifier is always part of it."""
    notes = [result.extractor, result.classifier, direction(result.higher_is_better)]
    label, note = metric_label(result), "\n".join(filter(None, notes))
    return Column(label, note, result.name, _protocol(result, "", ""))


def protocol_of(result: Result) -> str:
    """How one number was come by, for whoever points at it."""
    scope = class_of(result)
    of_class = f" of class {scope}" if scope is not None else ""
    return _protocol(result, of_class, counts_note(result))


def _protocol(result: Result, scope: str, counts: str) -> str:
    parts = [
        full_label(result) + scope,
        f"measured by {measured_by(result)}" if measured_by(result) else "",
        counts,
        "no interval" if result.ci_low is None else "95 % interval",
        direction(result.higher_is_better)[2:],
    ]
    return " · ".join(filter(None, parts))


def in_parts(table: Table | None, most: int = 6) -> list[Table]:
    """The same table cut into several of at most ``most`` columns, so that paper can hold them."""
    if table is None:
        return []
    count = max(1, -(-len(table.columns) // most))
    size = -(-len(table.columns) // count) or 1
    return [
        Table(
            table.title,
            table.columns[start : start + size],
            [Row(r.label, r.note, r.cells[start : start + size], r.style) for r in table.rows],
        )
        for start in range(0, len(table.columns), size)
    ]


def counts_note(result: Result) -> str:
    """How many images stand behind a number: compared ones, or for transfer the real ones that
    were tested and the synthetic ones that were trained on."""
    real, fake = result.n_real, result.n_fake
    if not result.name.startswith("transfer/"):
        return f"{real:,} real images against {fake:,}"
    return f"{real:,} real images tested" + (f", {fake:,} synthetic" if fake else "")


def transfer_table(results: Sequence[Result]) -> Table | None:
    """Arms × metrics of the transfer test, numbers of images beside each arm."""
    found = [r for r in overall(results, "transfer/") if arm_of(r.name)]
    arms = list(dict.fromkeys(str(arm_of(r.name)) for r in found))
    if not arms:
        return None
    by_key = {(arm_of(r.name), *_measure(r)): r for r in found}
    measures = list(dict.fromkeys(_measure(r) for r in found))
    columns, rows = [], []
    for measure in measures:
        columns.append(
            column(next(by_key[arm, *measure] for arm in arms if (arm, *measure) in by_key))
        )
    for arm in sorted(arms, key=_position(ARMS)):
        own = [by_key.get((arm, *measure)) for measure in measures]
        note = counts_note(next(r for r in own if r is not None))
        label = ARMS.get(arm, arm.replace("_", " "))
        rows.append(Row(label, note, [cell(r) for r in own], f"arm-{arm}"))
    return Table("Transfer", columns, rows)


def control_table(results: Sequence[Result], references: Sequence[Reference]) -> Table | None:
    """What the same classifier learns from the controls: sources × metrics, this set among them. A
    source is trained on alone, so the arm needs no column."""
    found = overall(references, "transfer/")
    if not found:
        return None
    measures = list(dict.fromkeys(_measure(r) for r in found))
    by_key: dict[Any, Result] = {(r.reference, *_measure(r)): r for r in found}
    for arm, kind in (("real_only", REAL), ("synthetic_only", MODEL)):
        by_key |= {(kind, *_measure(r)): r for r in overall(results, f"transfer/{arm}/")}
    kinds = dict.fromkeys(key[0] for key in by_key)
    columns = [column(next(r for r in found if _measure(r) == measure)) for measure in measures]
    rows = [
        _reference_row(kind, [by_key.get((kind, *measure)) for measure in measures])
        for kind in sorted(kinds, key=_position(REFERENCES))
    ]
    return Table("Beside controls", columns, rows)


def reference_tables(results: Sequence[Result], references: Sequence[Reference]) -> list[Table]:
    """One table per extractor: the model first, then its references; metrics across."""
    by_extractor: dict[str, list[tuple[str, Result]]] = {}
    for r in overall(results, "fidelity/"):
        by_extractor.setdefault(str(r.extractor), []).append((MODEL, r))
    for beside in overall(references, "fidelity/"):
        by_extractor.setdefault(str(beside.extractor), []).append((beside.reference, beside))
    return [_reference_table(name, own) for name, own in by_extractor.items()]


def _reference_table(extractor: str, results: Sequence[tuple[str, Result]]) -> Table:
    names = list(dict.fromkeys(r.name for _, r in results))
    by_key = {(kind, r.name): r for kind, r in results}
    kinds = sorted({kind for kind, _ in results}, key=_position(REFERENCES))
    columns = [column(next(r for _, r in results if r.name == name)) for name in names]
    rows = [_reference_row(kind, [by_key.get((kind, name)) for name in names]) for kind in kinds]
    return Table(classifier_note(extractor), columns, rows)


def _reference_row(kind: str, results: list[Result | None]) -> Row:
    first = next((r for r in results if r is not None), None)
    made_of = first.note if isinstance(first, Reference) else ""
    notes = [] if first is None else [made_of, counts_note(first)]
    label = REFERENCES.get(kind, kind.replace("_", " "))
    note, style = "\n".join(filter(None, notes)), "model" if kind == MODEL else ""
    return Row(label, note, [cell(r) for r in results], style)


def class_table(results: Sequence[Result]) -> Table | None:
    """Classes × metrics; the worst class of each metric is marked if it is surely worse than the
    others."""
    scoped = [r for r in results if class_of(r) is not None]
    if not scoped:
        return None
    keys = list(dict.fromkeys(_identity(r) for r in scoped))
    classes = list(dict.fromkeys(str(class_of(r)) for r in scoped))
    by_key = {(class_of(r), *_identity(r)): r for r in scoped}
    columns, marked = [], set()
    for key in keys:
        own = [by_key[name, *key] for name in classes if (name, *key) in by_key]
        columns.append(_full_column(own[0]))
        if (found := _worst(own)) is not None:
            marked.add((class_of(found), *key))
    rows = []
    for name in classes:
        cells = [cell(by_key.get((name, *key)), strong=(name, *key) in marked) for key in keys]
        own = [by_key[name, *key] for key in keys if (name, *key) in by_key]
        rows.append(Row(name, counts_note(max(own, key=lambda r: (r.n_real, r.n_fake))), cells))
    return Table("Per class", columns, rows)


def _full_column(result: Result) -> Column:
    base = column(result)
    return Column(full_label(result), base.note, base.name, base.tip)


def _worst(results: Sequence[Result]) -> Result | None:
    bounded = [
        r for r in results if enough_tested(r) and r.value is not None and r.ci_low is not None
    ]
    if len({r.value for r in bounded}) < 2:  # of equals none is the worst
        return None
    worst = min(bounded, key=lambda r: _of(r.value) if r.higher_is_better else -_of(r.value))
    return worst if stands_out(worst, [r for r in bounded if r is not worst]) else None


def stands_out(worst: Result, others: Sequence[Result]) -> bool:
    """Whether the picked one differs from the mean of the others beyond what picking one of so many
    explains: 95 % intervals, made as long as they must be to hold for all together."""
    longer = t_critical(math.inf, simultaneous(len(others) + 1)) / t_critical(math.inf)
    mean = sum(_of(r.value) for r in others) / len(others)
    up = worst.higher_is_better
    near = _of(worst.ci_high if up else worst.ci_low)
    far = [_of(r.ci_low if up else r.ci_high) for r in others]
    scatter = sum((_of(r.value) - end) ** 2 for r, end in zip(others, far, strict=True))
    reach = math.hypot(near - _of(worst.value), math.sqrt(scatter) / len(others))
    return (1 if up else -1) * (mean - _of(worst.value)) > longer * reach


def _of(value: float | None) -> float:
    """Of a result that has an interval."""
    assert value is not None
    return value


def enough_tested(result: Result) -> bool:
    """A recall of a handful of images says nothing about its class."""
    return not result.name.startswith("transfer/") or result.n_real >= FEWEST


def _measure(result: Result) -> tuple[str, Any, Any]:
    return result.name.rsplit("/", 1)[-1], result.extractor, result.classifier


def _identity(result: Result) -> tuple[str, Any, Any]:
    return result.name, result.extractor, result.classifier


def _position(order: dict[str, str]) -> Any:
    names = list(order)
    return lambda name: (names.index(name) if name in names else len(names), str(name))
