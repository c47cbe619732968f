import pytest

from synthgen.evaluation.review import choose_questions


@pytest.fixture
def questions(digits, drawn):
    return choose_questions(digits.test, drawn, n=40, seed=0)
