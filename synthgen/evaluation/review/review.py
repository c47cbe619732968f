"""An expert, blinded, looks at real and synthetic images: questions, page, key, scores,
sentences."""

from __future__ import annotations

import base64
import hashlib
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from synthgen.data.splits import Splits
from synthgen.dataset.source import SyntheticSet
from synthgen.errors import SynthgenError
from synthgen.images import encode_png, image_hashes
from synthgen.io import read_json, write_json, write_text
from synthgen.seeds import Stream, image_rng
from synthgen.stats import TOO_FEW, clopper_pearson
from synthgen.types import LabelledImages

# A review in plain sentences.

ALPHA = 0.05
NO_ANSWERS = "The expert judged no image, so there is nothing to say."


def sentences(found: dict[str, Any]) -> list[str]:
    """What the rates of :func:`synthgen.evaluation.review.review.score` mean."""
    told = found["told_apart"]
    if told["value"] is None:
        return [NO_ANSWERS]
    said = [_told_apart(told), _taken_for_real(found)]
    labels = found["labels_called_wrong"]
    if labels["synthetic"]["n"]:
        said.append(_labels(labels))
    if found["judged"] < found["images"]:
        left = found["images"] - found["judged"]
        said.append(f"{left} of {found['images']} images were not judged and are left out.")
    return said


def _told_apart(told: dict[str, Any]) -> str:
    right = round(told["value"] * told["n"])
    rate = f"{right} of {told['n']} images {_percent(told)}; guessing gives half."
    if told["p"] is None:
        return f"The expert said rightly real or synthetic of {rate}"
    p = "p < 0.001" if told["p"] < 0.001 else f"p = {told['p']:.3f}"
    if told["p"] >= ALPHA:
        start = "There is no evidence that the expert can tell real from synthetic images"
        return f"{start} ({p}): right about {rate}"
    if told["value"] < 0.5:
        return (
            f"The expert sees a difference but has it the wrong way round ({p}): right about {rate}"
        )
    return f"The expert can tell real from synthetic images ({p}): right about {rate}"


def _taken_for_real(found: dict[str, Any]) -> str:
    fooled, doubted = found["synthetic_taken_for_real"], found["real_taken_for_synthetic"]
    parts = []
    if fooled["n"]:
        parts.append(f"{_count(fooled)} synthetic images were taken for real {_percent(fooled)}")
    if doubted["n"]:
        parts.append(f"{_count(doubted)} real images for synthetic {_percent(doubted)}")
    return ", ".join(parts) + "."


def _labels(labels: dict[str, Any]) -> str:
    synthetic, real = labels["synthetic"], labels["real"]
    said = (
        f"The expert called the label wrong of {_count(synthetic)} synthetic images "
        f"{_percent(synthetic)}"
    )
    return f"{said}, and of {_count(real)} real ones {_percent(real)}." if real["n"] else f"{said}."


def _count(rate: dict[str, Any]) -> str:
    return f"{round(rate['value'] * rate['n'])} of {rate['n']}"


def _percent(rate: dict[str, Any]) -> str:
    return (
        f"({100 * rate['value']:.0f} %, interval {100 * rate['ci_low']:.0f}–"
        f"{100 * rate['ci_high']:.0f} %)"
    )


# Which images an expert is shown, and in which order.

Origin = Literal["real", "synthetic"]
FEWEST = 4


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
    sides: tuple[tuple[Origin, LabelledImages], ...] = (("real", real), ("synthetic", synthetic))
    found = []
    for number, (origin, images) in enumerate(sides):
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


# The page for the expert, and the key that stays at home.

PAGE, KEY = "review.html", "key.json"
KEY_FORMAT, ANSWERS_FORMAT = "synthgen-review-key/1", "synthgen-review-answers/1"
TEMPLATES = Path(__file__).resolve().parent / "templates"
COMPRESSION = 9  # the same for every image; nothing but pixels goes into the file


def write_review(
    questions: Sequence[Question], folder: Path, *, facts: dict[str, Any] | None = None
) -> None:
    """Write ``folder``/review.html, which holds no origin, and ``folder``/key.json, which holds
    them all. ``facts`` (plain JSON) go into the key."""
    write_text(Path(folder) / PAGE, render(questions))
    items = [
        {"item": number, "origin": one.origin, "class": one.label, "sha256": one.sha256}
        for number, one in enumerate(questions, start=1)
    ]
    key = {
        "format": KEY_FORMAT,
        "review": review_id(list(questions)),
        "items": items,
        **(facts or {}),
    }
    write_json(Path(folder) / KEY, key)


def review_facts(splits: Splits, synthetic: SyntheticSet, seed: int) -> dict[str, Any]:
    """For the key: what the images were taken from. Plain JSON."""
    return {
        "seed": seed,
        "real": {"data": splits.name, "split": splits.reference, "digest": splits.digest},
        "synthetic": {"path": str(synthetic.path), "digest": synthetic.digest},
    }


def render(questions: Sequence[Question]) -> str:
    """One file that needs nothing but a browser, may run this one script, and can't reach any
    network."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    script, style = ((TEMPLATES / name).read_text("utf-8") for name in ("review.js", "review.css"))
    content = {
        "review": review_id(list(questions)),
        "format": ANSWERS_FORMAT,
        "items": [{"image": _picture(one), "class": one.label} for one in questions],
    }
    return environment.get_template("review.html.j2").render(
        content=content,
        total=len(questions),
        script=script,
        style=style,
        script_hash=_source_hash(script),
        style_hash=_source_hash(style),
    )


def _picture(question: Question) -> str:
    png = encode_png(question.image, compress_level=COMPRESSION)
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"


def _source_hash(text: str) -> str:
    """How a content security policy names the one inline script, or style, that it admits."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


# From an expert's answers and the key to error rates.

FORMAT = "synthgen-review/1"
ORIGINS, VERDICTS = ("real", "synthetic"), ("right", "wrong")
LONGEST_NAME = 80
LONGEST_ANSWER = 1e6  # seconds
Row = dict[str, Any]  # origin and class (the truth), said and verdict (the answers), seconds


def score_files(answers: Path, key: Path) -> dict[str, Any]:
    """:func:`score` of two files. Raises SynthgenError if one is missing, damaged, something else,
    if they belong to different reviews, and if no question was answered."""
    found = score(
        _read(answers, ANSWERS_FORMAT, "answers", "answers", "the page's file of answers"),
        _read(key, KEY_FORMAT, "items", "key", "the key.json beside the page"),
    )
    labels = found["labels_called_wrong"].values()
    if not found["judged"] and not any(rate["n"] for rate in labels):
        raise SynthgenError(
            f"{answers} judges none of the {found['images']} images, so there is nothing to say.\n"
            "Ask the expert to go through the page and save again."
        )
    return found


def score(answers: dict[str, Any], key: dict[str, Any]) -> dict[str, Any]:
    """Plain JSON. Shares come with Clopper-Pearson's exact 95 % interval; what was not answered is
    left out and counted. ``p`` is Fisher's exact test between what an image is and what it was
    taken for: unlike the share of right answers, it is not moved by a habit of saying "real".
    """
    if answers.get("review") != key.get("review"):
        raise SynthgenError(
            f"These answers belong to review {answers.get('review')}, the key to "
            f"{key.get('review')}.\nGive the key.json that was written with the expert's page."
        )
    rows = _joined(answers["answers"], key["items"])
    judged = [row for row in rows if row["said"]]
    labelled = [row for row in rows if row["verdict"]]
    found = {
        "format": FORMAT,
        "review": str(key["review"]),
        "reviewer": str(answers.get("reviewer") or "")[:LONGEST_NAME],
        "images": len(rows),
        "judged": len(judged),
        "told_apart": {
            **share(sum(row["said"] == row["origin"] for row in judged), len(judged)),
            "p": _fisher(judged),
        },
        "synthetic_taken_for_real": _taken(judged, "synthetic", "real"),
        "real_taken_for_synthetic": _taken(judged, "real", "synthetic"),
        "labels_called_wrong": {
            origin: _called_wrong([row for row in labelled if row["origin"] == origin])
            for origin in ORIGINS
        },
        "by_class": _by_class(rows),
        "median_seconds": statistics.median([row["seconds"] for row in judged] or [0.0]),
    }
    return {**found, "sentences": sentences(found)}


def share(count: int, total: int) -> dict[str, Any]:
    """``count`` of ``total`` with Clopper and Pearson's interval (1934); None of no images."""
    found = clopper_pearson(count, total) if total else TOO_FEW
    return {"value": found.value, "ci_low": found.low, "ci_high": found.high, "n": total}


def _taken(rows: Sequence[Row], origin: str, said: str) -> dict[str, Any]:
    of_origin = [row for row in rows if row["origin"] == origin]
    return share(sum(row["said"] == said for row in of_origin), len(of_origin))


def _called_wrong(rows: Sequence[Row]) -> dict[str, Any]:
    return share(sum(row["verdict"] == "wrong" for row in rows), len(rows))


def _fisher(rows: Sequence[Row]) -> float | None:
    from scipy.stats import fisher_exact

    table = [
        [sum(row["origin"] == origin and row["said"] == said for row in rows) for said in ORIGINS]
        for origin in ORIGINS
    ]
    if not all(sum(line) for line in table):
        return None
    return float(fisher_exact(table, alternative="two-sided").pvalue)


def _by_class(rows: Sequence[Row]) -> dict[str, Any]:
    """Per class how often its synthetic images were taken for real and their label called wrong."""
    found = {}
    for name in dict.fromkeys(row["class"] for row in rows):
        of_class = [row for row in rows if row["class"] == name and row["origin"] == "synthetic"]
        found[name] = {
            "synthetic_taken_for_real": _taken(
                [row for row in of_class if row["said"]], "synthetic", "real"
            ),
            "labels_called_wrong": _called_wrong([row for row in of_class if row["verdict"]]),
        }
    return dict(sorted(found.items()))


def _joined(answers: Sequence[Any], items: Sequence[Any]) -> list[Row]:
    """Answers beside the truth, both checked field by field: they come from files."""
    truth: dict[int, Row] = {}
    for item in items:
        if not isinstance(item, dict) or item.get("origin") not in ORIGINS:
            raise SynthgenError("The key is damaged: an item has no origin.\nWrite a new review.")
        if not isinstance(item.get("item"), int):
            raise SynthgenError("The key is damaged: an item has no number.\nWrite a new review.")
        truth[item["item"]] = {"origin": item["origin"], "class": str(item.get("class"))}
    rows: dict[int, Row] = {}
    for one in answers:
        number = one.get("item") if isinstance(one, dict) else None
        if not isinstance(number, int) or number not in truth or number in rows:
            raise SynthgenError(
                f"The answers are damaged: item {number!r} is not in the key, or there twice.\n"
                "Ask the expert to save them again."
            )
        said, verdict = one.get("origin"), one.get("label")
        if said not in (None, *ORIGINS) or verdict not in (None, *VERDICTS):
            raise SynthgenError(
                f"The answers are damaged: item {number} says {said!r} and {verdict!r}.\n"
                "Ask the expert to save them again."
            )
        spent = _seconds(one.get("seconds"))
        rows[number] = {**truth[number], "said": said, "verdict": verdict, "seconds": spent}
    unseen: Row = {"said": None, "verdict": None, "seconds": 0.0}
    return [rows.get(number, {**known, **unseen}) for number, known in truth.items()]


def _seconds(value: Any) -> float:
    """Nothing rests on the time that an answer took: one that can't be counts as none."""
    plausible = isinstance(value, int | float) and 0 <= value <= LONGEST_ANSWER
    return float(value) if plausible else 0.0


def _read(path: Path, expected: str, table: str, option: str, what: str) -> dict[str, Any]:
    try:
        content = read_json(Path(path).expanduser())
    except SynthgenError as error:
        wrong = str(error).splitlines()[0]
        raise SynthgenError(f"{wrong}\nGive {option}= {what}.") from error
    fits = isinstance(content, dict) and content.get("format") == expected
    if not fits or not isinstance(content.get(table), list):
        raise SynthgenError(f"{path} is not a {expected}.\nGive {option}= {what}.")
    return dict(content)
