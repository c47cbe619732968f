"""Features of a small classifier trained on the real training images: works offline, any domain."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from synthgen.device import default_device, torch_threads
from synthgen.evaluation.classifiers.base import TrainingRecipe, automatic_steps
from synthgen.evaluation.classifiers.networks import SmallCNN
from synthgen.evaluation.classifiers.trainer import as_input, predict
from synthgen.evaluation.classifiers.trainer import train as train_network
from synthgen.evaluation.features.base import Extractor
from synthgen.evaluation.features.network import weights_digest
from synthgen.progress import track
from synthgen.ranges import BatchSize, ClassifierWidth, Count, Positive
from synthgen.types import LabelledImages

THREADS = 1  # with one thread of the CPU, the same data and seed give the same weights, and name
MOST_STEPS = 1000  # enough for features, and one thread has to do them
MAX_SEARCHED = 100_000
SEED_OFFSET = 7919  # a report's classifiers start from other weights than the extractor's


class ClassifierExtractor(Extractor):
    """The 128 hidden values of a classifier that ``prepare`` trains on the real training split.

    Its distances are not comparable with anybody's Inception FID, nor between two sets of weights:
    the name carries the first 8 hex digits of the weights' SHA-256.

    Args:
        steps: optimizer steps; None chooses by the number of training images.
        width: channels of the first convolution; later ones double it.
    """

    def __init__(
        self,
        steps: Count | None = None,
        batch_size: BatchSize = 128,
        learning_rate: Positive = 3e-3,
        width: ClassifierWidth = 16,
        max_images: Count = 10_000,
    ) -> None:
        super().__init__(batch_size=500, max_images=max_images)
        self.max_searched = MAX_SEARCHED
        self.steps = steps
        self.train_batch_size = batch_size
        self.learning_rate = learning_rate
        self.width = width
        self.name = "classifier"
        self.network: SmallCNN | None = None
        self.facts: dict[str, object] = {}

    def prepare(self, train: LabelledImages, seed: int) -> None:
        """Train once, on the CPU, where the outcome can be repeated to the bit; a second call with
        the same extractor does nothing."""
        if self.network is not None:
            return
        steps = self.steps_for(train)
        with track(steps, "feature classifier", "steps") as advance:
            network = self.train_network(
                train, steps, seed + SEED_OFFSET, lambda step, network: advance(1)
            )
        self.network = network.requires_grad_(False).to(default_device())
        digest = weights_digest(network)
        self.name = f"classifier-{digest[:8]}"
        seen = train.subset(torch.arange(0, len(train), max(1, len(train) // 2000)))
        right = (predict(network, seen.images) == seen.labels).double().mean()
        self.facts = {
            "trained_on": "real training split",
            "images": len(train),
            "steps": steps,
            "batch_size": self.train_batch_size,
            "learning_rate": self.learning_rate,
            "width": self.width,
            "seed": seed,
            "accuracy_on_training_images": round(float(right), 4),
            "weights_sha256": digest,
        }

    def steps_for(self, train: LabelledImages) -> int:
        return self.steps or min(MOST_STEPS, automatic_steps(len(train), self.train_batch_size))

    def train_network(
        self,
        train: LabelledImages,
        steps: int,
        seed: int,
        on_step: Callable[[int, nn.Module], None],
    ) -> SmallCNN:
        """The network that ``prepare`` keeps, after any number of steps."""
        with torch_threads(THREADS):
            network = train_network(
                partial(SmallCNN, width=self.width),
                TrainingRecipe(data=train),
                steps=steps,
                batch_size=self.train_batch_size,
                learning_rate=self.learning_rate,
                seed=seed,
                device=torch.device("cpu"),
                on_step=on_step,
            )
        assert isinstance(network, SmallCNN)
        return network

    def visible(self, images: Tensor) -> Tensor:
        return images

    def forward(self, images: Tensor) -> Tensor:
        """float32 throughout: bfloat16 would leave three digits of each feature.

        Raises:
            RuntimeError: ``prepare`` wasn't called.
        """
        if self.network is None:
            raise RuntimeError("prepare() must come before the first image")
        return self.network.features(as_input(images))

    def describe(self) -> dict[str, object]:
        return {"kind": "classifier", "features": 128, "max_images": self.max_images, **self.facts}
