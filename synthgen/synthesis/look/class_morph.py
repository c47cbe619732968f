"""The way from one class to the next one."""

from __future__ import annotations

from pathlib import Path

import torch

from synthgen.errors import SynthgenError
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
        return [write_png(folder / "class_morph.png", named_grid(images, names))]
