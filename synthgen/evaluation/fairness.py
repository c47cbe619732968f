"""Who gains and who loses: recall with and without the synthetic images, by class and by group."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike
from torch import Tensor

from synthgen.evaluation.group_rates import (
    Reach,
    below,
    distance_by_chance,
    never_too_short,
    paired_difference,
    rate,
)
from synthgen.evaluation.schema import CountedInterval, Fairness, Group, Interval, WorstGroup
from synthgen.stats import TOO_FEW, Estimate, simultaneous

FEWEST = 10  # real images of a class or group, below which nothing is said about it
Members = dict[str, np.ndarray]  # ascending positions of the images of each class or group
Both = tuple[np.ndarray, np.ndarray]  # (seeds, N), 1 where a prediction is right: before, after


def fairness(
    labels: ArrayLike,
    *,
    classes: Sequence[str],
    before: ArrayLike,
    after: ArrayLike,
    groups: Sequence[str | None] | None = None,
    units: ArrayLike | None = None,
) -> Fairness:
    """A row per class, a row per group, the worst of both, and sentences.

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
    right = _right(before, truth, "before"), _right(after, truth, "after")
    unit = None if units is None else _of_length(np.asarray(units), truth, "units")
    of_class, of_group = _members(truth, classes, groups)
    by_class, worst_class, about_classes = _looked_at(of_class, "class", right, unit)
    by_group, worst_group, about_groups = _looked_at(of_group, "group", right, unit)
    return Fairness(
        sentences=about_classes + about_groups,
        by_class=by_class,
        worst_class=worst_class,
        by_group=by_group,
        worst_group=worst_group,
    )


def with_coverage(
    found: Fairness,
    labels: ArrayLike,
    *,
    classes: Sequence[str],
    covered: ArrayLike,
    of_halves: Tensor,
    half: Tensor,
    space: str,
    groups: Sequence[str | None] | None = None,
) -> Fairness:
    """The same with the ``coverage`` of each row: the share of a class's or group's real images
    that the synthetic set reaches, with an interval over draws of both sets; and with the least
    covered named, if it is surely covered less than the others. Its ``n`` may be below the row's,
    because few extractors look at every image.

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

    def rows(whole: Sequence[Group], members: Members, kind: str) -> tuple[list[Group], list[str]]:
        large = {name: own for name, own in members.items() if len(own) >= FEWEST}
        reach = Reach(reached, of_halves, half, large)
        filled = []
        for row in whole:
            count = len(members[row.name]) if row.name in members else 0
            share = reach.share(large[row.name]) if row.name in large else TOO_FEW
            coverage = CountedInterval.counted(share, count)
            filled.append(row.model_copy(update={"coverage": coverage}))
        return filled, _least_covered(reach, kind)

    by_class, least_class = rows(found.by_class, of_class, "class")
    by_group, least_group = rows(found.by_group, of_group, "group")
    return found.model_copy(
        update={
            "sentences": [*found.sentences, *least_class, *least_group],
            "by_class": by_class,
            "by_group": by_group,
            "coverage_extractor": space,
        }
    )


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


def _right(predictions: ArrayLike, truth: np.ndarray, name: str) -> np.ndarray:
    """float64 ``(seeds, N)``, 1 where the prediction is right."""
    found = np.atleast_2d(np.asarray(predictions))
    if found.shape[1:] != truth.shape:
        raise ValueError(f"{name} must be (N,) or (seeds, N) for {len(truth)} labels")
    return (found == truth).astype(np.float64)


def _of_length(values: np.ndarray, truth: np.ndarray, name: str) -> np.ndarray:
    if values.shape != truth.shape:
        raise ValueError(f"{name} must have one entry for each of the {len(truth)} labels")
    return values


def _looked_at(
    members: Members, kind: str, right: Both, units: np.ndarray | None
) -> tuple[list[Group], WorstGroup | None, list[str]]:
    """A row for each, the worst of them, and what is to be said."""
    rows = [_row(name, own, right, units) for name, own in members.items()]
    worst = _worst(rows, members, right[1], units)
    lost = _losers(rows, members, right, units)
    return rows, worst, _sentences(rows, kind, worst, lost)


def _row(name: str, own: np.ndarray, right: Both, units: np.ndarray | None) -> Group:
    before, after = (side[:, own] for side in right)
    unit = None if units is None else units[own]
    enough = len(own) >= FEWEST
    change = paired_difference(before, after, unit) if enough else TOO_FEW
    return Group(
        name=name,
        n=len(own),
        before=Interval.of(rate(before, unit) if enough else TOO_FEW),
        after=Interval.of(rate(after, unit) if enough else TOO_FEW),
        difference=Interval.of(change),
        coverage=None,
    )


def _measured(rows: Sequence[Group]) -> list[Group]:
    return [row for row in rows if row.n >= FEWEST]


def _known(found: Interval) -> tuple[float, float, float]:
    """Value and ends, of a row with enough images."""
    assert found.value is not None
    assert found.ci_low is not None
    assert found.ci_high is not None
    return found.value, found.ci_low, found.ci_high


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
    rows: Sequence[Group], members: Members, after: np.ndarray, units: np.ndarray | None
) -> WorstGroup | None:
    """The row of lowest recall after; the distance between best and worst on both sides, and what
    chance would make of it; whether it is ``clear``ly worse than the others, and its interval as
    one of many, ``together``. None if fewer than two rows have enough images."""
    enough = _measured(rows)
    if len(enough) < 2:
        return None
    before = [_known(row.before)[0] for row in enough]
    recall = {row.name: _known(row.after)[0] for row in enough}
    lowest = min(enough, key=lambda row: (recall[row.name], row.name))
    large = {row.name: members[row.name] for row in enough}
    one, others, clear = lowest_of(after, large, lowest.name, units)
    return WorstGroup(
        **vars(lowest),
        gap_before=max(before) - min(before),
        gap_after=max(recall.values()) - min(recall.values()),
        gap_by_chance=distance_by_chance([_known(row.after)[1:] for row in enough]),
        clear=clear,
        together=Interval.of(one),
        others=others.value,
    )


def _losers(
    rows: Sequence[Group], members: Members, right: Both, units: np.ndarray | None
) -> list[Group]:
    """Rows whose recall surely fell, all rows looked at."""
    enough = _measured(rows)
    level, lost = simultaneous(len(enough)), []
    for row in enough:
        own = members[row.name]
        unit = None if units is None else units[own]
        change = paired_difference(right[0][:, own], right[1][:, own], unit, level)
        if change.high is not None and change.high < 0:
            lost.append(row)
    return lost


def _sentences(
    rows: Sequence[Group], kind: str, worst: WorstGroup | None, lost: Sequence[Group]
) -> list[str]:
    if worst is None:
        return []
    few = [f"{row.name} ({row.n:,})" for row in rows if row.n < FEWEST]
    measured = _measured(rows)
    plural = "classes" if kind == "class" else f"{kind}s"
    among = f", of the {len(measured)} with at least {FEWEST} images," if few else ""
    said = [_worst_sentence(worst, kind, among, len(measured))]
    if lost:
        names = ", ".join(
            f"{row.name} ({100 * _known(row.difference)[0]:+.0f} points)" for row in lost
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
    """``a, b, c`` and how many more."""
    more = len(names) - at_most
    return ", ".join(names[:at_most]) + (f" and {more:,} more" if more > 0 else "")


def _worst_sentence(worst: WorstGroup, kind: str, among: str, count: int) -> str:
    assert worst.together is not None
    if worst.gap_after == 0:
        return (
            f"No {kind}{among} is worse than another with the synthetic images: all are at "
            f"{100 * _known(worst.after)[0]:.0f} %."
        )
    before, after, by_chance, others = (
        100 * (share or 0)
        for share in (worst.gap_before, worst.gap_after, worst.gap_by_chance, worst.others)
    )
    gaps = (
        f"the distance between best and worst {kind} goes from {before:.0f} to {after:.0f} "
        f"points, where chance alone makes about {by_chance:.0f}"
    )
    picked = _percent(worst.together)[:-1] + f", wider because it was picked from {count})"
    recognised = (
        f"{picked} of its {worst.n:,} images are recognised with the "
        f"synthetic images, {_percent(worst.before)} without"
    )
    if worst.clear:
        return (
            f"The worst {kind}{among} is {worst.name}: {recognised}, and "
            f"{others:.0f} % of the others; {gaps}."
        )
    return (
        f"No {kind}{among} is surely worse than the others with the synthetic images. One of "
        f"{count} is always the lowest, here {worst.name}: {recognised}; {gaps}."
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
        f"The {kind} that the synthetic images cover least is {name}: "
        f"{_percent(Interval.of(one))} of its {len(reach.members[name]):,} real images have one in "
        "their neighbourhood, "
        f"{100 * (others.value or 0):.0f} % of the others, of {len(reach.members)} looked at."
    ]


def _percent(found: Interval) -> str:
    value, low, high = (100 * share for share in _known(found))
    return f"{value:.0f} % ({low:.0f}–{high:.0f} %)"
