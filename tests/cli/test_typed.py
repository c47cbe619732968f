from collections.abc import Callable, Sequence
from typing import Any, Literal, Protocol

import pytest

from synthgen.cli.typed import conform, describe, suggestion
from synthgen.errors import SynthgenError


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
    fitted = conform(value, annotation, "key")
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
        conform(value, annotation, "model.key")


def test_words():
    assert describe(int | None) == "a whole number or null"
    assert describe(Literal["a", "b"]) == "one of a, b"
    assert describe(list[int]) == "a list of whole numbers"
    assert suggestion("trian", ["train", "run"]) == " Did you mean 'train'?"
    assert suggestion("zzz", ["train", "run"]) == ""
