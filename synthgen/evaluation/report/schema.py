"""What ``report.json`` and ``comparison.json`` hold: written and read through these models."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from synthgen.evaluation.schema import (
    Confusion,
    Copying,
    Count,
    Curves,
    Fairness,
    Figure,
    Interval,
    Neighbours,
    Protocol,
    Provenance,
    Reference,
    Result,
    Scope,
    Statistics,
)
from synthgen.evaluation.trial.schema import Trial, TrialVerdict, Verdict
from synthgen.schema import Document, Schema

PARTS = ("value", "ci_low", "ci_high", "n_fake")


def _without_macro_recall(table: dict[str, object]) -> dict[str, object]:
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


class ComparedRun(Schema):
    """A report by the name that it has in the tables. ``verdict`` and ``endpoint`` are its trial's,
    ``copies_flagged`` whether any feature space shows copies; None: not tested."""

    name: str
    folder: str
    verdict: Verdict | None = None
    endpoint: str | None = None
    copies_flagged: bool | None = None


class ComparedValue(Interval):
    n_fake: Count


class ComparedLine(Schema):
    """One result of the runs that have it. ``best`` is the run that is better than all others
    beyond the intervals, or None."""

    name: str
    label: str | None = None
    extractor: str | None
    classifier: str | None
    scope: Scope | None
    higher_is_better: bool | None
    values: dict[str, ComparedValue]  # by run
    best: str | None

    def value(self, run: str) -> float | None:
        return self.values[run].value if run in self.values else None


class ChangedSetting(Schema):
    """A setting that is not the same everywhere; None where a run has none or doesn't name it."""

    key: str
    values: dict[str, object]  # by run


class Answered(Schema):
    question: str
    text: str


class Comparison(Document):
    """``same_judge``: the classifiers were of one kind and trained alike, so that transfer results
    are one test."""

    FORM: ClassVar[str] = "synthgen-comparison/1"
    ADVICE: ClassVar[str] = "Compare the reports again."

    format: Literal["synthgen-comparison/1"]
    runs: list[ComparedRun]
    results: list[ComparedLine]
    differences: list[ChangedSetting]
    sentences: list[str]
    answers: tuple[Answered, ...] = ()
    same_judge: bool = True

    @property
    def names(self) -> list[str]:
        return [run.name for run in self.runs]

    def columns(self) -> list[str]:
        """The header of :meth:`records`: five columns of identity, four for every run, the best."""
        per_run = [f"{name} {part}" for name in self.names for part in PARTS]
        return ["name", "extractor", "classifier", "scope", "higher_is_better", *per_run, "best"]

    def records(self) -> list[list[Any]]:
        """The lines as flat rows for CSV and tables; ``best`` is a run's name or None."""
        return [
            [
                one.name,
                one.extractor,
                one.classifier,
                scope_text(one.scope),
                one.higher_is_better,
                *(
                    getattr(one.values[name], part) if name in one.values else None
                    for name in self.names
                    for part in PARTS
                ),
                one.best,
            ]
            for one in self.results
        ]


def scope_text(scope: Scope | None) -> str:
    return "" if not scope else ", ".join(f"{key}: {value}" for key, value in scope.items())
