import dataclasses

import pytest
import torch

from synthgen.evaluation.classifiers.scores import SCORES
from synthgen.evaluation.trial.analysis import (
    best_cheap_arm,
    chosen_arm,
    compare_arms,
    compared_arms,
    main_arms,
)
from synthgen.evaluation.trial.contrast import paired_contrast, side_of
from synthgen.evaluation.trial.trial import Trial
from synthgen.stats import holm

HALF, ONE, TWO = "real_and_synthetic_0.5", "real_and_synthetic_1", "real_and_synthetic_2"
EVERYTHING = {
    "arms": Trial().arms,
    "augmentations": {"light": "light", "strong": "strong"},
    "shares": [0.2, 0.5],
}


@pytest.mark.parametrize(
    ("mistakes", "verdict", "difference"),
    [(20, "helped", 1 / 3), (220, "harmed", -1 / 3), (120, "no evidence", 0)],
)
def test_known_truths(hold, classifier_of, splits, mistakes, verdict, difference):
    outcome = hold(classifier_of({"real_only": (6, 120), ONE: (1, mistakes)}))
    found = compare_arms(outcome, splits, "accuracy").primary
    assert (found.name, found.against, found.primary) == (ONE, "real_only", True)
    assert found.verdict == verdict
    assert found.difference == pytest.approx(difference)
    assert found.p_adjusted == found.p
    assert (found.ci_low > 0) == (verdict == "helped")
    assert (found.ci_high < 0) == (verdict == "harmed")


def test_the_ratio_that_would_have_won_on_the_test_images_is_not_the_verdict(
    hold, classifier_of, splits
):
    table = {"real_only": (6, 100), HALF: (9, 0), ONE: (3, 200), TWO: (8, 0)}
    comparisons = compare_arms(hold(classifier_of(table)), splits, "macro_f1")
    assert comparisons.primary.name == ONE
    assert comparisons.primary.verdict == "harmed"
    assert {c.name: c.verdict for c in comparisons.secondary if c.name != ONE} == {
        HALF: "helped",
        TWO: "helped",
    }


def test_the_best_cheap_arm_is_the_holdouts(hold, classifier_of, splits, baseline_source):
    table = {
        "mixup": (2, 150),
        "oversampling": (9, 0),
        "augmentation_light": (3, 0),
        "augmentation_strong": (4, 0),
        "real_and_baseline": (5, 0),
        "pretrained_on_synthetic": (0, 0),  # costs a generator
        ONE: (1, 60),
    }
    outcome = hold(classifier_of(table), baseline=baseline_source, **EVERYTHING)
    assert best_cheap_arm(outcome, splits).arm.name == "mixup"
    found = compare_arms(outcome, splits, "macro_f1")
    assert (found.best_cheap.name, found.best_cheap.against) == (ONE, "mixup")
    assert found.best_cheap.verdict == "helped"
    assert found.best_cheap in found.secondary
    table["real_and_baseline"] = (1, 290)
    outcome = hold(classifier_of(table), baseline=baseline_source, **EVERYTHING)
    assert best_cheap_arm(outcome, splits).arm.name == "real_and_baseline"


def test_without_cheap_arms_there_is_none_to_beat(hold, classifier_of, splits):
    assert compare_arms(hold(classifier_of({})), splits, "macro_f1").best_cheap is None


def test_all_but_the_primary_are_one_holm_family(hold, classifier_of, splits, baseline_source):
    table = {
        ONE: (1, 60),
        "mixup": (3, 5),
        "augmentation_strong": (1, 9),
        "synthetic_only": (9, 99),
    }
    outcome = hold(classifier_of(table), baseline=baseline_source, **EVERYTHING)
    found = compare_arms(outcome, splits, "macro_f1")
    pairs = [(c.name, c.against, c.endpoint) for c in found.every]
    assert len(set(pairs)) == len(pairs)
    assert pairs[0] == (ONE, "real_only", "macro_f1")
    assert ("augmentation_and_synthetic", "augmentation_strong", "macro_f1") in pairs
    assert (ONE, "augmentation_strong", "macro_f1") in pairs  # the best cheap arm
    assert {(ONE, "real_only", "accuracy"), (ONE, "real_only", "balanced_accuracy")} < set(pairs)
    assert not any(name.startswith(("real_share", "augmentation_light")) for name, _, _ in pairs)
    raw = [c.p for c in found.secondary]
    assert [c.p_adjusted for c in found.secondary] == holm(raw)
    assert [c.primary for c in found.every] == [True] + [False] * len(raw)


def test_secondary_verdicts_need_the_adjusted_p_too(hold, classifier_of, splits):
    """TWO's own interval leaves out 0, by little: among so many comparisons that says nothing."""
    for mistakes in range(30, 120):
        table = {"real_only": (6, 120), HALF: (6, 120), ONE: (1, 120), TWO: (6, mistakes)}
        found = compare_arms(hold(classifier_of(table)), splits, "macro_f1")
        two = next(c for c in found.secondary if c.name == TWO)
        if 0.05 / len(found.secondary) < two.p < 0.05:
            break
    assert side_of(two) == "helped"
    assert two.verdict == "no evidence"


def test_groups_of_test_images_widen_the_interval(hold, classifier_of, splits):
    outcome = hold(classifier_of({"real_only": (6, 80), ONE: (1, 40)}))
    alone = compare_arms(outcome, splits, "accuracy").primary
    runs = dataclasses.replace(splits, test_groups=torch.arange(300) // 30)
    grouped = compare_arms(outcome, runs, "accuracy").primary
    assert grouped.difference == alone.difference
    assert grouped.ci_high - grouped.ci_low > 2 * (alone.ci_high - alone.ci_low)


def test_rare_classes_are_compared_on_their_own_images(hold, classifier_of, splits):
    keep = (splits.test.labels > 0) | (torch.arange(300) < 12)
    few = dataclasses.replace(splits, test=splits.test.subset(keep))
    classifier = classifier_of({ONE: (1, 6)})
    classifier.labels = {"test": few.test.labels}
    outcome = hold(classifier, splits=few, endpoint="tail_recall", tail=["ant"])
    found = compare_arms(outcome, few, "tail_recall").primary
    assert found.ci_high - found.ci_low >= 1.5
    assert found.verdict == "no evidence"


def test_main_arms_are_those_of_every_report(hold, classifier_of):
    outcome = hold(classifier_of({TWO: (1, 1)}), arms=["synthetic_only", "mixup"])
    main = main_arms(outcome)
    assert list(main) == ["real_only", "synthetic_only", "real_and_synthetic"]
    assert main["real_and_synthetic"] is chosen_arm(outcome) is outcome.arms[TWO]
    assert list(main_arms(hold(classifier_of({})))) == ["real_only", "real_and_synthetic"]
    assert outcome.arms["real_only"] not in compared_arms(outcome)


def test_the_contrast_is_on_the_declared_endpoint(hold, classifier_of, splits):
    outcome = hold(classifier_of({"real_only": (6, 100), ONE: (1, 50)}))
    found = compare_arms(outcome, splits, "macro_f1").primary
    one, real = outcome.arms[ONE], outcome.arms["real_only"]
    again = paired_contrast(
        SCORES["macro_f1"],
        splits.test.labels,
        one.predictions("test"),
        real.predictions("test"),
        3,
    )
    assert (found.difference, found.ci_low, found.p) == (again.difference, again.ci_low, again.p)
