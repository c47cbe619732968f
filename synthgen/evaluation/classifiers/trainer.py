"""The one training loop of all classifiers with convolutions, and the classifiers that use it."""

from __future__ import annotations

import copy
import time
from abc import abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from synthgen.device import autocast, compute_dtype, default_device
from synthgen.evaluation.classifiers.base import (
    Augment,
    Classifier,
    ClassifierRequest,
    Predictions,
    TrainingRecipe,
    answers_of,
    diverged,
    moments_of,
)
from synthgen.evaluation.schema import ClassifierDescription
from synthgen.images import to_float
from synthgen.progress import track
from synthgen.seeds import Stream, image_rng, step_generator
from synthgen.types import ImageSpec, LabelledImages

# Which images a classifier sees at which step. Pure functions of the seed.


def batches(
    count: int, batch_size: int, weights: Tensor | None, generator: torch.Generator
) -> Iterator[Tensor]:
    """Endless batches of exactly ``batch_size`` positions below ``count``, int64: reshuffled passes
    or, with float ``weights`` ``(count,)``, independent draws in their proportion."""
    if weights is None:
        return shuffled_batches(count, batch_size, generator)
    return weighted_batches(weights, batch_size, generator)


def shuffled_batches(count: int, batch_size: int, generator: torch.Generator) -> Iterator[Tensor]:
    """Endless batches of exactly ``batch_size`` positions. They are cut from one reshuffled pass
    after another, so no image is ever seen two times more often than another."""
    pending = torch.empty(0, dtype=torch.int64)
    while True:
        while len(pending) < batch_size:
            pending = torch.cat([pending, torch.randperm(count, generator=generator)])
        batch, pending = pending[:batch_size], pending[batch_size:]
        yield batch


def weighted_batches(
    weights: Tensor, batch_size: int, generator: torch.Generator
) -> Iterator[Tensor]:
    """Endless batches drawn with replacement; position ``i`` with probability ``weights[i]`` / sum.

    By inversion of the cumulative sum, for any number of images (``torch.multinomial`` ends at
    2²⁴). Raises ValueError for weights that are negative, not finite, or all 0.
    """
    cumulative = weights.double().cumsum(0)
    if not bool(torch.isfinite(cumulative[-1]) & (cumulative[-1] > 0) & (weights >= 0).all()):
        raise ValueError("sampling weights must be finite, not negative, and not all 0")
    last = int(weights.nonzero().max())  # rounding must not reach an image of weight 0
    while True:
        drawn = torch.rand(batch_size, generator=generator, dtype=torch.float64) * cumulative[-1]
        yield torch.searchsorted(cumulative, drawn, right=True).clamp_max(last)


WEIGHT_DECAY = 0.05
WARM_UP = 0.15  # share of a phase's steps during which the learning rate rises

NetworkFactory = Callable[[ImageSpec], nn.Module]
"""What the images look like -> a network of float ``(N, C, H, W)`` in [-1, 1] to logits."""


@dataclass(frozen=True)
class Phase:
    """A number of steps on one set of images, with a learning rate that rises and falls once."""

    data: LabelledImages
    sampling_weights: Tensor | None
    class_weights: Tensor | None
    steps: int
    stream: Stream


def phases_of(recipe: TrainingRecipe, steps: int) -> list[Phase]:
    """All steps on the data; or half of them (rounded down) on ``pretrain`` first. The weights
    belong to ``data``: pre-training sees its images equally often."""
    before = 0 if recipe.pretrain is None else steps // 2
    phases = []
    if recipe.pretrain is not None and before:
        phases.append(Phase(recipe.pretrain, None, None, before, Stream.PRETRAIN))
    weights = recipe.sampling_weights, recipe.class_weights
    return [*phases, Phase(recipe.data, *weights, steps - before, Stream.DATA)]


def train(
    factory: NetworkFactory,
    recipe: TrainingRecipe,
    *,
    steps: int,
    batch_size: int,
    learning_rate: float,
    seed: int,
    device: torch.device,
    on_step: Callable[[int, nn.Module], None],
) -> nn.Module:
    """Cross-entropy, AdamW (weight decay 0.05), one-cycle learning rate.

    Pre-training and what follows each have a fresh optimizer and their own cycle, so that both end
    at a small learning rate. The outcome depends on the recipe (its images in order), the options,
    the seed and the hardware alone. Calls ``on_step(step, network)`` after every step, from 1 on.
    Raises SynthgenError if a weight, or a moment of batch normalisation, isn't finite in the end.
    """
    network = initial_network(factory, recipe.data.image, seed).to(device)
    network = network.to(memory_format=torch.channels_last)
    done = 0
    with isolated_randomness(seed, device):  # of dropout
        for phase in phases_of(recipe, steps):
            optimizer = torch.optim.AdamW(
                network.parameters(), lr=learning_rate, weight_decay=WEIGHT_DECAY, fused=True
            )
            schedule = torch.optim.lr_scheduler.OneCycleLR(
                optimizer, learning_rate, total_steps=phase.steps, pct_start=WARM_UP
            )
            objective = Objective(phase, recipe, batch_size, seed, device)
            for step in range(done + 1, done + phase.steps + 1):
                network.train()
                loss = objective(network, step)
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                optimizer.step()
                schedule.step()
                on_step(step, network)
            done += phase.steps
    if not all(one.isfinite().all() for one in network.state_dict().values()):
        raise diverged()
    return network.eval()


class Objective:
    """The loss of each step of a phase: its batch, augmented, mixed and weighted as the recipe
    says."""

    def __init__(
        self, phase: Phase, recipe: TrainingRecipe, batch_size: int, seed: int, device: torch.device
    ) -> None:
        self.recipe, self.seed, self.device = recipe, seed, device
        self.images, self.labels = phase.data.images.to(device), phase.data.labels.to(device)
        self.factors = None if phase.class_weights is None else class_factors(phase).to(device)
        generator = step_generator(seed, phase.stream)
        self.order = batches(len(phase.data), batch_size, phase.sampling_weights, generator)

    def __call__(self, network: nn.Module, step: int) -> Tensor:
        index = next(self.order).to(self.device)
        images, labels = self.images[index], self.labels[index]
        if self.recipe.augment is not None:
            images = self.recipe.augment(images, step_generator(self.seed, Stream.AUGMENT, step))
        inputs = as_input(images)
        if not self.recipe.mixup:
            return self.cross_entropy(self.logits(network, inputs), labels)
        share, partners = mixing(self.recipe.mixup, len(index), self.seed, step)
        partners = partners.to(self.device)
        logits = self.logits(network, inputs * share + inputs[partners] * (1 - share))
        first, second = (self.cross_entropy(logits, y) for y in (labels, labels[partners]))
        return share * first + (1 - share) * second

    def logits(self, network: nn.Module, inputs: Tensor) -> Tensor:
        with autocast(self.device, compute_dtype("auto", self.device)):
            return network(inputs).float()

    def cross_entropy(self, logits: Tensor, labels: Tensor) -> Tensor:
        if self.factors is None:
            return F.cross_entropy(logits, labels)
        losses = F.cross_entropy(logits, labels, reduction="none")
        return (losses * self.factors[labels]).mean()


def class_factors(phase: Phase) -> Tensor:
    """float32 ``(K,)`` in proportion to the class weights; their mean over the images, as often as
    these are drawn, is 1, so the weights don't change the size of the steps."""
    assert phase.class_weights is not None
    weights, drawn = phase.class_weights.double(), phase.sampling_weights
    seen = torch.ones(len(phase.data)) if drawn is None else drawn
    mean = (weights[phase.data.labels] * seen).sum() / seen.double().sum()
    return (weights / mean).float()


def mixing(alpha: float, count: int, seed: int, step: int) -> tuple[float, Tensor]:
    """mixup (Zhang et al. 2018): one share from Beta(alpha, alpha) for the whole batch, as in their
    section 3, and each image's partner in it, int64 ``(count,)``."""
    generator = step_generator(seed, Stream.MIX, step)
    key = int(torch.randint(2**62, (), generator=generator))
    return float(image_rng(key).beta(alpha, alpha)), torch.randperm(count, generator=generator)


def initial_network(factory: NetworkFactory, image: ImageSpec, seed: int) -> nn.Module:
    """The same weights for every lesson."""
    with isolated_randomness(seed, torch.device("cpu")):
        return factory(image)


@torch.inference_mode()
def predict_logits(network: nn.Module, images: Tensor, *, batch_size: int = 512) -> Tensor:
    """uint8 ``(N, C, H, W)`` -> float32 ``(N, K)`` on the CPU."""
    network.eval()
    device = next(network.parameters()).device
    found = []
    for batch in images.split(batch_size):
        with autocast(device, compute_dtype("auto", device)):
            found.append(network(as_input(batch.to(device))).float().cpu())
    return torch.cat(found)


def predict(network: nn.Module, images: Tensor, *, batch_size: int = 512) -> Tensor:
    """uint8 ``(N, C, H, W)`` -> int64 ``(N,)`` labels on the CPU."""
    return predict_logits(network, images, batch_size=batch_size).argmax(1)


def as_input(images: Tensor) -> Tensor:
    return to_float(images).contiguous(memory_format=torch.channels_last)


@contextmanager
def isolated_randomness(seed: int, device: torch.device) -> Iterator[None]:
    """Torch's global generators seeded inside, and left as they were outside."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield


# A classifier that trains a network on pixels.


class NetworkClassifier(Classifier):
    """A subclass says which network, and what it is called.

    Args:
        steps: optimizer steps, equal for all arms; None chooses by the number of real training
            images.
        learning_rate: the highest of the one-cycle schedule.
        augment: changes the training batches of all recipes without an augmentation of their own.
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

    def examine(self, request: ClassifierRequest) -> Predictions:
        started = time.perf_counter()
        recipe, steps, looked_at = request.recipe, request.steps, request.looked_at.images
        watch, moments = request.early_stopping(), set(moments_of(steps))
        kept: dict[str, object] = {}

        def answers(network: nn.Module, images: Tensor) -> Tensor:
            return answers_of(predict_logits(network, images), recipe.offsets)

        with track(steps, request.description, "steps") as advance:

            def look(step: int, network: nn.Module) -> None:
                advance(1)
                better = step in moments and watch.see(step, answers(network, looked_at))
                if better and step < steps:
                    kept.update(copy.deepcopy(network.state_dict()) if request.score else {})

            network = train(
                self.network,
                replace(recipe, augment=recipe.augment or self.augment),
                steps=steps,
                batch_size=self.batch_size,
                learning_rate=self.learning_rate,
                seed=request.seed,
                device=default_device(),
                on_step=look,
            )
        if watch.chosen_step < steps:
            network.load_state_dict(kept)
        said = {name: answers(network, images) for name, images in request.asked.items()}
        seconds = time.perf_counter() - started
        return Predictions(said, watch.curve, watch.chosen_step, seconds)

    def describe(self, steps: int) -> ClassifierDescription:
        device = default_device()
        return ClassifierDescription(
            name=self.name,
            network=self.architecture(),
            steps=steps,
            batch_size=self.batch_size,
            optimizer=f"AdamW, one-cycle learning rate up to {self.learning_rate:g}, "
            f"weight decay {WEIGHT_DECAY:g}",
            augmentation=f"{self.augment or 'none'}, unless the arm says otherwise",
            precision=str(compute_dtype("auto", device)).removeprefix("torch."),
            device=device.type,
        )
