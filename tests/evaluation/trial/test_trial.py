import dataclasses

import pytest
import torch

from synthgen.errors import SynthgenError
from synthgen.evaluation.trial import Trial
from synthgen.evaluation.trial.arms import FixedFolder
from synthgen.evaluation.trial.runner import TrialStore
from synthgen.evaluation.trial.schema import TrialIdentity, TrialOptions
from synthgen.evaluation.trial.trial import at_most
from synthgen.schema import Schema
from synthgen.types import LabelledImages

HALF, ONE, TWO = "real_and_synthetic_0.5", "real_and_synthetic_1", "real_and_synthetic_2"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"seeds": 1}, "seeds is 1, but a paired trial needs 2"),
        ({"ratios": [0, 1]}, "ratios must be one or more numbers above 0"),
        ({"ratios": []}, "ratios must be"),
        ({"ratios": [float("nan")]}, "ratios must be"),
        ({"ratios": [float("inf")]}, "ratios must be"),
        ({"shares": [1.0]}, "shares must lie between 0 and 1"),
        ({"arms": ["oversampling", "magic"]}, "'magic' is not an arm; there are oversampling, "),
        ({"minimum_difference": -0.1}, "minimum_difference must lie between 0 and 1"),
        ({"minimum_difference": float("nan")}, "minimum_difference must lie between 0 and 1"),
        ({"tail_margin": -0.1}, "tail_margin must lie between 0 and 1"),
        ({"correction": "magic"}, "correction must be one of none, logit_adjustment"),
        ({"strengths": [0.5, 2]}, "strengths must lie between 0 and 1"),
    ],
)
def test_options_that_make_no_sense_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        Trial(**options)


def test_unknown_endpoints_and_classes_are_refused_before_any_training(hold, classifier_of):
    classifier = classifier_of({})
    with pytest.raises(SynthgenError, match=r"trial\.endpoint is 'loss'"):
        hold(classifier, endpoint="loss")
    with pytest.raises(SynthgenError, match=r"trial\.tail names dog"):
        hold(classifier, tail=["dog"])
    assert classifier.taught == []


def test_every_arm_starts_from_the_same_seeds(hold, classifier_of, baseline_source):
    classifier = classifier_of({})
    outcome = hold(
        classifier,
        baseline=baseline_source,
        arms=Trial().arms,
        augmentations={"light": "light", "strong": "strong"},
        shares=[0.2],
    )
    by_arm = {}
    for arm, seed in classifier.taught:
        by_arm.setdefault(arm, []).append(seed)
    assert set(map(tuple, by_arm.values())) == {tuple(outcome.seeds)}
    assert len(set(outcome.seeds)) == 3
    assert list(outcome.arms) == [
        "real_only",
        "oversampling",
        "class_weights",
        "mixup",
        "augmentation_light",
        "augmentation_strong",
        "synthetic_only",
        HALF,
        ONE,
        TWO,
        "real_share_0.2",
        "pretrained_on_synthetic",
        "augmentation_and_synthetic",
        "baseline_only",
        "real_and_baseline",
    ]
    assert set(by_arm) == set(outcome.arms)
    assert set(outcome.skipped) == {"logit_adjustment", "tuned_thresholds"}  # 10 of each class
    assert {len(trained.examinations) for trained in outcome.arms.values()} == {3}


def test_the_holdout_chooses_and_the_test_images_have_no_say(hold, classifier_of):
    """Ratio 1 and the light strength are best on the holdout, and the worst on the test images."""
    table = {HALF: (9, 0), ONE: (3, 90), TWO: (8, 0)}
    table |= {"augmentation_light": (2, 99), "augmentation_strong": (4, 0)}
    options = {"arms": ["augmentation"], "augmentations": {"light": "light", "strong": "strong"}}
    outcome = hold(classifier_of(table), **options)
    assert outcome.choices.ratio == 1
    assert outcome.choices.augmentation == "light"


def test_no_test_label_reaches_training_or_choice(hold, classifier_of, splits):
    table = {HALF: (9, 40), ONE: (3, 50), TWO: (8, 60)}
    classifier = classifier_of(table)
    honest = hold(classifier)
    shuffled = splits.test.labels[torch.randperm(300, generator=torch.Generator().manual_seed(0))]
    test = LabelledImages(splits.test.images, shuffled, splits.test.classes)
    blind = hold(classifier, splits=dataclasses.replace(splits, test=test))
    assert blind.choices == honest.choices
    for name, trained in honest.arms.items():
        for one, other in zip(
            trained.predictions("test"), blind.arms[name].predictions("test"), strict=True
        ):
            assert torch.equal(one, other)


def test_of_equal_ratios_the_least_is_taken(hold, classifier_of):
    assert hold(classifier_of({}), ratios=[2, 0.5, 1]).choices.ratio == 0.5


def test_one_ratio_for_all_seeds_by_their_mean(hold, classifier_of, splits):
    """Seed 0 alone would choose 0.5, by far; the mean over seeds chooses 2."""

    class Moody(type(classifier_of({}))):
        def examine(self, request):
            first = request.seed % 2_000_003 == 0
            self.table = {HALF: (0, 0) if first else (12, 12), ONE: (20, 20), TWO: (4, 4)}
            return super().examine(request)

    outcome = hold(Moody(splits, {}))
    per_seed = [e.predictions["holdout"] for e in outcome.arms[HALF].examinations]
    assert len({int((p != splits.holdout.labels).sum()) for p in per_seed}) == 2
    assert outcome.choices.ratio == 2


def test_ratios_beyond_the_folder_are_left_out_with_a_reason(hold, classifier_of):
    outcome = hold(classifier_of({}), ratios=[1, 4, 8])
    assert [name for name in outcome.arms if "and_synthetic" in name] == [
        ONE,
        "real_and_synthetic_4",
    ]
    assert outcome.skipped == {
        "real_and_synthetic_8": "needs 240 synthetic images; the set has 120"
    }


def test_too_small_a_folder_is_refused_with_a_ratio_that_would_do(hold, classifier_of, folder):
    small = FixedFolder(folder.images.subset(range(14)), seed=1)
    with pytest.raises(SynthgenError, match=r"14 synthetic images.*0.5 to 30 real") as caught:
        hold(classifier_of({}), source=small)
    ratio = float(str(caught.value).split("trial.ratios=[")[1].split("]")[0])
    assert hold(classifier_of({}), source=small, ratios=[ratio]).choices.ratio == ratio


@pytest.mark.parametrize(
    ("ratio", "text"),
    [(0.456, "0.45"), (14 / 30, "0.46"), (0.5, "0.5"), (12.7, "12"), (0.0299, "0.029")],
)
def test_suggested_ratios_are_rounded_down(ratio, text):
    assert at_most(ratio) == text


def test_arms_that_can_not_be_made_are_named_with_a_reason(hold, classifier_of):
    outcome = hold(
        classifier_of({}),
        arms=["augmentation", "augmentation_and_synthetic", "baseline_only", "mixup"],
        shares=[0.03, 0.5],
    )
    assert outcome.skipped == {
        "real_share_0.03": "0.03 of 30 real images are fewer than the 3 classes",
        "augmentation": "trial.augmentations is empty",
        "augmentation_and_synthetic": "trial.augmentations is empty",
        "baseline_only": "pca_gaussian can't be fitted to these images",
    }
    assert hold(classifier_of({}), arms=["real_and_baseline"], baseline=None).skipped.keys() == {
        "real_and_baseline"
    }


def test_what_a_judge_can_not_follow_is_left_out_with_its_reason(hold, classifier_of, splits):
    class NoMixup(type(classifier_of({}))):
        def why_not(self, recipe):
            if recipe.pretrain is not None:
                return "no pre-training"
            return "no mixup" if recipe.mixup else None

    outcome = hold(NoMixup(splits, {}), arms=["mixup", "oversampling", "pretrained_on_synthetic"])
    assert outcome.skipped == {"mixup": "no mixup", "pretrained_on_synthetic": "no pre-training"}
    assert "mixup" not in outcome.arms
    assert "oversampling" in outcome.arms


@pytest.mark.parametrize("interrupt_at", [0, 1, 7, 15, 20])
@pytest.mark.parametrize("requests_at_once", [1, 4])
def test_a_killed_trial_goes_on_to_the_same_end(
    hold, classifier_of, tmp_path, monkeypatch, interrupt_at, requests_at_once
):
    table = {HALF: (9, 40), ONE: (3, 50), TWO: (8, 60), "mixup": (4, 44)}
    options = {"arms": ["mixup", "pretrained_on_synthetic", "synthetic_only"]}
    whole = classifier_of(table)
    wanted = hold(whole, **options)
    assert len(whole.taught) == 3 * 7
    store = TrialStore(tmp_path / "report", Schema(this="trial"))
    killed, second = classifier_of(table, interrupt_at=interrupt_at), classifier_of(table)
    monkeypatch.setattr(type(killed), "requests_at_once", requests_at_once)
    with pytest.raises(KeyboardInterrupt):
        hold(killed, store=store, **options)
    found = hold(second, store=store, **options)
    again = len(killed.taught) + len(second.taught) - len(whole.taught)
    assert 0 <= again < requests_at_once  # only those that were under way
    assert found.choices == wanted.choices
    assert list(found.arms) == list(wanted.arms)
    for name, trained in wanted.arms.items():
        for one, other in zip(trained.examinations, found.arms[name].examinations, strict=True):
            assert one.curve == other.curve
            for exam in one.predictions:
                assert torch.equal(one.predictions[exam], other.predictions[exam])


def test_a_finished_trial_trains_nothing_twice(hold, classifier_of, tmp_path):
    store = TrialStore(tmp_path / "report", Schema())
    hold(classifier_of({}), store=store)
    second = classifier_of({})
    hold(second, store=store)
    assert second.taught == []
    hold(second, store=store, exams={"more": torch.zeros(5, 1, 2, 2, dtype=torch.uint8)})
    assert len(second.taught) == 12  # none of the stored ones has seen these images


def test_a_trial_of_another_option_is_another_trial():
    import inspect

    options = Trial(augmentations={"light": "as it is"}).options()
    assert TrialOptions.from_json(options.to_json()) == options
    assert set(inspect.signature(Trial).parameters) == {*options.to_json(), "seeds", "endpoint"}
    assert {"trial", "seeds", "endpoint"} < set(TrialIdentity.model_fields)
