"""Who gains and who loses: recall with and without the synthetic images, by class and by group."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from synthgen.evaluation.metrics.intervals import TOO_FEW, Estimate, t_interval, wilson

FEWEST = 10  # real images of a class or group, below which nothing is said about it
Row = dict[str, Any]


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
    the mean over trainings. Intervals are 95 %, each for itself, over images (or ``units`` of
    them, where those make it longer) and trainings. Rows of fewer than 10 images hold None in the
    place of values.

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
    by_class = [_row(name, mask, right, unit) for name, mask in of_class.items()]
    by_group = [_row(name, mask, right, unit) for name, mask in of_group.items()]
    worst_class, worst_group = _worst(by_class), _worst(by_group)
    return {
        "by_class": by_class,
        "by_group": by_group,
        "worst_class": worst_class,
        "worst_group": worst_group,
        "sentences": [*_sentences(by_class, "class"), *_sentences(by_group, "group")],
    }


def add_coverage(
    found: dict[str, Any],
    labels: Any,
    *,
    classes: Sequence[str],
    covered: Any,
    space: str,
    groups: Sequence[str | None] | None = None,
) -> None:
    """Fill the ``coverage`` of the rows that :func:`fairness` made: the share of a class's or
    group's real images that the synthetic set reaches, with Wilson's interval; and name the least
    covered. Its ``n`` may be below the row's, because few extractors look at every image.

    Args:
        labels: int ``(M,)``, the true classes of the real images that were compared.
        covered: bool ``(M,)``, ``Membership.covered`` of
            :mod:`synthgen.evaluation.metrics.manifold`.
        space: name of the extractor whose features were compared.
        groups: as in :func:`fairness`, of these images.
    """
    truth = np.asarray(labels)
    reached = _of_length(np.asarray(covered, bool), truth, "covered")
    of_class, of_group = _members(truth, classes, groups)
    found["coverage_extractor"] = space
    for kind, masks in (("class", of_class), ("group", of_group)):
        for row in found[f"by_{kind}"]:
            mask = masks.get(row["name"], np.zeros(len(truth), bool))
            count = int(mask.sum())
            share = wilson(int(reached[mask].sum()), count) if count >= FEWEST else TOO_FEW
            row["coverage"] = {**_json(share), "n": count}
        found["sentences"] += _least_covered(found[f"by_{kind}"], kind, float(reached.mean()))


def _members(
    truth: np.ndarray, classes: Sequence[str], groups: Sequence[str | None] | None
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """bool ``(N,)`` of each class and of each group."""
    of_class = {name: truth == number for number, name in enumerate(classes)}
    if groups is None:
        return of_class, {}
    column = _of_length(np.asarray(groups, dtype=object), truth, "groups")
    names = sorted({str(value) for value in column if value is not None})
    of_group = {
        name: np.array([value is not None and str(value) == name for value in column])
        for name in names
    }
    return of_class, of_group


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
    mask: np.ndarray,
    right: Mapping[str, np.ndarray],
    units: np.ndarray | None,
) -> Row:
    count = int(mask.sum())
    before, after = right["before"][:, mask], right["after"][:, mask]
    own = None if units is None else units[mask]
    enough = count >= FEWEST
    return {
        "name": name,
        "n": count,
        "before": _json(rate(before, own) if enough else TOO_FEW),
        "after": _json(rate(after, own) if enough else TOO_FEW),
        "difference": _json(paired_difference(before, after, own) if enough else TOO_FEW),
        "coverage": None,
    }


def by_unit(values: np.ndarray, units: np.ndarray) -> np.ndarray:
    """``(..., N)`` -> ``(..., units)`` with the same mean: each unit's summed deviation from it, so
    that units of many images count more."""
    _, unit = np.unique(units, return_inverse=True)
    count = int(unit.max()) + 1
    mean = values.mean(-1, keepdims=True)
    return mean + (values - mean) @ np.eye(count)[unit] * (count / values.shape[-1])


def wider(one: Estimate, other: Estimate) -> Estimate:
    ends = [end for end in (*one[1:], *other[1:]) if end is not None]
    return Estimate(one.value, min(ends), max(ends))


def rate(right: np.ndarray, units: np.ndarray | None = None) -> Estimate:
    """Mean of ``(seeds, N)`` zeros and ones, over images, or over ``units`` of them if those make
    the interval longer."""
    alone = image_rate(right)
    count = right.shape[1] if units is None else len(np.unique(units))
    if units is None or count == right.shape[1]:
        return alone
    value = float(right.mean())
    if count == 1:
        return Estimate(value, 0.0, 1.0)
    together = wilson(value * count, count)
    if 0 < value < 1:
        grouped = by_unit(right, units)
        spread = t_interval(value, _variances(grouped.mean(0), right.mean(1)))
        together = spread.within(0.0, 1.0)
    return wider(alone, together)


def image_rate(right: np.ndarray) -> Estimate:
    """Mean of ``(seeds, N)`` zeros and ones. One training: Wilson's interval. Several: t, the
    variance between images plus that between trainings; Wilson's where all are right or wrong."""
    seeds, count = right.shape
    value = float(right.mean())
    alone = wilson(value * count, count)
    if seeds == 1 or value in (0.0, 1.0):  # that nothing varied doesn't mean that nothing could
        return alone
    return t_interval(value, _variances(right.mean(0), right.mean(1))).within(0.0, 1.0)


def paired_difference(
    before: np.ndarray, after: np.ndarray, units: np.ndarray | None = None
) -> Estimate:
    """:func:`image_difference`, or the same over ``units`` of images if that is longer."""
    alone = image_difference(before, after)
    if units is None:
        return alone
    return wider(alone, image_difference(by_unit(before, units), by_unit(after, units)))


def image_difference(before: np.ndarray, after: np.ndarray) -> Estimate:
    """Mean of after - before, both ``(seeds, N)``, on the same images; ``value`` is that mean.

    For the interval two pseudo-images are added: half of one won, half of one lost, and one
    unchanged (Agresti and Min 2005). Without them a small group where nothing changed would have no
    uncertainty. Trainings are paired where both have as many.
    """
    change = after.mean(0) - before.mean(0)
    count, value = len(change) + 2, float(change.mean())
    centre = float(change.sum()) / count
    variance = (float(np.square(change).sum()) + 1) / count - centre**2
    parts = [(variance / count, float(count - 1))]
    if before.shape[0] == after.shape[0]:
        by_seed = [after.mean(1) - before.mean(1)]
    else:
        by_seed = [before.mean(1), after.mean(1)]
    parts += [
        (float(side.var(ddof=1)) / len(side), float(len(side) - 1))
        for side in by_seed
        if len(side) > 1
    ]
    around = t_interval(centre, parts).within(-1.0, 1.0)
    low, high = around.low or 0.0, around.high or 0.0
    return Estimate(value, min(value, low), max(value, high))


def _variances(by_image: np.ndarray, by_seed: np.ndarray) -> list[tuple[float, float]]:
    return [
        (float(values.var(ddof=1)) / len(values), float(len(values) - 1))
        for values in (by_image, by_seed)
        if len(values) > 1
    ]


def _json(estimate: Estimate) -> dict[str, float | None]:
    return {"value": estimate.value, "ci_low": estimate.low, "ci_high": estimate.high}


def _worst(rows: Sequence[Row]) -> dict[str, Any] | None:
    """The row of lowest recall after, and the distance between best and worst on both sides; None
    if fewer than two rows have enough images."""
    enough = [row for row in rows if row["after"]["value"] is not None]
    if len(enough) < 2:
        return None
    gaps = {
        f"gap_{side}": max(row[side]["value"] for row in enough)
        - min(row[side]["value"] for row in enough)
        for side in ("before", "after")
    }
    return {**min(enough, key=lambda row: (row["after"]["value"], row["name"])), **gaps}


def _sentences(rows: Sequence[Row], kind: str) -> list[str]:
    worst = _worst(rows)
    if worst is None:
        return []
    few = [f"{row['name']} ({row['n']:,})" for row in rows if row["after"]["value"] is None]
    measured = [row for row in rows if row["after"]["value"] is not None]
    among = f", of the {len(measured)} with at least {FEWEST} images," if few else ""
    plural = {"class": "classes"}.get(kind, f"{kind}s")
    gaps = (
        f"the distance between best and worst {kind} goes from {100 * worst['gap_before']:.0f} to "
        f"{100 * worst['gap_after']:.0f} points"
    )
    if worst["gap_after"] == 0:
        said = [
            f"No {kind}{among} is worse than another with the synthetic images: all are at "
            f"{100 * worst['after']['value']:.0f} %."
        ]
    else:
        said = [
            f"The worst {kind}{among} is {worst['name']}: {_percent(worst['after'])} of its "
            f"{worst['n']:,} images are recognised with the synthetic images, "
            f"{_percent(worst['before'])} without; {gaps}."
        ]
    lost = [row for row in rows if (row["difference"]["ci_high"] or 0.0) < 0]
    if lost:
        names = ", ".join(
            f"{row['name']} ({100 * row['difference']['value']:+.0f} points)" for row in lost
        )
        said.append(f"Recall fell, each {kind} taken for itself, for {names}.")
    if few:
        what = kind if len(few) == 1 else plural
        said.append(
            f"Too few real images (fewer than {FEWEST}) to say anything about the {what} "
            f"{', '.join(few)} alone."
        )
    return said


def _least_covered(rows: Sequence[Row], kind: str, overall: float) -> list[str]:
    """Said only of a class or group whose whole interval lies below the coverage of all images."""
    shares = [(row["coverage"], row["name"]) for row in rows if row["coverage"]["ci_high"]]
    below = [one for one in shares if one[0]["ci_high"] < overall]
    if not below:
        return []
    share, name = min(below, key=lambda one: (one[0]["value"], one[1]))
    return [
        f"The {kind} that the synthetic images cover least is {name}: {_percent(share)} of its "
        f"{share['n']:,} real images have one in their neighbourhood, {100 * overall:.0f} % of all."
    ]


def _percent(rate: Mapping[str, float]) -> str:
    low, high = 100 * rate["ci_low"], 100 * rate["ci_high"]
    return f"{100 * rate['value']:.0f} % ({low:.0f}–{high:.0f} %)"
