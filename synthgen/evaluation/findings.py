"""What the parts of an evaluation find, on its way into the report."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from synthgen.evaluation.result import Result


@dataclass
class Findings:
    """What the parts of an evaluation add to the report."""

    results: list[Result] = field(default_factory=list)
    references: list[dict[str, Any]] = field(default_factory=list)
    sentences: list[str] = field(default_factory=list)
    confusion: dict[str, Any] = field(default_factory=dict)
    curves: dict[str, list[dict[str, float]]] = field(default_factory=dict)
    verdict: dict[str, Any] | None = None
    trial: dict[str, Any] | None = None
    neighbours: list[dict[str, Any]] = field(default_factory=list)
    figures: list[dict[str, Any]] = field(default_factory=list)
    copying: dict[str, Any] = field(default_factory=dict)  # by extractor
    statistics: dict[str, Any] | None = None
    fairness: dict[str, Any] | None = None
