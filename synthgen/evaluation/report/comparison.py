"""Reports side by side: which is best, in four answers, and the tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from synthgen.evaluation.report.answers import Answer
from synthgen.evaluation.report.blocks import text_of
from synthgen.evaluation.report.formatting import (
    direction,
    full_label,
    share_label,
    show,
    show_points,
)
from synthgen.evaluation.report.schema import (
    ChangedSetting,
    ComparedLine,
    ComparedValue,
    Comparison,
    scope_text,
)
from synthgen.evaluation.report.tables import Cell, Column, Row, Table
from synthgen.evaluation.report.verdict import SIGNS

ACCURACY = "transfer/{}/accuracy"
DISTANCE = "fidelity/frechet_distance"
# Lines that are no results of a metric.
DIFFERENCE, IMAGES = "trial/difference", "set/images"
EXACT_COPIES, NEAR_COPIES = "copying/exact", "copying/near"
IMAGES_SEEN, SECONDS = "training/images_seen", "training/seconds"
MAIN = {
    ACCURACY.format("synthetic_only"): "Accuracy, taught by synthetic images alone",
    ACCURACY.format("real_only"): "Accuracy, by real images alone",
    ACCURACY.format("real_and_synthetic"): "Accuracy, by both",
    DIFFERENCE: "Trial: gain over real images alone, points",
    DISTANCE: "Fréchet distance",
    "fidelity/coverage": "Coverage",
    "fidelity/recall": "Recall (of the variety)",
    NEAR_COPIES: "Suspiciously near a training image",
    EXACT_COPIES: "Exact copies of training images",
    IMAGES: "Synthetic images",
    IMAGES_SEEN: "Images seen in training",
    SECONDS: "Time of training",
}  # in this order
PRIMARY = {  # the first that all reports have decides, and how it is said
    DIFFERENCE: "points gained in {}",
    ACCURACY.format("synthetic_only"): "accuracy of a classifier taught by it alone",
    ACCURACY.format("real_and_synthetic"): "accuracy of a classifier taught by real and synthetic",
    DISTANCE: "Fréchet distance",
}
MOST_SETTINGS = 12  # shown before the rest is folded
MOST_TEXT = 120  # characters of a setting's value
RATIO = "synthetic images per real image"
LONGEST_NAME = 18  # characters of a run's name in a sentence


# The answers.


@dataclass(frozen=True)
class Ranking:
    """The primary result with the runs from best to worst."""

    line: ComparedLine
    said: str
    order: list[str]

    def shown(self, run: str) -> str:
        """``97.4 % (95.9 to 98.9)``."""
        value, interval = show_value(self.line, self.line.values[run])
        return f"{value} ({interval})" if interval else value


def answers(comparison: Comparison) -> list[Answer]:
    """At most :data:`report.answers.MOST_WORDS` words each."""
    found = ranking(comparison)
    if found is None:
        return [Answer("Which is best?", "Not comparable: no main result is in all reports.", "○")]
    best, following = found.order[:2]
    return [
        which(found),
        beyond(found),
        Answer("What differs?", changed_text(comparison.differences, best, following)),
        Answer("What did it cost?", cost_text(comparison, best, following)),
    ]


def ranking(comparison: Comparison) -> Ranking | None:
    endpoints = {run.endpoint for run in comparison.runs}
    for name, said in PRIMARY.items():
        one = next((one for one in comparison.results if is_overall(one, name)), None)
        fair = comparison.same_judge or name == DISTANCE
        if name == DIFFERENCE and len(endpoints) > 1:
            fair = False
        if one is None or not fair or any(one.value(run) is None for run in comparison.names):
            continue
        sign = 1 if one.higher_is_better else -1
        order = sorted(comparison.names, key=lambda run: -sign * (one.value(run) or 0.0))
        endpoint = share_label(comparison.runs[0].endpoint or "")
        return Ranking(one, said.format(endpoint), order)
    return None


def is_overall(one: ComparedLine, name: str) -> bool:
    return one.name == name and one.scope is None


def which(found: Ranking) -> Answer:
    best, following = found.order[:2]
    text = f"{short(best)}: {found.shown(best)} {found.said}."
    if found.line.name != DIFFERENCE:
        text = f"{short(best)}: {found.shown(best)}, {found.said}."
    sure = found.line.best == best
    if found.line.value(best) == found.line.value(following):
        text = f"Level: {short(following)} and {text}"
    elif not sure:
        text = f"Not settled; ahead is {text}"
    return Answer("Which is best?", text, "★" if sure else "○", "helped" if sure else "undecided")


def beyond(found: Ranking) -> Answer:
    question = "Beyond the intervals?"
    best, following, *others = found.order
    if found.line.best == best:
        return Answer(question, f"Yes: next is {short(following)} with {found.shown(following)}.")
    reached = len(overlapping(found))
    if not reached:
        return Answer(question, "Not to be said: an interval is missing.", "○", "undecided")
    those = f"; {reached} of {len(others) + 1} others overlap" if others else ""
    text = f"No: {short(following)} has {found.shown(following)}{those}. That decides nothing."
    return Answer(question, text, "○", "undecided")


def overlapping(found: Ranking) -> list[str]:
    """Runs whose intervals reach that of the best."""
    values = found.line.values
    first = values[found.order[0]]
    if first.ci_low is None or first.ci_high is None:
        return []
    return [
        run
        for run in found.order[1:]
        if (low := values[run].ci_low) is not None
        and (high := values[run].ci_high) is not None
        and low <= first.ci_high
        and high >= first.ci_low
    ]


def changed_text(differences: Sequence[ChangedSetting], best: str, following: str) -> str:
    """``Against vae: model PCAGaussian, not VAE; seed 1, not 0; 3 more below.``"""
    own = [one for one in differences if one.values[best] != one.values[following]]
    both = [one for one in own if None not in (one.values[best], one.values[following])]
    told = [
        f"{one.key} {short(setting(one.values[best]))}, not {short(setting(one.values[following]))}"
        for one in (both or own)[:2]
    ]
    if not told:
        return f"Against {short(following)}: no setting that both reports name."
    rest = f"; {len(own) - len(told)} more below" if len(own) > len(told) else ""
    return f"Against {short(following)}: {'; '.join(told)}{rest}."


def cost_text(comparison: Comparison, *runs: str) -> str:
    """``vae 20,000 images in 5 s of training; gan 40,000 in 11 s.``"""
    lines = {one.name: one for one in comparison.results}
    seen, time = lines.get(IMAGES_SEEN), lines.get(SECONDS)
    told = []
    for run in runs:
        images, seconds = (one.value(run) if one else None for one in (seen, time))
        if images is not None and seconds is not None:
            told.append(f"{short(run)} {images:,.0f} images in {duration(seconds)}")
    return f"Training: {'; '.join(told)}." if told else "Not said: the sets name no training."


def duration(seconds: float) -> str:
    """As exact as it is when the machine does other things too."""
    for size, unit in ((3600, "h"), (60, "min")):
        if seconds >= 1.5 * size:
            return f"{seconds / size:.{1 if seconds < 10 * size else 0}f} {unit}"
    return f"{seconds:.{0 if seconds >= 10 else 1}f} s"


def short(text: str) -> str:
    """A name or value as one word of a sentence or two."""
    text = " ".join(text.split()[-2:])
    return text if len(text) <= LONGEST_NAME else f"…{text[1 - LONGEST_NAME :]}"


def setting(value: Any) -> str:
    return "none" if value is None else text_of(value)


# Tables.


def show_value(one: ComparedLine, found: ComparedValue) -> tuple[str, str]:
    """A value and its interval as text."""
    if one.name == DIFFERENCE:
        return show_points(found.value, found.ci_low, found.ci_high)
    if found.value is not None and one.name == SECONDS:
        return duration(found.value), ""
    if found.value is not None and one.name in (IMAGES, IMAGES_SEEN, EXACT_COPIES, NEAR_COPIES):
        return f"{found.value:,.0f}", ""
    return show(found, one.name)


def cells(comparison: Comparison, one: ComparedLine) -> list[Cell | None]:
    made: list[Cell | None] = []
    for run in comparison.runs:
        found = one.values.get(run.name)
        if found is None:
            made.append(None)
            continue
        value, under = show_value(one, found)
        if one.name == DIFFERENCE and run.verdict:
            value = f"{SIGNS[run.verdict]} {value}"
            under = f"{under}\n{run.verdict} in {share_label(run.endpoint or '')}"
        elif one.name == NEAR_COPIES:
            value = f"▲ {value}" if run.copies_flagged else value
            of = f"of {found.n_fake:,}"
            under = f"{of}, flagged as copying" if run.copies_flagged else f"{of}, not flagged"
        made.append(Cell(value, under, strong=run.name == one.best))
    return made


def main_table(comparison: Comparison) -> Table:
    """The lines that matter; of several extractors the first."""
    by_name: dict[str, ComparedLine] = {}
    for one in comparison.results:
        if one.scope is None:
            by_name.setdefault(one.name, one)
    rows = [
        Row(label, note(by_name[name]), cells(comparison, by_name[name]))
        for name, label in MAIN.items()
        if name in by_name
    ]
    return Table("The lines that matter", columns(comparison), rows)


def columns(comparison: Comparison) -> list[Column]:
    return [Column(name, "", name) for name in comparison.names]


def measured_by(one: ComparedLine) -> str:
    return ", ".join(filter(None, (one.extractor, one.classifier)))


def note(one: ComparedLine) -> str:
    return " · ".join(filter(None, (measured_by(one), direction(one.higher_is_better))))


def results_table(comparison: Comparison, lines: Sequence[ComparedLine]) -> Table | None:
    rows = [
        Row(
            full_label(one),
            "\n".join(filter(None, (scope_text(one.scope), note(one)))),
            cells(comparison, one),
        )
        for one in lines
    ]
    return Table("Results", columns(comparison), rows) if rows else None


def settings_tables(comparison: Comparison) -> list[Table]:
    """The first few settings that differ, and the others."""
    rows = [
        Row(
            one.key,
            "",
            [
                Cell("–" if value is None else cut(text_of(value)))
                for value in (one.values[name] for name in comparison.names)
            ],
        )
        for one in comparison.differences
    ]
    parts = [part for part in (rows[:MOST_SETTINGS], rows[MOST_SETTINGS:]) if part]
    return [Table("Settings that differ", columns(comparison), part) for part in parts]


def cut(text: str) -> str:
    return text if len(text) <= MOST_TEXT else f"{text[:MOST_TEXT]}…"
