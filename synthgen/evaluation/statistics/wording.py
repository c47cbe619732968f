"""What the tests found, in words. A difference is named with its size first: with enough images
any difference, however small, has a small p."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from synthgen.evaluation.statistics.distances import Shift

ALPHA = 0.05
MENTIONED = 3  # the largest differences
CLEARLY_OTHER_MIX = 0.05  # total variation between the labels


def sentences(
    image: Sequence[Shift],
    spaces: Mapping[str, Sequence[Shift]],
    labels: Mapping[str, Any],
    two_sample: Mapping[str, Any],
) -> list[str]:
    said = [_image_sentence(image)]
    said += [_component_sentence(name, found) for name, found in spaces.items()]
    return [*said, *_label_sentences(labels), *_two_sample_sentences(two_sample)]


def _image_sentence(shifts: Sequence[Shift]) -> str:
    found = _significant(shifts)
    if not found:
        return (
            f"None of the {len(shifts)} image statistics (brightness to foreground) differs "
            "significantly between real and synthetic images."
        )
    shown = "; ".join(_shift(shift) for shift in found[:MENTIONED])
    verb = "differs" if len(found) == 1 else "differ"
    return f"{len(found)} of {len(shifts)} image statistics {verb} significantly: {shown}" + (
        f"; and {len(found) - MENTIONED} more." if len(found) > MENTIONED else "."
    )


def _shift(shift: Shift) -> str:
    return (
        f"{shift.statistic} {direction(shift)} (a {shift.size} difference; real "
        f"{shift.real_mean:.3g}, synthetic {shift.fake_mean:.3g}; adjusted "
        f"{p_text(shift.p_adjusted)})"
    )


def direction(shift: Shift) -> str:
    """``is 0.43 SD higher`` where the mean moved, else what is different."""
    if shift.effect is None or abs(shift.effect) >= 0.1:
        way = "higher" if shift.fake_mean > shift.real_mean else "lower"
        by = "" if shift.effect is None else f"{abs(shift.effect):.2g} SD "
        return f"is {by}{way}"
    if shift.fake_sd < 0.95 * shift.real_sd:
        return "varies less"
    return "varies more" if shift.fake_sd > 1.05 * shift.real_sd else "is distributed differently"


def _component_sentence(space: str, shifts: Sequence[Shift]) -> str:
    found = _significant(shifts)
    if not found:
        return f"Along none of the {len(shifts)} main components of {space} do the sets differ."
    worst = found[0]
    return (
        f"Along {len(found)} of the {len(shifts)} main components of {space} the sets differ; most "
        f"along {worst.statistic} (a {worst.size} difference: D {worst.ks:.2f})."
    )


def _label_sentences(labels: Mapping[str, Any]) -> list[str]:
    if labels["p"] is None or labels["p"] >= ALPHA:
        return []
    moved = labels["total_variation"]
    if moved < CLEARLY_OTHER_MIX:
        return []
    if labels["balanced"]:
        return [
            "The synthetic set is balanced and the real images are not "
            f"({100 * moved:.0f} % of its labels would have to change for their shares). That is "
            "no fault of a set that was drawn so, but can alone shift the other statistics and the "
            "distances of all images together."
        ]
    return [
        f"The classes are mixed differently: {100 * moved:.0f} % of the labels would have to "
        "change for equal shares. That alone can shift the other statistics and the distances "
        "of all images together."
    ]


def _two_sample_sentences(found: Mapping[str, Any]) -> list[str]:
    if found["accuracy"] is None:
        return ["Too few images to train a classifier that tells real from synthetic."]
    share = f"{100 * found['accuracy']:.0f} %"
    interval = f"{100 * found['ci_low']:.0f}–{100 * found['ci_high']:.0f} %"
    able = "tells" if found["p"] < ALPHA else "can't tell"
    return [
        f"A classifier on {found['space']} {able} real from synthetic images: {share} right "
        f"({interval}) where chance is 50 %, {p_text(found['p'])} over {found['n']:,} images."
    ]


def _significant(shifts: Sequence[Shift]) -> list[Shift]:
    """Those that the family's correction leaves, the largest distance first."""
    found = [shift for shift in shifts if shift.p_adjusted < ALPHA]
    return sorted(found, key=lambda shift: -shift.ks)


def p_text(p: float) -> str:
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"
