"""An expert, blinded, looks at real and synthetic images: questions, page, key, scores,
sentences."""

from __future__ import annotations

import base64
import hashlib
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar, Literal

import numpy as np
import torch
from pydantic import BeforeValidator, Field
from torch import Tensor

from synthgen.data.splits import Splits
from synthgen.dataset.source import SyntheticSet
from synthgen.errors import SynthgenError
from synthgen.evaluation.schema import Count, CountedInterval
from synthgen.images import image_hashes
from synthgen.io import write_json, write_text
from synthgen.pages import environment, picture_uri
from synthgen.schema import Document, Schema, Word, shown
from synthgen.seeds import Stream, image_rng
from synthgen.stats import TOO_FEW, clopper_pearson
from synthgen.types import LabelledImages

PAGE, KEY = "review.html", "key.json"
FEWEST = 4  # images
TEMPLATES = Path(__file__).resolve().parent / "templates"
LONGEST_NAME = 80
LONGEST_ANSWER = 1e6  # seconds
ALPHA = 0.05
NO_ANSWERS = "The expert judged no image, so there is nothing to say."

Origin = Literal["real", "synthetic"]
ORIGINS: tuple[Origin, Origin] = ("real", "synthetic")


def _seconds(value: object) -> float:
    """Nothing rests on the time that an answer took: one that can't be counts as none."""
    if isinstance(value, int | float) and 0 <= value <= LONGEST_ANSWER:
        return float(value)
    return 0.0


class KeyItem(Schema):
    """The truth about one image of the page, numbered from 1."""

    item: Count
    origin: Origin
    label: Annotated[str, Field(alias="class")]
    sha256: Word


class RealSource(Schema):
    data: str
    split: str
    digest: str


class SyntheticSource(Schema):
    path: str
    digest: str


class ReviewKey(Document):
    """``key.json``, which stays at home."""

    FORM: ClassVar[str] = "synthgen-review-key/1"
    ADVICE: ClassVar[str] = "Give key= the key.json beside the page."

    format: Literal["synthgen-review-key/1"]
    review: Word
    items: tuple[KeyItem, ...]
    seed: int | None = None
    real: RealSource | None = None
    synthetic: SyntheticSource | None = None


class Answer(Schema):
    """What the expert said of an image and of its label; None: not answered."""

    item: Count
    origin: Origin | None = None
    label: Literal["right", "wrong"] | None = None
    seconds: Annotated[float, BeforeValidator(_seconds)] = 0.0


class ReviewAnswers(Document):
    """What the page saves."""

    FORM: ClassVar[str] = "synthgen-review-answers/1"
    ADVICE: ClassVar[str] = "Give answers= the page's file of answers."

    format: Literal["synthgen-review-answers/1"]
    review: Word
    reviewer: str | None = None
    answers: tuple[Answer, ...]


class ToldApart(CountedInterval):
    """The share of right answers. ``p`` is Fisher's exact test between what an image is and what it
    was taken for: unlike the share, it is not moved by a habit of saying "real"."""

    p: float | None


class CalledWrong(Schema):
    real: CountedInterval
    synthetic: CountedInterval


class OfClass(Schema):
    """Of the class's synthetic images."""

    synthetic_taken_for_real: CountedInterval
    labels_called_wrong: CountedInterval


class Review(Document):
    """``review.json``. Shares come with Clopper-Pearson's exact 95 % interval; what was not
    answered is left out and counted."""

    FORM: ClassVar[str] = "synthgen-review/1"
    ADVICE: ClassVar[str] = "Score the answers again."

    format: Literal["synthgen-review/1"]
    review: Word
    reviewer: str
    images: Count
    judged: Count
    told_apart: ToldApart
    synthetic_taken_for_real: CountedInterval
    real_taken_for_synthetic: CountedInterval
    labels_called_wrong: CalledWrong
    by_class: dict[str, OfClass]
    median_seconds: float
    sentences: tuple[str, ...] = ()


class Judged(KeyItem):
    """The truth about an image of the page, and what was answered."""

    answer: Answer


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
    quotas = _even_quotas(available, n // 2, image_rng(seed, Stream.REVIEW))
    if sum(quotas) < FEWEST // 2:
        raise SynthgenError(
            "Too few images of classes that both sets have.\nA review needs some of each."
        )
    found = []
    for number, (origin, images) in enumerate(zip(ORIGINS, (real, synthetic), strict=True)):
        random = image_rng(seed, Stream.REVIEW + 1 + number)
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
    order = torch.from_numpy(random.permutation(len(of_class))[:quota])
    chosen = images.subset(of_class[order])
    hashes = image_hashes(chosen.images)
    return [
        Question(image, images.classes[label], origin, digest)
        for image, digest in zip(chosen.pictures, hashes, strict=True)
    ]


def _place(question: Question, seed: int) -> str:
    return hashlib.sha256(f"{seed} {question.sha256} {question.label}".encode()).hexdigest()


def review_id(questions: Sequence[Question]) -> str:
    """16 hex digits that tie answers, page and key together; from what the page shows alone."""
    shown = "\n".join(f"{question.sha256} {question.label}" for question in questions)
    return hashlib.sha256(shown.encode()).hexdigest()[:16]


def write_review(
    questions: Sequence[Question], folder: Path, real: Splits, synthetic: SyntheticSet, seed: int
) -> None:
    """Write ``folder``/review.html, which holds no origin, and ``folder``/key.json, which holds
    them all, and where the images were taken from."""
    write_text(Path(folder) / PAGE, render(questions))
    key = ReviewKey(
        format="synthgen-review-key/1",
        review=review_id(questions),
        items=tuple(
            KeyItem(item=number, origin=one.origin, label=one.label, sha256=one.sha256)
            for number, one in enumerate(questions, start=1)
        ),
        seed=seed,
        real=RealSource(data=real.name, split=real.reference, digest=real.digest),
        synthetic=SyntheticSource(path=str(synthetic.path), digest=synthetic.digest),
    )
    write_json(Path(folder) / KEY, key.to_json())


def render(questions: Sequence[Question]) -> str:
    """One file that needs nothing but a browser, may run this one script, and can't reach any
    network."""
    script, style = ((TEMPLATES / name).read_text("utf-8") for name in ("review.js", "review.css"))
    content = {
        "review": review_id(questions),
        "format": ReviewAnswers.FORM,
        "items": [{"image": picture_uri(one.image), "class": one.label} for one in questions],
    }
    return (
        environment(TEMPLATES)
        .get_template("review.html.j2")
        .render(
            content=content,
            total=len(questions),
            script=script,
            style=style,
            script_hash=_source_hash(script),
            style_hash=_source_hash(style),
        )
    )


def _source_hash(text: str) -> str:
    """How a content security policy names the one inline script, or style, that it admits."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def score_files(answers: Path, key: Path) -> Review:
    """:func:`score` of two files. Raises SynthgenError if one is missing, damaged, something else,
    if they belong to different reviews, and if no question was answered."""
    given = ReviewAnswers.read(Path(answers).expanduser())
    found = score(given, ReviewKey.read(Path(key).expanduser()))
    labels = found.labels_called_wrong
    if not found.judged and not labels.real.n and not labels.synthetic.n:
        raise SynthgenError(
            f"{answers} judges none of the {found.images} images, so there is nothing to say.\n"
            "Ask the expert to go through the page and save again."
        )
    return found


def score(answers: ReviewAnswers, key: ReviewKey) -> Review:
    """Raises SynthgenError for answers to another review, or to no question of it."""
    if answers.review != key.review:
        raise SynthgenError(
            f"These answers belong to review {shown(answers.review)}, the key to "
            f"{shown(key.review)}.\nGive the key.json that was written with the expert's page."
        )
    rows = _joined(answers.answers, key.items)
    judged = [row for row in rows if row.answer.origin]
    right = share(sum(row.answer.origin == row.origin for row in judged), len(judged))
    found = Review(
        format="synthgen-review/1",
        review=key.review,
        reviewer=(answers.reviewer or "")[:LONGEST_NAME],
        images=len(rows),
        judged=len(judged),
        told_apart=ToldApart(**dict(right), p=_fisher(judged)),
        synthetic_taken_for_real=_taken(rows, "synthetic", "real"),
        real_taken_for_synthetic=_taken(rows, "real", "synthetic"),
        labels_called_wrong=CalledWrong(
            real=_called_wrong(rows, "real"), synthetic=_called_wrong(rows, "synthetic")
        ),
        by_class=_by_class(rows),
        median_seconds=statistics.median([row.answer.seconds for row in judged] or [0.0]),
    )
    return found.model_copy(update={"sentences": sentences(found)})


def share(count: int, total: int) -> CountedInterval:
    """``count`` of ``total`` with Clopper and Pearson's interval (1934); None of no images."""
    return CountedInterval.counted(clopper_pearson(count, total) if total else TOO_FEW, total)


def _taken(rows: Sequence[Judged], origin: Origin, said: Origin) -> CountedInterval:
    answers = [row.answer.origin for row in rows if row.origin == origin and row.answer.origin]
    return share(answers.count(said), len(answers))


def _called_wrong(rows: Sequence[Judged], origin: Origin) -> CountedInterval:
    answers = [row.answer.label for row in rows if row.origin == origin and row.answer.label]
    return share(answers.count("wrong"), len(answers))


def _fisher(rows: Sequence[Judged]) -> float | None:
    from scipy.stats import fisher_exact

    table = [
        [
            sum(row.origin == origin and row.answer.origin == said for row in rows)
            for said in ORIGINS
        ]
        for origin in ORIGINS
    ]
    if not all(sum(line) for line in table):
        return None
    return float(fisher_exact(table, alternative="two-sided").pvalue)


def _by_class(rows: Sequence[Judged]) -> dict[str, OfClass]:
    found = {}
    for name in sorted({row.label for row in rows}):
        of_class = [row for row in rows if row.label == name]
        found[name] = OfClass(
            synthetic_taken_for_real=_taken(of_class, "synthetic", "real"),
            labels_called_wrong=_called_wrong(of_class, "synthetic"),
        )
    return found


def _joined(answers: Sequence[Answer], items: Sequence[KeyItem]) -> list[Judged]:
    """Answers beside the truth. Raises SynthgenError for an answer to no question, or a second."""
    truth = {item.item: item for item in items}
    given: dict[int, Answer] = {}
    for one in answers:
        if one.item not in truth or one.item in given:
            raise SynthgenError(
                f"The answers are damaged: item {one.item} is not in the key, or there twice.\n"
                "Ask the expert to save them again."
            )
        given[one.item] = one
    return [
        Judged(**dict(known), answer=given.get(number, Answer(item=number)))
        for number, known in truth.items()
    ]


def sentences(found: Review) -> tuple[str, ...]:
    """What the rates mean."""
    if found.told_apart.value is None:
        return (NO_ANSWERS,)
    said = [_told_apart(found.told_apart, found.told_apart.value), _taken_for_real(found)]
    labels = found.labels_called_wrong
    if labels.synthetic.n:
        said.append(_labels(labels))
    if found.judged < found.images:
        left = found.images - found.judged
        said.append(f"{left} of {found.images} images were not judged and are left out.")
    return tuple(said)


def _told_apart(told: ToldApart, value: float) -> str:
    rate = f"{_count(told)} images {_percent(told)}; guessing gives half."
    if told.p is None:
        return f"The expert said rightly real or synthetic of {rate}"
    p = "p < 0.001" if told.p < 0.001 else f"p = {told.p:.3f}"
    if told.p >= ALPHA:
        start = "There is no evidence that the expert can tell real from synthetic images"
        return f"{start} ({p}): right about {rate}"
    if value < 0.5:
        return (
            f"The expert sees a difference but has it the wrong way round ({p}): right about {rate}"
        )
    return f"The expert can tell real from synthetic images ({p}): right about {rate}"


def _taken_for_real(found: Review) -> str:
    fooled, doubted = found.synthetic_taken_for_real, found.real_taken_for_synthetic
    parts = []
    if fooled.n:
        parts.append(f"{_count(fooled)} synthetic images were taken for real {_percent(fooled)}")
    if doubted.n:
        parts.append(f"{_count(doubted)} real images for synthetic {_percent(doubted)}")
    return ", ".join(parts) + "."


def _labels(labels: CalledWrong) -> str:
    synthetic, real = labels.synthetic, labels.real
    said = (
        f"The expert called the label wrong of {_count(synthetic)} synthetic images "
        f"{_percent(synthetic)}"
    )
    return f"{said}, and of {_count(real)} real ones {_percent(real)}." if real.n else f"{said}."


def _count(rate: CountedInterval) -> str:
    return f"{round((rate.value or 0) * rate.n)} of {rate.n}"


def _percent(rate: CountedInterval) -> str:
    value, low, high = (100 * (part or 0) for part in (rate.value, rate.ci_low, rate.ci_high))
    return f"({value:.0f} %, interval {low:.0f}–{high:.0f} %)"
