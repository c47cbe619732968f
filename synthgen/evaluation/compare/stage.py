"""Read reports, refuse what can't be compared, write the comparison."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from synthgen.errors import SynthgenError
from synthgen.evaluation.compare.comparison import (
    Comparison,
    Run,
    differing_settings,
    shared_lines,
)
from synthgen.evaluation.compare.output import write_comparison
from synthgen.evaluation.report.schema import Report
from synthgen.evaluation.report.verdict import verdict_text
from synthgen.evaluation.report.wording import reference_split
from synthgen.paths import new_folder

BEST_SENTENCE = (
    "A value is marked as best (*) only where its interval overlaps with no other run's interval; "
    "where nothing is marked, no run is surely the best."
)


def compare(folders: Sequence[Path], out: Path) -> Comparison:
    """Put the reports in ``folders`` (report folders, or run folders with ``report/`` in them)
    side by side and write ``out/comparison.{json,csv,html}``.

    Raises SynthgenError for fewer than two folders, a folder without a report, different splits
    or reference splits, different extractors of one kind, or nothing shared.
    """
    if len(folders) < 2:
        raise SynthgenError(
            f"Comparing needs at least two reports, got {len(folders)}.\n"
            "Name their folders: synthgen compare DIR DIR"
        )
    places = [report_folder(folder) for folder in folders]
    names = labels([Path(folder) for folder in folders])
    runs = [
        Run(name, place, Report.read(place / "report.json"))
        for name, place in zip(names, places, strict=True)
    ]
    require_same_split(runs)
    require_same_extractors(runs)
    lines = shared_lines(runs)
    if not lines:
        raise SynthgenError(
            "These reports have no result in common (name, extractor, classifier and scope).\n"
            "Evaluate them again with the same extractors and judge."
        )
    comparison = Comparison(runs, lines, differing_settings(runs), sentences(runs))
    with new_folder(Path(out)) as staging:
        write_comparison(comparison, staging)
    return comparison


def report_folder(folder: Path) -> Path:
    """``folder`` itself or its ``report/``, whichever holds a report.json."""
    for place in (Path(folder), Path(folder) / "report"):
        if (place / "report.json").is_file():
            return place
    raise SynthgenError(
        f"There is no report in {folder} (looked for report.json and report/report.json).\n"
        "Make one: synthgen evaluate data=… synthetic=… out=…"
    )


def require_same_split(runs: Sequence[Run]) -> None:
    """Numbers from different real images are different measurements."""
    for what, of in (
        ("splits of the data", lambda run: run.report.provenance.data.digest),
        ("reference splits", lambda run: reference_split(run.report)),
    ):
        first = of(runs[0])
        for run in runs[1:]:
            if of(run) != first:
                raise SynthgenError(
                    f"{runs[0].name} and {run.name} were tested on different {what} "
                    f"({_short(first)} and {_short(of(run))}).\n"
                    "Evaluate both with the same data and split settings."
                )


def require_same_extractors(runs: Sequence[Run]) -> None:
    """A distance in one network's features says nothing about a distance in another's. Extractors
    of one kind (the part of the name before the weights' hash) must have the same weights."""
    first = _extractors(runs[0])
    for run in runs[1:]:
        own = _extractors(run)
        for kind in first.keys() & own.keys():
            if first[kind] != own[kind]:
                raise SynthgenError(
                    f"{runs[0].name} and {run.name} were seen by different {kind} networks "
                    f"({', '.join(sorted(first[kind]))} and {', '.join(sorted(own[kind]))}).\n"
                    "Evaluate both with the same extractor: same data, split, seed and settings."
                )


def labels(folders: Sequence[Path]) -> list[str]:
    """Short distinct names: the folder's, with as many parents as it takes to tell them apart."""
    parts = [folder.absolute().parts for folder in folders]
    parts = [part[:-1] if part[-1] == "report" and len(part) > 2 else part for part in parts]
    for depth in range(1, max(map(len, parts)) + 1):
        names = ["/".join(part[-depth:]) for part in parts]
        if len(set(names)) == len(names):
            return names
    return [f"{number}: {'/'.join(part[-1:])}" for number, part in enumerate(parts, 1)]


def sentences(runs: Sequence[Run]) -> list[str]:
    """What to keep in mind while reading the table."""
    said = [BEST_SENTENCE]
    if (reference := reference_split(runs[0].report)) != "test":
        said.append(
            f"These reports are for choosing: their reference is the {reference} split. The final "
            "report of what is chosen uses reference=test."
        )
    judges = [run.report.protocol.judge for run in runs]
    if any(judge != judges[0] for judge in judges):
        said.append(
            "The judges were trained with different settings (see the differences), so the "
            "transfer results of these runs are not the same test."
        )
    return said + verdicts(runs)


def verdicts(runs: Sequence[Run]) -> list[str]:
    """What the trials said, if any report has one: the first two sentences of each."""
    found = [run.report.verdict for run in runs]
    if all(verdict is None for verdict in found):
        return []
    return [
        f"Verdict of {run.name}: {'. '.join(verdict_text(verdict).split('. ')[:2]).rstrip('.')}."
        for run, verdict in zip(runs, found, strict=True)
    ]


def _extractors(run: Run) -> dict[str, set[str]]:
    kinds: dict[str, set[str]] = {}
    for name in {result.extractor for result in run.report.results if result.extractor}:
        kinds.setdefault(name.split("-")[0], set()).add(name)
    return kinds


def _short(text: str) -> str:
    return f"{text[:12]}…" if len(text) > 16 else text
