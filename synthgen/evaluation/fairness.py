"""Who gains and who loses: recall with and without the synthetic images, by class and by group."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from torch import Tensor

from synthgen.evaluation.group_rates import (
    Reach,
    below,
    distance_by_chance,
    never_too_short,
    paired_difference,
    rate,
)
from synthgen.stats import TOO_FEW, Estimate, simultaneous

FEWEST = 10  # real images of a class or group, below which nothing is said about it
Row = dict[str, Any]
Members = dict[str, np.ndarray]  # ascending positions of the images of each class or group


def fairness(
    labels: Any,
    *,
    classes: Sequence[str],
    before: Any,
    after: Any,
    groups: Sequence[str | None] | None = None,
    units: Any = None,
) -> dict[str, Any]:
    """Plain JSON: a row per class, a row per group, the worst of both, and sentences.

    The recall of a class or group is the share of its real images that were classified rightly,
    the mean over trainings. Intervals of the rows are 95 %, each for itself, over images (or
    ``units`` of them, where those make it longer) and trainings. What is picked from many rows, the
    worst and those that lost, is said with intervals that hold for all rows together. Rows of fewer
    than 10 images hold None in the place of values.

    Args:
        labels: int ``(N,)``, the true classes of real test images.
        before, after: int predictions ``(N,)``, or ``(seeds, N)``, of classifiers trained without
            and with the synthetic images. The same seed in the same row pairs the trainings.
        groups: per image the value of a metadata column; images without one are left out.
        units: int ``(N,)``, equal for images that belong together; None: each stands for itself.
    """
    truth = np.asarray(labels)
    right = {"before": _right(before, truth, "before"), "after": _right(after, truth, "after")}
    unit = None if units is None else _of_length(np.asarray(units), truth, "units")
    of_class, of_group = _members(truth, classes, groups)
    found: dict[str, Any] = {"sentences": []}
    for kind, members in (("class", of_class), ("group", of_group)):
        rows = [_row(name, own, right, unit) for name, own in members.items()]
        worst = _worst(rows, members, right["after"], unit)
        lost = _losers(rows, members, right, unit)
        found |= {f"by_{kind}": rows, f"worst_{kind}": worst}
        found["sentences"] += _sentences(rows, kind, worst, lost)
    return found


def add_coverage(
    found: dict[str, Any],
    labels: Any,
    *,
    classes: Sequence[str],
    covered: Any,
    of_halves: Tensor,
    half: Tensor,
    space: str,
    groups: Sequence[str | None] | None = None,
) -> None:
    """Fill the ``coverage`` of the rows that :func:`fairness` made: the share of a class's or
    group's real images that the synthetic set reaches, with an interval over draws of both sets;
    and name the least covered, if it is surely covered less than the others. Its ``n`` may be below
    the row's, because few extractors look at every image.

    Args:
        labels: int ``(M,)``, the true classes of the real images that were compared.
        covered: bool ``(M,)``, ``Membership.covered`` of
            :mod:`synthgen.metrics.manifold`.
        of_halves, half: bool ``(S, M)``, ``covered`` and ``real_half`` of
            :class:`synthgen.metrics.manifold.Halved`.
        space: name of the extractor whose features were compared.
        groups: as in :func:`fairness`, of these images.
    """
    truth = np.asarray(labels)
    reached = _of_length(np.asarray(covered, bool), truth, "covered")
    of_class, of_group = _members(truth, classes, groups)
    found["coverage_extractor"] = space
    for kind, members in (("class", of_class), ("group", of_group)):
        large = {name: own for name, own in members.items() if len(own) >= FEWEST}
        reach = Reach(reached, of_halves, half, large)
        for row in found[f"by_{kind}"]:
            own = members.get(row["name"], np.zeros(0, int))
            share = reach.share(own) if len(own) >= FEWEST else TOO_FEW
            row["coverage"] = {**_json(share), "n": len(own)}
        found["sentences"] += _least_covered(reach, kind)


def _members(
    truth: np.ndarray, classes: Sequence[str], groups: Sequence[str | None] | None
) -> tuple[Members, Members]:
    """The images of each class and of each group."""
    of_class = dict(zip(classes, _positions(truth, len(classes)), strict=True))
    if groups is None:
        return of_class, {}
    column = _of_length(np.asarray(groups, dtype=object), truth, "groups")
    names = sorted({str(value) for value in column if value is not None})
    number = {name: position for position, name in enumerate(names)}
    numbers = np.array([-1 if value is None else number[str(value)] for value in column], int)
    return of_class, dict(zip(names, _positions(numbers, len(names)), strict=True))


def _positions(numbers: np.ndarray, count: int) -> list[np.ndarray]:
    """Where each of the numbers 0 .. count - 1 stands, sorted once for all."""
    order = numbers.argsort(kind="stable")
    edges = np.searchsorted(numbers[order], np.arange(count + 1))
    return [order[start:stop] for start, stop in pairwise(edges)]


def _right(predictions: Any, truth: np.ndarray, name: str) -> np.ndarray:
    """float64 ``(seeds, N)``, 1 where the prediction is right."""
    found = np.atleast_2d(np.asarray(predictions))
    if found.shape[1:] != truth.shape:
        raise ValueError(f"{name} must be (N,) or (seeds, N) for {len(truth)} labels")
    return (found == truth).astype(np.float64)


def _of_length(values: np.ndarray, truth: np.ndarray, name: str) -> np.ndarray:
    if values.shape != truth.shape:
        raise ValueError(f"{name} must have one entry for each of the {len(truth)} labels")
    return values


def _row(
    name: str,
    own: np.ndarray,
    right: Mapping[str, np.ndarray],
    units: np.ndarray | None,
) -> Row:
    count = len(own)
    before, after = right["before"][:, own], right["after"][:, own]
    unit = None if units is None else units[own]
    enough = count >= FEWEST
    return {
        "name": name,
        "n": count,
        "before": _json(rate(before, unit) if enough else TOO_FEW),
        "after": _json(rate(after, unit) if enough else TOO_FEW),
        "difference": _json(paired_difference(before, after, unit) if enough else TOO_FEW),
        "coverage": None,
    }


def _json(estimate: Estimate) -> dict[str, float | None]:
    return {"value": estimate.value, "ci_low": estimate.low, "ci_high": estimate.high}


def _measured(rows: Sequence[Row]) -> list[Row]:
    return [row for row in rows if row["after"]["value"] is not None]


def lowest_of(
    right: np.ndarray, members: Members, name: str, units: np.ndarray | None = None
) -> tuple[Estimate, Estimate, bool]:
    """Recall of the one called ``name`` and of all the others together, and whether it is surely
    lower; intervals at the level that lets one of ``members`` be picked. ``right`` are zeros and
    ones ``(seeds, N)``."""
    level = simultaneous(len(members))
    others = np.concatenate([own for other, own in members.items() if other != name])
    found = []
    for own in (members[name], others):
        one = rate(right[:, own], None if units is None else units[own], level)
        found.append(never_too_short(one, len(own), level))
    return found[0], found[1], below(found[0], found[1])


def _worst(
    rows: Sequence[Row], members: Members, after: np.ndarray, units: np.ndarray | None
) -> dict[str, Any] | None:
    """The row of lowest recall after; the distance between best and worst on both sides, and what
    chance would make of it; whether it is ``clear``ly worse than the others, and its interval as
    one of many, ``together``. None if fewer than two rows have enough images."""
    enough = _measured(rows)
    if len(enough) < 2:
        return None
    gaps = {
        f"gap_{side}": max(row[side]["value"] for row in enough)
        - min(row[side]["value"] for row in enough)
        for side in ("before", "after")
    }
    lowest = min(enough, key=lambda row: (row["after"]["value"], row["name"]))
    large = {row["name"]: members[row["name"]] for row in enough}
    one, others, clear = lowest_of(after, large, lowest["name"], units)
    ends = [(row["after"]["ci_low"], row["after"]["ci_high"]) for row in enough]
    return {
        **lowest,
        **gaps,
        "gap_by_chance": distance_by_chance(ends),
        "clear": clear,
        "together": _json(one),
        "others": others.value,
    }


def _losers(
    rows: Sequence[Row],
    members: Members,
    right: Mapping[str, np.ndarray],
    units: np.ndarray | None,
) -> list[Row]:
    """Rows whose recall surely fell, all rows looked at."""
    enough = _measured(rows)
    level, lost = simultaneous(len(enough)), []
    for row in enough:
        own = members[row["name"]]
        unit = None if units is None else units[own]
        before, after = right["before"][:, own], right["after"][:, own]
        change = paired_difference(before, after, unit, level)
        if change.high is not None and change.high < 0:
            lost.append(row)
    return lost


def _sentences(
    rows: Sequence[Row], kind: str, worst: dict[str, Any] | None, lost: Sequence[Row]
) -> list[str]:
    if worst is None:
        return []
    few = [f"{row['name']} ({row['n']:,})" for row in rows if row["after"]["value"] is None]
    measured = _measured(rows)
    plural = {"class": "classes"}.get(kind, f"{kind}s")
    among = f", of the {len(measured)} with at least {FEWEST} images," if few else ""
    said = [_worst_sentence(worst, kind, among, len(measured))]
    if lost:
        names = ", ".join(
            f"{row['name']} ({100 * row['difference']['value']:+.0f} points)" for row in lost
        )
        said.append(f"Recall fell, with all {len(measured)} {plural} looked at, for {names}.")
    if few:
        what = kind if len(few) == 1 else plural
        said.append(
            f"Too few real images (fewer than {FEWEST}) to say anything about the {what} "
            f"{listed(few)} alone."
        )
    return said


def listed(names: Sequence[str], at_most: int = 20) -> str:
    more = len(names) - at_most
    return ", ".join(names[:at_most]) + (f" and {more:,} more" if more > 0 else "")


def _worst_sentence(worst: Mapping[str, Any], kind: str, among: str, count: int) -> str:
    if worst["gap_after"] == 0:
        return (
            f"No {kind}{among} is worse than another with the synthetic images: all are at "
            f"{100 * worst['after']['value']:.0f} %."
        )
    gaps = (
        f"the distance between best and worst {kind} goes from {100 * worst['gap_before']:.0f} to "
        f"{100 * worst['gap_after']:.0f} points, where chance alone makes about "
        f"{100 * worst['gap_by_chance']:.0f}"
    )
    picked = _percent(worst["together"])[:-1] + f", wider because it was picked from {count})"
    recognised = (
        f"{picked} of its {worst['n']:,} images are recognised with the "
        f"synthetic images, {_percent(worst['before'])} without"
    )
    if worst["clear"]:
        return (
            f"The worst {kind}{among} is {worst['name']}: {recognised}, and "
            f"{100 * worst['others']:.0f} % of the others; {gaps}."
        )
    return (
        f"No {kind}{among} is surely worse than the others with the synthetic images. One of "
        f"{count} is always the lowest, here {worst['name']}: {recognised}; {gaps}."
    )


def _least_covered(reach: Reach, kind: str) -> list[str]:
    """Said only of a class or group that is surely covered less than all the others together,
    although it was picked from many."""
    if len(reach.members) < 2:
        return []
    name = reach.lowest()
    one, others = reach.apart(name)
    if not below(one, others):
        return []
    return [
        f"The {kind} that the synthetic images cover least is {name}: {_percent(_json(one))} of "
        f"its {len(reach.members[name]):,} real images have one in their neighbourhood, "
        f"{100 * (others.value or 0):.0f} % of the others, of {len(reach.members)} looked at."
    ]


def _percent(rate: Mapping[str, Any]) -> str:
    low, high = 100 * rate["ci_low"], 100 * rate["ci_high"]
    return f"{100 * rate['value']:.0f} % ({low:.0f}–{high:.0f} %)"
