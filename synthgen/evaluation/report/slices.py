"""Parts of the test: single classes, rare classes, harder images, and the labels themselves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeGuard

from synthgen.evaluation.fairness import FEWEST
from synthgen.evaluation.report.formatting import NOT_TESTED, show_points, show_share
from synthgen.evaluation.report.tables import Cell, Column, Row, Table
from synthgen.evaluation.report.verdict import label_of
from synthgen.evaluation.schema import CountedInterval, Fairness, Group, Interval, WorstGroup
from synthgen.evaluation.trial.narrative import capital
from synthgen.evaluation.trial.schema import GanTest, Scenario, Tail, Trial


def share_cell(found: Interval | None, tip: str = "", strong: bool = False) -> Cell | None:
    """A share; without a value how many images were too few."""
    if found is None:
        return None
    if found.value is None:
        size = f"n = {found.n:,}" if isinstance(found, CountedInterval) else ""
        return Cell(NOT_TESTED, size, tip=tip, style="missing")
    return Cell(*show_share(found), strong=strong, tip=tip)


def agreement_table(gan_test: GanTest | None) -> Table | None:
    """Do classifiers of real images see what the synthetic labels say? Overall and by class."""
    if gan_test is None:
        return None
    tip = "Judges trained on real images only, tested on the synthetic ones (GAN-test)"
    per_class = gan_test.label_agreement
    values = {found.value for found in per_class.values() if found.value is not None}
    least = min(values) if len(values) > 1 else None
    whole = share_cell(gan_test.accuracy, f"{tip} · interval over images and seeds")
    rows = [Row("All classes", counted(gan_test.n), [whole], "model")]
    rows += [
        Row(
            name,
            counted(found.n),
            [share_cell(found, f"{tip} · Wilson interval", found.value == least)],
        )
        for name, found in per_class.items()
    ]
    return Table(
        "Label agreement", [Column("Label agreed with", "95 % interval", "agree", tip)], rows
    )


def counted(n: int | None) -> str:
    return "" if n is None else f"{n:,} images"


def tail_table(tail: Tail | None, labels: dict[str, str], split: str = "test") -> Table | None:
    """``split``: what everything was measured on, ``test`` or ``holdout``."""
    if tail is None:
        return None
    classes = ", ".join(tail.classes)
    tip = f"Mean recall of {classes} on real {split} images"
    rows = [
        Row(
            capital(label_of(name, labels)),
            "",
            [
                share_cell(found, tip),
                share_cell(tail.others.get(name), "Mean recall of all others"),
            ],
        )
        for name, found in tail.recall.items()
    ]
    note = f"{tail.n:,} {split} images of {classes}"
    rest = "95 % interval" if tail.n_others is None else f"{tail.n_others:,} {split} images"
    columns = [Column("Recall", note, "recall", tip), Column("The other classes", rest, "others")]
    return Table("Recall of the rare classes, and of the others", columns, rows)


def recall_table(trial: Trial, key: dict[str, tuple[str, str]], protocol: str) -> Table | None:
    """Recall of every class in the arms that matter; the worst class of each is marked."""
    arms = [arm for arm in trial.arms if arm.name in key]
    if not arms:
        return None
    arms.sort(key=lambda arm: list(key).index(arm.name))
    tested = trial.test_images
    worst = [worst_recall(arm.recall, tested) for arm in arms]
    tip = f"Recall, mean over seeds{protocol[protocol.find(' · ') :]}"
    columns = [Column(key[arm.name][0], "", "recall", tip) for arm in arms]
    rows = []
    for name in dict.fromkeys(c for arm in arms for c in arm.recall):
        cells: list[Cell | None] = []
        few = too_few(tested.get(name))
        for arm, least in zip(arms, worst, strict=True):
            value = arm.recall.get(name)
            text = show_share(Interval(value=value, ci_low=None, ci_high=None))[0]
            cells.append(Cell(text, strong=value == least and not few, tip=tip))
        rows.append(
            Row(name, f"{counted(tested.get(name))}{', too few to say' if few else ''}", cells)
        )
    caption = "Recall of each class, mean over seeds (* lowest of those with images enough)"
    return Table(caption, columns, rows)


def worst_recall(recall: dict[str, float], tested: dict[str, int]) -> float | None:
    """The lowest of the classes with enough test images; None where all are alike."""
    values = {value for name, value in recall.items() if not too_few(tested.get(name))}
    return min(values) if len(values) > 1 else None


def too_few(count: int | None) -> bool:
    return count is not None and count < FEWEST


def scenario_tables(
    scenarios: Sequence[Scenario], labels: dict[str, str], split: str = "test"
) -> list[Table]:
    """One table per corruption: every arm by strength, with intervals."""
    tables = []
    for name in names_of(scenarios):
        own = [one for one in scenarios if one.name == name]
        strengths = sorted({one.strength for one in own})
        by_key = {(one.arm, one.strength): one for one in own}
        tip = f"Accuracy under {name} at this strength · real {split} images · mean over seeds"
        columns = [Column(f"{strength:g}", "", name, tip) for strength in strengths]
        rows = [
            Row(
                capital(label_of(arm, labels)),
                "",
                [scenario_cell(by_key.get((arm, strength)), split) for strength in strengths],
            )
            for arm in dict.fromkeys(one.arm for one in own)
        ]
        title = f"Accuracy under {name.replace('_', ' ')}, by strength"
        tables.append(Table(title, columns, rows))
    return tables


def scenario_cell(one: Scenario | None, split: str) -> Cell | None:
    if one is None:
        return None
    tip = (
        f"Accuracy under {one.name} at strength {one.strength:g} · {one.n:,} real {split} images · "
        "mean over seeds · 95 % interval"
    )
    found = CountedInterval(value=one.accuracy, ci_low=one.ci_low, ci_high=one.ci_high, n=one.n)
    return share_cell(found, tip)


def names_of(scenarios: Sequence[Scenario]) -> list[str]:
    return list(dict.fromkeys(one.name for one in scenarios))


def fairness_tables(found: Fairness | None, protocol: str) -> list[Table]:
    """Recall without and with the synthetic images: a table by class, and one by group."""
    if found is None:
        return []
    tables = []
    for what, rows, lowest in (
        ("class", found.by_class, found.worst_class),
        ("group", found.by_group, found.worst_group),
    ):
        if rows:
            worst = lowest.name if surely_worst(lowest) else None
            title = (
                f"Recall of each {what} without and with the synthetic images (* surely the worst)"
            )
            space = found.coverage_extractor or ""
            made = [fairness_row(row, row.name == worst, protocol, space) for row in rows]
            tables.append(Table(title, fairness_columns(rows, protocol, space), made))
    return tables


def surely_worst(lowest: WorstGroup | None) -> TypeGuard[WorstGroup]:
    """One of many is always the lowest."""
    return lowest is not None and bool(lowest.gap_after) and lowest.clear is not False


def fairness_columns(rows: Sequence[Group], protocol: str, space: str) -> list[Column]:
    columns = [
        Column("Without", "real only", "before", protocol),
        Column("With", "real + synthetic", "after", protocol),
        Column("Difference", "points", "difference", f"Paired · {protocol}"),
    ]
    if not any(row.coverage for row in rows):
        return columns
    near = f"Neighbourhoods of 5 in the space {space}" if space else ""
    return [*columns, Column("Covered", "by the synthetic set", "coverage", near)]


def fairness_row(row: Group, worst: bool, protocol: str, space: str) -> Row:
    name = row.name
    tip = f"Recall of {name} · {counted(row.n)} · mean over seeds, each interval for itself"
    cells = [
        share_cell(of_images(row.before, row.n), tip),
        share_cell(of_images(row.after, row.n), tip, strong=worst),
    ]
    change = row.difference
    if change.value is None:
        cells.append(share_cell(of_images(change, row.n), tip))
    else:
        shown = show_points(change.value, change.ci_low, change.ci_high)
        cells.append(Cell(*shown, tip=f"{tip} · paired · {protocol}"))
    if row.coverage is not None:
        of = counted(row.coverage.n)
        reached = f"Real images of {name} with a synthetic image in their neighbourhood · {of}"
        cells.append(share_cell(row.coverage, f"{reached} · {space}" if space else reached))
    return Row(name, counted(row.n), cells)


def of_images(found: Interval, n: int) -> CountedInterval:
    """With the number of images that its row has."""
    return CountedInterval(value=found.value, ci_low=found.ci_low, ci_high=found.ci_high, n=n)
