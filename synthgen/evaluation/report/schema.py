"""What ``report.json`` holds: written and read through this model."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from synthgen.evaluation.schema import (
    Confusion,
    Copying,
    Curves,
    Fairness,
    Figure,
    Neighbours,
    Protocol,
    Provenance,
    Reference,
    Result,
    Statistics,
)
from synthgen.evaluation.trial.schema import Trial, TrialVerdict
from synthgen.schema import Document


def _without_macro_recall(table: dict[str, Any]) -> dict[str, Any]:
    """Older reports have macro recall too, which is balanced accuracy."""
    results = table.get("results")
    if not isinstance(results, list):
        return table
    kept = [
        row
        for row in results
        if not (isinstance(row, dict) and str(row.get("name")).endswith("/macro_recall"))
    ]
    return {**table, "results": kept}


class Report(Document):
    """``verdict`` and ``trial`` are None without a trial."""

    FORM: ClassVar[str] = "synthgen-report/1"
    ADVICE: ClassVar[str] = "Evaluate the set again."
    UPGRADES = (_without_macro_recall,)

    format: Literal["synthgen-report/1"]
    created: str
    seconds: float
    results: list[Result]
    references: list[Reference]
    verdict: TrialVerdict | None
    trial: Trial | None
    sentences: list[str]
    confusion: dict[str, Confusion]
    curves: Curves
    neighbours: list[Neighbours]
    figures: tuple[Figure, ...] = ()
    copying: dict[str, Copying]
    statistics: Statistics | None
    fairness: Fairness | None
    protocol: Protocol
    provenance: Provenance
    public: bool = False
