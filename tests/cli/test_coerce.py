import re
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Literal, Protocol

import pytest
from annotated_types import Interval, Len

from synthgen.cli.coerce import coerce, describe, suggestion
from synthgen.errors import SynthgenError
from synthgen.ranges import Positive, Share, Values


class Loss(Protocol):
    def __call__(self, x: int) -> int: ...


@pytest.mark.parametrize(
    ("value", "annotation", "expected"),
    [
        (3, int, 3),
        (1e6, int, 1_000_000),
        (3, float, 3.0),
        (2024, str, "2024"),
        (True, bool, True),
        (None, int | None, None),
        (0.5, int | float, 0.5),
        (2, int | float, 2),
        ("pad", Literal["pad", "crop"], "pad"),
        ([1, 2], tuple[int, int], (1, 2)),
        ([1, 2, 3], tuple[int, ...], (1, 2, 3)),
        ([1, 2], Sequence[float], [1.0, 2.0]),
        ({"a": 1}, dict[str, int], {"a": 1}),
        (max, Callable[..., int], max),
        (max, Loss, max),
        ("anything", Any, "anything"),
        ("anything", "Unresolved", "anything"),
    ],
)
def test_values_that_fit(value, annotation, expected):
    fitted = coerce(value, annotation, "key")
    assert fitted == expected
    assert type(fitted) is type(expected)


@pytest.mark.parametrize(
    ("value", "annotation"),
    [
        ("abc", int),
        (1.5, int),
        (True, int),
        (True, float),
        ("1", float),
        (1, bool),
        (None, int),
        (1.5, str),
        ("stretchy", Literal["pad", "crop"]),
        ([1, 2, 3], tuple[int, int]),
        ([1, "x"], list[int]),
        (3, list[int]),
        ({"a": "x"}, dict[str, int]),
        ("hinge", Loss),
        ("adam", Callable[..., Any]),
        ({}, Callable[..., Any]),
        ("net", Exception),
    ],
)
def test_values_that_do_not(value, annotation):
    with pytest.raises(SynthgenError, match=r"^model\.key is .*, but must be "):
        coerce(value, annotation, "model.key")


def test_words():
    assert describe(int | None) == "a whole number or null"
    assert describe(Literal["a", "b"]) == "one of a, b"
    assert describe(list[int]) == "a list of whole numbers"
    assert suggestion("trian", ["train", "run"]) == " Did you mean 'train'?"
    assert suggestion("zzz", ["train", "run"]) == ""


def test_ranges_in_words():
    assert describe(Annotated[int, Interval(ge=1, le=8)]) == "a whole number from 1 to 8"
    assert describe(Annotated[float, Interval(gt=0, lt=1)]) == "a number above 0 and below 1"
    assert describe(Positive) == "a number above 0"
    assert describe(Positive, far=True) == "a number above 0 and up to 1e+30"
    assert describe(list[Share] | None) == "a list of numbers from 0 to 1 or null"
    assert describe(Annotated[list[int], Len(2, 2)]) == "a list of 2 whole numbers"
    assert describe(Annotated[Loss, Values(Share)]) == "a schedule, always a number from 0 to 1"


@pytest.mark.parametrize(
    ("value", "annotation", "said"),
    [
        (0, Annotated[int, Interval(ge=1, le=8)], "a whole number from 1 to 8"),
        (10**20, int, "a whole number"),
        (float("nan"), float, "is nan"),
        (float("inf"), Positive | None, "is inf"),
        (1e308, Positive, "up to 1e+30"),
        ([1.0, 2.0], list[Share], "numbers from 0 to 1"),
        ([1], Annotated[list[int], Len(2, 2)], "a list of 2 whole numbers"),
        (
            lambda progress: 1 - 20 * progress,
            Annotated[Loss, Values(Share)],
            "-1.0 at progress 0.1",
        ),
        ("x" * 1000, int, "x…, but must"),
        pytest.param(10**5000, int, "thousands of digits", id="digits"),
    ],
)
def test_numbers_out_of_range(value, annotation, said):
    with pytest.raises(SynthgenError, match=re.escape(said)) as refused:
        coerce(value, annotation, "key")
    assert len(str(refused.value)) < 150


def test_a_limited_number_is_converted_first():
    assert coerce(1e6, Annotated[int, Interval(ge=1)], "key") == 1_000_000
    assert coerce(2, Annotated[float, Interval(ge=1)] | None, "key") == 2.0
