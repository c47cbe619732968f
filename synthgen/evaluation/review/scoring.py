"""From an expert's answers and the key to error rates."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from synthgen.errors import SynthgenError
from synthgen.evaluation.metrics.intervals import TOO_FEW, clopper_pearson
from synthgen.evaluation.review.page import ANSWERS_FORMAT, KEY_FORMAT
from synthgen.evaluation.review.wording import sentences
from synthgen.paths import read_json

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
