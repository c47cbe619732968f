"""Which images an expert is shown, and in which order."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from synthgen.data.hashing import image_hashes
from synthgen.errors import SynthgenError
from synthgen.seeds import image_rng
from synthgen.types import LabelledImages

Origin = Literal["real", "synthetic"]
FEWEST = 4
STREAM = 307


@dataclass(frozen=True)
class Question:
    """One image ``(C, H, W)`` with the class that it is said to be of, and where it came from."""

    image: Tensor
    label: str
    origin: Origin
    sha256: str


def require_enough(n: int) -> None:
    """Raises SynthgenError if ``n`` images are too few to say anything."""
    if n < FEWEST:
        raise SynthgenError(
            f"{n} images are too few for a review.\nSet images= to {FEWEST} or more; 60 is usual."
        )


def choose_questions(
    real: LabelledImages, synthetic: LabelledImages, *, n: int, seed: int
) -> list[Question]:
    """About ``n`` images: as many real as synthetic ones of every class, the classes as equal as
    the smaller set of each allows. So neither an image's class nor its place betrays its origin:
    the order follows from the seed and the pixels alone. Raises SynthgenError for images of another
    shape (they would betray themselves), for ``n`` below 4, and for too few images.
    """
    require_enough(n)
    if real.image.shape != synthetic.image.shape:
        raise SynthgenError(
            "Real and synthetic images differ in size or channels "
            f"({real.image.shape} and {synthetic.image.shape}), so anybody can tell them apart.\n"
            "Set data.size= to the synthetic set's size."
        )
    available = [min(pair) for pair in zip(real.counts, synthetic.counts, strict=True)]
    quotas = _even_quotas(available, n // 2, image_rng(seed, STREAM))
    if sum(quotas) < FEWEST // 2:
        raise SynthgenError(
            "Too few images of classes that both sets have.\nA review needs some of each."
        )
    sides: tuple[tuple[Origin, LabelledImages], ...] = (("real", real), ("synthetic", synthetic))
    found = []
    for number, (origin, images) in enumerate(sides):
        random = image_rng(seed, STREAM + 1 + number)
        for label, quota in enumerate(quotas):
            found += _drawn(images, label, quota, origin, random)
    return sorted(found, key=lambda question: _place(question, seed))


def _even_quotas(available: list[int], total: int, random: np.random.Generator) -> list[int]:
    """Images per class: one each in turn until ``total`` is reached or nothing is left. Which
    classes get the last ones is drawn."""
    quotas = [0] * len(available)
    order = random.permutation(len(available)).tolist()
    left = min(total, sum(available))
    while left:
        for label in order:
            if left and quotas[label] < available[label]:
                quotas[label] += 1
                left -= 1
    return quotas


def _drawn(
    images: LabelledImages, label: int, quota: int, origin: Origin, random: np.random.Generator
) -> list[Question]:
    of_class = (images.labels == label).nonzero().flatten()
    chosen = images.images[of_class[torch.from_numpy(random.permutation(len(of_class))[:quota])]]
    hashes = image_hashes(chosen)
    return [
        Question(image, images.classes[label], origin, digest)
        for image, digest in zip(chosen, hashes, strict=True)
    ]


def _place(question: Question, seed: int) -> str:
    return hashlib.sha256(f"{seed} {question.sha256} {question.label}".encode()).hexdigest()


def review_id(questions: list[Question]) -> str:
    """16 hex digits that tie answers, page and key together; from what the page shows alone."""
    shown = "\n".join(f"{question.sha256} {question.label}" for question in questions)
    return hashlib.sha256(shown.encode()).hexdigest()[:16]
