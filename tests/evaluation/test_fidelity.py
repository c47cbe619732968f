"""What the metrics say of real images with known faults: each moves the way its definition says."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from synthgen.evaluation.classifiers.extractor import ClassifierExtractor
from synthgen.evaluation.features import InceptionExtractor, PixelExtractor
from synthgen.evaluation.fidelity import (
    fidelity_by_class,
    fidelity_results,
    logits_of,
    shared,
)
from synthgen.metrics import STANDARD, Comparison, Strata
from synthgen.types import LabelledImages

METRICS = tuple(metric.name for metric in STANDARD if metric.name != "inception_score")
DISTANCES = ("frechet_distance", "frechet_infinity", "kid", "mmd", "mind")


def with_faults(fresh, train):
    """The honest digits, and sets with one fault each."""
    images, labels = fresh.images, fresh.labels
    noise = 40 * torch.randn(images.shape, generator=torch.Generator().manual_seed(0))
    changed = {
        "honest": images,
        "blurred": F.avg_pool2d(images.float(), 3, 1, 1).byte(),
        "noisy": (images + noise).clamp(0, 255).byte(),
    }
    sets = {k: LabelledImages(v, labels, fresh.classes) for k, v in changed.items()}
    kept = (labels >= 2).nonzero().flatten()
    sets["dropped"] = fresh.subset(kept[torch.arange(len(fresh)) % len(kept)])
    sets["copied"] = train
    return sets


@pytest.fixture(scope="module")
def measured(digits):
    """(space, set) -> results by metric; 650 digits as reference, as many fresh, the rest train."""
    parts = (digits.train, digits.holdout, digits.test)
    images, labels = (torch.cat([getattr(x, k) for x in parts]) for k in ("images", "labels"))
    everything = LabelledImages(images, labels, digits.test.classes)
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))
    reference, fresh = everything.subset(order[:650]), everything.subset(order[650:1300])
    train = everything.subset(order[1300:])
    found = {}
    for space, extractor in (
        ("classifier", ClassifierExtractor(steps=150)),
        ("pixels", PixelExtractor()),
    ):
        extractor.prepare(train, 0)
        real = extractor.extract(reference.images)
        for name, images in with_faults(fresh, train).items():
            strata = (Strata(reference.labels), Strata(images.labels))
            sets = Comparison(real, extractor.extract(images.images), strata)
            results = fidelity_results(sets, extractor=extractor.name)
            found[space, name] = {r.name.removeprefix("fidelity/"): r for r in results}
    return found


def apart(worse, better):
    """The 95 % intervals do not meet, and ``worse`` is on its side."""
    if better.higher_is_better:
        return worse.ci_high < better.ci_low
    return worse.ci_low > better.ci_high


def test_every_metric_has_a_value_an_interval_and_a_direction(measured):
    for results in measured.values():
        assert tuple(results) == METRICS
        for result in results.values():
            if result.value is None:
                assert result.name == "fidelity/frechet_infinity"  # too few for this spectrum
                continue
            assert result.ci_low <= result.value <= result.ci_high
        assert results["mmd"].settings["bandwidth"] > 0
        assert results["kid"].settings["plain"] < results["kid"].value


@pytest.mark.parametrize("space", ["classifier", "pixels"])
@pytest.mark.parametrize("fault", ["blurred", "noisy", "dropped"])
def test_distances_see_every_fault(measured, space, fault):
    """With 650 images of each set not every interval is apart, but every value moves."""
    clearly = 0
    for metric in DISTANCES:
        faulty, honest = measured[space, fault][metric], measured[space, "honest"][metric]
        if honest.value is not None and faulty.value is not None:
            assert faulty.value > honest.value, metric
            clearly += apart(faulty, honest)
    assert clearly >= 3


def test_missing_classes_cost_recall_coverage_and_variety_but_not_precision(measured):
    dropped, honest = measured["classifier", "dropped"], measured["classifier", "honest"]
    assert not apart(dropped["precision"], honest["precision"])
    assert not apart(dropped["density"], honest["density"])
    assert apart(dropped["coverage"], honest["coverage"])
    assert dropped["coverage"].value < honest["coverage"].value - 0.1  # of 0.2 that are missing
    assert dropped["recall"].value < honest["recall"].value
    assert apart(dropped["vendi"], honest["vendi"])


def test_noise_costs_precision_and_blur_costs_recall_in_pixels(measured):
    honest = measured["pixels", "honest"]
    assert apart(measured["pixels", "noisy"]["precision"], honest["precision"])
    assert apart(measured["pixels", "noisy"]["density"], honest["density"])
    assert apart(measured["pixels", "blurred"]["recall"], honest["recall"])
    assert apart(measured["pixels", "blurred"]["vendi"], honest["vendi"])


def test_copies_look_perfect_to_every_metric(measured):
    """Which is why copying has a test of its own."""
    copied, honest = measured["pixels", "copied"], measured["pixels", "honest"]
    for metric in METRICS:
        if honest[metric].value is not None:
            assert not apart(copied[metric], honest[metric]), metric


def test_by_class_and_too_few_images():
    real, fake = torch.randn(120, 4), torch.randn(60, 4)
    real_labels = torch.arange(120) % 3
    fake_labels = torch.cat([torch.zeros(55), torch.ones(5)]).long()
    results = fidelity_by_class(
        real, real_labels, fake, fake_labels, extractor="e", classes=("a", "b", "c")
    )
    assert len(results) == 3 * len(METRICS)
    by_class = {name: [r for r in results if r.scope == {"class": name}] for name in "abc"}
    assert all(result.value is not None for result in by_class["a"])
    assert [result.n_fake for result in by_class["b"]] == [5] * len(METRICS)
    assert all(result.value is None for result in by_class["b"] + by_class["c"])


def test_identical_images_are_measured_all_the_same():
    """A collapsed generator: constant features, in any space."""
    collapsed = torch.zeros(40, 6)
    for real in (torch.randn(40, 6), torch.zeros(40, 6)):
        results = fidelity_results(Comparison(real, collapsed), extractor="e")
        assert all(r.value is None or r.value == r.value for r in results)
        assert next(r.value for r in results if r.name == "fidelity/vendi") == pytest.approx(1)


def test_inception_score_only_where_its_classes_are_known():
    assert logits_of(PixelExtractor()) is None
    inception = InceptionExtractor.__new__(InceptionExtractor)
    nn.Module.__init__(inception)
    inception.network = nn.Module()
    inception.network.fc = nn.Linear(6, 11)
    features = torch.randn(40, 6)
    results = fidelity_results(
        Comparison(features, features, None, logits_of(inception)), extractor="e"
    )
    score = next(r for r in results if r.name == "fidelity/inception_score")
    assert 1 < score.value < 11
    assert torch.allclose(
        inception.logits(features) + inception.network.fc.bias, inception.network.fc(features)
    )


def test_a_set_stands_for_all_real_images_unless_its_classes_differ_too_much():
    population = torch.tensor([700, 200, 100])
    for counts in ([70, 20, 10], [78, 13, 9], [7000, 2000, 1000]):  # by class, freely, a plan
        shares = shared(torch.tensor(counts), population)
        assert shares is not None
        assert shares.tolist() == pytest.approx([0.7, 0.2, 0.1])
    assert shared(torch.tensor([100, 100, 100]), population) is None
    assert shared(torch.tensor([50]), torch.tensor([700])).tolist() == [1.0]


def test_groups_that_hold_each_class_leave_the_class_shares_out_of_the_intervals():
    random = torch.Generator().manual_seed(0)
    labels = torch.arange(2).repeat(60)
    real, fake = (torch.randn(120, 16, generator=random) + 4 * labels[:, None] for _ in range(2))
    strata = (Strata(labels), Strata(labels))
    by_class, freely = (
        {
            result.name: result
            for result in fidelity_results(Comparison(real, fake, some), extractor="e")
        }
        for some in (strata, None)
    )
    for name in ("frechet_distance", "vendi"):
        one, other = by_class[f"fidelity/{name}"], freely[f"fidelity/{name}"]
        assert one.value == other.value
        assert one.ci_high - one.ci_low < 0.8 * (other.ci_high - other.ci_low)
    kid = by_class["fidelity/kid"]
    assert kid.settings["plain"] == pytest.approx(freely["fidelity/kid"].value, rel=1e-6)
    assert kid.value > kid.settings["plain"]
