"""A real image as the sampler would draw it, found in its latent space, and its neighbours
there."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from synthgen.data.files import read_as
from synthgen.errors import SynthgenError
from synthgen.images import to_float
from synthgen.pictures import named_grid
from synthgen.progress import track
from synthgen.ranges import Count, PositiveShare, Shown
from synthgen.samplers.base import Sampler
from synthgen.samplers.latent_space import LatentSampler
from synthgen.seeds import row_seeds
from synthgen.visualize.base import Look, write_png
from synthgen.visualize.latent import (
    class_numbers,
    images_at,
    one_hot,
    require_latents,
    ways,
    whole,
)

# Where an image lies in a sampler's latent space: found by descent through its decoder.

USUAL_FROM = 512  # latents that say where those of a class usually lie
PIXEL_DEVIATION = 0.15  # of a good likeness, in units of [-1, 1]
RATE = 0.1


@dataclass(frozen=True)
class Projection:
    """Latent float32 ``(Z,)``, and how far the image drawn from it is from the one asked for: the
    root mean square over pixels, in grey levels of 255."""

    z: Tensor
    error: float


def project(
    sampler: LatentSampler, image: Tensor, label: int, *, seed: int, starts: int, steps: int
) -> Projection:
    """The latent whose image of class ``label`` is most like ``image``, uint8 or uint16
    ``(C, H, W)``.

    Descends from several drawn latents at once and keeps the best (Abdal et al. 2019 do so for
    style latents). The distance is that of pixels; a quadratic pull, as of a Gaussian with the mean
    and spread of the class's latents, keeps the result where the sampler has learned to draw.
    """
    labels = torch.full((USUAL_FROM,), label)
    drawn = sampler.latents(labels, row_seeds(seed, 0, USUAL_FROM)).detach().clone()
    mean, spread = drawn.mean(0), drawn.std(0).clamp(min=1e-3)
    target = to_float(image[None]).to(sampler.device)
    weights = one_hot(sampler, labels[:starts])
    z = drawn[:starts].clone().requires_grad_()
    optimizer = torch.optim.Adam([z], lr=RATE)
    with track(steps, "Projecting", unit="steps") as advance:
        for step in range(steps):
            optimizer.param_groups[0]["lr"] = RATE * min(1.0, 2 * (1 - step / steps))
            squared = difference(sampler.decode(z, weights), target).square().flatten(1)
            likeness = squared.sum(1) / (2 * PIXEL_DEVIATION**2)
            pull = ((z - mean) / spread).square().sum(1) / 2
            optimizer.zero_grad(set_to_none=True)
            (likeness + pull).sum().backward()  # each start has its own gradient
            optimizer.step()
            advance(1)
    with torch.no_grad():
        last = difference(sampler.decode(z, weights), target)
        errors = last.square().flatten(1).mean(1).sqrt()
    best = int(errors.argmin())
    return Projection(z.detach()[best], 127.5 * float(errors[best]))


def difference(decoded: Tensor, target: Tensor) -> Tensor:
    """Of images in [-1, 1], pixel by pixel; a decoder that overshoots black or white where the
    target is black or white is right, as it is when its images are written."""
    overshoots = (target.abs() >= 1) & (decoded * target > 1)
    return (decoded - target).masked_fill(overshoots, 0.0)


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
        real = read_as(Path(self.image).expanduser(), sampler.image, self.fit)
        label = self._label(sampler)
        found = project(walked, real, label, seed=seed, starts=self.starts, steps=self.search_steps)
        log.info("The likeness differs from %s by %.1f of 255 levels.", self.image, found.error)
        drawn = self._neighbours(walked, found.z, label, seed)
        shown = sampler.image.pictures(real[None])
        real_column = shown.expand(self.directions, *shown.shape)
        names = ["real", "likeness", *(f"{100 * share:g} %" for share in self.shares)]
        rows = torch.cat([real_column, drawn], 1)
        picture = named_grid(rows, columns=names, note=sampler.image.picture_note())
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
        """Pictures, uint8 ``(directions, 1 + shares, 1 or 3, H, W)``."""
        labels = torch.full((self.directions,), label)
        others = sampler.latents(labels, row_seeds(seed, OTHERS, self.directions))
        shares = torch.tensor((0.0, *self.shares))
        places = ways(sampler, z.expand(self.directions, -1), others, shares)
        weights = one_hot(sampler, labels.repeat_interleave(len(shares)))
        return images_at(sampler, places, weights).unflatten(0, (self.directions, -1))
