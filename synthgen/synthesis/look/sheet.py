"""A contact sheet: a row of images for each class."""

from __future__ import annotations

from pathlib import Path

import torch

from synthgen.ranges import Shown
from synthgen.samplers.base import Sampler
from synthgen.seeds import row_seeds
from synthgen.synthesis.look.base import Look
from synthgen.synthesis.look.latent import class_numbers, whole
from synthgen.synthesis.look.picture import in_rows, named_grid, write_png


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
        picture = named_grid(in_rows(drawn.images, len(names)), names)
        return [write_png(folder / "contact_sheet.png", picture)]
