"""What each stage tells its tracker. Only files that may leave the machine are attached: never
split.json (it would reveal who was in the training set), never checkpoints, and of real images
neither the pixels nor their hashes. Pages and their figures show real images beside synthetic ones,
so they stay too; the numbers in them go."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from synthgen.dataset import DESCRIPTION, MANIFEST
from synthgen.io import file_digest
from synthgen.tracking.tracker import Tracker

if TYPE_CHECKING:
    from synthgen.evaluation.report.schema import Comparison, Report
    from synthgen.evaluation.trial.schema import TrialVerdict


def log_sampler(tracker: Tracker, folder: Path) -> None:
    """After ``train``: sampler.json and weights.safetensors; only the former where the weights are
    real images."""
    from synthgen.samplers.artifact import DESCRIPTION, WEIGHTS, read_description  # torch, too

    description = read_description(Path(folder))
    sha256, data = description.sha256, description.provenance.split_digest
    tracker.log_fingerprints({"sampler": sha256, "data": data})
    files = [Path(folder) / DESCRIPTION]
    if not description.exposes_real:
        files.append(Path(folder) / WEIGHTS)
    tracker.log_artifact(
        "sampler",
        "sampler",
        files,
        {"sha256": sha256, "image": description.image.to_json()},
    )


def log_dataset(tracker: Tracker, folder: Path) -> None:
    """After ``synthesize``: what the set is, which image has which seed, and a contact sheet.
    Of copies of real images only the description goes: the sheet would show them, and the
    manifest's hashes would tell who was trained on."""
    from synthgen.dataset.schema import Dataset

    manifest, card = Path(folder) / MANIFEST, Path(folder) / DESCRIPTION
    fingerprint, dataset = file_digest(manifest), Dataset.read(card)
    tracker.log_fingerprints({"dataset": fingerprint, "sampler": dataset.sampler.sha256})
    files = [card]
    if not dataset.exposes_real:
        files.append(manifest)
        _log_sheet(tracker, Path(folder))
    tracker.log_artifact("dataset", "dataset", files, {"sha256": fingerprint})


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
    """After ``evaluate``: overall results and the verdict as numbers, all results and the trial's
    comparisons as tables, and the public form of report.json."""
    folder, provenance = Path(folder), report.provenance
    tracker.log_fingerprints(
        {"data": provenance.data.digest, "dataset": provenance.synthetic.digest}
    )
    tracker.log_values(
        {
            "/".join(filter(None, (result.name, result.extractor))): result.value
            for result in report.results
            if result.scope is None and result.value is not None
        }
    )
    columns = ["name", "extractor", "classifier", "scope", "value", "ci_low", "ci_high"]
    rows = [[_cell(getattr(result, key)) for key in columns] for result in report.results]
    tracker.log_table("results", columns, rows)
    if report.verdict:
        log_verdict(tracker, report.verdict)
    files = [path] if (path := folder / "report.public.json").is_file() else []
    tracker.log_artifact("report", "report", files, {"created": report.created})


def log_verdict(tracker: Tracker, verdict: TrialVerdict) -> None:
    """The primary contrast as numbers to sort runs by, and all contrasts as a table."""
    numbers = ("difference", "ci_low", "ci_high", "p", "smallest_detectable")
    if (primary := verdict.primary) is not None:
        tracker.log_values({f"verdict/{name}": getattr(primary, name) for name in numbers})
    columns = ["name", "against", "endpoint", "ratio", "verdict", *numbers, "p_adjusted"]
    rows = [[getattr(arm, column) for column in columns] for arm in verdict.arms]
    tracker.log_table("trial", columns, rows)


def log_comparison(tracker: Tracker, comparison: Comparison, folder: Path) -> None:
    """After ``compare``: the table, as W&B's own and as a file. comparison.json says in which
    folders the reports and their data lie, and stays."""
    tracker.log_table("comparison", comparison.columns(), comparison.records())
    files = [path] if (path := Path(folder) / "comparison.csv").is_file() else []
    tracker.log_artifact("comparison", "comparison", files, {"runs": comparison.names})


def _cell(value: Any) -> Any:
    return ", ".join(f"{k}: {v}" for k, v in value.items()) if isinstance(value, dict) else value
