"""What happens between batches: watching the loss, checkpoints, previews, a bar, and the generator
as it was at its best."""

from __future__ import annotations

import io
import json
import logging
import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from PIL import Image
from pytorch_lightning import LightningModule, Trainer
from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
from torch import Tensor

from synthgen.dataset.origin import Training
from synthgen.errors import SynthgenError
from synthgen.images import to_float
from synthgen.io import read_json, write_bytes, write_json
from synthgen.metrics import Comparison, FrechetDistance, Metric
from synthgen.pictures import named_grid
from synthgen.progress import Bar
from synthgen.samplers.base import Sampler
from synthgen.seeds import row_seeds
from synthgen.training.gradients import gradient_norms
from synthgen.training.module import GenerativeModule
from synthgen.training.state import LAST, keep_numbered
from synthgen.training.stopping import BetweenBatches, ours
from synthgen.types import LabelledImages

log = logging.getLogger(__name__)


class WatchLosses(BetweenBatches):
    """Logs the losses every ``every_seconds`` and stops the run when one is no longer finite."""

    def __init__(self, every_seconds: float = 2.0) -> None:
        self.every_seconds = every_seconds
        self._last_time, self._last_images = 0.0, 0

    def start(self, trainer: Trainer, module: GenerativeModule) -> None:
        self._last_time, self._last_images = time.monotonic(), module.clock.images_seen

    def due(self, module: GenerativeModule) -> bool:
        return time.monotonic() - self._last_time >= self.every_seconds

    def after_batch(self, trainer: Trainer, module: GenerativeModule) -> None:
        if self.agreed:
            self.record(trainer, module)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.record(trainer, ours(pl_module))

    def record(self, trainer: Trainer, module: GenerativeModule) -> None:
        """Read the losses (this waits for the device), check them, hand them to the loggers."""
        values = finite_losses(module)
        clock, now = module.clock, time.monotonic()
        if clock.images_seen == self._last_images:
            return
        elapsed = max(now - self._last_time, 1e-9)
        row = {
            "images_seen": float(clock.images_seen),
            "seconds": clock.seconds,
            "images_per_second": (clock.images_seen - self._last_images) / elapsed,
            **values,
            **gradient_norms(module),
        }
        self._last_time, self._last_images = now, clock.images_seen
        for logger in trainer.loggers:
            logger.log_metrics(row, step=trainer.global_step)
            logger.save()  # a run that dies leaves its curve behind


def finite_losses(module: GenerativeModule) -> dict[str, float]:
    """The losses of the last step as numbers; raises SynthgenError when one is NaN or infinite."""
    values = {name: float(value) for name, value in module.logged_losses().items()}
    for name, value in values.items():
        if not math.isfinite(value):
            raise SynthgenError(
                f"The loss '{name}' became {value} after {module.clock.images_seen:,} images "
                f"({module.clock.seconds:.0f} s); training stopped.\n"
                "The last good state, if one was reached, is in checkpoints/last.ckpt of the run. "
                "Lower the learning rate (model.lr.start) and train again."
            )
    return values


class KeepLastState(BetweenBatches):
    """Writes ``last.ckpt`` every ``every_seconds`` and at the end, never half (see ``state.py``)
    and never broken: only while losses and weights are finite.

    Args:
        keep: states that stay under their numbers of images; None: only the last and the one
            before.
        best_every: real images between comparisons with the holdout, after which a better state is
            kept as well.
        best: process 0's comparisons.
    """

    def __init__(
        self,
        folder: Path,
        every_seconds: float = 120.0,
        *,
        keep: int | None = None,
        best_every: int | None = None,
        best: KeepBest | None = None,
    ) -> None:
        self.path = Path(folder) / LAST
        self.every_seconds = every_seconds
        self.keep, self.best_every, self.best = keep, best_every, best
        self._last_time = 0.0
        self._compared = 0

    def start(self, trainer: Trainer, module: GenerativeModule) -> None:
        self._last_time = time.monotonic()
        self._compared = module.clock.images_seen // (self.best_every or 1)

    def due(self, module: GenerativeModule) -> bool:
        return time.monotonic() - self._last_time >= self.every_seconds

    def after_batch(self, trainer: Trainer, module: GenerativeModule) -> None:
        better = self._became_better(module)
        if self.agreed or trainer.should_stop or better:
            self.save(trainer, module)

    def _became_better(self, module: GenerativeModule) -> bool:
        """Whether the state of this moment is the best so far, and to be kept for that."""
        if self.keep is None or self.best_every is None:
            return False
        number = module.clock.images_seen // self.best_every
        if number <= self._compared:
            return False
        self._compared = number
        mine = self.best is not None and self.best.best_moment == module.clock.images_seen
        return module.processes.first_says(mine)

    def save(self, trainer: Trainer, module: GenerativeModule) -> None:
        finite_losses(module)
        broken = [n for n, p in module.named_parameters() if not bool(p.isfinite().all())]
        if broken:
            raise SynthgenError(
                f"The weights of {broken[0]} are no longer finite after "
                f"{module.clock.images_seen:,} images; training stopped, {self.path} was kept.\n"
                "Lower the learning rate (model.lr.start) and train again."
            )
        trainer.save_checkpoint(self.path)
        if self.keep is not None and module.processes.is_first:
            best = None if self.best is None else self.best.best_moment
            keep_numbered(self.path, module.clock.images_seen, self.keep, best)
        self._last_time = time.monotonic()


class Previews(BetweenBatches):
    """A grid of the same seeds, a column per class, at ``count`` moments spread over the run."""

    def __init__(self, folder: Path, count: int = 20, rows: int = 8, columns: int = 10) -> None:
        self.folder = Path(folder)
        self.count, self.rows, self.columns = count, rows, columns
        self._next = 0.0

    def start(self, trainer: Trainer, module: GenerativeModule) -> None:
        self._next = module.clock.progress

    def after_batch(self, trainer: Trainer, module: GenerativeModule) -> None:
        progress = module.clock.progress
        if progress < self._next and progress < 1:
            return
        self._next = progress + 1 / max(1, self.count)
        if trainer.is_global_zero:
            picture = self.draw(module)
            name = f"{module.clock.images_seen:012d}.png"
            self.folder.mkdir(parents=True, exist_ok=True)
            content = io.BytesIO()
            picture.save(content, format="PNG")
            write_bytes(self.folder / name, content.getvalue())

    def draw(self, module: GenerativeModule) -> Image.Image:
        """The classes by name; of more than ``columns`` the first ones, which is then said."""
        image = module.image
        classes = min(self.columns, image.num_classes)
        labels = torch.arange(classes).repeat(self.rows)
        sampler = module.sampler()
        was_training = sampler.training
        samples = sampler.eval().sample(labels, row_seeds(0, 0, len(labels)))
        sampler.train(was_training)
        cut = classes < image.num_classes
        said = [f"the first {classes} of {image.num_classes:,} classes"] if cut else []
        said += [note] if (note := image.picture_note()) else []
        pictures = image.pictures(samples.images).unflatten(0, (self.rows, classes))
        return named_grid(pictures, columns=image.classes[:classes], note="; ".join(said))


class ShowProgress(BetweenBatches):
    """A bar with images/s and time left; plain log lines where there is no terminal."""

    def __init__(self, seconds_between_lines: float = 10.0) -> None:
        self.seconds_between_lines = seconds_between_lines
        self._bar: Bar | None = None
        self._last_line = 0.0

    def start(self, trainer: Trainer, module: GenerativeModule) -> None:
        self._start = (time.monotonic(), module.clock.images_seen, module.clock.progress)
        console = Console(stderr=True)
        if console.is_terminal and trainer.is_global_zero:
            text = TextColumn("{task.fields[text]}", markup=False)
            self._bar = Bar("Training", BarColumn(), text, TimeElapsedColumn(), console=console)
            self._task = self._bar.add_task("train", total=1.0, text="")
            self._bar.start()

    def after_batch(self, trainer: Trainer, module: GenerativeModule) -> None:
        if self._bar is not None:
            self._bar.update(
                self._task, completed=module.clock.progress, text=self.describe(module)
            )
        elif (
            trainer.is_global_zero
            and time.monotonic() - self._last_line > self.seconds_between_lines
        ):
            self._last_line = time.monotonic()
            log.info("Training %s", self.describe(module))

    def describe(self, module: GenerativeModule) -> str:
        started, images, progress = self._start
        elapsed = max(time.monotonic() - started, 1e-9)
        rate = (module.clock.images_seen - images) / elapsed
        gained = module.clock.progress - progress
        left = elapsed * (1 - module.clock.progress) / gained if gained > 0 else math.inf
        if (limit := module.clock.max_seconds) is not None:  # the first steps are the slowest
            left = min(left, max(0.0, limit - module.clock.seconds))
        minutes = f"{left / 60:.1f} min left" if math.isfinite(left) else "…"
        return f"{module.clock.images_seen:,} images · {rate:,.0f} images/s · {minutes}"

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


# The generator as it was when it came closest to images that were held back.

COMPONENTS = 32
SEEN = 5000  # training images that the components are of: a sample, as they are in order of hash
DRAWN = 1000  # images per comparison
CURVE = "best.json"


class HoldoutDistance:
    """A metric of drawn images against a holdout, on the principal components of the training
    images: cheap, and blind to what is finer than those.

    Always the same seeds are drawn, with the holdout's share of each class, so two generators are
    compared on equal terms; the value itself can't be compared with anybody's.

    Args:
        train: whose components are taken.
        holdout: at least two images. Raises SynthgenError for fewer.
        metric: a distance: lower is better.
    """

    def __init__(
        self, train: LabelledImages, holdout: LabelledImages, metric: Metric | None = None
    ) -> None:
        if len(holdout) < 2:
            raise SynthgenError(
                f"trainer.best_every compares with the holdout, which has {len(holdout)} image.\n"
                "Hold more back with data.holdout=, or leave best_every out."
            )
        self.metric = FrechetDistance() if metric is None else metric
        pixels = to_float(train.images).flatten(1)
        self.mean = pixels.mean(0)
        _, _, axes = torch.linalg.svd(pixels[:SEEN] - self.mean, full_matrices=False)
        self.axes = axes[:COMPONENTS]
        self.reference = self.features(holdout.images)
        rank = torch.arange(DRAWN) * len(holdout) // DRAWN
        self.labels = holdout.labels.sort().values[rank]

    def __call__(self, sampler: Sampler) -> float:
        drawn = sampler.sample(self.labels, row_seeds(0, 0, len(self.labels))).images
        return self.metric.value(Comparison(self.reference, self.features(drawn)))

    def features(self, images: Tensor) -> Tensor:
        """uint8 ``(N, C, H, W)`` -> float64 ``(N, 32)``."""
        return ((to_float(images).flatten(1) - self.mean) @ self.axes.T).double()


def comparisons(run: Path) -> list[Training]:
    """What a run's generator was compared with the holdout for so far."""
    path = run / CURVE
    rows = read_json(path) if path.is_file() else []
    return [Training.from_json(row, str(path), "Remove it.") for row in rows]


def best_moment(curve: Sequence[Training]) -> int | None:
    """Real images seen when the distance was smallest, for the first time."""
    found = [row for row in curve if row.distance is not None]
    return min(found, key=lambda row: row.distance or 0.0).images_seen if found else None


class KeepBest(BetweenBatches):
    """Saves the averaged generator whenever it comes closer to the holdout than ever before.

    Args:
        finish: makes the sampler that a run would end with if it ended now.
        distance: of a sampler to the holdout; lower is better.
        save: called with a better sampler and what is known of it.
        folder: of the run; ``best.json`` in it keeps all comparisons.
        every: real images between comparisons.
    """

    def __init__(
        self,
        finish: Callable[[GenerativeModule], Sampler],
        distance: Callable[[Sampler], float],
        save: Callable[[Sampler, Training], object],
        folder: Path,
        every: int,
    ) -> None:
        if every < 1:
            raise ValueError(f"best_every must be at least 1, got {every}")
        self.finish, self.distance, self.save, self.every = finish, distance, save, every
        self.path = Path(folder) / CURVE
        self.curve: list[Training] = []
        self._done = 0

    @property
    def best(self) -> float:
        """The smallest distance so far."""
        found = [row.distance for row in self.curve if row.distance is not None]
        return min(found, default=math.inf)

    @property
    def best_moment(self) -> int | None:
        """Real images seen when it was reached; None if nothing was compared yet."""
        return best_moment(self.curve)

    def start(self, trainer: Trainer, module: GenerativeModule) -> None:
        seen = module.clock.images_seen
        # What came after the state that the run goes on from is about to be repeated.
        rows = comparisons(self.path.parent) if seen else []
        self.curve = [row for row in rows if (row.images_seen or 0) <= seen]
        self._done = seen // self.every

    def after_batch(self, trainer: Trainer, module: GenerativeModule) -> None:
        number = module.clock.images_seen // self.every
        if number > self._done and trainer.is_global_zero:
            self._done = number
            self.compare(module)

    def compare(self, module: GenerativeModule) -> None:
        sampler = self.finish(module)
        was_training = sampler.training
        value = self.distance(sampler.eval())
        if math.isfinite(value):
            row = Training(images_seen=module.clock.images_seen, distance=value)
            if value < self.best:
                self.save(sampler, row)
                log.info("Best on the holdout so far: %s", json.dumps(row.to_json()))
            self.curve.append(row)
            write_json(self.path, [one.to_json() for one in self.curve])
        sampler.train(was_training)
