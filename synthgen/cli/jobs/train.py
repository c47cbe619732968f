"""``synthgen train``: real images in, a run folder with a sampler out."""

from __future__ import annotations

import dataclasses
import logging
import math
import shlex
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from synthgen.cli.assemble import build_instance, build_source, keyword_arguments, stage_tracker
from synthgen.cli.build import build, check
from synthgen.cli.coerce import coerce
from synthgen.cli.launch import take_leave
from synthgen.cli.requeue import going_on, ignore_the_end, mark_begun
from synthgen.cli.resume import resumed, save_config
from synthgen.data.divide import prepare, rebuild
from synthgen.data.splits import SPLIT_FILE, read_split
from synthgen.data.stream.source import ImageStream
from synthgen.dataset.origin import Recipe
from synthgen.device import total_memory
from synthgen.errors import OutOfTimeError, ProcessLostError, StoppedByUserError, SynthgenError
from synthgen.io import remove_contents, require_absent, sole_writer
from synthgen.launch import current_launch
from synthgen.processes import Processes
from synthgen.samplers import FittedSampler
from synthgen.samplers.artifact import read_description, sampler_folder
from synthgen.tracking import log_sampler
from synthgen.training.data import Order
from synthgen.training.module import GenerativeModule
from synthgen.training.one_copy import in_turn, read_once
from synthgen.training.state import newest_state
from synthgen.training.strategy import Accelerator, together
from synthgen.training.train import CHECKPOINTS, require_accelerator, train

if TYPE_CHECKING:
    from synthgen.cli.application import Invocation
    from synthgen.cli.settings import TrainSettings
    from synthgen.data.splits import Splits

DEFAULT_MINUTES = 10.0
MODEL = GenerativeModule | FittedSampler
log = logging.getLogger(__name__)


def run(settings: TrainSettings, invocation: Invocation) -> Path:
    asked_to_resume = settings.resume is not None
    require_resuming(settings)
    settings, invocation = going_on(settings, invocation)
    resume = settings.resume is not None
    if resume:
        settings = resumed(settings, invocation)
    with started_processes(settings) as processes:
        out = place(settings, invocation, processes)
        with claimed(out, processes):
            begun_again = resume and not asked_to_resume
            if begun_again and processes.first_says((out / "training.json").is_file()):
                log.info("Training is complete.")
                return out
            splits = splits_of_all(settings, processes)
            model = build_model(settings, splits)
            fit(settings, out, splits, model, processes, verb=invocation.verb, resume=resume)
    return out


def require_resuming(settings: TrainSettings) -> None:
    """Raises SynthgenError for a state to go on from without a run to go on with."""
    if settings.ckpt != "last" and settings.resume is None:
        raise SynthgenError(
            f"ckpt={settings.ckpt} is a state of a run to go on with, and no run is named.\n"
            "Name the run: resume=RUN"
        )


@contextmanager
def started_processes(settings: TrainSettings) -> Iterator[Processes]:
    """Those that train together, this one among them. They meet before any data are read."""
    asked = settings.trainer.get("accelerator", "auto")
    accelerator: Any = coerce(asked, Accelerator, "trainer.accelerator")
    require_accelerator(accelerator)
    with together(accelerator) as processes:
        yield processes


def place(settings: TrainSettings, invocation: Invocation, processes: Processes) -> Path:
    """The run's folder, which process 0 names: a new one, or that of the run to go on with."""
    if not processes.is_first:
        return Path(processes.first_says(""))
    if settings.resume is not None:
        out = Path(settings.resume)
    else:
        out = invocation.folder(settings.out)
        require_absent(out)
    processes.first_says(str(out))
    return out


def claimed(out: Path, processes: Processes) -> AbstractContextManager[None]:
    """Process 0 alone holds the folder, and writes into it."""
    return sole_writer(out) if processes.is_first else nullcontext()


def splits_of_all(settings: TrainSettings, processes: Processes) -> Splits:
    """The data, read by one process of each machine: the others have the training images. Of a
    stream every process opens the index that the first one made."""
    read = partial(prepare_splits, settings)
    source = build_source(settings.data, settings.allow)
    if processes.world == 1 or not isinstance(source, ImageStream):
        return read_once(processes, current_launch(), read)
    if source.cache is None:
        raise SynthgenError(
            "data=stream for several processes needs a place for its index.\n"
            "Name one that all of them see: data.cache=FOLDER"
        )
    return in_turn(processes, current_launch(), read)


def build_model(settings: TrainSettings, splits: Splits) -> GenerativeModule | FittedSampler:
    """The untrained model, whose weights follow the seed. Raises SynthgenError if it can't be
    trained in this machine's memory."""
    image = splits.train.image
    facts = {"image": image, "training_images": len(splits.train)}
    build_here = partial(
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
    tell_clipping(splits)
    return splits


def tell_clipping(splits: Splits) -> None:
    """Say how much a given range or window clips, as a warning if it is much."""
    if splits.clipping is not None:
        log.log(logging.WARNING if splits.clips_much else logging.INFO, splits.clipping)


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
    processes: Processes,
    *,
    verb: str,
    resume: bool = False,
) -> None:
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
        "ckpt": settings.ckpt,
    }
    taken = {"model", "splits", "out", "loggers", "processes", *own}
    options = keyword_arguments(train, settings.trainer, "trainer", without=taken)
    run_it = partial(train, model, splits, out, processes=processes, **own, **options)
    first = processes.is_first
    if first and not resume:
        require_absent(out)  # another process may have written it a moment ago
        save_config(settings, verb, out)
        mark_begun(out)
    try:
        if first:
            with stage_tracker(settings, out, "train", run=out) as tracker:
                with time_for_trackers():
                    run_it(loggers=tracker.loggers())
                log_sampler(tracker, sampler_folder(out))
        else:
            run_it()
    except StoppedByUserError as error:
        what = str(error).partition("\n")[0]
        raise type(error)(f"{what}\n{way_on(verb, out)}") from None
    except ProcessLostError as error:
        if newest_state(out / CHECKPOINTS) is not None:
            raise ProcessLostError(f"{error}\n{way_on(verb, out)}") from error
        leave_nothing(model, out, new=first and not resume)
        raise
    except BaseException:
        leave_nothing(model, out, new=first and not resume)
        raise


@contextmanager
def time_for_trackers() -> Iterator[None]:
    """They may take a while to end, once training has ended by what all its processes know of."""
    try:
        yield
    except ProcessLostError:
        raise
    except SynthgenError as error:
        if isinstance(error, OutOfTimeError):
            ignore_the_end()
        take_leave()
        raise


def leave_nothing(model: object, out: Path, *, new: bool) -> None:
    """After a failure: of a ``new`` run that came to nothing."""
    if new and not has_begun(model, out):
        remove_contents(out)


def has_begun(model: object, out: Path) -> bool:
    """Whether something came of a training that failed."""
    seen = isinstance(model, GenerativeModule) and model.clock.images_seen > 0
    return seen or (out / "sampler").exists()


def way_on(verb: str, out: Path) -> str:
    return f"Go on with: synthgen {verb} {shlex.quote(f'resume={out}')}"
