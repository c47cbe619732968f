"""The page for the expert, and the key that stays at home."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from synthgen.data.splits import Splits
from synthgen.data.synthetic import SyntheticSet
from synthgen.evaluation.review.questions import Question, review_id
from synthgen.images import encode_png
from synthgen.paths import write_json, write_text

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
