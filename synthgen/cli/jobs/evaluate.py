"""``synthgen evaluate``: real and synthetic images in, a report out."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from synthgen.cli.assemble import build_instance, build_source, stage_tracker
from synthgen.cli.saved import plain_config
from synthgen.data.choosing import for_choosing
from synthgen.data.splits import prepare, rebuild
from synthgen.data.synthetic import DATASET, read_synthetic
from synthgen.evaluation import Extractor, Judge, evaluate
from synthgen.paths import read_json, require_absent
from synthgen.tracking import log_report

if TYPE_CHECKING:
    from synthgen.cli.application import Invocation
    from synthgen.cli.validate import EvaluateSettings, RunSettings
    from synthgen.data.source import Source
    from synthgen.data.splits import Splits

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Instruments:
    """What a set is measured with."""

    extractors: list[Extractor]
    judge: Judge


def run(settings: EvaluateSettings, invocation: Invocation) -> Path:
    out = invocation.folder(settings.out)
    require_absent(out)
    return report(settings, instruments_of(settings), Path(settings.synthetic), out, run=out)


def instruments_of(settings: EvaluateSettings | RunSettings) -> Instruments:
    extractors = [
        build_instance(node, Extractor, key=f"extractor.{name}", allow=settings.allow)
        for name, node in settings.extractor.items()
    ]
    judge = build_instance(settings.judge, Judge, key="judge", allow=settings.allow)
    return Instruments(extractors, judge)


def report(
    settings: EvaluateSettings | RunSettings,
    instruments: Instruments,
    synthetic: Path,
    out: Path,
    *,
    run: Path,
    training_log: Path | None = None,
) -> Path:
    """Write the report ``out``; ``run`` is the folder whose name groups the stages."""
    splits = splits_behind(synthetic, build_source(settings.data, settings.allow))
    if settings.reference == "holdout":
        splits = for_choosing(splits)
    image = splits.train.image
    drawn = read_synthetic(synthetic, image.classes, channels=image.channels)
    for note in splits.notes:
        log.info(note)
    written = evaluate(
        splits,
        drawn,
        out,
        extractors=instruments.extractors,
        judge=instruments.judge,
        seeds=settings.seeds,
        seed=settings.seed,
        training_log=training_log,
        config=plain_config(settings),
    )
    with stage_tracker(settings, out, "evaluate", run) as tracker:
        log_report(tracker, written, out)
    return out


def splits_behind(synthetic_path: Path, source: Source) -> Splits:
    """The split that the set's generator was trained on, rebuilt and checked; a new one for a set
    that doesn't say where it comes from."""
    description = synthetic_path / DATASET
    node: Any = read_json(description) if description.is_file() else None
    for key in ("provenance", "data"):
        node = node.get(key) if isinstance(node, dict) else None
    if isinstance(node, dict) and isinstance(node.get("recipe"), dict) and "digest" in node:
        return rebuild(source, node["recipe"], str(node["digest"]))
    return prepare(source)
