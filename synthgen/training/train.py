"""The stage ``train``: a model and real images in, a run folder with a sampler out."""

from __future__ import annotations

import logging
import platform
import shutil
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import torch
from annotated_types import Interval
from pytorch_lightning import Callback, LightningDataModule, LightningModule, Trainer
from pytorch_lightning.loggers import Logger
from torch.utils.data import DataLoader

import synthgen
from synthgen.data import Splits, in_memory, write_split
from synthgen.data.splits import SPLIT_FILE, require_same_split
from synthgen.data.stream.storage import LostImageError
from synthgen.dataset.origin import Provenance, Start, Training, TrainingData
from synthgen.device import Precision, compute_dtype
from synthgen.errors import OutOfTimeError, StoppedByUserError, SynthgenError
from synthgen.io import readable_os_errors, write_json
from synthgen.launch import require_strategy
from synthgen.processes import Processes
from synthgen.ranges import Count, Few, NonNegative, Positive, Seed
from synthgen.samplers.artifact import save_sampler
from synthgen.samplers.base import FittedSampler, Sampler
from synthgen.serialization import UNFIT
from synthgen.training.callbacks import (
    HoldoutDistance,
    KeepBest,
    KeepLastState,
    Previews,
    ShowProgress,
    WatchLosses,
    best_moment,
    comparisons,
)
from synthgen.training.data import Batches, Loader, Order, fitting
from synthgen.training.finetune import begin_from, known_to
from synthgen.training.module import GenerativeModule
from synthgen.training.state import Restored, newest_state, state_at
from synthgen.training.stopping import BetweenBatches, StopWhenDone
from synthgen.training.strategy import (
    Accelerator,
    device_options,
    lost_processes_told,
    require_processes,
    together,
)

log = logging.getLogger(__name__)

Compilation = Literal["default", "reduce-overhead", "max-autotune"]
CHECKPOINTS = "checkpoints"


def train(
    model: GenerativeModule | FittedSampler,
    splits: Splits,
    out: Path,
    *,
    seed: Seed = 0,
    max_images: Count | None = None,
    max_minutes: Positive | None = None,
    loggers: Sequence[Logger] = (),
    precision: Precision = "auto",
    accelerator: Accelerator = "auto",
    devices: Count = 1,
    num_nodes: Count = 1,
    strategy: str = "auto",
    compile: Compilation | None = None,
    checkpoint_minutes: NonNegative = 2.0,
    keep_states: Few | None = None,
    previews: Annotated[int, Interval(ge=0, le=10_000)] = 20,
    best_every: Count | None = None,
    order: Order | None = None,
    start: str | Path | None = None,
    allow: Sequence[str] = (),
    resume: bool = False,
    ckpt: Literal["last", "best"] | Count = "last",
    processes: Processes | None = None,
) -> Path:
    """Train or fit ``model`` on the training split and save its sampler to ``out/sampler``.

    Args:
        out: folder of this run alone; may hold its config already.
        max_images: real images shown until the run is over, repetitions counted.
        max_minutes: of training. What is trained, not fitted, needs one of the two limits.
        devices: per machine; each has a process, which torchrun, srun or the command line starts.
        num_nodes: machines.
        strategy: ``auto`` or ``ddp``, which is the same: gradients are averaged.
        compile: a mode of torch.compile; None leaves networks as they are.
        checkpoint_minutes: from one saved state to the next.
        keep_states: how many saved states stay, under their numbers of images, and with
            ``best_every`` that of the best moment; None: the last, and the one before it.
        previews: grids of drawn images over the run.
        best_every: real images after which the generator is compared with the holdout again; the
            best one is kept as the sampler ``out/best``. None: never.
        order: in which order training shows the images; None: shuffled.
        start: a run or sampler whose weights are the first ones, see
            :func:`synthgen.training.finetune.start_from`.
        allow: packages whose samplers ``start`` may be.
        resume: continue from the last state in ``out/checkpoints``; on the same CPU, a run limited
            by ``max_images`` then ends with the same weights as one that was never stopped (on a
            GPU nearly: resizing sums in any order there).
        ckpt: the state to resume from: the last, that of the smallest distance to the holdout, or
            that of so many images seen; the last two among ``keep_states``.
        processes: those that train it together, all of which call this, each with its split; None:
            those that a launcher started, if ``devices`` or ``num_nodes`` says that there are some.

    Returns:
        The sampler's folder.

    Raises:
        SynthgenError: a loss is no longer finite, there is nothing to resume from, or there are
            other processes than ``devices`` and ``num_nodes`` want.
        ProcessLostError: another process is gone.
        ValueError: there is no limit.
        StoppedByUserError: after Ctrl-C or SIGTERM, once the state is saved.
        OutOfTimeError: the same after SIGUSR1 or SIGUSR2.
    """
    require_strategy(strategy)
    require_accelerator(accelerator)
    out = Path(out)
    with _as_launched(processes, accelerator, devices, num_nodes) as group:
        if isinstance(model, FittedSampler) and group.world > 1:
            raise SynthgenError(
                f"A {type(model).__name__} is fitted by one process; {group.world} are here.\n"
                "Use trainer.devices=1."
            )
        place = _begin(model, splits, out, start, allow, ckpt if resume else None, group)
        if isinstance(model, FittedSampler):
            started = time.monotonic()
            model.fit(splits.train)
            sampler: Sampler = model
            record = Training(images_seen=len(splits.train), seconds=time.monotonic() - started)
        else:
            model.precision, model.run_seed = precision, seed
            model.order = fitting(order, splits.train)
            if group.world > 1:
                model.share(group)
            if compile is not None:
                model.compile_networks(compile)
            model.clock.start(max_images, None if max_minutes is None else max_minutes * 60)
            new_trainer = partial(
                Trainer,
                **device_options(group, accelerator),
                logger=list(loggers) or False,
            )
            watching = watchers(model, splits, out, previews, best_every)
            stream = RealBatches(splits, model, order)
            keep = KeepLastState(
                out / CHECKPOINTS,
                checkpoint_minutes * 60,
                keep=keep_states,
                best_every=best_every,
                best=next((one for one in watching if isinstance(one, KeepBest)), None),
            )
            record = fit(model, stream, out, new_trainer, keep, watching, place.state)
            if not group.is_first:
                return out / "sampler"
            sampler = model.finish(in_memory(splits.train))
    about: dict[str, object] = {} if place.begun is None else {"start": place.begun}
    about |= {"seed": seed, "torch": str(torch.__version__), "machine": platform.machine()}
    record = record.model_copy(update=about)
    exported = export(sampler.cpu(), splits, out, record)
    write_json(
        out / "training.json", record.to_json()
    )  # last: its presence says that the run is complete
    return exported


@contextmanager
def _as_launched(
    processes: Processes | None, accelerator: Accelerator, devices: int, nodes: int
) -> Iterator[Processes]:
    """``processes``, or those that a launcher started where the settings want several."""
    if processes is not None or devices * nodes == 1:
        yield processes or Processes()
        return
    require_processes(devices, nodes)
    with together(accelerator) as started:
        yield started


@dataclass(frozen=True)
class _Place:
    """Where a run begins: from ``state``, or else from nothing or the weights that ``begun``
    names."""

    state: Path | None
    begun: Start | None


def _begin(
    model: GenerativeModule | FittedSampler,
    splits: Splits,
    out: Path,
    start: str | Path | None,
    allow: Sequence[str],
    resume: Literal["last", "best"] | int | None,
    processes: Processes,
) -> _Place:
    """Process 0 looks at what lies in ``out``, or writes what a new run begins with; the others
    have its weights later."""
    if not processes.is_first:
        found = processes.first_says("")
        return _Place(Path(found) if found else None, None)
    with readable_os_errors(out):
        out.mkdir(parents=True, exist_ok=True)
    state = None if resume is None else state_to_resume(out, resume)
    resumed = resume is not None and (state is not None or _is_done(model, out))
    known = None if resumed or start is None else known_to(start, splits)
    if resumed:
        require_same_split(splits, out)
    else:
        write_split(splits, out, seen=known.images if known else ())
    begun = begin_from(start, model, out, allow, known)
    processes.first_says("" if state is None else str(state.absolute()))
    return _Place(state, begun)


def state_to_resume(run: Path, which: Literal["last", "best"] | int) -> Path | None:
    """The state of ``run`` to go on from; None if none was ever saved. Raises SynthgenError if
    there is no such state."""
    folder = run / CHECKPOINTS
    if which == "last":
        return newest_state(folder)
    return state_at(folder, best_moment(comparisons(run)) if which == "best" else int(which))


def _is_done(model: GenerativeModule | FittedSampler, out: Path) -> bool:
    """Of a run without a saved state: whether it ended; False if it was killed early, and begins
    again. Raises SynthgenError if there was no run, or one whose state is lost."""
    done = (out / "sampler").exists()
    begun = done or any((out / name).exists() for name in ("config.yaml", SPLIT_FILE))
    if not begun or (done and not isinstance(model, FittedSampler)):
        raise SynthgenError(
            f"There is no saved state in {out / CHECKPOINTS} to resume from.\n"
            "Train again into a new out=; a state is saved every few minutes and on Ctrl-C."
        )
    if not done:
        log.info("The run ended before its first state was saved: it begins again.")
    return done


def require_accelerator(name: Accelerator) -> None:
    """Raises SynthgenError if this machine has none such."""
    cuda, mps = torch.cuda.is_available(), torch.backends.mps.is_available()
    if not {"cuda": cuda, "mps": mps, "gpu": cuda or mps}.get(name, True):
        raise SynthgenError(
            f"trainer.accelerator={name} was asked for, but torch finds none here.\n"
            "Use trainer.accelerator=auto."
        )


def watchers(
    model: GenerativeModule, splits: Splits, out: Path, previews: int, best_every: int | None
) -> list[BetweenBatches]:
    """Who looks at the generator now and then: process 0 alone does."""
    if not model.processes.is_first:
        return []
    found: list[BetweenBatches] = [Previews(out / "samples", previews)] if previews else []
    if best_every is not None:
        if getattr(model, "density", None) is not None:
            raise SynthgenError(
                "trainer.best_every compares generators during training, but this model draws from "
                "a density that is fitted when training ends.\n"
                "Leave best_every out, or draw from the prior with model.density=null."
            )
        known = in_memory(splits.train)
        distance = HoldoutDistance(known, splits.holdout)

        def save(sampler: Sampler, record: Training) -> None:
            export(sampler, splits, out, record, name="best")

        def finish(one: GenerativeModule) -> Sampler:
            return one.finish(known)

        found.append(KeepBest(finish, distance, save, out, best_every))
    return found


def fit(
    module: GenerativeModule,
    stream: RealBatches,
    out: Path,
    new_trainer: Callable[..., Trainer],
    keep: KeepLastState,
    watching: Sequence[BetweenBatches],
    state: Path | None,
) -> Training:
    """Run Lightning, from ``state`` if there is one, until the clock says stop; returns what
    ``training.json`` records."""
    _refuse_foreign_states(out)
    watch = WatchLosses()
    stop = StopWhenDone(watch, keep)
    # The order matters: the limit is read first, then losses are checked, then the state is saved.
    restored = Restored()
    callbacks: list[Callback] = [restored, stop, watch, *watching, keep, ShowProgress()]
    callbacks.append(SavedBeforeLoss(keep))
    module.to(memory_format=torch.channels_last)
    with quiet_lightning():
        trainer = new_trainer(
            callbacks=callbacks,
            max_epochs=-1,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            use_distributed_sampler=False,
            num_sanity_val_steps=0,
            default_root_dir=out,
        )
        try:
            with lost_processes_told():
                trainer.fit(module, stream, ckpt_path=state, weights_only=True)
        except (RuntimeError, *UNFIT) as error:
            if state is None or restored.complete:
                raise
            if "state dict" not in str(error).replace("_", " "):
                reason = str(error).partition("\n")[0][:200]
                raise SynthgenError(
                    f"{state} is no state of this run ({type(error).__name__}: {reason}).\n"
                    "Restore it from a copy, or start a new run."
                ) from error
            raise SynthgenError(
                f"{state} is the state of other networks than those that config.yaml describes: "
                f"{_last_line(error)}\nPut the settings back as they were, or start a new run."
            ) from error
        except SystemExit as error:  # what Lightning makes of a second Ctrl-C
            raise error.__context__ or error from None
    clock, device = module.clock, trainer.strategy.root_device  # the module is on the CPU again
    if (stop.interrupted or stop.out_of_time) and not clock.finished:
        raise (OutOfTimeError if stop.out_of_time else StoppedByUserError)(
            f"Stopped after {clock.images_seen:,} images; the state is in {keep.path}.\n"
            f"Go on with: synthgen train resume={out}"
        )
    return Training(
        images_seen=clock.images_seen,
        seconds=round(clock.seconds, 3),
        images_per_second=round(clock.images_seen / max(clock.seconds, 1e-9), 1),
        batch_size=module.batch_size,
        parameters=sum(p.numel() for p in module.parameters() if p.requires_grad),
        compute_dtype=str(compute_dtype(module.precision, device)).split(".")[1],
        device=str(device),
        threads=torch.get_num_threads(),
        processes=module.processes.world if module.processes.world > 1 else None,
    )


def _last_line(error: BaseException) -> str:
    return " ".join(str(error).splitlines()[-1].split())


def _refuse_foreign_states(out: Path) -> None:
    """On a cluster Lightning starts from any hpc_ckpt_N.ckpt that lies in its folder."""
    for foreign in sorted(out.glob("hpc_ckpt_*")):
        raise SynthgenError(
            f"{foreign} was not written by this run, and training would start from it.\n"
            "Remove it, or move it elsewhere."
        )


class SavedBeforeLoss(Callback):
    """Saves the state when an image of a stream can't be read: what was trained is sound."""

    def __init__(self, keep: KeepLastState) -> None:
        self.keep = keep

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        assert isinstance(pl_module, GenerativeModule)
        alone = trainer.world_size == 1  # saving waits for all, and the others don't know of it
        if isinstance(exception, LostImageError) and alone and pl_module.clock.images_seen:
            self.keep.save(trainer, pl_module)


class RealBatches(LightningDataModule):
    """The training split as an endless stream that starts where the clock stands."""

    def __init__(
        self, splits: Splits, module: GenerativeModule, order: Order | None = None
    ) -> None:
        super().__init__()
        self.real, self.module, self.order = splits.train, module, order

    def train_dataloader(self) -> DataLoader:
        assert self.trainer is not None
        batches = Batches(
            self.real,
            self.module.batch_size,
            self.module.run_seed,
            order=self.order,
            first_image=self.module.clock.images_seen,
            rank=self.trainer.global_rank,
            world_size=self.trainer.world_size,
        )
        on_gpu = self.trainer.strategy.root_device.type == "cuda"
        return Loader(batches, pin_memory=on_gpu)


def export(
    sampler: Sampler, splits: Splits, out: Path, record: Training, name: str = "sampler"
) -> Path:
    """Write ``out/name``, replacing the one of an earlier part of a resumed run only once the
    new one is complete. Its provenance holds no list of training images."""
    provenance = Provenance(
        data=TrainingData(
            name=splits.name,
            digest=splits.digest,
            recipe=splits.recipe,
            class_counts=dict(zip(splits.train.classes, splits.train.counts, strict=True)),
        ),
        training=record,
        model=type(sampler).__name__,
        exposes_real=sampler.exposes_real,
        synthgen=synthgen.__version__,
    )
    final, earlier = out / name, out / f".{name}-earlier"
    if final.exists():
        shutil.rmtree(earlier, ignore_errors=True)
        final.rename(earlier)
    try:
        save_sampler(sampler.eval(), final, provenance)
    except BaseException:
        if earlier.exists():
            earlier.rename(final)
        raise
    shutil.rmtree(earlier, ignore_errors=True)
    return final


@contextmanager
def quiet_lightning() -> Iterator[None]:
    """Hide what Lightning says about choices that are made on purpose here."""
    logger = logging.getLogger("pytorch_lightning")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            for text in (
                ".*does not have many workers.*",
                ".*`isinstance\\(treespec, LeafSpec\\)` is deprecated.*",
                ".*pre-optimization state was saved.*",
                ".*resuming from a checkpoint that ended before the epoch ended.*",
                ".*GPU available but not used.*",
                ".*`srun` command is available on your system but is not used.*",
                ".*Starting from v1.9.0, `tensorboardX`.*",
            ):
                warnings.filterwarnings("ignore", message=text)
            yield
    finally:
        logger.setLevel(level)
