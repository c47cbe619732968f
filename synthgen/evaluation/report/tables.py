"""The report's numbers arranged as the page shows them: plain dataclasses, no markup."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from synthgen.evaluation.fairness import FEWEST
from synthgen.evaluation.metrics.intervals import simultaneous, t_critical
from synthgen.evaluation.report.wording import (
    ARMS,
    NOT_TESTED,
    REFERENCES,
    TOO_FEW,
    arm_of,
    classifier_note,
    direction,
    full_label,
    is_number,
    metric_label,
    show,
)

Result = dict[str, Any]
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
    scope = result.get("scope")
    return str(scope["class"]) if isinstance(scope, dict) and "class" in scope else None


def overall(results: Iterable[Result], prefix: str) -> list[Result]:
    """Results of no particular class or group whose name starts with ``prefix``."""
    return [r for r in results if r.get("scope") is None and str(r["name"]).startswith(prefix)]


def cell(result: Result | None, *, strong: bool = False) -> Cell | None:
    """The value, or that it was not tested and on how many images."""
    if result is None:
        return None
    tip = protocol_of(result)
    if not is_number(result.get("value")):
        return Cell(NOT_TESTED, sizes_of(result), tip=f"{tip} · {TOO_FEW}", style="missing")
    return Cell(*show(result), strong=strong, tip=tip)


def sizes_of(result: Result) -> str:
    """``n = 4 real, 0 synthetic``."""
    counts = [(result.get("n_real"), "real"), (result.get("n_fake"), "synthetic")]
    known = [f"{count:,} {kind}" for count, kind in counts if is_number(count)]
    return f"n = {', '.join(known)}" if known else ""


def column(result: Result) -> Column:
    """Head of a column. The extractor or classifier is always part of it."""
    measured_by = [str(result[key]) for key in ("extractor", "classifier") if result.get(key)]
    notes = [*measured_by, direction(result.get("higher_is_better"))]
    label, note = metric_label(str(result["name"])), "\n".join(filter(None, notes))
    whole = {**result, "scope": None, "n_real": None}  # what the column's numbers have in common
    return Column(label, note, result["name"], protocol_of(whole))


def protocol_of(result: Result) -> str:
    """How one number was come by, for whoever points at it."""
    measured_by = [str(result[key]) for key in ("extractor", "classifier") if result.get(key)]
    level = "95 % interval" if is_number(result.get("ci_low")) else "no interval"
    scope = class_of(result)
    parts = [
        full_label(str(result["name"])) + (f" of class {scope}" if scope is not None else ""),
        f"measured by {', '.join(measured_by)}" if measured_by else "",
        counts_note(result),
        level,
        direction(result.get("higher_is_better"))[2:],
        str(result.get("settings") or "") if isinstance(result.get("settings"), str) else "",
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
    real, fake = result.get("n_real"), result.get("n_fake")
    if not is_number(real):
        return ""
    if not str(result["name"]).startswith("transfer/"):
        return f"{real:,} real images against {fake:,}" if is_number(fake) else ""
    trained = f", {fake:,} synthetic" if is_number(fake) and fake else ""
    return f"{real:,} real images tested{trained}"


def transfer_table(results: Sequence[Result]) -> Table | None:
    """Arms × metrics of the transfer test, numbers of images beside each arm."""
    found = overall(results, "transfer/")
    arms = list(dict.fromkeys(arm for r in found if (arm := arm_of(str(r["name"])))))
    if not arms:
        return None
    by_key = {(arm_of(str(r["name"])), *_measure(r)): r for r in found}
    measures = list(dict.fromkeys(_measure(r) for r in found if arm_of(str(r["name"]))))
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


def control_table(results: Sequence[Result], references: Sequence[Result]) -> Table | None:
    """What the same judge learns from the controls: sources × metrics, this set among them. A
    source is trained on alone, so the arm needs no column."""
    found = overall(references, "transfer/")
    if not found:
        return None
    measures = list(dict.fromkeys(_measure(r) for r in found))
    by_key = {(r["reference"], *_measure(r)): r for r in found}
    for arm, kind in (("real_only", REAL), ("synthetic_only", MODEL)):
        by_key |= {(kind, *_measure(r)): r for r in overall(results, f"transfer/{arm}/")}
    kinds = dict.fromkeys(key[0] for key in by_key)
    columns = [column(next(r for r in found if _measure(r) == measure)) for measure in measures]
    rows = [
        _reference_row(kind, [by_key.get((kind, *measure)) for measure in measures])
        for kind in sorted(kinds, key=_position(REFERENCES))
    ]
    return Table("Beside controls", columns, rows)


def reference_tables(results: Sequence[Result], references: Sequence[Result]) -> list[Table]:
    """One table per extractor: the model first, then its references; metrics across."""
    model = [{**r, "reference": MODEL} for r in overall(results, "fidelity/")]
    by_extractor: dict[str, list[Result]] = {}
    for r in [*model, *overall(references, "fidelity/")]:
        by_extractor.setdefault(str(r.get("extractor")), []).append(r)
    return [_reference_table(name, own) for name, own in by_extractor.items()]


def _reference_table(extractor: str, results: Sequence[Result]) -> Table:
    names = list(dict.fromkeys(str(r["name"]) for r in results))
    by_key = {(r["reference"], r["name"]): r for r in results}
    kinds = sorted({r["reference"] for r in results}, key=_position(REFERENCES))
    columns = [column(next(r for r in results if r["name"] == name)) for name in names]
    rows = [_reference_row(kind, [by_key.get((kind, name)) for name in names]) for kind in kinds]
    return Table(classifier_note(extractor), columns, rows)


def _reference_row(kind: str, results: list[Result | None]) -> Row:
    first = next((r for r in results if r is not None), None)
    notes = [] if first is None else [str(first.get("note") or ""), counts_note(first)]
    label = REFERENCES.get(kind, str(kind).replace("_", " "))
    note, style = "\n".join(filter(None, notes)), "model" if kind == MODEL else ""
    return Row(label, note, [cell(r) for r in results], style)


@dataclass(frozen=True)
class Worst:
    """The class with the lowest (or for distances the highest) value of one metric, where it is
    surely worse than the others."""

    of_class: str
    label: str
    text: str
    measured_by: str


def class_table(results: Sequence[Result]) -> tuple[Table | None, list[Worst]]:
    """Classes × metrics; the worst class of each metric is marked and returned, if it is surely
    worse than the others."""
    scoped = [r for r in results if class_of(r) is not None]
    if not scoped:
        return None, []
    keys = list(dict.fromkeys(_identity(r) for r in scoped))
    classes = list(dict.fromkeys(str(class_of(r)) for r in scoped))
    by_key = {(class_of(r), *_identity(r)): r for r in scoped}
    columns, worst = [], []
    for key in keys:
        own = [by_key[name, *key] for name in classes if (name, *key) in by_key]
        columns.append(_full_column(own[0]))
        if (found := _worst(own)) is not None:
            worst.append((key, found))
    marked = {(class_of(r), *key) for key, r in worst}
    rows = []
    for name in classes:
        cells = [cell(by_key.get((name, *key)), strong=(name, *key) in marked) for key in keys]
        counted = max(
            (by_key[name, *key] for key in keys if (name, *key) in by_key), key=_image_counts
        )
        rows.append(Row(name, counts_note(counted), cells))
    return Table("Per class", columns, rows), [_worst_note(r) for _, r in worst]


def _full_column(result: Result) -> Column:
    base = column(result)
    return Column(full_label(base.name), base.note, base.name, base.tip)


def _worst(results: Sequence[Result]) -> Result | None:
    measured = [
        r for r in results if is_number(r.get("value")) and r.get("higher_is_better") is not None
    ]
    measured = [r for r in measured if enough_tested(r)]
    bounded = [r for r in measured if is_number(r.get("ci_low")) and is_number(r.get("ci_high"))]
    if len({r["value"] for r in bounded}) < 2:  # of equals none is the worst
        return None
    worst = min(bounded, key=lambda r: r["value"] if r["higher_is_better"] else -r["value"])
    return worst if stands_out(worst, [r for r in bounded if r is not worst]) else None


def stands_out(worst: Result, others: Sequence[Result]) -> bool:
    """Whether the picked one differs from the mean of the others beyond what picking one of so many
    explains: 95 % intervals, made as long as they must be to hold for all together."""
    longer = t_critical(math.inf, simultaneous(len(others) + 1)) / t_critical(math.inf)
    mean = sum(r["value"] for r in others) / len(others)
    sign = 1 if worst["higher_is_better"] else -1
    near, far = ("ci_high", "ci_low") if worst["higher_is_better"] else ("ci_low", "ci_high")
    scatter = sum((r["value"] - r[far]) ** 2 for r in others) / len(others) ** 2
    reach = math.hypot(worst[near] - worst["value"], math.sqrt(scatter))
    return sign * (mean - worst["value"]) > longer * reach


def enough_tested(result: Result) -> bool:
    """A recall of a handful of images says nothing about its class."""
    tested = result.get("n_real")
    return not str(result["name"]).startswith("transfer/") or not (
        is_number(tested) and tested < FEWEST
    )


def _worst_note(result: Result) -> Worst:
    measured_by = ", ".join(str(result[k]) for k in ("extractor", "classifier") if result.get(k))
    label = full_label(str(result["name"]))
    return Worst(str(class_of(result)), label, show(result)[0], measured_by)


def _measure(result: Result) -> tuple[str, Any, Any]:
    metric = str(result["name"]).rsplit("/", 1)[-1]
    return metric, result.get("extractor"), result.get("classifier")


def _identity(result: Result) -> tuple[str, Any, Any]:
    return str(result["name"]), result.get("extractor"), result.get("classifier")


def _image_counts(result: Result) -> tuple[float, float]:
    real, fake = result.get("n_real"), result.get("n_fake")
    return (real if is_number(real) else -1), (fake if is_number(fake) else -1)


def _position(order: dict[str, str]) -> Any:
    names = list(order)
    return lambda name: (names.index(name) if name in names else len(names), str(name))
