"""``synthgen train``: real images in, a run folder with a sampler out."""

from __future__ import annotations

import dataclasses
import functools
import logging
import math
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from synthgen.cli.assemble import build_instance, build_source, keyword_arguments, stage_tracker
from synthgen.cli.build import build, check
from synthgen.cli.resume import resumed, save_config
from synthgen.data.divide import prepare, rebuild
from synthgen.data.splits import SPLIT_FILE, read_split
from synthgen.dataset.schema import Recipe
from synthgen.device import total_memory
from synthgen.errors import StoppedByUserError, SynthgenError
from synthgen.io import remove_contents, require_absent, sole_writer
from synthgen.samplers import FittedSampler
from synthgen.samplers.artifact import read_description, sampler_folder
from synthgen.tracking import log_sampler
from synthgen.training.data import Order
from synthgen.training.module import GenerativeModule
from synthgen.training.train import CHECKPOINTS, train

if TYPE_CHECKING:
    from synthgen.cli.application import Invocation
    from synthgen.cli.settings import TrainSettings
    from synthgen.data.splits import Splits

DEFAULT_MINUTES = 10.0
MODEL = GenerativeModule | FittedSampler
log = logging.getLogger(__name__)


def run(settings: TrainSettings, invocation: Invocation) -> Path:
    if settings.resume is not None:
        settings = resumed(settings, invocation)
        out = Path(str(settings.resume))
        with sole_writer(out):
            splits = prepare_splits(settings)
            model = build_model(settings, splits)
            return fit(settings, out, splits, model, verb=invocation.verb, resume=True)
    out = invocation.folder(settings.out)
    require_absent(out)
    with sole_writer(out):
        splits = prepare_splits(settings)
        return fit(settings, out, splits, build_model(settings, splits), verb=invocation.verb)


def build_model(settings: TrainSettings, splits: Splits) -> GenerativeModule | FittedSampler:
    """The untrained model, whose weights follow the seed. Raises SynthgenError if it can't be
    trained in this machine's memory."""
    image = splits.train.image
    facts = {"image": image, "training_images": len(splits.train)}
    build_here = functools.partial(
        build, settings.model, key="model", role=MODEL, allow=settings.allow, facts=facts
    )
    require_room(build_here)
    torch.manual_seed(settings.seed)
    model: GenerativeModule | FittedSampler = build_here()
    return model


def require_room(build_here: Callable[[], Any]) -> None:
    """Raises SynthgenError if a network and a batch are more than this machine's memory holds.
    They are counted on torch's meta device, which takes none."""
    try:
        with torch.device("meta"):
            model = build_here()
    except RuntimeError:  # NotImplementedError is one, too
        return  # a constructor that looks at its values: it has to be built to be known
    if not isinstance(model, GenerativeModule):
        return
    needed = sum(one.nbytes for one in (*model.parameters(), *model.buffers()))
    if not torch.cuda.is_available():  # here too: the gradient, and the two moments of Adam
        needed += 3 * sum(one.nbytes for one in model.parameters() if one.requires_grad)
    needed += 4 * model.batch_size * math.prod(model.image.shape)
    if needed > (there := total_memory()):
        raise SynthgenError(
            f"Model and batch take at least {needed / 1e9:,.0f} GB, and this machine has "
            f"{there / 1e9:,.0f} GB.\nUse a smaller width, z_dim or batch_size."
        )


def prepare_splits(settings: TrainSettings) -> Splits:
    """Read the data, once the model's settings are known to be sound: divided anew, or as the run
    that is gone on with has it, whose images they must then be."""
    check(settings.model, key="model", role=MODEL, allow=settings.allow)
    source = build_source(settings.data, settings.allow)
    kept = None if settings.resume is None else split_of(Path(settings.resume))
    splits = (
        prepare(source) if kept is None else rebuild(source, kept.recipe, kept.digest, kept.files)
    )
    if splits.tree is not None:
        log.info("The data, as read:\n%s", splits.tree)
    for note in splits.notes:
        log.info(note)
    return splits


@dataclass(frozen=True)
class KnownSplit:
    """How a run was divided."""

    recipe: Recipe
    digest: str
    files: Mapping[str, str] = field(default_factory=dict)


def split_of(run: Path) -> KnownSplit | None:
    """Recipe and digest of the split that a run was begun with, from split.json or, if somebody
    removed that, from its sampler; None for a run that was killed before it learned anything."""
    kept = read_split(run)
    if kept is not None:
        return KnownSplit(kept.recipe, kept.digest, kept.files)
    if (run / "sampler").is_dir():
        data = read_description(run / "sampler").provenance.data
        if data is not None and data.recipe is not None and data.digest is not None:
            return KnownSplit(data.recipe, data.digest)
    if (run / "sampler").is_dir() or (run / CHECKPOINTS).is_dir():
        raise SynthgenError(
            f"{run} has lost its {SPLIT_FILE}, so nothing says which images it was trained on.\n"
            "Restore the file from a copy, or train again into a new out=."
        )
    return None


def fit(
    settings: TrainSettings,
    out: Path,
    splits: Splits,
    model: GenerativeModule | FittedSampler,
    *,
    verb: str,
    resume: bool = False,
) -> Path:
    """Hand model and images to the training room. Whoever calls this holds ``out``. A new run that
    fails before it has seen an image leaves nothing."""
    allow = settings.allow
    unlimited = settings.max_images is None and settings.max_time is None
    if unlimited and not isinstance(model, FittedSampler):
        settings = dataclasses.replace(settings, max_time=DEFAULT_MINUTES)
        log.info("max_images and max_time are not set: training %g minutes.", DEFAULT_MINUTES)
    own: dict[str, Any] = {
        "seed": settings.seed,
        "max_images": settings.max_images,
        "max_minutes": settings.max_time,
        "order": settings.order and build_instance(settings.order, Order, key="order", allow=allow),
        "start": settings.start,
        "allow": allow,
        "resume": resume,
    }
    taken = {"model", "splits", "out", "loggers", *own}
    options = keyword_arguments(train, settings.trainer, "trainer", without=taken)
    if not resume:
        require_absent(out)  # another process may have written it a moment ago
        save_config(settings, verb, out)
    try:
        with stage_tracker(settings, out, "train", run=out) as tracker:
            train(model, splits, out, loggers=tracker.loggers(), **own, **options)
            log_sampler(tracker, sampler_folder(out))
    except StoppedByUserError as error:
        raise stopped(str(error).partition("\n")[0], verb, out) from None
    except BaseException:
        if not resume and not has_begun(model, out):
            remove_contents(out)
        raise
    return out


def has_begun(model: object, out: Path) -> bool:
    """Whether something came of a training that failed."""
    seen = isinstance(model, GenerativeModule) and model.clock.images_seen > 0
    return seen or (out / "sampler").exists()


def stopped(what: str, verb: str, out: Path) -> StoppedByUserError:
    """``what`` happened, and the command that goes on."""
    resume = shlex.quote(f"resume={out}")
    return StoppedByUserError(f"{what}\nGo on with: synthgen {verb} {resume}")
