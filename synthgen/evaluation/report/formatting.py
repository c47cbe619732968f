"""How metrics are called and how many of a number's digits are shown."""

from __future__ import annotations

import math
from typing import Protocol, TypeGuard

from synthgen.evaluation.report.schema import Report
from synthgen.evaluation.schema import Interval
from synthgen.metrics import STANDARD

TOO_FEW = "too few images to say"
NOT_TESTED = "not tested"

ARMS = {
    "real_only": "Real only",
    "synthetic_only": "Synthetic only",
    "real_and_synthetic": "Real + synthetic",
}
REFERENCES = {
    "real": "All real training images",
    "model": "This set",
    "model_at_floor_n": "This set, at the floor's size",
    "floor": "Floor: real against real",
    "train": "This set against train",
    "real_at_same_n": "Real, in this set's place",
    "bootstrap": "Bootstrap: copies of real images",
    "pca_gaussian": "PCA-Gaussian",
    "noise": "Noise",
}
_SPELLED = {  # older reports have no labels
    **{metric.name: metric.label for metric in STANDARD},
    "macro_f1": "Macro F1",
    "f1": "F1",
}


class Named(Protocol):
    """A result, or a line of a comparison."""

    @property
    def name(self) -> str: ...

    @property
    def label(self) -> str | None: ...


def metric_label(result: Named) -> str:
    """The metric's own label; otherwise its name's last part as words."""
    last = result.name.rsplit("/", 1)[-1]
    return result.label or _SPELLED.get(last, last.replace("_", " ").capitalize())


def full_label(result: Named) -> str:
    """The metric's label, after its arm if it has one: ``Synthetic only: macro F1``."""
    arm, label = arm_of(result.name), metric_label(result)
    if arm is None:
        return label
    inner = label if label.isupper() else label[0].lower() + label[1:]
    return f"{ARMS.get(arm, arm.replace('_', ' '))}: {inner}"


def arm_of(name: str) -> str | None:
    """The middle of ``transfer/<arm>/<metric>``, or None for other names."""
    parts = name.split("/")
    return parts[1] if len(parts) == 3 and parts[0] == "transfer" else None


def reference_split(report: Report) -> str:
    """The split that everything was measured on: ``test``, or ``holdout`` while choosing."""
    return report.protocol.reference_split


def is_share(name: str) -> bool:
    """Transfer results are shares of the images tested and are shown in per cent."""
    return name.startswith("transfer/")


def direction(higher_is_better: bool | None) -> str:
    """An arrow and words, so that the arrow isn't the only carrier of the meaning."""
    if higher_is_better is None:
        return ""
    return "↑ higher is better" if higher_is_better else "↓ lower is better"


def is_number(value: float | None) -> TypeGuard[float]:
    """Whether there is something to draw: neither missing nor a gap (NaN)."""
    return value is not None and math.isfinite(value)


def decimals(value: float, low: float | None, high: float | None) -> int:
    """Decimals that the interval supports: its half-width keeps one significant digit, two when
    it starts with 1 or 2. Without an interval the value keeps three significant digits."""
    if low is not None and high is not None and high > low:
        half = (high - low) / 2
        exponent = math.floor(math.log10(half))
        digits = 2 if half / 10**exponent < 3 else 1
        return min(max(digits - 1 - exponent, 0), 8)
    if value == 0:
        return 0
    return min(max(2 - math.floor(math.log10(abs(value))), 0), 8)


def show(found: Interval, name: str = "") -> tuple[str, str]:
    """A value and its interval as text: ``("95.4 %", "95.0 to 95.7")``; ``name`` is a result's,
    which says whether it is a share.

    A missing value becomes a sentence; a missing interval an empty text.
    """
    value, low, high = found.value, found.ci_low, found.ci_high
    if value is None:
        return TOO_FEW, ""
    scale, unit = (100.0, " %") if is_share(name) else (1.0, "")
    if low is None or high is None:
        places = decimals(value * scale, None, None)
        return f"{value * scale:z,.{places}f}{unit}".replace("-", "−"), ""
    places = decimals(value * scale, low * scale, high * scale)
    interval = f"{low * scale:z,.{places}f} to {high * scale:z,.{places}f}"
    return f"{value * scale:z,.{places}f}{unit}".replace("-", "−"), interval.replace("-", "−")


def plain(value: float | None) -> str:
    """A number without an interval (a distance, a loss): three significant digits."""
    if value is None:
        return TOO_FEW
    return f"{value:z,.{decimals(value, None, None)}f}".replace("-", "−")


def classifier_note(name: str) -> str:
    """Say what an extractor is, so that nobody takes its Fréchet distance for Inception FID."""
    if name.startswith("classifier"):
        return f"{name}: a small network trained on the real training images, not Inception"
    return name


def show_share(found: Interval) -> tuple[str, str]:
    """A share (0..1) and its interval in per cent: ``("95.4 %", "95.0 to 95.7")``."""
    return show(found, "transfer/share")


def show_points(
    value: float | None, low: float | None = None, high: float | None = None
) -> tuple[str, str]:
    """A difference of shares with its sign, in percentage points: ``("+1.2", "+0.4 to +2.0")``."""
    if value is None:
        return TOO_FEW, ""
    if low is None or high is None:
        return f"{100 * value:+z.{decimals(100 * value, None, None)}f}".replace("-", "−"), ""
    places = max(decimals(100 * value, 100 * low, 100 * high), 1)  # as the sentences have it
    # What is not zero must not look like it: an end decides between help and no evidence.
    if any(x and not round(100 * x, places) for x in (value, low, high)):
        places += 1
    ends = [f"{100 * x:+z.{places}f}".replace("-", "−") for x in (value, low, high)]
    return ends[0], f"{ends[1]} to {ends[2]}"


def show_count(value: int, low: int | None = None, high: int | None = None) -> tuple[str, str]:
    """A number of images and its interval: ``("1,240", "980 to 1,610")``."""
    return f"{value:,}", "" if low is None or high is None else f"{low:,} to {high:,}"


def show_p(p: float | None) -> str:
    """``0.031``, ``< 0.001``, or the words for what was not tested."""
    if p is None:
        return NOT_TESTED
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def share_label(endpoint: str) -> str:
    """What the trial was decided on, as it stands in a sentence: ``macro F1``."""
    known = {
        "macro_f1": "macro F1",
        "macro_auroc": "macro AUROC",
        "tail_recall": "mean recall of the rare classes",
    }
    return known.get(endpoint, endpoint.replace("_", " "))
