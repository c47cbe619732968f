"""What each stage tells its tracker. Only files that may leave the machine are attached: never
split.json (it would reveal who was in the training set), never checkpoints, and of real images
neither the pixels nor their hashes. Pages and their figures show real images beside synthetic ones,
so they stay too; the numbers in them go, and the synthetic half of the grid of classes."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from synthgen.tracking.lineage import (
    PUBLIC_REPORT,
    comparison_piece,
    data_piece,
    dataset_behind,
    dataset_piece,
    evaluated_set,
    report_piece,
    sampler_piece,
)
from synthgen.tracking.tracker import Tracker

if TYPE_CHECKING:
    from synthgen.evaluation.experiments import Experiment
    from synthgen.evaluation.report.schema import Comparison, Report
    from synthgen.evaluation.trial.schema import TrialVerdict


def log_sampler(tracker: Tracker, folder: Path) -> None:
    """After ``train``: the sampler, the data that it was trained on, and the moment at which it
    was nearest to the holdout, if that was looked for."""
    from synthgen.samplers.artifact import read_description  # torch, too

    description, piece = read_description(Path(folder)), sampler_piece(folder)
    data = description.provenance.split_digest
    tracker.log_fingerprints({"sampler": piece.fingerprint, "data": data})
    tracker.log_values(best_of(Path(folder).parent))
    if data is not None:
        tracker.use_piece(data_piece(data))
    tracker.log_piece(piece)


def best_of(run: Path) -> dict[str, float]:
    """``best/…``: W&B's own summaries of a curve don't survive a single NaN."""
    from synthgen.tracking.lightning import BEST, comparisons_in

    found = [
        (float(row["distance"]), int(row["images_seen"]))
        for row in comparisons_in(run / BEST)
        if isinstance(row.get("distance"), float | int) and isinstance(row.get("images_seen"), int)
    ]
    if not found:
        return {}
    distance, images_seen = min(found)
    return {"best/holdout_distance": distance, "best/images_seen": images_seen}


def log_dataset(tracker: Tracker, folder: Path, samplers: Sequence[Path] = ()) -> None:
    """After ``synthesize``: what the set is, which image has which seed, a contact sheet, and the
    samplers that drew it. Of copies of real images only the description goes: the sheet would show
    them."""
    from synthgen.dataset import DESCRIPTION
    from synthgen.dataset.schema import Dataset

    dataset, piece = Dataset.read(Path(folder) / DESCRIPTION), dataset_piece(folder)
    tracker.log_fingerprints({"dataset": piece.fingerprint, "sampler": dataset.sampler.sha256})
    for sampler in samplers:
        tracker.use_piece(sampler_piece(sampler))
    if not dataset.exposes_real:
        _log_sheet(tracker, Path(folder))
    tracker.log_piece(piece)


def _log_sheet(tracker: Tracker, folder: Path) -> None:
    """The contact sheet, in the set a page, as the picture that trackers show."""
    from synthgen.dataset.card import sheet_picture  # torch and more come with it

    picture = sheet_picture(folder)
    if picture is None:
        return
    with tempfile.TemporaryDirectory(prefix="synthgen-") as scratch:
        sheet = Path(scratch) / "contact_sheet.png"
        sheet.write_bytes(picture)
        tracker.log_pictures({sheet.name: sheet})


def log_report(tracker: Tracker, report: Report, folder: Path) -> None:
    """After ``evaluate``: overall results, the one that decides and the verdict as numbers, all
    results, the classes and the trial's comparisons as tables, and the public form of
    report.json."""
    provenance = report.provenance
    data, dataset = provenance.data.digest, dataset_behind(report)
    tracker.log_fingerprints({"data": data, "dataset": evaluated_set(report)})
    tracker.use_piece(data_piece(data))
    if dataset is not None:
        tracker.use_piece(dataset)
    tracker.log_values(
        {
            "/".join(filter(None, (result.name, result.extractor))): result.value
            for result in report.results
            if result.scope is None
        }
    )
    tracker.log_values(primary_of(report))
    columns = ["name", "extractor", "classifier", "scope", "value", "ci_low", "ci_high"]
    rows = [[_cell(getattr(result, key)) for key in columns] for result in report.results]
    tracker.log_table("results", columns, rows)
    _log_classes(tracker, report, Path(folder))
    if report.verdict:
        log_verdict(tracker, report.verdict)
    tracker.log_piece(report_piece(report, folder))


def primary_of(report: Report) -> dict[str, float | str | None]:
    """``primary/…``: the result that :mod:`compare` would sort by, to sort W&B's table by."""
    from synthgen.evaluation.report.comparison import DIFFERENCE, PRIMARY

    if report.verdict and (found := report.verdict.primary) is not None:
        ends = {"value": found.difference, "ci_low": found.ci_low, "ci_high": found.ci_high}
        return {"primary/name": DIFFERENCE} | {f"primary/{k}": v for k, v in ends.items()}
    overall = {one.name: one for one in reversed(report.results) if one.scope is None}
    name = next((name for name in PRIMARY if name in overall), None)
    if name is None:
        return {}
    ends = {part: getattr(overall[name], part) for part in ("value", "ci_low", "ci_high")}
    return {"primary/name": name} | {f"primary/{k}": v for k, v in ends.items()}


def _log_classes(tracker: Tracker, report: Report, folder: Path) -> None:
    """A row per class: how many synthetic images, what was measured, and the first of them."""
    from synthgen.evaluation.figures import synthetic_rows

    by_class: dict[str, dict[str, float | None]] = {}
    for result in report.results:
        if result.scope is not None and set(result.scope) == {"class"}:
            name = "/".join(filter(None, (result.name, result.extractor)))
            by_class.setdefault(str(result.scope["class"]), {})[name] = result.value
    names = list(dict.fromkeys(name for own in by_class.values() for name in own))
    counts = report.provenance.synthetic.counts
    with tempfile.TemporaryDirectory(prefix="synthgen-") as scratch:
        pictures = synthetic_rows(report, folder, Path(scratch)) if shows_none_real(report) else {}
        columns = ["class", "images", *(["picture"] if pictures else []), *names]
        rows = [
            [
                one,
                counts.get(one),
                *([pictures.get(one)] if pictures else []),
                *(own.get(name) for name in names),
            ]
            for one, own in by_class.items()
        ]
        if rows:
            tracker.log_table("classes", columns, rows)


def shows_none_real(report: Report) -> bool:
    """Whether the set says that it holds no real images and no copies of them; one that says
    nothing might."""
    described: Mapping[str, Any] = report.provenance.synthetic.dataset or {}
    return described.get("exposes_real") is False


def log_verdict(tracker: Tracker, verdict: TrialVerdict) -> None:
    """The primary contrast in a word and as numbers to sort runs by, and all contrasts as a
    table."""
    numbers = ("difference", "ci_low", "ci_high", "p", "smallest_detectable")
    if (primary := verdict.primary) is not None:
        tracker.log_values({f"verdict/{name}": getattr(primary, name) for name in numbers})
        tracker.log_values({"verdict": primary.verdict, "verdict/sentence": verdict.sentence})
    columns = ["name", "against", "endpoint", "ratio", "verdict", *numbers, "p_adjusted"]
    rows = [[getattr(arm, column) for column in columns] for arm in verdict.arms]
    tracker.log_table("trial", columns, rows)


def log_comparison(
    tracker: Tracker,
    comparison: Comparison,
    folder: Path,
    experiments: Sequence[Experiment] = (),
) -> None:
    """After ``compare``: the table, as W&B's own and as a file, and the reports that went in, if
    they lie here. comparison.json says in which folders the reports and their data lie, and
    stays."""
    from synthgen.evaluation.report.comparison import ranking

    for one in experiments:
        if one.folder is not None and (one.folder / PUBLIC_REPORT).is_file():
            tracker.use_piece(report_piece(one.report, one.folder))
    if (found := ranking(comparison)) is not None:
        tracker.log_values({"best/run": found.order[0], "best/result": found.line.name})
    tracker.log_table("comparison", comparison.columns(), comparison.records())
    tracker.log_piece(comparison_piece(comparison, folder))


def _cell(value: Any) -> Any:
    return ", ".join(f"{k}: {v}" for k, v in value.items()) if isinstance(value, dict) else value
