"""Probes: classifiers so small that thousands can be trained, many at a time."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, ClassVar

import torch
from torch import Tensor

from synthgen.evaluation.judges.base import (
    HOLDOUT,
    Examination,
    Job,
    Judge,
    Lesson,
    answers_of,
)
from synthgen.evaluation.judges.pupils import Pupil
from synthgen.evaluation.judges.stacked import StackedPerceptrons, Weights, logits
from synthgen.evaluation.judges.training import WARM_UP, Phase, phases_of
from synthgen.evaluation.judges.watching import images_to_look_at, moments_of
from synthgen.evaluation.scores import Criterion
from synthgen.hardware import default_device
from synthgen.progress import track
from synthgen.types import LabelledImages

NEAR_MEMORY = {"cpu": 2**20, "cuda": 2**27}  # bytes of weights that are trained at a time
IMAGES_AT_A_TIME = 2000


class Probe(Judge):
    """A perceptron on pixels under SGD with momentum 0.9 and a one-cycle learning rate, float32.

    Args:
        steps: optimizer steps, equal for all arms; None chooses by the number of real training
            images.
        learning_rate: the highest of the cycle.
        hidden: units of each hidden layer.
    """

    jobs_at_once: ClassVar[int] = 16

    def __init__(
        self, steps: int | None, batch_size: int, learning_rate: float, hidden: Sequence[int]
    ) -> None:
        self.steps = steps
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.hidden = tuple(hidden)

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
        return self.examine_all(
            [Job(lesson, seed)],
            holdout=holdout,
            exams=exams,
            steps=steps,
            score=score,
            description=description,
        )[0]

    def examine_all(
        self,
        jobs: Sequence[Job],
        *,
        holdout: LabelledImages,
        exams: Mapping[str, Tensor],
        steps: int,
        score: Criterion | None = None,
        description: str = "classifier",
    ) -> list[Examination]:
        """Jobs that change their images half-way are trained apart from those that don't."""
        found: dict[int, Examination] = {}
        looked_at = images_to_look_at(holdout, score)
        asked = {**exams, HOLDOUT: holdout.images}
        with track(steps * len(jobs), description, "steps") as advance:
            for positions in self.groups(jobs):
                started = time.perf_counter()
                pupils = [self.pupil(jobs[position], looked_at, score) for position in positions]
                for done in self.train(pupils, looked_at.images, steps):
                    advance(done * len(pupils))
                answers = {name: answer(pupils, images) for name, images in asked.items()}
                seconds = (time.perf_counter() - started) / len(pupils)
                for number, (position, pupil) in enumerate(zip(positions, pupils, strict=True)):
                    found[position] = Examination(
                        {name: said[number] for name, said in answers.items()},
                        pupil.watch.curve,
                        pupil.watch.chosen_step,
                        seconds,
                    )
        return [found[position] for position in range(len(jobs))]

    def groups(self, jobs: Sequence[Job]) -> list[list[int]]:
        """Positions of jobs to train at a time: so many that their weights stay in near memory."""
        groups = []
        for pretrained in (False, True):
            alike = [i for i, job in enumerate(jobs) if bool(job.lesson.pretrain) == pretrained]
            if alike:
                sizes = self.sizes(jobs[alike[0]].lesson.data)
                numbers = sum(a * b for a, b in pairwise(sizes))
                size = max(1, NEAR_MEMORY[default_device().type] // (4 * numbers))
                groups += [alike[start : start + size] for start in range(0, len(alike), size)]
        return groups

    def sizes(self, data: LabelledImages) -> list[int]:
        return [data.images[0].numel(), *self.hidden, len(data.classes)]

    def pupil(self, job: Job, looked_at: LabelledImages, score: Criterion | None) -> Pupil:
        return Pupil(job, self.sizes(job.lesson.data), self.batch_size, looked_at, score)

    def train(self, pupils: Sequence[Pupil], looked_at: Tensor, steps: int) -> Iterator[int]:
        """Yields the number of steps done since the last time."""
        device = default_device()
        used = used_pixels(pupils).to(device)
        initial = [[p.weights[0][:, used.cpu()], *p.weights[1:]] for p in pupils]
        stack = StackedPerceptrons(initial, device)
        shape = (len(pupils), self.batch_size)
        inputs = torch.empty(*shape, int(used.sum()), device=device)
        targets = torch.empty(*shape, len(pupils[0].job.lesson.data.classes), device=device)
        moments, step, last = set(moments_of(steps)), 0, 0
        for phases in zip(*(phases_of(p.job.lesson, steps) for p in pupils), strict=True):
            for pupil, phase in zip(pupils, phases, strict=True):
                pupil.open(phase, used, device)
            stack.forget()
            for number in range(phases[0].steps):
                step += 1
                for position, pupil in enumerate(pupils):
                    pupil.read(step, inputs[position], targets[position])
                stack.step(inputs, targets, self.rate(number, phases[0]))
                if step in moments:
                    see(pupils, stack, used, looked_at, step)
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

    def describe(self, steps: int) -> dict[str, Any]:
        hidden = ", ".join(f"{units} hidden units" for units in self.hidden) or "no hidden layer"
        return {
            "name": self.name,
            "network": f"on pixels, {hidden}",
            "steps": steps,
            "batch_size": self.batch_size,
            "optimizer": "SGD with momentum 0.9, one-cycle learning rate up to "
            f"{self.learning_rate:g}",
            "augmentation": "none, unless the arm says so",
            "precision": "float32",
            "device": default_device().type,
        }


def used_pixels(pupils: Sequence[Pupil]) -> Tensor:
    """bool ``(D,)``: where an image of any lesson isn't black. Weights of the other pixels have no
    gradient, so they needn't take part in training: the outcome is the same, and often cheaper."""
    used = torch.zeros(pupils[0].weights[0].shape[1], dtype=torch.bool)
    for lesson in {id(pupil.job.lesson): pupil.job.lesson for pupil in pupils}.values():
        if lesson.augment is not None:
            return torch.ones_like(used)
        for part in (lesson.data, lesson.pretrain):
            if part is not None:
                used |= part.images.flatten(1).amax(0).cpu() > 0
    return used


def see(
    pupils: Sequence[Pupil], stack: StackedPerceptrons, used: Tensor, images: Tensor, step: int
) -> None:
    """Every pupil's moment: its weights are kept if it is the best so far."""
    device = used.device
    full = []
    for position, pupil in enumerate(pupils):
        first, *others = stack.network(position)
        whole = pupil.weights[0].to(device, copy=True)
        whole[:, used] = first
        full.append([whole, *(part.clone() for part in others)])
    answers = predict_all(pupils, full, images)
    for pupil, weights, said in zip(pupils, full, answers, strict=True):
        if pupil.watch.see(step, said):
            pupil.kept = weights


def answer(pupils: Sequence[Pupil], images: Tensor) -> list[Tensor]:
    return predict_all(pupils, [pupil.kept for pupil in pupils], images)


def predict_all(
    pupils: Sequence[Pupil], networks: Sequence[Weights], images: Tensor
) -> list[Tensor]:
    """uint8 ``(N, C, H, W)`` -> what each pupil says with these weights: float16 ``(N, K)``
    log-probabilities on the CPU."""
    found: list[list[Tensor]] = [[] for _ in networks]
    for batch in images.split(IMAGES_AT_A_TIME):
        inputs = batch.to(networks[0][0].device).flatten(1).float().mul_(1 / 255)
        for pupil, network, said in zip(pupils, networks, found, strict=True):
            said.append(answers_of(logits(network, inputs), pupil.job.lesson.offsets))
    return [torch.cat(said) for said in found]
