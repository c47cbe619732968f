"""Gains that were paid with a moved decision, and sets that lack a class: neither is help."""

import dataclasses
import re

import pytest
import torch

from synthgen.evaluation.classifiers.base import HOLDOUT, Predictions, answers_of
from synthgen.evaluation.trial import Trial
from synthgen.evaluation.trial.analysis import (
    chosen_arm,
    compare_arms,
    contrast_of,
    gap_of,
    pair_of,
)
from synthgen.evaluation.trial.arms import FixedFolder
from synthgen.evaluation.trial.contrast import (
    Contrast,
    against_copies,
    guarded_p,
    guarded_verdict,
    non_inferiority,
    paired_contrast,
    side_of,
)
from synthgen.evaluation.trial.endpoints import mean_recall_of, of_classes
from synthgen.evaluation.trial.record import equivalent_of, tail_recall, trial_record, trial_verdict
from synthgen.types import LabelledImages

ONE = "real_and_synthetic_1"


def of(counts, value=0):
    labels = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))
    pixels = torch.full((len(labels), 1, 2, 2), value, dtype=torch.uint8)
    return LabelledImages(pixels, labels, ("common", "rare", "other")[: len(counts)])


@pytest.fixture
def two(splits):
    """1 : 9, in 30 training, 100 holdout and 500 test images."""
    parts = {"train": of((27, 3)), "holdout": of((90, 10)), "test": of((450, 50))}
    return dataclasses.replace(splits, **parts)


@pytest.fixture
def moved(classifier_of, two):
    """A classifier whose ranks never change: with synthetic images it says "rare" more often."""

    class Moved(type(classifier_of({}))):
        shift, of_copies = 2.0, None  # None: copies of real images move it as much

        def examine(self, request):
            data, holdout = request.recipe.data, request.holdout
            copies = len(data) > 30 and not data.images.any()
            shift = self.shift if len(data) > 30 else 0.0
            shift = self.of_copies if copies and self.of_copies is not None else shift

            def answer(labels, offset):
                generator = torch.Generator().manual_seed(request.seed + offset)
                odds = torch.randn(len(labels), generator=generator) + 3.0 * labels - 2.5
                return answers_of(torch.stack([torch.zeros(len(labels)), odds + shift], 1))

            found = {name: answer(two.test.labels, 1) for name in request.exams}
            return Predictions({**found, HOLDOUT: answer(holdout.labels, 2)}, [(8, 0.5)], 8, 0.1)

    return Moved(two, {})


def set_of(counts):
    return FixedFolder(of(counts, 200), seed=1)


def test_more_of_the_rare_class_alone_was_help_and_is_not(hold, moved, two):
    """The old endpoint says helped: recall of the rare class by itself rises clearly. So do
    balanced accuracy and macro recall, by the decision alone. The default endpoint sees nothing,
    and the pair says what was paid."""
    outcome = hold(moved, splits=two, source=set_of((0, 60)))
    ours, real = chosen_arm(outcome).answers("test"), outcome.arms["real_only"].answers("test")
    labels = two.test.labels
    old = paired_contrast(mean_recall_of([1]), labels, ours, real, 2, among=of_classes([1], labels))
    assert old.verdict == "helped"
    assert old.difference > 0.1
    assert outcome.endpoint == "macro_average_precision"
    found = compare_arms(outcome, two, outcome.endpoint)
    assert found.primary.verdict == "no evidence"
    assert found.primary.difference == pytest.approx(0, abs=0.002)
    pair = next(c for c in found.secondary if c.endpoint == "tail_recall")
    assert (side_of(pair), pair.verdict, pair.others.lost) == ("helped", "no evidence", True)


def test_help_by_a_score_that_can_be_bought_stands_beside_one_that_cannot(hold, moved, two):
    """By balanced accuracy, which was asked for, a smaller shift of the same ranks is help."""
    moved.shift, moved.of_copies = 1.0, 0.0
    options = {"endpoint": "balanced_accuracy", "seeds": 5}
    outcome = hold(moved, splits=two, source=set_of((0, 60)), **options)
    found = compare_arms(outcome, two, "balanced_accuracy")
    assert found.primary.verdict == "helped"
    nothing = equivalent_of(outcome, two, 0)
    text = trial_verdict(Trial(**options), outcome, found, nothing, two, "folder").sentence
    assert "can gain in balanced accuracy; in macro average precision, where it can't" in text
    assert re.search(r"the difference is [+−]0\.\d+ points", text)


@pytest.mark.parametrize(
    ("ours", "of_copies", "words"),
    [
        (0.5, None, "it is not shown that they did more than copies of real images."),
        (0.3, 1.0, "copies of real images did more."),
    ],
)
def test_what_copies_of_real_images_do_too_is_no_help(hold, moved, two, ours, of_copies, words):
    """The same gain over real only; the copies are as many of each class as the synthetic ones."""
    moved.shift, moved.of_copies = ours, of_copies
    options = {"endpoint": "balanced_accuracy", "seeds": 5, "arms": []}
    outcome = hold(moved, splits=two, source=set_of((0, 60)), **options)
    found = compare_arms(outcome, two, "balanced_accuracy")
    assert side_of(found.primary) == "helped"
    assert found.primary.verdict == "no evidence"
    copies = outcome.arms["real_and_copies"]
    pair = pair_of(outcome, two, chosen_arm(outcome), copies, "balanced_accuracy")
    least = max(found.primary.smallest_detectable, contrast_of(pair, two).smallest_detectable)
    nothing = equivalent_of(outcome, two, 0)
    verdict = trial_verdict(Trial(**options), outcome, found, nothing, two, "folder")
    assert verdict.sentence.startswith(f"No evidence that the synthetic images helped: {words}")
    assert f"A difference of {100 * least:.1f} points would have been found" in verdict.sentence
    control = verdict.arms[0].control
    assert control.beaten is False
    assert "Against real + 0.5 × copies of real images, as many of each class: " in (
        verdict.sentence
    )
    assert verdict.arms[0].p == control.p > 0.05


def test_every_other_arm_with_synthetic_images_must_beat_the_copies_too(hold, moved, two):
    options = {"endpoint": "balanced_accuracy", "ratios": [0.5, 1.0], "arms": ["mixup"]}
    outcome = hold(moved, splits=two, source=set_of((0, 60)), **options)
    found = compare_arms(outcome, two, "balanced_accuracy").every
    asked = {(one.name, one.against): one.control is not None for one in found}
    assert asked["real_and_synthetic_0.5", "real_only"]
    assert asked["real_and_synthetic_1", "real_only"]
    assert not asked["mixup", "real_only"]
    assert not asked["real_and_copies", "real_only"]  # told, and never help of the synthetic ones
    assert not any(is_asked for (_, against), is_asked in asked.items() if against != "real_only")


def test_the_copies_have_the_classes_of_the_synthetic_images(hold, moved, two):
    """27 and 3 real images; 10 and 20 of the set: 5 and 10 copies at half as many."""
    outcome = hold(moved, splits=two, source=set_of((10, 20)), ratios=[0.5], arms=[])
    recipe = outcome.arms["real_and_copies"].arm.recipe(0)
    assert recipe.data.counts == [27 + 5, 3 + 10]
    assert not recipe.data.images.any()  # all of them real
    assert outcome.arms["real_and_copies"].arm.recipe(0).data.images.equal(recipe.data.images)


def test_without_other_shares_there_are_no_copies_to_beat(hold, moved, two):
    outcome = hold(moved, splits=two, source=set_of((54, 6)), arms=[])
    assert "real_and_copies" not in outcome.arms
    assert compare_arms(outcome, two, outcome.endpoint).primary.control is None


def test_the_pair_says_both_numbers(hold, moved, two):
    options = {"endpoint": "tail_recall", "tail_margin": 0.02, "seeds": 5}
    outcome = hold(moved, splits=two, source=set_of((0, 60)), **options)
    found = compare_arms(outcome, two, "tail_recall")
    trial, nothing = Trial(**options), equivalent_of(outcome, two, 0)
    verdict = trial_verdict(trial, outcome, found, nothing, two, "folder")
    assert verdict.sentence.startswith(
        "The synthetic images moved the decision: more images of the rare classes are recognised, "
        "and fewer of the others."
    )
    others = verdict.arms[0].others
    assert others.kept is False
    assert f"Mean recall of the other classes: −{-100 * others.difference:.1f} points" in (
        verdict.sentence
    )
    assert "must lie above −2.0." in verdict.sentence
    assert verdict.arms[0].verdict == "no evidence"
    choices = trial_record(trial, outcome, found, two, "folder").protocol.choices
    assert "images, by macro average precision" in choices[0]


def test_a_gain_within_the_margin_is_help_and_stands_beside_what_ranks_say(hold, moved, two):
    """The same shift, which a wide margin allows."""
    moved.of_copies = 0.0
    options = {"endpoint": "tail_recall", "tail_margin": 0.9}
    outcome = hold(moved, splits=two, source=set_of((0, 60)), **options)
    found = compare_arms(outcome, two, "tail_recall")
    assert found.primary.verdict == "helped"
    nothing = equivalent_of(outcome, two, 0)
    text = trial_verdict(Trial(**options), outcome, found, nothing, two, "folder").sentence
    assert "in macro average precision, where it can't" in text


def contrast(low, high, p=0.001):
    return Contrast((low + high) / 2, low, high, p, (high - low) / 4, 30.0, 0.03, ())


@pytest.mark.parametrize(
    ("rare", "others", "verdict"),
    [
        ((0.01, 0.05), (-0.01, 0.01), "helped"),
        ((0.01, 0.05), (-0.03, 0.01), "no evidence"),  # not shown that nothing was paid
        ((0.01, 0.05), (-0.09, -0.03), "no evidence"),  # paid
        ((-0.01, 0.05), (-0.09, -0.03), "harmed"),
        ((-0.05, -0.01), (0.01, 0.05), "harmed"),
        ((-0.01, 0.05), (-0.01, 0.01), "no evidence"),
    ],
)
def test_both_intervals_are_needed(rare, others, verdict):
    guard = non_inferiority(contrast(*others), 0.02)
    assert guarded_verdict(contrast(*rare), guard) == verdict
    if verdict == "helped":
        assert guarded_p(contrast(*rare), guard) < 0.05
    elif rare[0] > 0:
        assert guarded_p(contrast(*rare), guard) > 0.05


@pytest.mark.parametrize(
    ("gain", "over_copies", "verdict"),
    [
        ((0.01, 0.05), (0.01, 0.02), "helped"),
        ((0.01, 0.05), (-0.01, 0.03), "no evidence"),
        ((0.01, 0.05), (-0.03, -0.01), "no evidence"),  # not harm: it is more than real only
        ((-0.05, -0.01), (0.01, 0.02), "harmed"),
        ((-0.01, 0.05), (0.01, 0.02), "no evidence"),
    ],
)
def test_real_only_and_the_copies_are_both_to_be_beaten(gain, over_copies, verdict):
    control = against_copies(
        contrast(*over_copies, p=0.002 if over_copies[0] > 0 else 0.2), "copies"
    )
    assert guarded_verdict(contrast(*gain), control=control) == verdict
    if gain[0] > 0:
        assert (guarded_p(contrast(*gain), control=control) < 0.05) == (verdict == "helped")


def test_moved_decisions_are_cheap_arms_that_cost_no_training(hold, moved, two):
    options = {"arms": ["logit_adjustment", "tuned_thresholds", "mixup"], "endpoint": "macro_f1"}
    outcome = hold(moved, splits=two, source=set_of((0, 60)), **options)
    found = compare_arms(outcome, two, "macro_f1")
    names = {(c.name, c.against, c.endpoint) for c in found.secondary}
    assert ("logit_adjustment", "real_only", "macro_f1") in names
    assert found.best_cheap.against in {"tuned_thresholds", "logit_adjustment", "mixup"}
    adjusted = outcome.arms["logit_adjustment"]
    assert adjusted.arm.kind == "cheap"
    assert sum(one.seconds for one in adjusted.examinations) == 0
    tail = tail_recall([outcome.arms["real_only"], adjusted], outcome, two)
    assert tail.recall["logit_adjustment"].value > tail.recall["real_only"].value + 0.1
    assert tail.others["logit_adjustment"].value < tail.others["real_only"].value
    assert (tail.n, tail.n_others) == (50, 450)


def test_where_ranks_decide_they_are_compared_by_balanced_accuracy(hold, moved, two):
    options = {"arms": ["logit_adjustment", "tuned_thresholds"]}
    outcome = hold(moved, splits=two, source=set_of((0, 60)), **options)
    found = compare_arms(outcome, two, outcome.endpoint)
    assert found.best_cheap is None
    names = {(c.name, c.against, c.endpoint) for c in found.secondary}
    for arm in options["arms"]:
        assert (arm, "real_only", "balanced_accuracy") in names
        assert (chosen_arm(outcome).arm.name, arm, "balanced_accuracy") in names
        assert (arm, "real_only", "macro_average_precision") not in names


def test_every_arm_gets_the_same_correction(hold, classifier_of, two):
    """The scripted classifier hears of the offsets in its recipe, an arm's own shares in them."""
    heard = {}

    class Listening(type(classifier_of({}))):
        def examine(self, request):
            heard[len(request.recipe.data)] = request.recipe.offsets
            found = super().examine(request)
            of_two = {exam: answers[:, :2] for exam, answers in found.answers.items()}
            return dataclasses.replace(found, answers=of_two)

    options = {"correction": "logit_adjustment", "arms": ["logit_adjustment"]}
    outcome = hold(Listening(two, {}), splits=two, source=set_of((0, 60)), **options)
    assert "every arm is adjusted" in outcome.skipped["logit_adjustment"]
    assert heard[30] == pytest.approx(-torch.tensor([0.9, 0.1]).log())
    assert heard[60] == pytest.approx(-torch.tensor([27 / 60, 33 / 60]).log())
    hold(Listening(two, {}), splits=two, source=set_of((0, 60)))
    assert heard[30] is None


def test_a_set_that_lacks_classes_is_not_trained_on_alone(hold, moved, two):
    options = {"arms": ["synthetic_only", "pretrained_on_synthetic"], "shares": [0.4, 0.5]}
    outcome = hold(moved, splits=two, source=set_of((0, 60)), **options)
    assert "synthetic_only" not in outcome.arms
    assert "its images show no common" in outcome.skipped["synthetic_only"]
    assert "pretrained_on_synthetic" in outcome.arms  # real images follow
    reason = equivalent_of(outcome, two, 0).reason
    assert reason.startswith("Synthetic only was not tested: its images show no common")
    whole = hold(moved, splits=two, source=set_of((40, 60)), **options)
    assert "synthetic_only" in whole.arms


def test_a_share_of_the_real_images_without_a_class_is_no_point_of_the_curve(hold, moved, two):
    outcome = hold(moved, splits=two, source=set_of((0, 60)), shares=[0.1, 0.5])
    assert "its images show no rare" in outcome.skipped["real_share_0.1"]
    assert "real_share_0.5" in outcome.arms


def test_a_holdout_far_easier_than_the_test_images_is_said(hold, classifier_of, splits):
    easy = {"real_only": (1, 120), ONE: (0, 100)}
    outcome = hold(classifier_of(easy), endpoint="accuracy", seeds=5)
    found = compare_arms(outcome, splits, "accuracy")
    nothing = equivalent_of(outcome, splits, 0)
    verdict = trial_verdict(Trial(), outcome, found, nothing, splits, "folder")
    assert "The holdout images are easier than the test images: " in verdict.sentence
    assert "so what was chosen there may not hold." in verdict.sentence
    assert [gap.far_above for gap in verdict.holdout_gaps] == [True, True]
    even = hold(classifier_of({"real_only": (12, 60), ONE: (10, 50)}), endpoint="accuracy", seeds=5)
    arms = [even.arms["real_only"], even.arms[ONE]]
    assert not any(gap_of(one, even.choosing, splits, 0.0).far_above for one in arms)


def test_the_gap_is_large_against_its_own_interval(hold, classifier_of, splits):
    """6 of 60 mistakes against 60 of 300: 10 points, too uncertain for so few images."""
    outcome = hold(classifier_of({"real_only": (6, 60)}), endpoint="accuracy", seeds=5)
    real = outcome.arms["real_only"]
    gap = gap_of(real, outcome.choosing, splits, 0.05)
    assert gap.holdout - gap.test == pytest.approx(0.1)
    assert gap.ci_low < gap.holdout - gap.test < gap.ci_high
    assert not gap.far_above
    assert gap_of(real, outcome.choosing, splits, gap.ci_low - 1e-9).far_above
