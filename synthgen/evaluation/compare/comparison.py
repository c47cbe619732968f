"""The comparison as data: shared results in rows, runs in columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from synthgen.evaluation.report.settings import flatten, masked
from synthgen.evaluation.report.wording import is_number

Identity = tuple[str, str | None, str | None, str]
Result = dict[str, Any]


@dataclass(frozen=True)
class Run:
    """One report with the label that it has in tables."""

    name: str
    folder: Path
    report: dict[str, Any]


@dataclass(frozen=True)
class Line:
    """One result of every run. ``best`` is the position of the run that is better than all others
    beyond the intervals, or None."""

    name: str
    extractor: str | None
    classifier: str | None
    scope: dict[str, str] | None
    higher_is_better: bool | None
    results: list[Result]
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
                *(result.get(part) for result in line.results for part in PARTS),
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
                    "values": dict(zip(self.names, line.results, strict=True)),
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
    scope = result.get("scope")
    return result["name"], result.get("extractor"), result.get("classifier"), scope_text(scope)


def shared_lines(runs: Sequence[Run]) -> list[Line]:
    """Results that every run has, overall ones before classes, in the first report's order."""
    found = [{identity(r): r for r in run.report.get("results") or []} for run in runs]
    keys = [key for key in found[0] if all(key in other for other in found[1:])]
    keys.sort(key=lambda key: key[3] != "")  # stable
    lines = []
    for key in keys:
        results = [results_of_run[key] for results_of_run in found]
        first = results[0]
        higher = first.get("higher_is_better")
        values = [{part: result.get(part) for part in PARTS} for result in results]
        best = clear_best(values, higher)
        lines.append(Line(key[0], key[1], key[2], first.get("scope"), higher, values, best))
    return lines


def clear_best(results: Sequence[Result], higher_is_better: bool | None) -> int | None:
    """The position of the best value if its interval overlaps with no other; None when there is
    no direction, a value or an interval is missing, or intervals overlap."""
    if higher_is_better is None or len(results) < 2:
        return None
    if not all(is_number(r.get(part)) for r in results for part in PARTS[:3]):
        return None
    sign = 1 if higher_is_better else -1
    best = max(range(len(results)), key=lambda index: sign * results[index]["value"])
    near, far = ("ci_low", "ci_high") if higher_is_better else ("ci_high", "ci_low")
    others = [result for index, result in enumerate(results) if index != best]
    clear = all(sign * results[best][near] > sign * other[far] for other in others)
    return best if clear else None


def differing_settings(runs: Sequence[Run]) -> list[Difference]:
    """Flattened settings that are not equal in all reports; secrets are masked first."""
    settings = [flatten(masked(settings_of(run.report))) for run in runs]
    keys = dict.fromkeys(key for flat in settings for key in flat)
    rows = [Difference(key, [flat.get(key) for flat in settings]) for key in keys]
    return [row for row in rows if any(value != row.values[0] for value in row.values)]


def settings_of(report: dict[str, Any]) -> dict[str, Any]:
    """Everything that was chosen for a run: how its set was made, and how it was evaluated."""
    provenance = report.get("provenance") or {}
    made = dict((provenance.get("synthetic") or {}).get("dataset") or {})
    for derived in ("created", "seconds", "execution", "classes", "files", "sha256"):
        made.pop(derived, None)
    return {
        "set": made,
        "evaluate": provenance.get("config") or {},
        "protocol": report.get("protocol") or {},
        "versions": provenance.get("versions") or {},
    }
