"""A real image as the sampler would draw it, and its neighbours in the latent space."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from synthgen.data.decode import decode
from synthgen.errors import SynthgenError
from synthgen.ranges import Count, PositiveShare, Shown
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
from synthgen.synthesis.look.picture import named_grid, write_png
from synthgen.synthesis.look.projection import project
from synthgen.types import ImageSpec

OTHERS = 1 << 20  # row from which the directions of variation are numbered

log = logging.getLogger(__name__)


class Variations(Look):
    """A row for each direction: the real image, its likeness, and steps from the likeness towards
    another drawn latent of its class. **The picture shows the real image.**

    Args:
        image: an image file; it is brought to the sampler's size as training images are.
        label: the name of its class; None: the name of the folder that it lies in.
        directions: rows.
        shares: how far towards the other latent each column goes.
        fit: how another shape is brought to the sampler's: pad, crop or stretch, as in training.
        starts: latents from which the likeness is sought.
        search_steps: steps of the search.
    """

    def __init__(
        self,
        image: str,
        label: str | None = None,
        directions: Shown = 6,
        shares: tuple[PositiveShare, ...] = (0.1, 0.2, 0.3, 0.4, 0.5),
        fit: Literal["pad", "crop", "stretch"] = "pad",
        starts: Shown = 8,
        search_steps: Count = 300,
    ) -> None:
        self.image, self.label = image, label
        self.directions = whole(directions, "directions", least=1, most=100)
        self.shares, self.fit = shares, fit
        self.starts = whole(starts, "starts", least=1, most=64)
        self.search_steps = whole(search_steps, "search_steps", least=1, most=100_000)
        if not shares or not all(0 < share <= 1 for share in shares):
            raise SynthgenError("shares must be numbers above 0 and up to 1, such as [0.1, 0.3].")

    def write(self, sampler: Sampler, seed: int, folder: Path) -> list[Path]:
        walked = require_latents(sampler)
        real = read_image(Path(self.image).expanduser(), sampler.image, self.fit)
        label = self._label(sampler)
        found = project(walked, real, label, seed=seed, starts=self.starts, steps=self.search_steps)
        log.info("The likeness differs from %s by %.1f of 255 levels.", self.image, found.error)
        drawn = self._neighbours(walked, found.z, label, seed)
        real_column = real.expand(self.directions, 1, *real.shape)
        names = ["real", "likeness", *(f"{100 * share:g} %" for share in self.shares)]
        picture = named_grid(torch.cat([real_column, drawn], 1), columns=names)
        return [write_png(folder / "variations.png", picture)]

    def _label(self, sampler: Sampler) -> int:
        name = self.label if self.label is not None else Path(self.image).absolute().parent.name
        if self.label is None and name not in sampler.image.classes:
            raise SynthgenError(
                f"The class of {self.image} isn't known: {name!r} is no class of the sampler.\n"
                "Name it: what.label=CLASS"
            )
        return class_numbers(sampler, [name])[0]

    def _neighbours(self, sampler: LatentSampler, z: Tensor, label: int, seed: int) -> Tensor:
        """uint8 ``(directions, 1 + shares, C, H, W)``."""
        labels = torch.full((self.directions,), label)
        others = sampler.latents(labels, row_seeds(seed, OTHERS, self.directions))
        shares = torch.tensor((0.0, *self.shares))
        places = ways(sampler, z.expand(self.directions, -1), others, shares)
        weights = one_hot(sampler, labels.repeat_interleave(len(shares)))
        return images_at(sampler, places, weights).unflatten(0, (self.directions, -1))


def read_image(path: Path, image: ImageSpec, fit: str) -> Tensor:
    """The file as uint8 ``(C, H, W)`` of the sampler's size."""
    pixels = Image.fromarray(decode(path, (image.height, image.width), fit))
    array = np.array(pixels.convert("L" if image.channels == 1 else "RGB"))
    return torch.from_numpy(array).view(image.height, image.width, -1).permute(2, 0, 1).contiguous()
