import dataclasses
import json

import numpy as np
import pytest
import torch

from synthgen.dataset.source import SyntheticSet
from synthgen.errors import SynthgenError
from synthgen.evaluation import ClassifierExtractor, evaluate
from synthgen.evaluation.classifiers import CropAffine, MLPClassifier
from synthgen.evaluation.classifiers.scores import SCORES
from synthgen.evaluation.trial import Trial, run, run_trial
from synthgen.evaluation.trial.contrast import paired_contrast
from synthgen.evaluation.trial.run import fingerprint, source_of
from synthgen.io import canonical_digest
from synthgen.samplers import PCAGaussian, ShuffledLabels

OPTIONS = {
    "seeds": 2,
    "ratios": [0.1, 0.2],
    "shares": [0.25, 0.5],
    "augmentations": {"light": CropAffine(0.5)},
    "scenarios": ["blur"],
    "strengths": [0, 1],
}


def as_set(drawn, folder):
    return SyntheticSet(drawn, None, folder / "set", "0" * 64)


@pytest.fixture(scope="module")
def folder(digits, drawn, tmp_path_factory):
    folder = tmp_path_factory.mktemp("trial")
    evaluate(
        digits,
        as_set(drawn, folder),
        folder / "report",
        extractors=[ClassifierExtractor(steps=40)],
        classifier=MLPClassifier(steps=120),
        trial=Trial(**OPTIONS),
    )
    return folder


@pytest.fixture(scope="module")
def report(folder):
    return json.loads((folder / "report" / "report.json").read_text())


def test_trainings_on_other_images_of_one_split_are_not_gone_on_with(
    digits, drawn, tmp_path, monkeypatch
):
    """What reference=holdout cuts off isn't in the split's digest."""

    class Asked(Exception):  # noqa: N818 - no error
        pass

    def ask(report, identity):
        raise Asked(canonical_digest(identity.to_json()))

    monkeypatch.setattr(run, "TrialStore", ask)

    def identity_of(splits):
        with pytest.raises(Asked) as asked:
            run_trial(
                Trial(**OPTIONS), splits, as_set(drawn, tmp_path), None, MLPClassifier(steps=120),
                seed=0, out=tmp_path / "out", folder=tmp_path,
            )  # fmt: skip
        return asked.value.args[0]

    as_it_is = identity_of(digits)
    assert identity_of(dataclasses.replace(digits)) == as_it_is
    fewer = digits.holdout.subset(torch.arange(1, len(digits.holdout)))
    assert identity_of(dataclasses.replace(digits, holdout=fewer)) != as_it_is


def test_the_contract(report):
    verdict = report["verdict"]
    assert {
        "endpoint",
        "minimum_difference",
        "sentence",
        "against_best_cheap",
        "real_equivalent",
        "arms",
    } <= set(verdict)
    for arm in verdict["arms"]:
        assert arm["verdict"] in {"helped", "harmed", "no evidence"}
        assert arm["ci_low"] <= arm["difference"] <= arm["ci_high"]
        assert 0 <= arm["p"] <= arm["p_adjusted"] <= 1
    (primary,) = [arm for arm in verdict["arms"] if arm["primary"]]
    assert primary["against"] == "real_only"
    assert primary["ratio"] in OPTIONS["ratios"]
    assert {"replaces", "adds", "reason"} <= set(verdict["real_equivalent"])
    assert {"images", "ci_low", "ci_high"} <= set(verdict["real_equivalent"]["replaces"])
    assert verdict["sentence"] in report["sentences"]
    assert "holds for this folder of images only" in verdict["sentence"]


def test_the_trial_says_how_it_was_held(report):
    trial = report["trial"]
    assert {
        "protocol",
        "arms",
        "ratio_curve",
        "learning_curve",
        "convergence",
        "skipped",
        "gan_test",
        "scenarios",
        "tail",
    } <= set(trial)
    protocol = trial["protocol"]
    assert protocol["judge"]["name"] == "mlp"
    assert (protocol["steps"], protocol["source"], len(protocol["seeds"])) == (120, "folder", 2)
    assert report["protocol"]["judge"]["seeds"] == 2
    names = [arm["name"] for arm in trial["arms"]]
    assert {"real_only", "synthetic_only", "mixup", "real_and_baseline"} <= set(names)
    assert {one["arm"] for one in trial["skipped"]} == {"logit_adjustment", "tuned_thresholds"}
    assert trial["gan_test"]["n"] == 300
    assert set(trial["gan_test"]["label_agreement"]) == set("0123456789")
    scenes = {(s["arm"], s["strength"]): s["accuracy"] for s in trial["scenarios"]}
    assert set(scenes) == {(name, strength) for name in names for strength in (0, 1)}
    assert scenes["real_only", 1] < scenes["real_only", 0]


def test_the_verdict_follows_from_the_predictions(folder, report, digits):
    stored = np.load(folder / "report" / "predictions.npz", allow_pickle=False)
    primary = report["verdict"]["arms"][0]
    assert np.array_equal(stored["label"], digits.test.labels.numpy())
    names = stored["arm"].tolist()
    ours, theirs = (
        [torch.from_numpy(p.astype(np.int64)) for p in stored["prediction"][names.index(name)]]
        for name in (primary["name"], primary["against"])
    )
    again = paired_contrast(
        SCORES["macro_f1"], digits.test.labels, ours, theirs, 10, groups=digits.test_groups
    )
    assert again.difference == pytest.approx(primary["difference"])
    assert (again.ci_low, again.ci_high) == pytest.approx((primary["ci_low"], primary["ci_high"]))
    assert again.p == pytest.approx(primary["p"])


def test_nothing_is_left_beside_the_report(folder):
    assert [path.name for path in folder.iterdir()] == ["report"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"endpoint": "loss"}, r"trial\.endpoint is 'loss'"),
        ({"baseline": "magic"}, r"trial\.baseline is 'magic', which is unknown.\nUse one of pca_g"),
        ({"scenarios": ["smog"]}, r"trial\.scenarios names smog"),
        ({"tail": ["ten"]}, r"trial\.tail names ten"),
        ({"endpoint": "tail_recall"}, "needs rare classes"),
    ],
)
def test_bad_options_cost_no_training_and_leave_nothing(digits, drawn, tmp_path, options, message):
    with pytest.raises(SynthgenError, match=message):
        run_trial(
            Trial(**{**OPTIONS, **options}),
            digits,
            as_set(drawn, tmp_path),
            None,
            MLPClassifier(steps=10**9),
            seed=0,
            out=tmp_path / "report",
            folder=tmp_path,
        )
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def samplers(digits):
    fitted = [PCAGaussian(digits.train.image), ShuffledLabels(digits.train.image)]
    for sampler in fitted:
        sampler.fit(digits.train)
    return fitted


class StopError(Exception):
    pass


def test_a_trial_of_another_kind_never_goes_on_with_stored_trainings(
    digits, drawn, tmp_path, samplers, monkeypatch
):
    folders = []

    def run(self, *_, store, **__):
        folders.append(store.folder.name)
        raise StopError

    monkeypatch.setattr(Trial, "run", run)
    usual = {
        "trial": Trial(**OPTIONS),
        "sampler": None,
        "classifier": MLPClassifier(steps=120),
        "seed": 0,
    }
    for change in (
        {},
        {"seed": 1},
        {"classifier": MLPClassifier(steps=121)},
        {"sampler": samplers[0]},
        {"sampler": samplers[1]},
        {"trial": Trial(**{**OPTIONS, "seeds": 3})},
        {"trial": Trial(**{**OPTIONS, "augmentations": {"light": CropAffine(0.6)}})},
        {"trial": Trial(**{**OPTIONS, "endpoint": "accuracy"})},
        {},
    ):
        given = {**usual, **change}
        with pytest.raises(StopError):
            run_trial(
                given["trial"],
                digits,
                as_set(drawn, tmp_path),
                given["sampler"],
                given["classifier"],
                seed=given["seed"],
                out=tmp_path / "report",
                folder=tmp_path,
            )
    assert folders[0] == folders[-1]
    assert len(set(folders)) == len(folders) - 1


def test_samplers_are_told_apart_by_their_images(samplers):
    assert fingerprint(samplers[0]) == fingerprint(samplers[0])
    assert fingerprint(samplers[0]) != fingerprint(samplers[1])


def test_a_sampler_gives_enough_for_the_greatest_ratio_and_for_synthetic_only(
    digits, drawn, samplers
):
    trial = Trial(ratios=[0.1, 0.5])
    source = source_of(trial, digits, drawn, samplers[0], 0)
    assert source.kind == "sampler"
    assert source.most == round(0.5 * len(digits.train))
    assert source_of(Trial(ratios=[0.01]), digits, drawn, samplers[0], 0).most == len(drawn)
    assert source_of(trial, digits, drawn, None, 0).kind == "folder"
