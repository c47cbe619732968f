"""``synthgen evaluate``: real and synthetic images in, a report out."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from synthgen.cli.assemble import build_instance, build_source, sampler_here, stage_tracker
from synthgen.cli.resume import plain_config
from synthgen.data.divide import held_in_memory, prepare, rebuild
from synthgen.data.splits import for_choosing
from synthgen.dataset.schema import Dataset
from synthgen.dataset.source import description_of, read_synthetic
from synthgen.errors import CheckFailedError, SynthgenError
from synthgen.evaluation import Classifier, Extractor, Trial, checks, evaluate
from synthgen.evaluation.checks import require_trained_on
from synthgen.evaluation.evaluator import REVIEW
from synthgen.evaluation.features.base import require_writable
from synthgen.evaluation.review import KEY, PAGE
from synthgen.evaluation.trial.schema import TrialVerdict
from synthgen.io import require_absent
from synthgen.metrics import STANDARD, Metric
from synthgen.samplers.artifact import load_sampler, read_description, sampler_folder
from synthgen.tracking import log_report

if TYPE_CHECKING:
    from synthgen.cli.application import Invocation
    from synthgen.cli.settings import EvaluateSettings, FailOn, RunSettings
    from synthgen.data.source import Source
    from synthgen.data.splits import Splits
    from synthgen.samplers.base import Sampler

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Instruments:
    """What a set is measured with."""

    extractors: list[Extractor]
    metrics: Sequence[Metric]
    classifier: Classifier
    trial: Trial | None


def run(settings: EvaluateSettings, invocation: Invocation) -> Path:
    out = invocation.folder(settings.out)
    require_absent(out)
    with ExitStack() as stack:
        sampler = None
        if settings.sampler:
            sampler = Path(stack.enter_context(sampler_here(settings.sampler)))
            read_description(sampler_folder(sampler))  # a misspelt name must not pass for none
        synthetic, instruments = Path(settings.synthetic), instruments_of(settings)
        return report(settings, instruments, synthetic, out, run=out, sampler=sampler)


def instruments_of(settings: EvaluateSettings | RunSettings) -> Instruments:
    extractors = [
        build_instance(node, Extractor, key=f"extractor.{name}", allow=settings.allow)
        for name, node in settings.extractor.items()
    ]
    metrics = metrics_of(settings)
    if settings.cache is not None:
        require_writable(Path(settings.cache))
        for extractor in extractors:
            extractor.cache = Path(settings.cache)
    classifier = build_instance(settings.judge, Classifier, key="judge", allow=settings.allow)
    trial = settings.trial and build_instance(
        settings.trial, Trial, key="trial", allow=settings.allow
    )
    if settings.fail_on and not trial:
        raise SynthgenError("fail_on needs a verdict, and that needs a trial.\nAdd trial=standard.")
    return Instruments(extractors, metrics, classifier, trial or None)


def metrics_of(settings: EvaluateSettings | RunSettings) -> Sequence[Metric]:
    if settings.metric is None:
        return STANDARD
    if "_target_" in settings.metric:
        raise SynthgenError(
            "A metric's YAML must begin with its place: # @package metric.NAME\n"
            "Add that line to the one that was chosen with metric=."
        )
    return [
        build_instance(node, Metric, key=f"metric.{name}", allow=settings.allow)
        for name, node in settings.metric.items()
    ]


def require_measurable(settings: RunSettings, instruments: Instruments, splits: Splits) -> None:
    """Raise what :func:`report` would raise about its settings, before hours of training."""
    splits = held_in_memory(splits)
    checks.require_measurable(
        for_choosing(splits) if settings.reference == "holdout" else splits,
        extractors=instruments.extractors,
        metrics=instruments.metrics,
        classifier=instruments.classifier,
        trial=instruments.trial,
        seeds=settings.seeds,
        seed=settings.seed,
        review=settings.review,
    )


def report(
    settings: EvaluateSettings | RunSettings,
    instruments: Instruments,
    synthetic: Path,
    out: Path,
    *,
    run: Path,
    sampler: Path | None = None,
    training_log: Path | None = None,
) -> Path:
    """Write the report ``out``; ``run`` is the folder whose name groups the stages."""
    splits = splits_behind(synthetic, build_source(settings.data, settings.allow))
    if settings.reference == "holdout":
        splits = for_choosing(splits)
    image = splits.train.image
    drawn = read_synthetic(synthetic, image.classes, like=image)
    for note in (*splits.notes, *drawn.notes):
        log.info(note)
    written = evaluate(
        splits,
        drawn,
        out,
        extractors=instruments.extractors,
        metrics=instruments.metrics,
        classifier=instruments.classifier,
        seeds=settings.seeds,
        seed=settings.seed,
        trial=instruments.trial,
        sampler=sampler_of(sampler, synthetic, splits, settings.allow)
        if instruments.trial
        else None,
        training_log=training_log,
        config=plain_config(settings),
        review=settings.review,
    )
    if settings.review is not None:
        log.info(
            "Give the expert %s alone: %s holds the truth.",
            out / REVIEW / PAGE, out / REVIEW / KEY,
        )  # fmt: skip
    if written.verdict:
        log.info(written.verdict.sentence)
    with stage_tracker(settings, out, "evaluate", run) as tracker:
        log_report(tracker, written, out)
    if settings.fail_on is not None:
        require_verdict(written.verdict, settings.fail_on, out)
    return out


def sampler_of(
    path: Path | None, synthetic: Path, splits: Splits, allow: list[str]
) -> Sampler | None:
    """The sampler that draws for a trial, with the latents that the set was drawn with; None if
    the set is more than plain draws of one sampler, so that new draws would be other images."""
    if path is None:
        return None
    dataset = description_of(synthetic)
    made = dataset if isinstance(dataset, Dataset) else None
    if made is not None and not _is_plain(made):
        log.info(
            "The set was curated, appended to, or comes from several sources: the trial takes its "
            "images as they are."
        )
        return None
    description = read_description(sampler_folder(path))
    if made is None or made.sampler.sha256 != description.sha256:
        reason = "it doesn't say with which" if made is None else "their SHA-256 differ"
        raise SynthgenError(
            f"{synthetic} was not drawn with the sampler in {path} ({reason}).\n"
            "Give the sampler that it was made with, or leave sampler= out: the trial then takes "
            "the set's own images."
        )
    require_trained_on(splits, description.provenance.data, f"sampler={path}")
    sampler = load_sampler(path, allow)
    latents = made.parts[0].latents
    if latents.temperature is not None or latents.truncation is not None:
        sampler.set_latents(temperature=latents.temperature, truncation=latents.truncation)
    return sampler


def _is_plain(dataset: Dataset) -> bool:
    """Whether the set is no more than draws of one sampler."""
    first, *more = dataset.parts
    return not more and not first.filters and len(first.samplers) == 1


def require_verdict(verdict: TrialVerdict | None, fail_on: FailOn, out: Path) -> None:
    """Raises CheckFailedError for the verdict ``fail_on`` or a worse one."""
    primary = verdict and verdict.primary
    worse = {"harmed": ["harmed"], "no evidence": ["harmed", "no evidence"]}[fail_on]
    if primary and primary.verdict in worse:
        raise CheckFailedError(
            f"The verdict is '{primary.verdict}', which fail_on={fail_on} asks to fail on.\n"
            f"The report is in {out}."
        )


def splits_behind(synthetic_path: Path, source: Source) -> Splits:
    """The split that the set's generator was trained on, rebuilt and checked; a new one for a set
    that doesn't say where it comes from."""
    dataset = description_of(synthetic_path)
    data = dataset.provenance.data if isinstance(dataset, Dataset) else None
    if data is not None and data.recipe is not None and data.digest is not None:
        return held_in_memory(rebuild(source, data.recipe, data.digest))
    return held_in_memory(prepare(source))
