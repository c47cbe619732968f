"""A judge that trains a network on pixels."""

from __future__ import annotations

import copy
import time
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from torch import Tensor, nn

from synthgen.evaluation.judges.base import (
    HOLDOUT,
    Augment,
    Examination,
    Judge,
    Lesson,
    answers_of,
)
from synthgen.evaluation.judges.training import WEIGHT_DECAY, predict_logits, train
from synthgen.evaluation.judges.watching import Watch, images_to_look_at, moments_of
from synthgen.evaluation.scores import Criterion
from synthgen.hardware import compute_dtype, default_device
from synthgen.progress import track
from synthgen.types import ImageSpec, LabelledImages


class NetworkJudge(Judge):
    """A subclass says which network, and what it is called.

    Args:
        steps: optimizer steps, equal for all arms; None chooses by the number of real training
            images.
        learning_rate: the highest of the one-cycle schedule.
        augment: changes the training batches of all lessons without an augmentation of their own.
    """

    def __init__(
        self, steps: int | None, batch_size: int, learning_rate: float, augment: Augment | None
    ) -> None:
        self.steps = steps
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.augment = augment

    @abstractmethod
    def network(self, image: ImageSpec) -> nn.Module:
        """A network with fresh weights: float ``(N, C, H, W)`` in [-1, 1] -> logits ``(N, K)``."""

    @abstractmethod
    def architecture(self) -> str:
        """The network in words, for the report's protocol."""

    def examine(
        self,
        lesson: Lesson,
        *,
        holdout: LabelledImages,
        exams: Mapping[str, Tensor],
        steps: int,
        seed: int,
        score: Criterion | None = None,
        description: str = "classifier",
    ) -> Examination:
        started = time.perf_counter()
        seen = images_to_look_at(holdout, score)
        watch = Watch(seen.labels, len(holdout.classes), score)
        moments = set(moments_of(steps))
        kept: dict[str, Any] = {}

        def answers(network: nn.Module, images: Tensor) -> Tensor:
            return answers_of(predict_logits(network, images), lesson.offsets)

        with track(steps, description, "steps") as advance:

            def look(step: int, network: nn.Module) -> None:
                advance(1)
                better = step in moments and watch.see(step, answers(network, seen.images))
                if better and step < steps:
                    kept.update(copy.deepcopy(network.state_dict()) if score else {})

            network = train(
                self.network,
                replace(lesson, augment=lesson.augment or self.augment),
                steps=steps,
                batch_size=self.batch_size,
                learning_rate=self.learning_rate,
                seed=seed,
                device=default_device(),
                on_step=look,
            )
        if watch.chosen_step < steps:
            network.load_state_dict(kept)
        said = {name: answers(network, images) for name, images in exams.items()}
        said[HOLDOUT] = answers(network, holdout.images)
        seconds = time.perf_counter() - started
        return Examination(said, watch.curve, watch.chosen_step, seconds)

    def describe(self, steps: int) -> dict[str, Any]:
        device = default_device()
        return {
            "name": self.name,
            "network": self.architecture(),
            "steps": steps,
            "batch_size": self.batch_size,
            "optimizer": f"AdamW, one-cycle learning rate up to {self.learning_rate:g}, "
            f"weight decay {WEIGHT_DECAY:g}",
            "augmentation": f"{self.augment or 'none'}, unless the arm says otherwise",
            "precision": str(compute_dtype("auto", device)).removeprefix("torch."),
            "device": device.type,
        }
