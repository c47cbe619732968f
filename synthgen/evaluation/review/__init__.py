"""An expert, blinded, looks at real and synthetic images."""

from synthgen.evaluation.review.page import KEY, PAGE, review_facts, write_review
from synthgen.evaluation.review.questions import Question, choose_questions, require_enough
from synthgen.evaluation.review.scoring import score, score_files

__all__ = [
    "KEY",
    "PAGE",
    "Question",
    "choose_questions",
    "require_enough",
    "review_facts",
    "score",
    "score_files",
    "write_review",
]
