"""What "helped" asks for beside a gain over real images only.

A gain in recall of the rare classes must not be paid with the recall of the others; and where the
synthetic images change how large the classes are, copies of real images change that too: the gain
must be one over them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from synthgen.evaluation.trial.contrast import Contrast, Verdict


@dataclass(frozen=True)
class Guard:
    """The contrast in mean recall of the other classes. They are ``kept`` if its whole 95 %
    interval lies above ``-margin`` (non-inferiority), ``lost`` if all of it lies below."""

    contrast: Contrast
    margin: float

    @property
    def kept(self) -> bool:
        return self.contrast.ci_low > -self.margin

    @property
    def lost(self) -> bool:
        return self.contrast.ci_high < -self.margin

    @property
    def p(self) -> float:
        """Twice the one-sided p of non-inferiority: below 0.05 exactly where they are kept."""
        from scipy.stats import t

        beyond = (self.contrast.difference + self.margin) / self.contrast.standard_error
        return float(min(1.0, 2 * t.sf(beyond, self.contrast.degrees)))

    def to_json(self) -> dict[str, Any]:
        return {
            "difference": self.contrast.difference,
            "ci_low": self.contrast.ci_low,
            "ci_high": self.contrast.ci_high,
            "margin": self.margin,
            "kept": self.kept,
            "p": self.p,
        }


@dataclass(frozen=True)
class Control:
    """The contrast with copies of real images, as many of each class: ``label`` is that arm's. They
    are ``beaten`` if the whole 95 % interval lies above 0."""

    label: str
    contrast: Contrast

    @property
    def beaten(self) -> bool:
        return self.contrast.verdict == "helped"

    @property
    def p(self) -> float:
        """Two-sided where the copies did worse, else 1: below 0.05 exactly where they are
        beaten."""
        return self.contrast.p if self.contrast.difference > 0 else 1.0

    def to_json(self) -> dict[str, Any]:
        return {
            "label": self.label,
            "difference": self.contrast.difference,
            "ci_low": self.contrast.ci_low,
            "ci_high": self.contrast.ci_high,
            "beaten": self.beaten,
            "p": self.p,
        }


def guarded_verdict(
    contrast: Contrast, guard: Guard | None = None, control: Control | None = None
) -> Verdict:
    """Helped needs all: the gain, the other classes kept, the copies beaten. Where the rare classes
    gained and the others lost, the decision was moved, which is neither help nor harm."""
    if contrast.verdict == "helped":
        kept = guard is None or guard.kept
        return "helped" if kept and (control is None or control.beaten) else "no evidence"
    if contrast.verdict == "no evidence" and guard is not None and guard.lost:
        return "harmed"
    return contrast.verdict


def guarded_p(
    contrast: Contrast, guard: Guard | None = None, control: Control | None = None
) -> float:
    """The greatest where all are needed (intersection-union test, Berger 1982)."""
    if contrast.difference <= 0:
        return contrast.p
    return max([contrast.p, *(one.p for one in (guard, control) if one is not None)])
