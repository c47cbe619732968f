import json

import numpy as np
import pytest

from synthgen.evaluation.fairness import add_coverage, fairness, paired_difference, rate

CLASSES = ("cat", "dog", "emu")


@pytest.fixture
def labels():
    return np.repeat([0, 1, 2], 100)


def wrong_for(labels, mask):
    """Right predictions, but for the images in ``mask``."""
    return np.where(mask, (labels + 1) % 3, labels)


def test_recall_before_and_after_by_class_and_group(labels):
    position = np.arange(300)
    before = wrong_for(labels, (labels == 1) & (position % 2 == 0))  # half of the dogs
    after = wrong_for(labels, (labels == 1) & (position % 10 == 0))
    groups = ["north" if i % 2 == 0 else "south" for i in range(300)]
    found = fairness(labels, classes=CLASSES, before=before, after=after, groups=groups)
    cat, dog, _ = found["by_class"]
    assert (cat["before"]["value"], dog["before"]["value"]) == (1, 0.5)
    assert dog["after"]["value"] == 0.9
    assert dog["difference"]["value"] == pytest.approx(0.4)
    assert 0.25 < dog["difference"]["ci_low"] < 0.4 < dog["difference"]["ci_high"] < 0.55
    assert cat["difference"]["ci_low"] < 0 < cat["difference"]["ci_high"]
    assert found["worst_class"]["name"] == "dog"
    assert found["worst_class"]["gap_before"] == pytest.approx(0.5)
    assert found["worst_class"]["gap_after"] == pytest.approx(0.1)
    north, south = found["by_group"]
    assert north["before"]["value"] == pytest.approx(2 / 3)
    assert north["after"]["value"] == pytest.approx(1 - 10 / 150)
    assert south["n"] == 150
    assert found["worst_group"]["name"] == "north"
    assert found["sentences"][0].startswith("The worst class is dog: 90 % (")
    assert "from 50 to 10 points" in found["sentences"][0]
    json.dumps(found, allow_nan=False)


def test_coverage_by_class_and_group_and_the_least_covered(labels):
    groups = ["north" if i < 150 else "south" for i in range(300)]
    found = fairness(labels, classes=CLASSES, before=labels, after=labels, groups=groups)
    few = np.arange(300) % 2 == 0  # what was compared
    add_coverage(
        found,
        labels[few],
        classes=CLASSES,
        covered=(labels != 2)[few],
        space="pixels",
        groups=[group for group, kept in zip(groups, few, strict=True) if kept],
    )
    cat, dog, emu = (row["coverage"] for row in found["by_class"])
    assert (cat["value"], dog["value"], emu["value"], emu["n"]) == (1, 1, 0, 50)
    north, south = (row["coverage"] for row in found["by_group"])
    assert (north["value"], north["n"]) == (1, 75)
    assert south["value"] == pytest.approx(25 / 75)
    assert south["ci_low"] < 1 / 3 < south["ci_high"]
    by_class, by_group = found["sentences"][-2:]
    assert by_class.startswith("The class that the synthetic images cover least is emu: 0 % (0–7 %")
    assert by_group.startswith("The group that the synthetic images cover least is south: 33 % (")
    assert by_group.endswith("75 real images have one in their neighbourhood, 67 % of all.")


def test_a_class_that_was_hardly_compared_has_no_coverage(labels):
    found = fairness(labels, classes=CLASSES, before=labels, after=labels)
    said = len(found["sentences"])
    seen = np.r_[np.zeros(100, int), np.full(9, 2)]
    add_coverage(found, seen, classes=CLASSES, covered=seen == 0, space="pixels")
    cat, dog, emu = (row["coverage"] for row in found["by_class"])
    assert (cat["n"], dog["n"], emu["n"]) == (100, 0, 9)
    assert (dog["value"], emu["value"]) == (None, None)
    assert len(found["sentences"]) == said


def test_who_loses_is_named(labels):
    after = wrong_for(labels, (labels == 2) & (np.arange(300) % 3 > 0))
    found = fairness(labels, classes=CLASSES, before=labels, after=after)
    assert "Recall fell, each class taken for itself, for emu (-67 points)." in found["sentences"]
    assert found["by_group"] == []
    assert found["worst_group"] is None


def test_a_small_group_and_images_without_one(labels):
    groups = ["few"] * 5 + [None] * 95 + ["many"] * 100 + ["more"] * 100
    found = fairness(labels, classes=CLASSES, before=labels, after=labels, groups=groups)
    rows = {row["name"]: row for row in found["by_group"]}
    assert set(rows) == {"few", "many", "more"}
    assert rows["few"]["after"] == {"value": None, "ci_low": None, "ci_high": None}
    assert found["worst_group"]["name"] == "many"
    assert found["sentences"][-1] == (
        "Too few real images (fewer than 10) to say anything about the group few (5) alone."
    )
    assert found["sentences"][-2] == (
        "No group, of the 2 with at least 10 images, is worse than another with the synthetic "
        "images: all are at 100 %."
    )


def test_trainings_are_averaged_and_their_scatter_widens_the_interval():
    random = np.random.default_rng(0)
    steady = (random.random((5, 400)) < 0.8).astype(float)
    scattered = np.stack([(random.random(400) < p).astype(float) for p in (0.6, 0.7, 0.8, 0.9, 1)])
    a, b = rate(steady), rate(scattered)
    assert a.value == pytest.approx(0.8, abs=0.03)
    assert b.high - b.low > 2 * (a.high - a.low)
    assert rate(np.ones((3, 20))).low < 0.9


def test_nothing_changed_is_no_certainty_in_a_small_group():
    small, large = (paired_difference(np.ones((1, n)), np.ones((1, n))) for n in (10, 1000))
    assert small.value == large.value == 0
    assert small.low < -0.1
    assert large.high < 0.01
    all_lost = paired_difference(np.ones((1, 10)), np.zeros((1, 10)))
    assert (all_lost.value, all_lost.low) == (-1, -1)
    assert all_lost.high < 0


@pytest.mark.parametrize("seeds", [1, 5])
def test_intervals_hold_the_truth_as_often_as_announced(seeds):
    """Images of unequal difficulty, classified with and without by several trainings each."""
    random = np.random.default_rng(0)
    held = {"rate": 0, "difference": 0}
    for _ in range(400):
        ease = random.uniform(0.4, 1, 60)
        before = (random.random((seeds, 60)) < ease).astype(float)
        after = (random.random((seeds, 60)) < ease - 0.1).astype(float)
        found, change = rate(before), paired_difference(before, after)
        held["rate"] += found.low <= 0.7 <= found.high
        held["difference"] += change.low <= -0.1 <= change.high
    assert all(count >= 370 for count in held.values()), held


def test_what_does_not_fit_is_refused(labels):
    with pytest.raises(ValueError, match="after must be"):
        fairness(labels, classes=CLASSES, before=labels, after=labels[:-1])
    with pytest.raises(ValueError, match="groups must have one entry"):
        fairness(labels, classes=CLASSES, before=labels, after=labels, groups=["a"])


@pytest.mark.parametrize("seeds", [1, 5])
def test_images_that_belong_together_make_longer_intervals(seeds):
    """60 images of 6 patients, each recognised altogether or not at all."""
    patient = np.arange(60) // 10
    before = np.tile((patient % 2 == 0).astype(float), (seeds, 1))
    after = np.tile((patient != 5).astype(float), (seeds, 1))
    for measure in (
        lambda units: rate(before, units),
        lambda u: paired_difference(before, after, u),
    ):
        alone, together = measure(None), measure(patient)
        assert together.value == alone.value
        assert together.high - together.low > 1.5 * (alone.high - alone.low)
        assert tuple(measure(np.arange(60))) == pytest.approx(tuple(alone))
    everything = np.ones((seeds, 60))
    assert rate(everything, patient).low < 0.65 < 0.9 < rate(everything).low
    unchanged = paired_difference(everything, everything, patient)
    assert unchanged.high > 4 * paired_difference(everything, everything).high
    assert tuple(rate(before, np.zeros(60)))[1:] == (0, 1)  # one patient says nothing of others


def test_units_are_taken_apart_by_class(labels):
    after = wrong_for(labels, labels == 1)
    units = np.arange(300) // 50
    alone = fairness(labels, classes=CLASSES, before=labels, after=after)
    found = fairness(labels, classes=CLASSES, before=labels, after=after, units=units)
    for one, other in zip(found["by_class"], alone["by_class"], strict=True):
        assert one["before"]["ci_low"] < other["before"]["ci_low"] - 0.2
