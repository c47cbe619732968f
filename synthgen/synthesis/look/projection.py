"""Where an image lies in a sampler's latent space: found by descent through its decoder."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from synthgen.images import to_float
from synthgen.progress import track
from synthgen.samplers.neural import LatentSampler
from synthgen.seeds import row_seeds
from synthgen.synthesis.look.latent import one_hot

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
    """The latent whose image is most like the uint8 ``(C, H, W)`` ``image``, of class ``label``.

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
