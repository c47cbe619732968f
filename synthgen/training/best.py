"""The generator as it was when it came closest to images that were held back."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning import Trainer
from torch import Tensor

from synthgen.errors import SynthgenError
from synthgen.images import to_float
from synthgen.paths import read_json, write_json
from synthgen.samplers.base import Sampler
from synthgen.seeds import row_seeds
from synthgen.training.callbacks import BetweenBatches
from synthgen.training.module import GenerativeModule
from synthgen.types import LabelledImages

COMPONENTS = 32
SEEN = 5000  # training images that the components are of: a sample, as they are in order of hash
DRAWN = 1000  # images per comparison
CURVE = "best.json"
log = logging.getLogger(__name__)


class HoldoutDistance:
    """Fréchet distance (Heusel et al. 2017, eq. 6) between drawn images and a holdout, on the
    principal components of the training images: cheap, and blind to what is finer than those.

    Always the same seeds are drawn, with the holdout's share of each class, so two generators are
    compared on equal terms; the value itself can't be compared with anybody's.
    """

    def __init__(self, train: LabelledImages, holdout: LabelledImages) -> None:
        if len(holdout) < 2:
            raise SynthgenError(
                f"trainer.best_every compares with the holdout, which has {len(holdout)} image.\n"
                "Hold more back with data.holdout=, or leave best_every out."
            )
        pixels = to_float(train.images).flatten(1)
        self.mean = pixels.mean(0)
        _, _, axes = torch.linalg.svd(pixels[:SEEN] - self.mean, full_matrices=False)
        self.axes = axes[:COMPONENTS]
        self.reference = self._gaussian(holdout.images)
        rank = torch.arange(DRAWN) * len(holdout) // DRAWN
        self.labels = holdout.labels.sort().values[rank]

    def __call__(self, sampler: Sampler) -> float:
        drawn = sampler.sample(self.labels, row_seeds(0, 0, len(self.labels))).images
        (mean, covariance), (other_mean, other) = self.reference, self._gaussian(drawn)
        root = _root(covariance)
        overlap = torch.linalg.eigvalsh(root @ other @ root).clamp_min(0).sqrt().sum()
        spread = covariance.trace() + other.trace() - 2 * overlap
        return float((mean - other_mean).square().sum() + spread)

    def _gaussian(self, images: Tensor) -> tuple[Tensor, Tensor]:
        scores = ((to_float(images).flatten(1) - self.mean) @ self.axes.T).double()
        return scores.mean(0), torch.cov(scores.T)


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
        save: Callable[[Sampler, dict[str, Any]], object],
        folder: Path,
        every: int,
    ) -> None:
        if every < 1:
            raise ValueError(f"best_every must be at least 1, got {every}")
        self.finish, self.distance, self.save, self.every = finish, distance, save, every
        self.path = Path(folder) / CURVE
        self.curve: list[dict[str, Any]] = []
        self._done = 0

    @property
    def best(self) -> dict[str, Any] | None:
        """The comparison with the smallest distance, of those that are numbers."""
        return min(self.curve, key=lambda row: float(row["distance"]), default=None)

    def start(self, trainer: Trainer, module: GenerativeModule) -> None:
        seen = module.clock.images_seen
        before = read_json(self.path) if seen and self.path.is_file() else []
        # What came after the state that the run goes on from is about to be repeated.
        self.curve = [row for row in before if row["images_seen"] <= seen]
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
        row = {"images_seen": module.clock.images_seen, "distance": value}
        if math.isfinite(value):
            if self.best is None or value < self.best["distance"]:
                self.save(sampler, row)
                log.info("Best on the holdout so far: %s", json.dumps(row))
            self.curve.append(row)
            write_json(self.path, self.curve)
        sampler.train(was_training)


def _root(covariance: Tensor) -> Tensor:
    values, vectors = torch.linalg.eigh(covariance)
    return vectors * values.clamp_min(0).sqrt() @ vectors.T
