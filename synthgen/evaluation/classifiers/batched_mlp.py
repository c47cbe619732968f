"""Classifiers so small that thousands can be trained, many at a time."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from synthgen.device import default_device
from synthgen.evaluation.classifiers.base import (
    Classifier,
    ClassifierRequest,
    Predictions,
    answers_of,
    moments_of,
)
from synthgen.evaluation.classifiers.trainer import (
    WARM_UP,
    Phase,
    batches,
    class_factors,
    mixing,
    phases_of,
)
from synthgen.evaluation.schema import ClassifierDescription
from synthgen.images import top_of
from synthgen.progress import track
from synthgen.ranges import BatchSize, Count, Positive, Width
from synthgen.seeds import Stream, step_generator
from synthgen.types import LabelledImages

# Many small multilayer perceptrons that learn side by side, one matrix product for all of them.
#
# The gradients are written out: through autograd a step of such a network is mostly overhead.

MOMENTUM = 0.9

Weights = list[Tensor]
"""Per layer a matrix ``(outputs, inputs)`` and a bias ``(outputs, 1)``, alternating."""


def initial_weights(sizes: Sequence[int], seed: int) -> Weights:
    """Uniform within ±1/√inputs, for the layers between ``sizes``; a function of the seed alone."""
    generator = step_generator(seed, Stream.WEIGHTS)
    weights = []
    for inputs, outputs in pairwise(sizes):
        bound = 1 / math.sqrt(inputs)
        for columns in (inputs, 1):
            drawn = torch.empty(outputs, columns)
            weights.append(drawn.uniform_(-bound, bound, generator=generator))
    return weights


class StackedPerceptrons:
    """ReLU networks of equal sizes under SGD with momentum 0.9: ``velocity = 0.9 velocity +
    gradient``, ``weights -= learning_rate velocity``. The leading axis of every tensor is the
    network's; the images of a batch stand in columns, where products and softmax are fastest.

    Args:
        networks: the initial weights of each network.
    """

    def __init__(self, networks: Sequence[Weights], device: torch.device) -> None:
        self.weights = [torch.stack(parts).to(device) for parts in zip(*networks, strict=True)]
        self.forget()

    def forget(self) -> None:
        """Start again from velocity 0."""
        self.velocities = [torch.zeros_like(weight) for weight in self.weights]

    def step(self, inputs: Tensor, targets: Tensor, learning_rate: float) -> None:
        """One step on float32 inputs ``(M, B, D)`` and targets ``(M, B, K)``: the loss of a network
        is the sum over its batch of ``-targets · log softmax(logits)``."""
        weights, velocities = self.weights, self.velocities
        activations, targets = [inputs.mT], targets.mT
        for matrix, bias in zip(weights[0:-2:2], weights[1:-2:2], strict=True):
            activations.append(torch.baddbmm(bias, matrix, activations[-1]).relu_())
        delta = torch.baddbmm(weights[-1], weights[-2], activations[-1]).softmax(1)
        delta.mul_(targets.sum(1, keepdim=True)).sub_(targets)
        for layer in reversed(range(len(activations))):
            below, parts = activations[layer], (2 * layer, 2 * layer + 1)  # matrix, bias
            velocities[parts[0]].baddbmm_(delta, below.mT, beta=MOMENTUM)
            velocities[parts[1]].mul_(MOMENTUM).add_(delta.sum(2, keepdim=True))
            if layer:  # through the weights as they were in the forward pass
                delta = masked(torch.bmm(weights[parts[0]].mT, delta), below)
            for part in parts:
                weights[part].sub_(velocities[part], alpha=learning_rate)

    def network(self, position: int) -> Weights:
        """The weights of one network as they are now; they share memory with the stack."""
        return [weight[position] for weight in self.weights]


def masked(gradient: Tensor, activations: Tensor) -> Tensor:
    """The gradient below a ReLU with these activations, in one pass."""
    return torch.ops.aten.threshold_backward(gradient, activations, 0)


def logits(network: Weights, inputs: Tensor) -> Tensor:
    """float32 ``(N, D)`` -> ``(N, K)`` of one network."""
    for matrix, bias in zip(network[0:-2:2], network[1:-2:2], strict=True):
        inputs = torch.addmm(bias.mT, inputs, matrix.mT).relu_()
    return torch.addmm(network[-1].mT, inputs, network[-2].mT)


# One of several classifiers that learn side by side: its own images, order and randomness.


class Learner:
    """What belongs to one request alone.

    Pixels reach it in [0, 1], not [-1, 1]: black is 0, so that black pixels need no arithmetic.

    Attributes:
        weights: the initial ones.
        kept: those that take the exams, all pixels among them.
    """

    def __init__(
        self,
        request: ClassifierRequest,
        sizes: Sequence[int],
        batch_size: int,
    ) -> None:
        self.recipe, self.seed, self.batch_size = request.recipe, request.seed, batch_size
        self.weights: Weights = initial_weights(sizes, request.seed)
        self.kept: Weights = self.weights
        self.watch = request.early_stopping()

    def open(self, phase: Phase, used: Tensor, device: torch.device) -> None:
        """Get the phase's images and targets ready. Without augmentation only ``used`` pixels, bool
        ``(D,)``, are kept."""
        images = phase.data.images
        if self.recipe.augment is None:
            images = images.flatten(1)[:, used.cpu()]
        self.images = images.to(device)
        targets = F.one_hot(phase.data.labels, len(phase.data.classes)).float()
        if phase.class_weights is not None:
            targets *= class_factors(phase)
        self.targets = (targets / self.batch_size).to(device)  # the loss is a mean over the batch
        generator = step_generator(self.seed, phase.stream)
        self.order = batches(len(images), self.batch_size, phase.sampling_weights, generator)

    def read(self, step: int, inputs: Tensor, targets: Tensor) -> None:
        """Fill ``inputs`` ``(B, D)`` and ``targets`` ``(B, K)`` with the step's batch."""
        recipe, seed = self.recipe, self.seed
        index = next(self.order).to(self.images.device)
        images = self.images.index_select(0, index)
        if recipe.augment is not None:
            images = recipe.augment(images, step_generator(seed, Stream.AUGMENT, step))
        inputs.copy_(images.flatten(1)).mul_(1 / top_of(images))
        torch.index_select(self.targets, 0, index, out=targets)
        if recipe.mixup:
            share, partners = mixing(recipe.mixup, len(index), seed, step)
            partners = partners.to(self.images.device)
            for values in (inputs, targets):
                values.copy_(values * share + values[partners] * (1 - share))


NEAR_MEMORY = {"cpu": 2**20, "cuda": 2**27}  # bytes of weights that are trained at a time
IMAGES_AT_A_TIME = 2000


class Probe(Classifier):
    """A perceptron on pixels under SGD with momentum 0.9 and a one-cycle learning rate, float32.

    Args:
        steps: optimizer steps, equal for all arms; None chooses by the number of real training
            images.
        learning_rate: the highest of the cycle.
        hidden: units of each hidden layer.
    """

    requests_at_once: ClassVar[int] = 16

    def __init__(
        self, steps: int | None, batch_size: int, learning_rate: float, hidden: Sequence[int]
    ) -> None:
        self.steps = steps
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.hidden = tuple(hidden)

    def examine(self, request: ClassifierRequest) -> Predictions:
        return self.examine_all([request])[0]

    def examine_all(self, requests: Sequence[ClassifierRequest]) -> list[Predictions]:
        """Those that ask for something else, or change their images half-way, are trained apart."""
        found: dict[int, Predictions] = {}
        total = sum(request.steps for request in requests)
        with track(total, requests[0].description, "steps") as advance:
            for positions in self.groups(requests):
                started, shared = time.perf_counter(), requests[positions[0]]
                learners = [self.learner(requests[position]) for position in positions]
                for done in self.train(learners, shared.looked_at.images, shared.steps):
                    advance(done * len(learners))
                answers = {name: answer(learners, images) for name, images in shared.asked.items()}
                seconds = (time.perf_counter() - started) / len(learners)
                for number, (position, learner) in enumerate(zip(positions, learners, strict=True)):
                    found[position] = Predictions(
                        {name: said[number] for name, said in answers.items()},
                        learner.watch.curve,
                        learner.watch.chosen_step,
                        seconds,
                    )
        return [found[position] for position in range(len(requests))]

    def groups(self, requests: Sequence[ClassifierRequest]) -> list[list[int]]:
        """Positions of requests to train at a time: so many that their weights stay in near
        memory."""
        together: dict[Any, list[int]] = {}
        for position, one in enumerate(requests):
            exams = tuple((name, id(images)) for name, images in one.exams.items())
            alike = (bool(one.recipe.pretrain), one.steps, id(one.holdout), exams, id(one.score))
            together.setdefault(alike, []).append(position)
        groups = []
        for positions in together.values():
            sizes = self.sizes(requests[positions[0]].recipe.data)
            numbers = sum(a * b for a, b in pairwise(sizes))
            size = max(1, NEAR_MEMORY[default_device().type] // (4 * numbers))
            groups += [positions[start : start + size] for start in range(0, len(positions), size)]
        return groups

    def sizes(self, data: LabelledImages) -> list[int]:
        return [data.images[0].numel(), *self.hidden, len(data.classes)]

    def learner(self, request: ClassifierRequest) -> Learner:
        return Learner(request, self.sizes(request.recipe.data), self.batch_size)

    def train(self, learners: Sequence[Learner], looked_at: Tensor, steps: int) -> Iterator[int]:
        """Yields the number of steps done since the last time."""
        device = default_device()
        used = used_pixels(learners).to(device)
        initial = [[p.weights[0][:, used.cpu()], *p.weights[1:]] for p in learners]
        stack = StackedPerceptrons(initial, device)
        shape = (len(learners), self.batch_size)
        inputs = torch.empty(*shape, int(used.sum()), device=device)
        targets = torch.empty(*shape, len(learners[0].recipe.data.classes), device=device)
        moments, step, last = set(moments_of(steps)), 0, 0
        for phases in zip(*(phases_of(p.recipe, steps) for p in learners), strict=True):
            for learner, phase in zip(learners, phases, strict=True):
                learner.open(phase, used, device)
            stack.forget()
            for number in range(phases[0].steps):
                step += 1
                for position, learner in enumerate(learners):
                    learner.read(step, inputs[position], targets[position])
                stack.step(inputs, targets, self.rate(number, phases[0]))
                if step in moments:
                    see(learners, stack, used, looked_at, step)
                    yield step - last
                    last = step

    def rate(self, number: int, phase: Phase) -> float:
        """The learning rate of step ``number`` of a phase: up in a straight line, down to 0 along
        half a cosine."""
        rising = max(1.0, WARM_UP * phase.steps)
        if number < rising:
            return self.learning_rate * (number + 1) / (rising + 1)
        share = (number - rising + 1) / (phase.steps - rising + 1)
        return self.learning_rate * (1 + math.cos(math.pi * share)) / 2

    def describe(self, steps: int) -> ClassifierDescription:
        hidden = ", ".join(f"{units} hidden units" for units in self.hidden) or "no hidden layer"
        return ClassifierDescription(
            name=self.name,
            network=f"on pixels, {hidden}",
            steps=steps,
            batch_size=self.batch_size,
            optimizer="SGD with momentum 0.9, one-cycle learning rate up to "
            f"{self.learning_rate:g}",
            augmentation="none, unless the arm says so",
            precision="float32",
            device=default_device().type,
        )


def used_pixels(learners: Sequence[Learner]) -> Tensor:
    """bool ``(D,)``: where an image of any recipe isn't black. Weights of the other pixels have no
    gradient, so they needn't take part in training: the outcome is the same, and often cheaper."""
    used = torch.zeros(learners[0].weights[0].shape[1], dtype=torch.bool)
    for recipe in {id(learner.recipe): learner.recipe for learner in learners}.values():
        if recipe.augment is not None:
            return torch.ones_like(used)
        for part in (recipe.data, recipe.pretrain):
            if part is not None:
                used |= (part.images.flatten(1) != 0).any(0).cpu()
    return used


def see(
    learners: Sequence[Learner], stack: StackedPerceptrons, used: Tensor, images: Tensor, step: int
) -> None:
    """Every learner's moment: its weights are kept if it is the best so far."""
    device = used.device
    full = []
    for position, learner in enumerate(learners):
        first, *others = stack.network(position)
        whole = learner.weights[0].to(device, copy=True)
        whole[:, used] = first
        full.append([whole, *(part.clone() for part in others)])
    answers = predict_all(learners, full, images)
    for learner, weights, said in zip(learners, full, answers, strict=True):
        if learner.watch.see(step, said):
            learner.kept = weights


def answer(learners: Sequence[Learner], images: Tensor) -> list[Tensor]:
    return predict_all(learners, [learner.kept for learner in learners], images)


def predict_all(
    learners: Sequence[Learner], networks: Sequence[Weights], images: Tensor
) -> list[Tensor]:
    """uint8 ``(N, C, H, W)`` -> what each learner says with these weights: float16 ``(N, K)``
    log-probabilities on the CPU."""
    found: list[list[Tensor]] = [[] for _ in networks]
    for batch in images.split(IMAGES_AT_A_TIME):
        inputs = batch.to(networks[0][0].device).flatten(1).float().mul_(1 / top_of(batch))
        for learner, network, said in zip(learners, networks, found, strict=True):
            said.append(answers_of(logits(network, inputs), learner.recipe.offsets))
    return [torch.cat(said) for said in found]


# The linear probe.


class LinearClassifier(Probe):
    """Multinomial logistic regression on pixels, by gradient descent like the networks."""

    name = "linear"

    def __init__(
        self, steps: Count | None = None, batch_size: BatchSize = 64, learning_rate: Positive = 0.1
    ) -> None:
        super().__init__(steps, batch_size, learning_rate, [])


# The smallest network with a hidden layer.


class MLPClassifier(Probe):
    """One hidden layer on pixels: a tenth of a second per training."""

    name = "mlp"

    def __init__(
        self,
        steps: Count | None = None,
        batch_size: BatchSize = 64,
        learning_rate: Positive = 0.1,
        hidden: Width = 128,
    ) -> None:
        super().__init__(steps, batch_size, learning_rate, [hidden])
