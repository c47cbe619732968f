"""A review in plain sentences."""

from __future__ import annotations

from typing import Any

ALPHA = 0.05
NO_ANSWERS = "The expert judged no image, so there is nothing to say."


def sentences(found: dict[str, Any]) -> list[str]:
    """What the rates of :func:`synthgen.evaluation.review.scoring.score` mean."""
    told = found["told_apart"]
    if told["value"] is None:
        return [NO_ANSWERS]
    said = [_told_apart(told), _taken_for_real(found)]
    labels = found["labels_called_wrong"]
    if labels["synthetic"]["n"]:
        said.append(_labels(labels))
    if found["judged"] < found["images"]:
        left = found["images"] - found["judged"]
        said.append(f"{left} of {found['images']} images were not judged and are left out.")
    return said


def _told_apart(told: dict[str, Any]) -> str:
    right = round(told["value"] * told["n"])
    rate = f"{right} of {told['n']} images {_percent(told)}; guessing gives half."
    if told["p"] is None:
        return f"The expert said rightly real or synthetic of {rate}"
    p = "p < 0.001" if told["p"] < 0.001 else f"p = {told['p']:.3f}"
    if told["p"] >= ALPHA:
        start = "There is no evidence that the expert can tell real from synthetic images"
        return f"{start} ({p}): right about {rate}"
    if told["value"] < 0.5:
        return (
            f"The expert sees a difference but has it the wrong way round ({p}): right about {rate}"
        )
    return f"The expert can tell real from synthetic images ({p}): right about {rate}"


def _taken_for_real(found: dict[str, Any]) -> str:
    fooled, doubted = found["synthetic_taken_for_real"], found["real_taken_for_synthetic"]
    parts = []
    if fooled["n"]:
        parts.append(f"{_count(fooled)} synthetic images were taken for real {_percent(fooled)}")
    if doubted["n"]:
        parts.append(f"{_count(doubted)} real images for synthetic {_percent(doubted)}")
    return ", ".join(parts) + "."


def _labels(labels: dict[str, Any]) -> str:
    synthetic, real = labels["synthetic"], labels["real"]
    said = (
        f"The expert called the label wrong of {_count(synthetic)} synthetic images "
        f"{_percent(synthetic)}"
    )
    return f"{said}, and of {_count(real)} real ones {_percent(real)}." if real["n"] else f"{said}."


def _count(rate: dict[str, Any]) -> str:
    return f"{round(rate['value'] * rate['n'])} of {rate['n']}"


def _percent(rate: dict[str, Any]) -> str:
    return (
        f"({100 * rate['value']:.0f} %, interval {100 * rate['ci_low']:.0f}–"
        f"{100 * rate['ci_high']:.0f} %)"
    )
