"""The way from one image of a class to another one."""

from __future__ import annotations

from pathlib import Path

import torch

from synthgen.ranges import Shown
from synthgen.samplers.base import Sampler
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
from synthgen.synthesis.look.picture import in_rows, named_grid, write_png


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
        return [write_png(folder / "interpolation.png", named_grid(images, names))]
