"""Synthesis: from a sampler and a plan to a labelled set on disk."""

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from synthgen.synthesis.engine import generate, is_complete, synthesize
    from synthgen.synthesis.plan import (
        Balanced,
        Fill,
        FillEffectiveNumber,
        FillSquareRoot,
        MatchReal,
        PerClass,
        Plan,
    )
    from synthgen.synthesis.public import public_papers
    from synthgen.synthesis.regenerate import regenerate, regenerate_row
    from synthgen.synthesis.request import SynthesisRequest, plan_request
    from synthgen.synthesis.verify import verify

__all__ = [
    "Balanced",
    "Fill",
    "FillEffectiveNumber",
    "FillSquareRoot",
    "MatchReal",
    "PerClass",
    "Plan",
    "SynthesisRequest",
    "generate",
    "is_complete",
    "plan_request",
    "public_papers",
    "regenerate",
    "regenerate_row",
    "synthesize",
    "verify",
]

PLACES = {
    "generate": "engine",
    "is_complete": "engine",
    "synthesize": "engine",
    "Balanced": "plan",
    "Fill": "plan",
    "FillEffectiveNumber": "plan",
    "FillSquareRoot": "plan",
    "MatchReal": "plan",
    "PerClass": "plan",
    "Plan": "plan",
    "public_papers": "public",
    "regenerate": "regenerate",
    "regenerate_row": "regenerate",
    "SynthesisRequest": "request",
    "plan_request": "request",
    "verify": "verify",
}


def __getattr__(name: str) -> Any:
    """Import what draws, and torch with it, only when it is needed: ``synthgen verify`` answers at
    once."""
    if name not in PLACES:
        raise AttributeError(f"module 'synthgen.synthesis' has no attribute {name!r}")
    found = getattr(importlib.import_module(f"synthgen.synthesis.{PLACES[name]}"), name)
    globals()[name] = found
    return found


class _Room(ModuleType):
    """Python binds a module that it has imported to its name here; where a function has the same
    name (``verify``, ``regenerate``), that is meant."""

    def __setattr__(self, name: str, value: Any) -> None:
        same = isinstance(value, ModuleType) and PLACES.get(name) == name
        super().__setattr__(name, getattr(value, name) if same else value)


sys.modules[__name__].__class__ = _Room
