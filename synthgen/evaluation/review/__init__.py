"""An expert, blinded, looks at real and synthetic images."""

from synthgen.evaluation.review.review import (
    KEY,
    PAGE,
    Question,
    choose_questions,
    require_enough,
    score,
    score_files,
    write_review,
)

__all__ = [
    "KEY",
    "PAGE",
    "Question",
    "choose_questions",
    "require_enough",
    "score",
    "score_files",
    "write_review",
]
