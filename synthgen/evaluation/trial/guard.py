"""What a gain in recall of the rare classes must not be paid with: the recall of the others."""

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


def guarded_verdict(contrast: Contrast, guard: Guard | None) -> Verdict:
    """Helped needs both: the rare classes' gain, and the others kept. Where the rare ones gained
    and the others lost, the decision was moved, which is neither help nor harm."""
    if guard is None:
        return contrast.verdict
    if contrast.verdict == "helped" and not guard.kept:
        return "no evidence"
    if contrast.verdict == "no evidence" and guard.lost:
        return "harmed"
    return contrast.verdict


def guarded_p(contrast: Contrast, guard: Guard | None) -> float:
    """The greater of the two where both are needed (intersection-union test, Berger 1982)."""
    if guard is None or contrast.difference <= 0:
        return contrast.p
    return max(contrast.p, guard.p)
