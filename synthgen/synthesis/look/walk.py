"""A film: through the latents of every class at once, and back to where it began."""

from __future__ import annotations

import logging
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from synthgen.progress import track
from synthgen.ranges import Positive, Shown
from synthgen.samplers.base import Sampler
from synthgen.samplers.neural import LatentSampler
from synthgen.seeds import row_seeds
from synthgen.synthesis.look.base import Look
from synthgen.synthesis.look.latent import (
    class_numbers,
    images_at,
    one_hot,
    require_latents,
    ways,
    whole,
)
from synthgen.synthesis.look.picture import named_grid, write_gif, write_mp4

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
