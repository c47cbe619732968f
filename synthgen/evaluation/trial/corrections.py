"""Moving a finished classifier's decisions: what costs no training, and what every arm may get."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from synthgen.evaluation.classifiers.base import HOLDOUT, Predictions, TrainingRecipe, answers_of
from synthgen.evaluation.classifiers.scores import Score, confusion, said
from synthgen.seeds import Stream, step_generator

Correction = Literal["none", "logit_adjustment"]
CORRECTIONS = ("none", "logit_adjustment")
UNSEEN = 0.5  # images that a class without any counts as
CUTS = 64  # places at most where a class's threshold is tried
ROUNDS = 2  # of all classes in turn
FOLDS = 5  # of the holdout, so that no image is scored with thresholds that it helped to choose


def logit_adjustment(recipe: TrainingRecipe) -> Tensor:
    """float32 ``(K,)``: ``-log`` of the share of each class in what the classifier sees (Menon et
    al. 2021, equation 9, tau = 1): what takes its learned preference for frequent classes away.

    Sampling and class weights count as images do; before ``pretrain`` comes ``data``, which is
    learned last.
    """
    data, seen = recipe.data, torch.ones(len(recipe.data), dtype=torch.float64)
    if recipe.sampling_weights is not None:
        seen = recipe.sampling_weights.double() / recipe.sampling_weights.double().mean()
    if recipe.class_weights is not None:
        seen = seen * recipe.class_weights.double()[data.labels]
    totals = torch.zeros(len(data.classes), dtype=torch.float64).index_add(0, data.labels, seen)
    return -(totals.clamp_min(UNSEEN) / totals.clamp_min(UNSEEN).sum()).log().float()


def shifted(examination: Predictions, offsets: Tensor) -> Predictions:
    """The same classifier at the same moment, with ``offsets`` added to all it says."""
    return Predictions(
        {exam: answers_of(found, offsets) for exam, found in examination.answers.items()},
        examination.curve,
        examination.chosen_step,
        0.0,
    )


def tuned(examination: Predictions, labels: Tensor, score: Score, seed: int) -> Predictions:
    """The same classifier with the thresholds that are best on the holdout, whose ``labels`` are
    given.

    The holdout's own answers come from thresholds that were tuned without them (in 5 folds), or
    this arm would win every choice that is made there.
    """
    answers = examination.answers[HOLDOUT].double()
    found = shifted(examination, best_offsets(answers, labels, score))
    order = torch.randperm(len(labels), generator=step_generator(seed, Stream.FOLDS))
    fair = torch.empty_like(found.answers[HOLDOUT])
    for fold in order.tensor_split(FOLDS):
        rest = torch.ones(len(labels), dtype=torch.bool)
        rest[fold] = False
        offsets = best_offsets(answers[rest], labels[rest], score)
        fair[fold] = answers_of(answers[fold], offsets)
    return Predictions(
        {**found.answers, HOLDOUT: fair}, found.curve, found.chosen_step, found.seconds
    )


def best_offsets(answers: Tensor, labels: Tensor, score: Score) -> Tensor:
    """float32 ``(K,)``: the offsets of log-probabilities, float64 ``(n, K)``, by which ``score`` is
    best, one class after the other; of equals the nearest to none."""
    offsets = torch.zeros(answers.shape[1], dtype=torch.float64)
    for _ in range(ROUNDS):
        for label in range(len(offsets)):
            offsets[label] += best_step(answers + offsets, labels, label, score)
    return offsets.float()


def best_step(answers: Tensor, labels: Tensor, label: int, score: Score) -> float:
    """What to add to one class. Between two places where an image's label flips all steps are
    equal: each way is tried half-way between them."""
    classes = answers.shape[1]
    others = answers.clone()
    others[:, label] = -torch.inf
    best = others.max(1)
    needed = best.values - answers[:, label]  # above it, the image gets this label
    places = needed.unique()
    between = (places[1:] + places[:-1]) / 2
    chosen = torch.linspace(0, len(between) - 1, min(CUTS, len(between))).round().long()
    steps = torch.cat(
        [places[:1] - 1, between[chosen], places[-1:] + 1, torch.zeros(1, dtype=torch.float64)]
    )
    matrices = torch.stack(
        [
            confusion(labels, torch.where(needed < step, label, best.indices), classes)
            for step in steps.tolist()
        ]
    )
    matrices[-1] = confusion(labels, said(answers), classes)
    values = score(matrices)
    equal = (values >= values.max() - 1e-12).nonzero().flatten()
    return float(steps[equal][steps[equal].abs().argmin()])
