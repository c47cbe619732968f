import pytest

from synthgen.evaluation.trial.analysis import Comparisons
from synthgen.evaluation.trial.narrative import (
    ceiling_sentence,
    cheap_sentence,
    convergence_sentence,
    endpoint_words,
    equivalent_sentence,
    opening,
    points,
    signed,
    verdict_sentence,
)
from synthgen.evaluation.trial.schema import Adds, Comparison, RealEquivalent, Replaces, Step

LABELS = {"both": "real + 2 × synthetic", "real_only": "real only", "mixup": "real + mixup"}


def comparison(low, high, *, p_adjusted=None, against="real_only"):
    p = 0.5 if low <= 0 <= high else 0.001
    p_adjusted = p if p_adjusted is None else p_adjusted
    side = "helped" if low > 0 else "harmed" if high < 0 else "no evidence"
    return Comparison(
        name="both",
        against=against,
        endpoint="macro_f1",
        verdict=side if p_adjusted < 0.05 else "no evidence",
        difference=(low + high) / 2,
        ci_low=low,
        ci_high=high,
        p=p,
        p_adjusted=p_adjusted,
        smallest_detectable=0.0321,
    )


def comparisons(primary, cheap=None):
    others = [cheap] if cheap else []
    return Comparisons("macro_f1", primary, others, cheap, LABELS, primary.smallest_detectable)


@pytest.mark.parametrize(
    ("low", "high", "minimum", "words"),
    [
        (0.02, 0.04, 0.01, "The synthetic images helped, by at least the 1.0 points that matter."),
        (0.01, 0.04, 0.01, "The synthetic images helped, by at least the 1.0 points that matter."),
        (0.001, 0.004, 0.01, "helped, but by less than the 1.0 points that matter."),
        (0.001, 0.04, 0.01, "helped; whether by the 1.0 points that matter is not settled."),
        (0.001, 0.04, 0.0, "The synthetic images helped."),
        (-0.04, -0.001, 0.01, "The synthetic images harmed."),
        (-0.01, 0.02, 0.01, "No evidence that the synthetic images helped or harmed."),
        (0.0, 0.02, 0.01, "No evidence that the synthetic images helped or harmed."),
    ],
)
def test_the_first_sentence_is_true(low, high, minimum, words):
    assert opening(comparison(low, high), minimum).endswith(words)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (0.0123, "+1.2"),
        (-0.0123, "−1.2"),
        (0.0004, "+0.04"),
        (-0.0003, "−0.03"),
        (0.0, "+0.0"),
        (-0.0000001, "+0.00"),
        (1.0, "+100.0"),
        (0.0005, "+0.1"),
    ],
)
def test_signs_are_never_lost_to_rounding(value, words):
    assert signed(value) == words


def test_points_are_percentage_points():
    assert [points(v) for v in (0.01, 0.25, 0.0005)] == ["1.0 points", "25.0 points", "0.05 points"]


@pytest.mark.parametrize("source", ["sampler", "folder"])
def test_the_verdict_says_what_it_rests_on(splits, source):
    cheap = comparison(0.01, 0.03, against="mixup")
    text = verdict_sentence(comparisons(comparison(-0.01, 0.03), cheap), 0.01, splits, 5, source)
    assert "Real + 2 × synthetic against real only: +1.0 points" in text
    assert "(95 % interval −1.0 to +3.0) in macro F1, on 300 real test images with 5 seeds" in text
    assert ("this folder of images only" in text) == (source == "folder")
    assert "A difference of 3.2 points would have been found in 8 of 10 such trials." in text
    assert "They were better than the best cheap alternative, real + mixup: +2.0 points" in text
    assert "misses the truth" not in text


def test_two_seeds_are_said_to_be_too_few(splits):
    found = comparisons(comparison(0.02, 0.04))
    text = verdict_sentence(found, 0.01, splits, 2, "sampler")
    assert (
        "With 2 seeds this interval misses the truth more often than 1 time in 20; take 5." in text
    )
    assert "would have been found" not in text


def test_the_best_cheap_arm_is_spoken_of_as_it_was_found():
    assert cheap_sentence(comparison(-0.03, -0.01), "mixup").startswith(
        "They were worse than the best"
    )
    assert cheap_sentence(comparison(-0.03, 0.01), "mixup").startswith(
        "There is no evidence that they were"
    )
    corrected = cheap_sentence(comparison(0.001, 0.03, p_adjusted=0.2), "mixup")
    assert corrected.startswith("There is no evidence")
    assert corrected.endswith("which is too little after the correction for many comparisons.")


def equivalent(bound, adds=None):
    ends = {"ci_low": 900, "ci_high": 1280, "fewest": 80, "most": 2560}
    replaces = Replaces(images=1280, bound=bound, **ends)
    reason = None if adds else "The curve is flat."
    return RealEquivalent(replaces=replaces, adds=adds, reason=reason)


@pytest.mark.parametrize(
    ("bound", "words"),
    [
        (None, "scores as one trained on about 1,280 real images (95 % interval 900 to 1,280)."),
        (
            "at least",
            "as one trained on 1,280 real images or more (95 % interval 900 to 1,280)",
        ),
        ("at most", "scores no better than one trained on 1,280 real images, the fewest"),
    ],
)
def test_beyond_the_learning_curve_only_the_bound_is_claimed(bound, words):
    text = equivalent_sentence(equivalent(bound), "tail_recall")
    assert words in text
    assert text.endswith("The curve is flat.")


def test_added_images_are_said_to_be_extrapolated():
    adds = Adds(images=450, ci_low=0, ci_high=3200)
    text = equivalent_sentence(equivalent(None, adds), "macro_f1")
    assert text.endswith("score as about 450 more real images would (0 to 3,200; extrapolated).")


def test_a_training_that_was_cut_short_is_said_to_be():
    def said(*scores):
        curve = [Step(step=step, holdout=score) for step, score in enumerate(scores, 1)]
        return convergence_sentence(curve)

    rising = [step / 10 for step in range(1, 9)]
    assert "by 20.0 points in the last quarter" in said(*rising)[0]
    assert said(*rising[:4], *[0.4] * 4) == []
    assert said(*[1 - score for score in rising]) == []
    assert said(*rising[:1]) == []


def test_endpoints_in_words():
    assert endpoint_words("macro_f1") == "macro F1"
    assert endpoint_words("balanced_accuracy") == "balanced accuracy"
    assert endpoint_words("tail_recall") == "mean recall of the rare classes"


def test_an_interval_over_the_whole_curve_says_nothing():
    replaces = Replaces(images=110, ci_low=14, ci_high=220, bound="at least", fewest=14, most=220)
    found = RealEquivalent(replaces=replaces, adds=None, reason="Flat.")
    text = equivalent_sentence(found, "macro_f1")
    assert "it can't be said how many real images" in text
    assert "110" not in text


def test_no_difference_above_100_points_is_spoken_of(splits):
    hopeless = comparison(-0.9, 0.9).model_copy(update={"smallest_detectable": 1.596})
    text = verdict_sentence(comparisons(hopeless), 0.01, splits, 5, "sampler")
    said = [text, ceiling_sentence(hopeless, 1.0), ceiling_sentence(hopeless, 0.4)]
    assert all("missed in more than 2 of 10 such trials" in sentence for sentence in said)
    assert not any("159" in sentence for sentence in said)


def test_little_room_for_a_gain_is_said():
    one = comparison(-0.02, 0.02)  # 3.2 points would be found
    assert ceiling_sentence(one, 0.9) is None
    assert "scores 98.0 %: the largest possible gain, 2.0 points, is" in ceiling_sentence(one, 0.98)
    assert "already perfect" in ceiling_sentence(one, 1.0)
    assert ceiling_sentence(comparison(0.005, 0.01), 0.98) is None  # a gain that was found
