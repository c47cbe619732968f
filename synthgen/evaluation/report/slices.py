"""Parts of the test: single classes, rare classes, harder images, and the labels themselves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from synthgen.evaluation.fairness import FEWEST
from synthgen.evaluation.report.tables import Cell, Column, Row, Table
from synthgen.evaluation.report.verdict import capital, label_of
from synthgen.evaluation.report.wording import NOT_TESTED, is_number, show_points, show_share

Slice = dict[str, Any]


def share_cell(found: Any, tip: str = "", strong: bool = False) -> Cell | None:
    """A share with ``value``, ``ci_low`` and ``ci_high``; without a value how many images (``n``)
    were too few."""
    if not isinstance(found, dict):
        return None
    if not is_number(found.get("value")):
        n = found.get("n")
        return Cell(NOT_TESTED, f"n = {n:,}" if is_number(n) else "", tip=tip, style="missing")
    text = show_share(found.get("value"), found.get("ci_low"), found.get("ci_high"))
    return Cell(*text, strong=strong, tip=tip)


def agreement_table(gan_test: Any) -> Table | None:
    """Do classifiers of real images see what the synthetic labels say? Overall and by class."""
    if not isinstance(gan_test, dict):
        return None
    tip = "Judges trained on real images only, tested on the synthetic ones (GAN-test)"
    per_class = gan_test.get("label_agreement") or {}
    values = [v.get("value") for v in per_class.values() if is_number(v.get("value"))]
    least = min(values) if len(set(values)) > 1 else None
    every = gan_test.get("n")
    rows = [
        Row(
            "All classes",
            counted(every),
            [share_cell(gan_test.get("accuracy"), f"{tip} · interval over images and seeds")],
            "model",
        )
    ]
    rows += [
        Row(
            str(name),
            counted(found.get("n")),
            [share_cell(found, f"{tip} · Wilson interval", found.get("value") == least)],
        )
        for name, found in per_class.items()
    ]
    return Table(
        "Label agreement", [Column("Label agreed with", "95 % interval", "agree", tip)], rows
    )


def counted(n: Any) -> str:
    return f"{n:,} images" if is_number(n) else ""


def tail_table(tail: Any, labels: dict[str, str], split: str = "test") -> Table | None:
    """``split``: what everything was measured on, ``test`` or ``holdout``."""
    if not isinstance(tail, dict) or not tail.get("recall"):
        return None
    classes = ", ".join(str(name) for name in tail.get("classes") or [])
    tip = f"Mean recall of {classes} on real {split} images"
    n = tail.get("n")
    others, m = tail.get("others") or {}, tail.get("n_others")
    rows = [
        Row(
            capital(label_of(name, labels)),
            "",
            [share_cell(found, tip), share_cell(others.get(name), "Mean recall of all others")],
        )
        for name, found in tail["recall"].items()
    ]
    note = f"{n:,} {split} images of {classes}" if is_number(n) else "95 % interval"
    rest = f"{m:,} {split} images" if is_number(m) else "95 % interval"
    columns = [Column("Recall", note, "recall", tip), Column("The other classes", rest, "others")]
    return Table("Recall of the rare classes, and of the others", columns, rows)


def recall_table(
    trial: dict[str, Any], key: dict[str, tuple[str, str]], protocol: str
) -> Table | None:
    """Recall of every class in the arms that matter; the worst class of each is marked."""
    arms = [a for a in trial.get("arms") or [] if a.get("name") in key and a.get("recall")]
    if not arms:
        return None
    arms.sort(key=lambda arm: list(key).index(arm["name"]))
    tested = trial.get("test_images") or {}
    worst = [worst_recall(arm["recall"], tested) for arm in arms]
    tip = f"Recall, mean over seeds{protocol[protocol.find(' · ') :]}"
    columns = [Column(key[arm["name"]][0], "", "recall", tip) for arm in arms]
    rows = []
    for name in dict.fromkeys(c for arm in arms for c in arm["recall"]):
        cells: list[Cell | None] = []
        for arm, least in zip(arms, worst, strict=True):
            value = arm["recall"].get(name)
            text = show_share(value)[0]
            strong = is_number(value) and value == least and not too_few(tested.get(name))
            cells.append(Cell(text, strong=strong, tip=tip))
        few = ", too few to say" if too_few(tested.get(name)) else ""
        rows.append(Row(str(name), f"{counted(tested.get(name))}{few}", cells))
    caption = "Recall of each class, mean over seeds (* lowest of those with images enough)"
    return Table(caption, columns, rows)


def worst_recall(recall: dict[str, Any], tested: dict[str, Any]) -> float | None:
    """The lowest of the classes with enough test images; None where all are alike."""
    values = {v for name, v in recall.items() if is_number(v) and not too_few(tested.get(name))}
    return min(values) if len(values) > 1 else None


def too_few(count: Any) -> bool:
    return is_number(count) and count < FEWEST


def scenario_tables(
    scenarios: Sequence[Slice], labels: dict[str, str], split: str = "test"
) -> list[Table]:
    """One table per corruption: every arm by strength, with intervals."""
    tables = []
    for name in names_of(scenarios):
        own = [s for s in scenarios if str(s.get("name")) == name]
        strengths = sorted({s["strength"] for s in own if is_number(s.get("strength"))})
        by_key = {(s.get("arm"), s.get("strength")): s for s in own}
        tip = f"Accuracy under {name} at this strength · real {split} images · mean over seeds"
        columns = [Column(f"{strength:g}", "", name, tip) for strength in strengths]
        rows = []
        for arm in dict.fromkeys(s.get("arm") for s in own):
            cells: list[Cell | None] = []
            for strength in strengths:
                found = by_key.get((arm, strength))
                tip = f"Accuracy under {name} at strength {strength:g}"
                if found and is_number(found.get("n")):
                    tip += (
                        f" · {found['n']:,} real {split} images · mean over seeds · 95 % interval"
                    )
                whole = found and {**found, "value": found.get("accuracy")}
                cells.append(share_cell(whole, tip))
            rows.append(Row(capital(label_of(arm, labels)), "", cells))
        title = f"Accuracy under {name.replace('_', ' ')}, by strength"
        tables.append(Table(title, columns, rows))
    return tables


def names_of(scenarios: Sequence[Slice]) -> list[str]:
    return list(dict.fromkeys(str(s.get("name")) for s in scenarios))


def fairness_tables(found: Any, protocol: str) -> list[Table]:
    """Recall without and with the synthetic images: a table by class, and one by group."""
    if not isinstance(found, dict):
        return []
    tables = []
    for key, what in (("by_class", "class"), ("by_group", "group")):
        rows = found.get(key) or []
        if rows:
            lowest = found.get(f"worst_{what}") or {}
            clear = lowest.get("gap_after") and lowest.get("clear", True)
            worst = lowest.get("name") if clear else None
            title = (
                f"Recall of each {what} without and with the synthetic images (* surely the worst)"
            )
            space = str(found.get("coverage_extractor") or "")
            made = [fairness_row(row, row.get("name") == worst, protocol, space) for row in rows]
            tables.append(Table(title, fairness_columns(rows, protocol, space), made))
    return tables


def counted_in(row: Slice, key: str) -> Slice | None:
    """One cell's numbers, with those of the images that its row has."""
    found = row.get(key)
    return {"n": row.get("n"), **found} if isinstance(found, dict) else None


def fairness_columns(rows: Sequence[Slice], protocol: str, space: str) -> list[Column]:
    columns = [
        Column("Without", "real only", "before", protocol),
        Column("With", "real + synthetic", "after", protocol),
        Column("Difference", "points", "difference", f"Paired · {protocol}"),
    ]
    if not any(row.get("coverage") for row in rows):
        return columns
    near = f"Neighbourhoods of 5 in the space {space}" if space else ""
    return [*columns, Column("Covered", "by the synthetic set", "coverage", near)]


def fairness_row(row: Slice, worst: bool, protocol: str, space: str) -> Row:
    name = str(row.get("name"))
    tip = f"Recall of {name} · {counted(row.get('n'))} · mean over seeds, each interval for itself"
    cells = [
        share_cell(counted_in(row, "before"), tip),
        share_cell(counted_in(row, "after"), tip, strong=worst),
    ]
    change = counted_in(row, "difference") or {}
    if is_number(change.get("value")):
        shown = show_points(change.get("value"), change.get("ci_low"), change.get("ci_high"))
        cells.append(Cell(*shown, tip=f"{tip} · paired · {protocol}"))
    else:
        cells.append(share_cell(change, tip))
    if row.get("coverage"):
        of = counted(row["coverage"].get("n", row.get("n")))
        reached = f"Real images of {name} with a synthetic image in their neighbourhood · {of}"
        cells.append(share_cell(row["coverage"], f"{reached} · {space}" if space else reached))
    return Row(name, counted(row.get("n")), cells)
