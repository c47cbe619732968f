"""Synthesis: from a sampler and a plan to a labelled set on disk."""

from synthgen.synthesis.engine import fulfil, is_complete, synthesize
from synthgen.synthesis.fill import Fill, FillEffectiveNumber, FillSquareRoot
from synthgen.synthesis.formats import Format
from synthgen.synthesis.order import Order, place_order
from synthgen.synthesis.papers import Papers
from synthgen.synthesis.plan import Balanced, MatchReal, PerClass, Plan
from synthgen.synthesis.public import public_papers
from synthgen.synthesis.regenerate import regenerate, regenerate_row
from synthgen.synthesis.verify import verify

__all__ = [
    "Balanced",
    "Fill",
    "FillEffectiveNumber",
    "FillSquareRoot",
    "Format",
    "MatchReal",
    "Order",
    "Papers",
    "PerClass",
    "Plan",
    "fulfil",
    "is_complete",
    "place_order",
    "public_papers",
    "regenerate",
    "regenerate_row",
    "synthesize",
    "verify",
]
