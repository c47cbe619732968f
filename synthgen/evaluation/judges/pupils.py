"""One of several classifiers that learn side by side: its own images, order and randomness."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from synthgen.evaluation.judges.base import Job
from synthgen.evaluation.judges.batches import AUGMENT, batches
from synthgen.evaluation.judges.stacked import Weights, initial_weights
from synthgen.evaluation.judges.training import Phase, class_factors, mixing
from synthgen.evaluation.judges.watching import Watch
from synthgen.evaluation.scores import Criterion
from synthgen.seeds import step_generator
from synthgen.types import LabelledImages


class Pupil:
    """What belongs to one job alone.

    Pixels reach it in [0, 1], not [-1, 1]: black is 0, so that black pixels need no arithmetic.

    Attributes:
        weights: the initial ones.
        kept: those that take the exams, all pixels among them.
    """

    def __init__(
        self,
        job: Job,
        sizes: Sequence[int],
        batch_size: int,
        looked_at: LabelledImages,
        score: Criterion | None,
    ) -> None:
        self.job, self.batch_size = job, batch_size
        self.weights: Weights = initial_weights(sizes, job.seed)
        self.kept: Weights = self.weights
        self.watch = Watch(looked_at.labels, len(looked_at.classes), score)

    def open(self, phase: Phase, used: Tensor, device: torch.device) -> None:
        """Get the phase's images and targets ready. Without augmentation only ``used`` pixels, bool
        ``(D,)``, are kept."""
        images = phase.data.images
        if self.job.lesson.augment is None:
            images = images.flatten(1)[:, used.cpu()]
        self.images = images.to(device)
        targets = F.one_hot(phase.data.labels, len(phase.data.classes)).float()
        if phase.class_weights is not None:
            targets *= class_factors(phase)
        self.targets = (targets / self.batch_size).to(device)  # the loss is a mean over the batch
        generator = step_generator(self.job.seed, phase.stream)
        self.order = batches(len(images), self.batch_size, phase.sampling_weights, generator)

    def read(self, step: int, inputs: Tensor, targets: Tensor) -> None:
        """Fill ``inputs`` ``(B, D)`` and ``targets`` ``(B, K)`` with the step's batch."""
        lesson, seed = self.job.lesson, self.job.seed
        index = next(self.order).to(self.images.device)
        images = self.images.index_select(0, index)
        if lesson.augment is not None:
            images = lesson.augment(images, step_generator(seed, AUGMENT, step))
        inputs.copy_(images.flatten(1)).mul_(1 / 255)
        torch.index_select(self.targets, 0, index, out=targets)
        if lesson.mixup:
            share, partners = mixing(lesson.mixup, len(index), seed, step)
            partners = partners.to(self.images.device)
            for values in (inputs, targets):
                values.copy_(values * share + values[partners] * (1 - share))
