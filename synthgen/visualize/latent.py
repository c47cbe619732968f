"""Pictures of a latent space: sheets of classes, and ways within and between them."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from synthgen.errors import SynthgenError
from synthgen.images import to_levels
from synthgen.pictures import named_grid
from synthgen.progress import track
from synthgen.ranges import Positive, Shown
from synthgen.samplers.base import Sampler
from synthgen.samplers.latent_space import LatentSampler
from synthgen.seeds import row_seeds
from synthgen.visualize.base import Look, in_rows, write_gif, write_mp4, write_png

# Steps in a latent space: which samplers have one, and what is drawn at its places.


def require_latents(sampler: Sampler) -> LatentSampler:
    if not isinstance(sampler, LatentSampler):
        raise SynthgenError(
            f"{type(sampler).__name__} has no latent space to walk in.\n"
            "Give the run of a GAN or a VAE, or look at it with what=contact_sheet."
        )
    return sampler


def class_numbers(sampler: Sampler, names: Sequence[str] | None) -> list[int]:
    """Labels of the named classes, of all for None. Raises SynthgenError for an unknown one,
    and if there is none."""
    classes = sampler.image.classes
    if names is not None and not names:
        raise SynthgenError("what.classes names no class.\nName some, or leave it out for all.")
    for name in names or ():
        if name not in classes:
            raise SynthgenError(
                f"The sampler has no class {name!r}.\nIts classes are "
                f"{', '.join(classes[:20])}{', …' if len(classes) > 20 else ''}."
            )
    return list(range(len(classes))) if names is None else [classes.index(name) for name in names]


def one_hot(sampler: Sampler, labels: Tensor) -> Tensor:
    """int64 ``(N,)`` -> float32 ``(N, classes)`` on the sampler's device."""
    weights = torch.zeros(len(labels), sampler.image.num_classes)
    weights[torch.arange(len(labels)), labels] = 1
    return weights.to(sampler.device)


@torch.inference_mode()
def images_at(sampler: LatentSampler, z: Tensor, class_weights: Tensor) -> Tensor:
    """float32 ``(N, Z)`` and ``(N, classes)`` -> pictures, uint8 ``(N, 1 or 3, H, W)``."""
    parts = zip(z.split(sampler.chunk), class_weights.split(sampler.chunk), strict=True)
    images = [to_levels(sampler.decode(*part), sampler.image.bits).cpu() for part in parts]
    return sampler.image.pictures(torch.cat(images))


def ways(sampler: LatentSampler, starts: Tensor, ends: Tensor, shares: Tensor) -> Tensor:
    """``(N, Z)`` to ``(N, Z)`` by the shares ``(S,)`` -> ``(N * S, Z)``, way after way."""
    steps = len(shares)
    return sampler.between(
        starts.repeat_interleave(steps, 0),
        ends.repeat_interleave(steps, 0),
        shares.to(starts).repeat(len(starts)),
    )


def whole(value: int, name: str, *, least: int, most: int = 1000) -> int:
    if not least <= value <= most:
        raise SynthgenError(f"{name} is {value}, but must be from {least} to {most}.")
    return value


# A contact sheet: a row of images for each class.


class Sheet(Look):
    """The first images that a plan of this seed would draw, class by class.

    Args:
        per_class: images of each class.
        classes: names of those to show, in that order; None: all.
    """

    def __init__(self, per_class: Shown = 10, classes: list[str] | None = None) -> None:
        self.per_class = whole(per_class, "per_class", least=1)
        self.classes = classes

    def write(self, sampler: Sampler, seed: int, folder: Path) -> list[Path]:
        labels = torch.tensor(class_numbers(sampler, self.classes))
        seeds = row_seeds(seed, 0, len(labels) * self.per_class)
        drawn = sampler.sample(labels.repeat_interleave(self.per_class), seeds)
        names = [sampler.image.classes[label] for label in labels.tolist()]
        rows = in_rows(sampler.image.pictures(drawn.images), len(names))
        picture = named_grid(rows, names, note=sampler.image.picture_note())
        return [write_png(folder / "contact_sheet.png", picture)]


# The way from one image of a class to another one.


class Interpolation(Look):
    """A row for each class: two drawn images at its ends, and what lies between their latents.

    Args:
        steps: images of a row, its ends among them.
        per_class: rows of each class.
        classes: names of those to show; None: all.
    """

    def __init__(
        self, steps: Shown = 10, per_class: Shown = 1, classes: list[str] | None = None
    ) -> None:
        self.steps = whole(steps, "steps", least=2)
        self.per_class = whole(per_class, "per_class", least=1)
        self.classes = classes

    def write(self, sampler: Sampler, seed: int, folder: Path) -> list[Path]:
        walked = require_latents(sampler)
        numbers = torch.tensor(class_numbers(sampler, self.classes))
        labels = numbers.repeat_interleave(self.per_class)
        seeds = row_seeds(seed, 0, 2 * len(labels))
        first = walked.latents(labels, seeds[: len(labels)])
        second = walked.latents(labels, seeds[len(labels) :])
        z = ways(walked, first, second, torch.linspace(0, 1, self.steps))
        weights = one_hot(walked, labels.repeat_interleave(self.steps))
        images = in_rows(images_at(walked, z, weights), len(labels))
        names = [sampler.image.classes[label] for label in labels.tolist()]
        picture = named_grid(images, names, note=sampler.image.picture_note())
        return [write_png(folder / "interpolation.png", picture)]


# The way from one class to the next one.


class ClassMorph(Look):
    """A row for each class and the one after it (the first follows the last): one seed drawn as
    either, and mixtures of the two class embeddings between.

    Args:
        steps: images of a row, the two pure classes among them.
        classes: names to go through, in that order; None: all, at most ``20``.
    """

    MOST = 20

    def __init__(self, steps: Shown = 10, classes: list[str] | None = None) -> None:
        self.steps = whole(steps, "steps", least=2)
        self.classes = classes

    def write(self, sampler: Sampler, seed: int, folder: Path) -> list[Path]:
        walked = require_latents(sampler)
        numbers = class_numbers(sampler, self.classes)
        if len(numbers) < 2:
            raise SynthgenError("A class morph needs at least two classes.\nName another one.")
        before = torch.tensor(numbers if self.classes else numbers[: self.MOST])
        after = before.roll(-1)
        if len(before) == 2:  # there and back would show the same way twice
            before, after = before[:1], after[:1]
        seeds = row_seeds(seed, 0, len(before))
        shares = torch.linspace(0, 1, self.steps)
        z = ways(walked, walked.latents(before, seeds), walked.latents(after, seeds), shares)
        by = shares.repeat(len(before))[:, None].to(walked.device)
        weights = torch.lerp(
            one_hot(walked, before.repeat_interleave(self.steps)),
            one_hot(walked, after.repeat_interleave(self.steps)),
            by,
        )
        images = in_rows(images_at(walked, z, weights), len(before))
        classes = sampler.image.classes
        pairs = zip(before.tolist(), after.tolist(), strict=True)
        names = [f"{classes[first]} – {classes[second]}" for first, second in pairs]
        picture = named_grid(images, names, note=sampler.image.picture_note())
        return [write_png(folder / "class_morph.png", picture)]


# A film: through the latents of every class at once, and back to where it began.

log = logging.getLogger(__name__)


class Walk(Look):
    """Every frame shows one image of each class, all at the same place of their ways; the last
    frame leads back to the first. ``walk.gif``, and ``walk.mp4`` where imageio-ffmpeg is installed.

    Args:
        stations: drawn images that each way passes.
        steps: frames from one station to the next.
        columns: images in a row of a frame.
        frames_per_second: of both films.
        classes: names of those to show; None: all.

    Needs imageio-ffmpeg: pip install imageio-ffmpeg.
    """

    def __init__(
        self,
        stations: Shown = 4,
        steps: Shown = 15,
        columns: Shown = 5,
        frames_per_second: Positive = 12.5,
        classes: list[str] | None = None,
    ) -> None:
        self.stations = whole(stations, "stations", least=2)
        self.steps = whole(steps, "steps", least=1)
        self.columns = whole(columns, "columns", least=1)
        self.frames_per_second = frames_per_second
        self.classes = classes

    def write(self, sampler: Sampler, seed: int, folder: Path) -> list[Path]:
        walked = require_latents(sampler)
        labels = torch.tensor(class_numbers(sampler, self.classes))
        frames = [self._frame(images) for images in self._images(walked, labels, seed)]
        made = [write_gif(folder / "walk.gif", frames, self.frames_per_second)]
        film = write_mp4(folder / "walk.mp4", frames, self.frames_per_second)
        if film is None:
            log.info("Only a GIF was made; pip install imageio-ffmpeg for an MP4 beside it.")
        return made if film is None else [*made, film]

    def _images(self, sampler: LatentSampler, labels: Tensor, seed: int) -> list[Tensor]:
        """uint8 ``(classes, C, H, W)`` for each frame."""
        seeds = row_seeds(seed, 0, self.stations * len(labels)).view(self.stations, -1)
        stations = [sampler.latents(labels, row) for row in seeds]
        shares = torch.arange(self.steps) / self.steps
        weights = one_hot(sampler, labels.repeat_interleave(self.steps))
        found = []
        with track(self.stations * self.steps, "Walking", unit="frames") as advance:
            for first, second in zip(stations, [*stations[1:], stations[0]], strict=True):
                images = images_at(sampler, ways(sampler, first, second, shares), weights)
                found += list(images.unflatten(0, (len(labels), -1)).unbind(1))
                advance(self.steps)
        return found

    def _frame(self, images: Tensor) -> Image.Image:
        columns = min(self.columns, len(images))
        missing = -len(images) % columns
        grey = torch.full((missing, *images.shape[1:]), 128, dtype=torch.uint8)
        return named_grid(torch.cat([images, grey]).unflatten(0, (-1, columns)))
