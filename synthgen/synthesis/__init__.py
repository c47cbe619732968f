"""Synthesis: from a sampler and a plan to a labelled set on disk."""

from synthgen.synthesis.draw import regenerate, regenerate_row, synthesize
from synthgen.synthesis.plan import Balanced, MatchReal, PerClass, Plan

__all__ = [
    "Balanced",
    "MatchReal",
    "PerClass",
    "Plan",
    "regenerate",
    "regenerate_row",
    "synthesize",
]
