"""What each stage tells its tracker. Only files that may leave the machine are attached: never
split.json (it would reveal who was in the training set) and never checkpoints."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from synthgen.paths import file_digest, read_json
from synthgen.tracking.tracker import Tracker

if TYPE_CHECKING:
    from synthgen.evaluation.compare import Comparison


def log_sampler(tracker: Tracker, folder: Path) -> None:
    """After ``train``: the sampler folder (sampler.json and weights.safetensors)."""
    description = read_json(Path(folder) / "sampler.json")
    data = (description.get("provenance") or {}).get("data") or {}
    tracker.log_fingerprints({"sampler": description.get("sha256"), "data": data.get("digest")})
    tracker.log_artifact(
        "sampler",
        "sampler",
        [Path(folder) / "sampler.json", Path(folder) / "weights.safetensors"],
        {"sha256": description.get("sha256"), "image": description.get("image")},
    )


def log_dataset(tracker: Tracker, folder: Path) -> None:
    """After ``synthesize``: what the set is and which image has which seed; not the images."""
    manifest, description = Path(folder) / "manifest.jsonl", Path(folder) / "dataset.json"
    fingerprint = file_digest(manifest)
    tracker.log_fingerprints(
        {"dataset": fingerprint, "sampler": _sampler_of(read_json(description))}
    )
    tracker.log_artifact("dataset", "dataset", [manifest, description], {"sha256": fingerprint})


def log_report(tracker: Tracker, report: dict[str, Any], folder: Path) -> None:
    """After ``evaluate``: overall results as numbers, all results as a table, figures, the page."""
    folder = Path(folder)
    provenance = report.get("provenance") or {}
    tracker.log_fingerprints(
        {
            "data": (provenance.get("data") or {}).get("digest"),
            "dataset": (provenance.get("synthetic") or {}).get("digest"),
        }
    )
    results = report.get("results") or []
    tracker.log_values(
        {
            "/".join(filter(None, (r["name"], r.get("extractor")))): r["value"]
            for r in results
            if r.get("scope") is None and r.get("value") is not None
        }
    )
    columns = ["name", "extractor", "classifier", "scope", "value", "ci_low", "ci_high"]
    tracker.log_table("results", columns, [[_cell(r.get(key)) for key in columns] for r in results])
    figures = {str(f["file"]): folder / f["file"] for f in report.get("figures") or []}
    tracker.log_pictures({name: path for name, path in figures.items() if path.is_file()})
    files = [path for name in ("report.json", "report.html") if (path := folder / name).is_file()]
    tracker.log_artifact("report", "report", files, {"created": report.get("created")})


def log_comparison(tracker: Tracker, comparison: Comparison, folder: Path) -> None:
    """After ``compare``: the table, and the files."""
    tracker.log_table("comparison", comparison.columns(), comparison.records())
    files = [path for path in sorted(Path(folder).glob("comparison.*")) if path.is_file()]
    tracker.log_artifact("comparison", "comparison", files, {"runs": comparison.names})


def _cell(value: Any) -> Any:
    return ", ".join(f"{k}: {v}" for k, v in value.items()) if isinstance(value, dict) else value


def _sampler_of(description: dict[str, Any]) -> str | None:
    sampler = description.get("sampler")
    return sampler.get("sha256") if isinstance(sampler, dict) else None
