"""``synthgen review``: a page for a blinded expert out, or the expert's answers in."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from synthgen.cli.assemble import build_source
from synthgen.cli.jobs.evaluate import splits_behind
from synthgen.dataset.source import read_synthetic
from synthgen.errors import SynthgenError
from synthgen.evaluation.review import (
    KEY,
    PAGE,
    choose_questions,
    score_files,
    write_review,
)
from synthgen.io import new_folder, require_absent, write_json

if TYPE_CHECKING:
    from synthgen.cli.application import Invocation
    from synthgen.cli.settings import ReviewSettings

RESULT = "review.json"
log = logging.getLogger(__name__)


def run(settings: ReviewSettings, invocation: Invocation) -> Path:
    out = invocation.folder(settings.out)
    require_absent(out)
    if settings.synthetic is not None and settings.answers is None and settings.key is None:
        return ask(settings, settings.synthetic, out)
    if settings.answers is not None and settings.key is not None and settings.synthetic is None:
        return answered(Path(settings.answers), Path(settings.key), out)
    raise SynthgenError(
        "A review starts from a set or ends with answers.\n"
        "Give synthetic=SET (and data=…), or answers=FILE with key=FILE."
    )


def ask(settings: ReviewSettings, synthetic: str, out: Path) -> Path:
    """Write the page and its key. The real images are those of the test split: nobody has looked at
    them, neither the generator nor, in training, the expert."""
    splits = splits_behind(Path(synthetic), build_source(settings.data, settings.allow))
    real = splits.test
    drawn = read_synthetic(synthetic, real.classes, like=real.image)
    questions = choose_questions(real, drawn.images, n=settings.images, seed=settings.seed)
    with new_folder(out) as folder:
        write_review(questions, folder, splits, drawn, settings.seed)
    log.info(
        "%d images. Give the expert %s alone: %s holds the truth.",
        len(questions), out / PAGE, KEY,
    )  # fmt: skip
    return out


def answered(answers: Path, key: Path, out: Path) -> Path:
    found = score_files(answers, key)
    with new_folder(out) as folder:
        write_json(folder / RESULT, found.to_json())
    for sentence in found.sentences:
        log.info(sentence)
    return out
