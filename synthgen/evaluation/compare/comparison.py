"""The comparison as data: shared results in rows, runs in columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from synthgen.evaluation.report.schema import Report, Result
from synthgen.evaluation.report.settings import flatten, masked
from synthgen.evaluation.trial.schema import Interval

Identity = tuple[str, str | None, str | None, str]


@dataclass(frozen=True)
class Run:
    """One report with the label that it has in tables."""

    name: str
    folder: Path
    report: Report


@dataclass(frozen=True)
class Line:
    """One result of every run. ``best`` is the position of the run that is better than all others
    beyond the intervals, or None."""

    name: str
    extractor: str | None
    classifier: str | None
    scope: dict[str, str] | None
    higher_is_better: bool
    results: list[Result]  # one of each run
    best: int | None


@dataclass(frozen=True)
class Difference:
    """A setting that is not the same everywhere; None where a run doesn't have it."""

    key: str
    values: list[Any]


@dataclass(frozen=True)
class Comparison:
    runs: list[Run]
    lines: list[Line]
    differences: list[Difference]
    sentences: list[str] = field(default_factory=list)

    @property
    def names(self) -> list[str]:
        return [run.name for run in self.runs]

    def columns(self) -> list[str]:
        """The header of :meth:`records`: four columns of identity, then four for every run."""
        per_run = [f"{name} {part}" for name in self.names for part in PARTS]
        return ["name", "extractor", "classifier", "scope", "higher_is_better", *per_run, "best"]

    def records(self) -> list[list[Any]]:
        """The lines as flat rows for CSV and tables; ``best`` is a run's name or None."""
        return [
            [
                line.name,
                line.extractor,
                line.classifier,
                scope_text(line.scope),
                line.higher_is_better,
                *(getattr(result, part) for result in line.results for part in PARTS),
                None if line.best is None else self.names[line.best],
            ]
            for line in self.lines
        ]

    def to_json(self) -> dict[str, Any]:
        return {
            "format": "synthgen-comparison/1",
            "runs": [{"name": run.name, "folder": str(run.folder)} for run in self.runs],
            "results": [
                {
                    "name": line.name,
                    "extractor": line.extractor,
                    "classifier": line.classifier,
                    "scope": line.scope,
                    "higher_is_better": line.higher_is_better,
                    "values": {
                        name: {part: getattr(result, part) for part in PARTS}
                        for name, result in zip(self.names, line.results, strict=True)
                    },
                    "best": None if line.best is None else self.names[line.best],
                }
                for line in self.lines
            ],
            "differences": [
                {"key": item.key, "values": dict(zip(self.names, item.values, strict=True))}
                for item in self.differences
            ],
            "sentences": self.sentences,
        }


PARTS = ("value", "ci_low", "ci_high", "n_fake")


def scope_text(scope: dict[str, str] | None) -> str:
    return "" if not scope else ", ".join(f"{key}: {value}" for key, value in scope.items())


def identity(result: Result) -> Identity:
    """What makes two results the same measurement."""
    return result.name, result.extractor, result.classifier, scope_text(result.scope)


def shared_lines(runs: Sequence[Run]) -> list[Line]:
    """Results that every run has, overall ones before classes, in the first report's order."""
    found = [{identity(result): result for result in run.report.results} for run in runs]
    keys = [key for key in found[0] if all(key in other for other in found[1:])]
    keys.sort(key=lambda key: key[3] != "")  # stable
    lines = []
    for key in keys:
        results = [results_of_run[key] for results_of_run in found]
        scope, higher = results[0].scope, results[0].higher_is_better
        lines.append(Line(*key[:3], scope, higher, results, clear_best(results, higher)))
    return lines


def clear_best(results: Sequence[Interval], higher_is_better: bool) -> int | None:
    """The position of the best value if its interval overlaps with no other; None when a value or
    an interval is missing, or intervals overlap."""
    sign = 1 if higher_is_better else -1
    ends = [ends_of(result, sign) for result in results]
    known = [one for one in ends if one is not None]
    if len(known) < max(2, len(ends)):
        return None
    best = max(range(len(known)), key=lambda index: known[index][1])
    others = [far for index, (_, _, far) in enumerate(known) if index != best]
    return best if all(known[best][0] > far for far in others) else None


def ends_of(result: Interval, sign: int) -> tuple[float, float, float] | None:
    """The worse end, the value and the better end of an interval, all times ``sign``."""
    value, low, high = result.value, result.ci_low, result.ci_high
    if value is None or low is None or high is None:
        return None
    near, far = (low, high) if sign > 0 else (high, low)
    return sign * near, sign * value, sign * far


def differing_settings(runs: Sequence[Run]) -> list[Difference]:
    """Flattened settings that are not equal in all reports; secrets are masked first."""
    settings = [flatten(masked(settings_of(run.report))) for run in runs]
    keys = dict.fromkeys(key for flat in settings for key in flat)
    rows = [Difference(key, [flat.get(key) for flat in settings]) for key in keys]
    return [row for row in rows if any(value != row.values[0] for value in row.values)]


def settings_of(report: Report) -> dict[str, Any]:
    """Everything that was chosen for a run: how its set was made, and how it was evaluated."""
    whole = report.to_json()
    provenance = whole["provenance"]
    made = dict(provenance["synthetic"]["dataset"] or {})
    for derived in ("created", "seconds", "execution", "classes", "files", "sha256"):
        made.pop(derived, None)
    return {
        "set": made,
        "evaluate": provenance["config"] or {},
        "protocol": whole["protocol"],
        "versions": provenance["versions"],
    }
