"""Numbers show the digits that their intervals support, and no more."""

from __future__ import annotations

import pytest

from synthgen.evaluation.report.formatting import TOO_FEW, direction, metric_label, plain, show
from synthgen.evaluation.trial.schema import Interval


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
    assert metric_label("fidelity/frechet_distance") == "Fréchet distance"
    assert metric_label("privacy/some_new_thing") == "Some new thing"
    assert direction(True).startswith("↑")
    assert direction(False).startswith("↓")
    assert direction(None) == ""
    assert plain(0.000123456) == "0.000123"
