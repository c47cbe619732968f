"""The judge: a classifier of fixed cost that is trained on a set and examined on real images."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from synthgen.evaluation.classifier import (
    SmallCNN,
    predict,
    train_classifier,
)
from synthgen.evaluation.steps import automatic_steps
from synthgen.evaluation.subsets import spread_by_class
from synthgen.hardware import compute_dtype, default_device
from synthgen.progress import track
from synthgen.types import LabelledImages

CURVE_POINTS = 8
CURVE_IMAGES = 2000  # of the holdout, so that looking costs little beside training


@dataclass(frozen=True)
class Examination:
    """What one trained classifier said: int64 ``(n_test,)`` predictions, and the accuracy on real
    holdout images during training as (step, accuracy)."""

    predictions: Tensor
    curve: list[tuple[int, float]]
    seconds: float


class Judge:
    """Trains a small CNN for a fixed number of optimizer steps and predicts the test images once.

    Nothing is selected on the way: the holdout curve is only recorded. Images are neither augmented
    nor smoothed, so every arm sees its images as they are.

    Args:
        steps: optimizer steps, equal for all arms; None chooses by the number of real training
            images.
        width: channels of the first convolution; later ones double it.
    """

    name = "small_cnn"

    def __init__(
        self,
        steps: int | None = None,
        batch_size: int = 128,
        learning_rate: float = 3e-3,
        width: int = 16,
    ) -> None:
        self.steps = steps
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.width = width

    def steps_for(self, real_train: LabelledImages) -> int:
        """The number of steps of every arm."""
        return self.steps or automatic_steps(len(real_train), self.batch_size)

    def examine(
        self,
        data: LabelledImages,
        *,
        holdout: LabelledImages,
        test: Tensor,
        steps: int,
        seed: int,
        description: str,
    ) -> Examination:
        """Train on ``data`` alone, then predict the uint8 ``test`` images."""
        started = time.perf_counter()
        looked_at = spread_by_class(holdout, CURVE_IMAGES)
        moments = {round(steps * (i + 1) / CURVE_POINTS) for i in range(CURVE_POINTS)}
        curve: list[tuple[int, float]] = []
        with track(steps, description, "steps") as advance:

            def look(step: int, network: SmallCNN) -> None:
                advance(1)
                if step in moments:
                    right = predict(network, looked_at.images) == looked_at.labels
                    curve.append((step, float(right.double().mean())))

            network = train_classifier(
                data,
                width=self.width,
                steps=steps,
                batch_size=self.batch_size,
                learning_rate=self.learning_rate,
                seed=seed,
                device=default_device(),
                on_step=look,
            )
        return Examination(predict(network, test), curve, time.perf_counter() - started)

    def describe(self, steps: int) -> dict[str, Any]:
        """Plain JSON for the report's protocol."""
        device = default_device()
        return {
            "name": self.name,
            "network": f"3x3 convolutions from {self.width} channels on, doubled at each pooling; "
            "128 hidden units",
            "steps": steps,
            "batch_size": self.batch_size,
            "optimizer": f"AdamW, one-cycle learning rate up to {self.learning_rate:g}, "
            "weight decay 0.05",
            "augmentation": "none",
            "precision": str(compute_dtype("auto", device)).removeprefix("torch."),
            "device": device.type,
        }
