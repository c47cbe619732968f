"""``synthgen synthesize``: a sampler and a plan in, a labelled set out."""

from __future__ import annotations

import copy
import logging
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from synthgen.cli.assemble import build_instance, build_source, samplers_here, stage_tracker
from synthgen.cli.build import build
from synthgen.data import in_memory
from synthgen.data.divide import rebuild
from synthgen.dataset.card import Papers
from synthgen.dataset.formats.images import Format
from synthgen.dataset.storage import open_store
from synthgen.errors import SynthgenError, stopped
from synthgen.launch import current_launch
from synthgen.samplers.artifact import read_description, sampler_folder
from synthgen.samplers.base import FittedSampler
from synthgen.synthesis import Plan, generate, is_complete, plan_request, synthesize
from synthgen.synthesis.filters import Filter, SetFilter
from synthgen.synthesis.filters.base import without_copies
from synthgen.synthesis.job import require_free_or_finished, tell_of_idle_tasks
from synthgen.synthesis.sources import resolve_device
from synthgen.tracking import log_dataset
from synthgen.training.module import GenerativeModule
from synthgen.types import ImageSpec

if TYPE_CHECKING:
    from synthgen.cli.application import Invocation
    from synthgen.cli.settings import RunSettings, SynthesizeSettings
    from synthgen.types import LabelledImages

log = logging.getLogger(__name__)


def run(settings: SynthesizeSettings, invocation: Invocation) -> str | Path:
    url = settings.out is not None and "://" in settings.out
    out: str | Path = str(settings.out) if url else invocation.folder(settings.out)
    tell_of_idle_tasks()
    plan = plan_of(settings)
    with samplers_here(settings.sampler) as given:
        return _draw_new(settings, plan, given, out)


def _draw_new(
    settings: SynthesizeSettings, plan: Plan, given: str | dict[str, str], out: str | Path
) -> str | Path:
    options = {
        **options_of(settings, Path(of_the_data(given))),
        "shares": settings.shares,
        "attributes": settings.attributes,
        "shard_size": settings.shard_size,
    }
    if not (settings.append or settings.dry_run or current_launch().rank):
        require_free_or_finished(open_store(out))
    request = plan_request(given, plan, **options)
    if settings.dry_run:
        return request.table()
    log.info("%s", request.table())
    was_there = not settings.append and is_complete(out)
    try:
        generate(request, out, append=settings.append, papers=Papers.from_json(settings.papers))
    except KeyboardInterrupt as error:
        raise stopped(error, _how_to_go_on(out)) from None
    if current_launch().rank == 0 and "://" not in str(out) and not was_there:
        _track(settings, Path(out), run=Path(out), samplers=given)
    return out


def plan_of(settings: SynthesizeSettings | RunSettings) -> Plan:
    return build_instance(settings.plan, Plan, key="plan", allow=settings.allow)


def check_settings(settings: RunSettings) -> None:
    """Raise what a wrong filter, format or device would raise, before the data are read."""
    filters_of(settings)
    form = format_of(settings)
    if form is not None:
        form.prepare(ImageSpec(1, 8, 8, ("any",)))
    resolve_device(settings.device)


def check_model(
    settings: RunSettings, model: GenerativeModule | FittedSampler, real: LabelledImages
) -> None:
    """Raise what the model's sampler, once trained, would raise about these settings, and the
    filters about these images, before hours of training."""
    latents = {"temperature": settings.temperature, "truncation": settings.truncation}
    if any(value is not None for value in latents.values()):
        sampler = model if isinstance(model, FittedSampler) else model.sampler()
        copy.deepcopy(sampler).set_latents(**latents)
    form = format_of(settings)
    if form is not None:
        form.prepare(real.image)
    if filters_of(settings):
        without_copies(real)  # raises if too few images are left to fit a filter to


def draw(settings: RunSettings, plan: Plan, sampler: Path, out: Path, run: Path) -> Path:
    """Draw the set ``out``; ``run`` is the folder whose name groups the stages."""
    synthesize(sampler, plan, out, **options_of(settings, sampler))
    if current_launch().rank == 0:
        _track(settings, out, run, samplers=str(sampler))
    return out


def options_of(settings: SynthesizeSettings | RunSettings, sampler: Path) -> dict[str, Any]:
    """What both verbs order."""
    filters = filters_of(settings)
    needs_real = bool(filters) or settings.mode == "augment"
    return {
        "seed": settings.seed,
        "mode": settings.mode,
        "real": training_images(settings, sampler) if needs_real else None,
        "filters": filters,
        "attempts": settings.attempts,
        "temperature": settings.temperature,
        "truncation": settings.truncation,
        "format": format_of(settings),
        "batch_size": settings.batch_size,
        "device": settings.device,
        "allow": settings.allow,
    }


def format_of(settings: SynthesizeSettings | RunSettings) -> Format | None:
    if settings.format is None:
        return None
    return build_instance(settings.format, Format, key="format", allow=settings.allow)


def filters_of(settings: SynthesizeSettings | RunSettings) -> list[Filter | SetFilter]:
    built: list[Filter | SetFilter] = []
    for name, node in (settings.filter or {}).items():
        key = f"filter.{name}"
        one = build(node, key=key, role=Filter | SetFilter, allow=settings.allow)
        if not isinstance(one, Filter | SetFilter):
            raise SynthgenError(
                f"{key} describes a {type(one).__name__}, which is no filter.\n"
                "Choose among the options of the group: filter=[NAME]"
            )
        built.append(one)
    return built


def of_the_data(given: str | Mapping[str, str]) -> str:
    """The sampler that says which images it was fitted on: the only one, or the first that does."""
    several = [given] if isinstance(given, str) else list(given.values())
    for path in several[:-1]:
        if read_description(sampler_folder(path)).provenance.data is not None:
            return path
    return several[-1] if several else ""


def training_images(settings: SynthesizeSettings | RunSettings, sampler: Path) -> LabelledImages:
    """The training split that the sampler was fitted on, rebuilt from ``data`` and checked."""
    if settings.data is None:
        raise SynthgenError(
            "mode=augment and filters need the real training images.\n"
            "Say where they are, as in training: data=mnist, or data=image_folder data.root=PHOTOS"
        )
    data = read_description(sampler_folder(sampler)).provenance.data
    if data is None or data.recipe is None or data.digest is None:
        raise SynthgenError(
            f"The sampler in {sampler} doesn't say which images it was trained on, so none can be "
            "put beside its own.\nTrain it again."
        )
    source = build_source(settings.data, settings.allow)
    real = rebuild(source, data.recipe, data.digest).train
    if settings.mode == "augment" and in_memory(real) is not real:
        raise SynthgenError(
            "mode=augment copies all real training images beside the synthetic ones, which those "
            "of data=stream are too many for.\nMake a set of its own (mode=synthetic)."
        )
    return in_memory(real)


def _track(
    settings: SynthesizeSettings | RunSettings,
    out: Path,
    run: Path,
    samplers: str | Mapping[str, str],
) -> None:
    if not is_complete(out):
        return
    paths = [samplers] if isinstance(samplers, str) else [*samplers.values()]
    with stage_tracker(settings, out, "synthesize", run) as tracker:
        log_dataset(tracker, out, [sampler_folder(path) for path in paths])


def _how_to_go_on(out: str | Path) -> str:
    shown = shlex.quote(f"out={out}")
    return (
        f"Stopped. The shards that were finished are in {out}.\n"
        f"Go on with the same command{'' if '://' in str(out) else f', with {shown}'}."
    )
