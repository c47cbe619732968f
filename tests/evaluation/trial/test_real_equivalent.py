import math

import numpy as np
import pytest

from synthgen.evaluation.trial.narrative import worth_interval
from synthgen.evaluation.trial.real_equivalent import (
    Point,
    bound_of,
    extrapolated,
    real_equivalent,
    replaces,
)
from synthgen.evaluation.trial.schema import Replaces

IMAGES = (80, 160, 320, 640, 1280)


@pytest.fixture(autouse=True)
def few_simulations(monkeypatch):
    monkeypatch.setattr("synthgen.evaluation.trial.real_equivalent.DRAWS", 200)


def power_law(images, scale=1.0, exponent=0.5):
    return 1 - scale * images**-exponent


def curve(values=None, error=0.002):
    values = [power_law(n) for n in IMAGES] if values is None else values
    return [Point(n, value, error) for n, value in zip(IMAGES, values, strict=True)]


def worth(alone, both, points=None, error=0.002):
    points = curve() if points is None else points
    return real_equivalent(points, Point(0, alone, error), Point(0, both, error), seed=0)


def test_replaces_is_read_off_the_curve_in_log_images():
    points = curve([0.5, 0.6, 0.7, 0.8, 0.9])
    assert replaces(points, 0.7) == pytest.approx(320)
    assert replaces(points, 0.75) == pytest.approx(math.sqrt(320 * 640))
    assert replaces(points, 0.525) == pytest.approx(80 * 2**0.25)


def test_replaces_on_a_curve_with_a_dent():
    assert replaces(curve([0.5, 0.7, 0.6, 0.8, 0.9]), 0.649) == pytest.approx(160, rel=0.02)
    assert 320 < replaces(curve([0.5, 0.7, 0.6, 0.8, 0.9]), 0.7) < 640


@pytest.mark.parametrize(
    ("value", "images", "bound"), [(0.2, 80, "at most"), (0.6, 160, None), (0.95, 1280, "at least")]
)
def test_beyond_the_curves_ends_it_is_a_bound(value, images, bound):
    points = curve([0.5, 0.6, 0.7, 0.8, 0.9])
    assert replaces(points, value) == pytest.approx(images)
    assert bound_of(points, value) == bound
    found = worth(value, 0.95, points).replaces
    assert (found.images, found.bound) == (images, bound)
    assert (found.fewest, found.most) == (80, 1280)


def test_as_good_as_a_plateau_is_at_least_its_beginning():
    points = curve([0.5, 0.8, 0.9, 0.9, 0.9])
    assert (replaces(points, 0.9), bound_of(points, 0.9)) == (320, "at least")


@pytest.mark.parametrize("times", [1.25, 2, 8])
@pytest.mark.parametrize("exponent", [0.3, 0.5, 1.0])
def test_adds_follows_an_exact_power_law(times, exponent):
    points = [Point(n, power_law(n, 2, exponent), 1e-6) for n in IMAGES]
    both = power_law(1280 * times, 2, exponent)
    found = real_equivalent(points, Point(0, 0.5, 1e-6), Point(0, both, 1e-6), seed=0).adds
    assert found.images == pytest.approx(1280 * (times - 1), abs=2)
    assert found.ci_low <= found.images <= found.ci_high
    assert found.extrapolated is True


def test_the_extrapolation_starts_at_the_last_point_whatever_the_fit():
    errors = np.tile([0.5, 0.4, 0.15, 0.2, 0.1], (3, 1))
    targets = np.array([0.1, 0.099, 0.7])
    rng = np.random.default_rng(0)
    found = extrapolated(np.array(IMAGES, float), errors, np.full(5, 0.01), targets, rng)
    assert found[0] == found[2] == 1280
    assert 1280 < found[1] < np.inf


@pytest.mark.parametrize(
    ("floor", "scale", "exponent"), [(0.0, 2, 0.5), (0.04, 2, 0.5), (0.08, 3, 0.6)]
)
def test_a_curve_that_levels_off_is_followed_as_far_as_is_known(floor, scale, exponent):
    """3,000 more images score as the combination does. A power law towards 0 said 1,300 to 1,900
    where the curve has a floor, and held the truth in 0 to 3 of 60."""
    sizes, rng, held, said = (125, 250, 500, 1000, 2000), np.random.default_rng(0), 0, 0
    for number in range(20):
        points = [
            Point(n, power_law(n, scale, exponent) - floor + rng.normal(0, 0.001), 0.001)
            for n in sizes
        ]
        both = power_law(5000, scale, exponent) - floor + rng.normal(0, 0.001)
        found = real_equivalent(
            points, Point(0, 0.5, 0.01), Point(0, both, 0.001), seed=number
        ).adds
        said += found is not None
        held += found is not None and found.ci_low <= 3000 <= found.ci_high
    assert said >= 15
    assert held >= 0.85 * said


def test_where_the_floor_is_not_known_no_number_is_given():
    points = curve([power_law(n, 2) - 0.04 for n in IMAGES], error=0.006)
    found = worth(0.5, power_law(3000, 2) - 0.04, points, error=0.006)
    assert found.adds is None
    assert "depending on where the learning curve levels off" in found.reason


@pytest.mark.parametrize(
    ("values", "both", "reason"),
    [
        ([0.9] * 5, 0.95, "The learning curve is flat between 80 and 1,280 real images"),
        ([0.9, 0.88, 0.86, 0.84, 0.82], 0.95, "The learning curve is flat"),
        (
            [1.0] * 5,
            1.0,
            "The learning curve is flat between 80 and 1,280 real images (100.0 %",
        ),
        (None, 0.5, "Real + synthetic scores no better than the real images alone."),
        (None, power_law(1280), "Real + synthetic scores no better than"),
        (None, 0.99999, "More than 100 times the real images would be needed"),
        (None, 1.0, "More than 100 times the real images would be needed"),
    ],
)
def test_no_number_is_better_than_a_wrong_one(values, both, reason):
    found = worth(0.7, both, curve(values))
    assert found.adds is None
    assert found.reason.startswith(reason)
    assert found.replaces.images in range(80, 1281)


@pytest.mark.parametrize("alone", [0.0, 0.88, 0.9, 0.93, 0.97, 1.0])
@pytest.mark.parametrize("values", [None, [0.9] * 5, [0.97, 0.96, 0.95, 0.94, 0.93]])
def test_intervals_hold_their_estimate_and_stay_on_the_curve(alone, values):
    found = worth(alone, 0.975, curve(values, error=0.01), error=0.01)
    replaced = found.replaces
    assert 80 <= replaced.ci_low <= replaced.images <= replaced.ci_high <= 1280
    if found.adds is not None:
        assert 0 <= found.adds.ci_low <= found.adds.images <= found.adds.ci_high


def test_less_certain_scores_make_wider_intervals():
    narrow = worth(0.93, 0.98, curve(error=0.0002), error=0.0002)
    wide = worth(0.93, 0.98, curve(error=0.0008), error=0.0008)
    for one, other in ((narrow.replaces, wide.replaces), (narrow.adds, wide.adds)):
        assert other.ci_high - other.ci_low > 2 * (one.ci_high - one.ci_low)


def test_the_interval_of_replaces_holds_the_truth():
    """40 experiments with known noise; the truth is 400 images."""
    rng, held = np.random.default_rng(1), 0
    for number in range(40):
        points = [Point(n, power_law(n) + rng.normal(0, 0.003), 0.003) for n in IMAGES]
        alone = Point(0, power_law(400) + rng.normal(0, 0.003), 0.003)
        found = real_equivalent(points, alone, Point(0, 0.5, 0.003), seed=number).replaces
        held += found.ci_low <= 400 <= found.ci_high
    assert held >= 34


def test_a_curve_that_rises_uncertainly_is_not_called_flat():
    points = curve([0.25, 0.3, 0.4, 0.5, 0.6], error=0.15)
    reason = worth(0.5, 0.65, points).reason
    assert "flat" not in reason
    assert "rises from 25.0 % with 80 real images to 60.0 % with 1,280" in reason
    assert "too uncertain" in reason


@pytest.mark.parametrize(
    ("low", "high", "words", "spans"),
    [
        (80, 1280, "80 or fewer to 1,280 or more", True),
        (300, 1280, "300 to 1,280 or more", False),
        (80, 300, "80 or fewer to 300", False),
        (100, 300, "100 to 300", False),
        (1280, 1280, "1,280 or more", False),
    ],
)
def test_an_interval_that_ends_with_the_curve_is_open(low, high, words, spans):
    found = Replaces(images=high, ci_low=low, ci_high=high, bound=None, fewest=80, most=1280)
    assert worth_interval(found) == words
    assert found.spans_curve == spans
