from dataclasses import replace

import numpy as np
import pytest
import torch

from synthgen.evaluation.classifiers.scores import SCORES
from synthgen.evaluation.trial import Trial
from synthgen.evaluation.trial.analysis import compare_arms
from synthgen.evaluation.trial.contrast import paired_contrast
from synthgen.evaluation.trial.record import (
    equivalent_of,
    gan_test,
    learning_arms,
    trial_record,
    trial_verdict,
    write_predictions,
)

ONE = "real_and_synthetic_1"
TABLE = {
    "real_only": (6, 60),
    ONE: (1, 30),
    "synthetic_only": (9, 110),
    "mixup": (3, 45),
    "oversampling": (4, 20),
    "augmentation_strong": (3, 50),
    "real_share_0.2": (9, 140),
    "real_share_0.5": (9, 100),
}
OPTIONS = {
    "arms": ["mixup", "oversampling", "synthetic_only", "augmentation"],
    "shares": [0.5, 0.2],
    "seeds": 5,
    "tail": ["bee"],
    "augmentations": {"light": "light", "strong": "strong"},
}


@pytest.fixture
def outcome(hold, classifier_of):
    return hold(
        classifier_of(TABLE),
        exams={"synthetic": torch.zeros(9, 1, 2, 2, dtype=torch.uint8)},
        **OPTIONS,
    )


@pytest.fixture
def record(outcome, splits):
    comparisons = compare_arms(outcome, splits, "macro_f1")
    return trial_record(Trial(**OPTIONS), outcome, comparisons, splits, "folder")


def test_each_arm_says_what_it_scored(record, outcome, splits):
    arms = {arm.name: arm for arm in record.arms}
    assert arms["real_only"].mcnemar is None
    assert arms["real_only"].accuracy.value == pytest.approx(0.8)
    assert arms[ONE].accuracy.value == pytest.approx(0.9)
    assert [arm.name for arm in record.arms if arm.chosen] == [ONE]
    assert "augmentation_light" not in arms  # of the strengths only the chosen one
    assert not any(name.startswith("real_share") for name in arms)
    one = arms[ONE]
    assert (one.n_real, one.n_synthetic, one.ratio, one.kind) == (30, 30, 1, "combined")
    assert one.holdout == pytest.approx(59 / 60, abs=1e-3)
    assert len(one.per_seed) == len(one.chosen_steps) == len(one.mcnemar) == 5
    assert one.test.value == pytest.approx(sum(one.per_seed) / 5)
    assert one.test.ci_low < one.test.value < one.test.ci_high
    assert one.seconds == 1.25
    assert set(one.recall) == set(splits.test.classes)
    for seed in one.mcnemar:  # 60 mistakes against 30 of the same
        assert (seed.only_this_right, seed.only_real_right) == (30, 0)
        assert seed.p == pytest.approx(2 * 0.5**30)


def test_the_curves_are_there_in_order(record):
    assert [point.images for point in record.learning_curve] == [6, 15, 30]
    values = [point.value for point in record.learning_curve]
    assert values == sorted(values)
    assert [(p.ratio, p.chosen) for p in record.ratio_curve] == [
        (0.5, False),
        (1, True),
        (2, False),
    ]
    assert [(one.step, one.holdout) for one in record.convergence["real_only"]] == [
        (step, pytest.approx(0.5 + step / 100)) for step in (2, 4, 6, 8)
    ]
    assert record.tail.classes == ["bee"]
    assert record.tail.n == 100
    assert record.skipped == []
    assert type(record).from_json(record.to_json()) == record


def test_choices_are_said_in_sentences(record):
    text = " ".join(record.protocol.choices)
    assert "The ratio 1 was chosen by the mean over seeds on 60 real holdout images" in text
    assert "strength 'strong' of classic augmentation was chosen" in text
    assert "cheap alternative: real + mixup, the first of 2 cheap arms that tied there." in text
    assert "Real only was still improving when its training ended (by 2.0 points" in text


def test_the_verdict_has_the_contracts_keys(outcome, splits):
    comparisons = compare_arms(outcome, splits, "macro_f1")
    equivalent = equivalent_of(outcome, splits, 0)
    found = trial_verdict(Trial(**OPTIONS), outcome, comparisons, equivalent, splits, "folder")
    assert found.endpoint == "macro_f1"
    assert found.minimum_difference == 0.01
    assert found.against_best_cheap.name == "mixup"
    assert found.against_best_cheap.verdict == "helped"
    assert found.sentence.startswith("The synthetic images helped, by at least the 1.0 points")
    assert [arm.primary for arm in found.arms].count(True) == 1
    worth = found.real_equivalent
    assert 6 < worth.replaces.images < 15  # between 140 and 100 mistakes
    # Errors of 47, 33 and 20 % at 6, 15 and 30 images fit a curve that levels off anywhere.
    assert worth.adds is None
    assert "depending on where the learning curve levels off" in worth.reason
    assert worth.reason in found.sentence
    assert type(found).from_json(found.to_json()) == found


def test_without_a_curve_or_synthetic_only_nothing_is_said_of_real_images(
    hold, classifier_of, splits
):
    short = equivalent_of(hold(classifier_of(TABLE), **{**OPTIONS, "shares": [0.5]}), splits, 0)
    assert short.replaces is short.adds is None
    assert "no learning curve" in short.reason
    bare = hold(classifier_of(TABLE), **{**OPTIONS, "arms": []})
    nothing = equivalent_of(bare, splits, 0)
    assert nothing.replaces is nothing.adds is None
    assert "no arm of synthetic images only" in nothing.reason
    assert [one.arm.n_real for one in learning_arms(bare)] == [6, 15, 30]
    comparisons = compare_arms(bare, splits, "macro_f1")
    found = trial_verdict(Trial(**OPTIONS), bare, comparisons, nothing, splits, "folder")
    assert found.real_equivalent == nothing
    assert found.against_best_cheap is None
    assert "not compared with oversampling, classic augmentation" in found.sentence
    assert "no arm of synthetic" not in found.sentence


def test_a_perfect_trial_says_that_it_cannot_show_a_gain(hold, classifier_of, splits):
    perfect = {
        name: (0, 0)
        for name in ("real_only", "real_and_synthetic_0.5", ONE, "real_and_synthetic_2")
    }
    table = perfect | dict.fromkeys(("mixup", "oversampling"), (0, 0))
    outcome = hold(
        classifier_of(table), **{**OPTIONS, "arms": ["mixup", "oversampling"], "shares": []}
    )
    comparisons = compare_arms(outcome, splits, "macro_f1")
    nothing = equivalent_of(outcome, splits, 0)
    found = trial_verdict(Trial(**OPTIONS), outcome, comparisons, nothing, splits, "folder")
    assert "Real only is already perfect on these images" in found.sentence
    assert found.ceiling in found.sentence
    assert "A difference of" not in found.sentence
    assert ", real + oversampling, the first of 2 that tied on the holdout: " in found.sentence
    choices = trial_record(Trial(**OPTIONS), outcome, comparisons, splits, "folder").protocol
    text = " ".join(choices.choices)
    assert "The ratio 0.5 was chosen" in text
    assert ", the first of 3 ratios that tied there." in text
    assert "real + oversampling, the first of 2 cheap arms that tied there." in text


def test_rare_classes_and_groups_are_counted_in_the_verdict(hold, classifier_of, splits):
    few = torch.cat([torch.arange(12) * 3, torch.arange(8) * 3 + 1, torch.arange(90) * 3 + 2])
    few = replace(splits, test=splits.test.subset(few), test_groups=torch.arange(110) // 2)
    options = {**OPTIONS, "arms": [], "shares": [], "endpoint": "tail_recall", "tail": ["bee"]}
    scripted = classifier_of({})
    scripted.labels = {"test": few.test.labels}
    outcome = hold(scripted, splits=few, **options)
    comparisons = compare_arms(outcome, few, "tail_recall")
    nothing = equivalent_of(outcome, few, 0)
    found = trial_verdict(Trial(**options), outcome, comparisons, nothing, few, "folder", ["ant"])
    assert "on 8 real test images of bee (8) in 4 groups, with 5 seeds" in found.sentence
    assert "With fewer than 10 test images of bee" in found.sentence
    assert "The synthetic set has no image of ant, so for this class" in found.sentence
    scores = trial_record(Trial(**options), outcome, comparisons, few, "folder")
    test = scores.arms[0].test
    assert test.ci_high - test.ci_low > 0.9  # eight images of four groups, not 110
    assert scores.test_images == {"ant": 12, "bee": 8, "cat": 90}


def test_the_gan_test_counts_agreement_by_class(outcome):
    """The scripted classifier answers every synthetic image with its seed modulo 3."""
    labels = torch.tensor([0, 0, 0, 1, 1, 1, 1, 1, 1])
    answers = torch.tensor([seed % 3 for seed in outcome.seeds])
    found = gan_test(outcome, labels, ("ant", "bee", "cat"))
    assert set(found.label_agreement) == {"ant", "bee"}
    share = float((answers == 1).double().mean())
    assert found.label_agreement["bee"].value == pytest.approx(share)
    assert found.label_agreement["bee"].n == 6
    expected = (3 * float((answers == 0).double().mean()) + 6 * share) / 9
    assert found.accuracy.value == pytest.approx(expected)


def test_the_verdict_can_be_had_again_from_the_predictions(outcome, splits, tmp_path):
    write_predictions(tmp_path / "predictions.npz", outcome, splits)
    stored = np.load(tmp_path / "predictions.npz", allow_pickle=False)
    files = {"arm", "seed", "image", "label", "prediction", "log_probability"}
    assert set(stored.files) == files
    assert stored["log_probability"].shape == (len(outcome.arms), 5, 300, 3)
    assert (stored["log_probability"].argmax(-1) == stored["prediction"]).all()
    names = stored["arm"].tolist()
    assert names == list(outcome.arms)
    assert stored["seed"].tolist() == outcome.seeds
    assert stored["prediction"].shape == (len(names), 5, 300)
    labels = torch.from_numpy(stored["label"].astype(np.int64))
    predictions = torch.from_numpy(stored["prediction"].astype(np.int64))
    again = paired_contrast(
        SCORES["macro_f1"],
        labels,
        list(predictions[names.index(ONE)]),
        list(predictions[names.index("real_only")]),
        3,
    )
    found = compare_arms(outcome, splits, "macro_f1").primary
    assert (again.difference, again.ci_low, again.ci_high, again.p) == (
        found.difference,
        found.ci_low,
        found.ci_high,
        found.p,
    )
