"""Numbers show the digits that their intervals support, and no more."""

from __future__ import annotations

import pytest

from synthgen.evaluation.report.formatting import TOO_FEW, direction, metric_label, plain, show
from synthgen.evaluation.schema import Interval, Result


def shown(value, low, high, name="fidelity/kid"):
    return show(Interval(value=value, ci_low=low, ci_high=high), name)


@pytest.mark.parametrize(
    ("value", "low", "high", "text"),
    [
        (12.4321, 11.8, 13.1, ("12.4", "11.8 to 13.1")),  # half-width 0.65: one digit
        (12.4321, 12.27, 12.59, ("12.43", "12.27 to 12.59")),  # 0.16: two digits
        (0.00412, 0.0034, 0.0048, ("0.0041", "0.0034 to 0.0048")),
        (1984.2, 1500.0, 2400.0, ("1,984", "1,500 to 2,400")),
        (-0.00031, -0.0008, 0.0002, ("−0.0003", "−0.0008 to 0.0002")),
        (-0.001, -0.07, 0.07, ("0.00", "−0.07 to 0.07")),  # no minus before a rounded zero
        (12.4321, None, None, ("12.4", "")),
        (0.0, 0.0, 0.0, ("0", "0 to 0")),
        (None, None, None, (TOO_FEW, "")),
    ],
)
def test_digits_follow_the_interval(value, low, high, text):
    assert shown(value, low, high) == text


def test_transfer_results_are_per_cent():
    assert shown(0.9537, 0.9501, 0.9571, "transfer/synthetic_only/accuracy") == (
        "95.4 %",
        "95.0 to 95.7",
    )


def test_words():
    found = {"value": 1.0, "ci_low": 1.0, "ci_high": 1.0, "extractor": "e", "classifier": None}
    found |= {"scope": None, "n_real": 9, "n_fake": 9, "higher_is_better": True, "seconds": 0.0}
    assert (
        metric_label(Result(name="fidelity/mine", label="Gap of means", **found)) == "Gap of means"
    )
    older = "fidelity/frechet_distance"  # whose reports hold no labels
    assert metric_label(Result(name=older, **found)) == "Fréchet distance"
    assert metric_label(Result(name="privacy/some_new_thing", **found)) == "Some new thing"
    assert direction(True).startswith("↑")
    assert direction(False).startswith("↓")
    assert direction(None) == ""
    assert plain(0.000123456) == "0.000123"
