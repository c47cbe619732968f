"""Each filter catches what it is for, and lets new real images pass at the rate that it states."""

import pytest
import torch

from synthgen.dataset.card import _keeps
from synthgen.dataset.schema import Fact
from synthgen.errors import SynthgenError
from synthgen.serialization import from_spec, to_spec
from synthgen.synthesis.filters import LabelAgreement, LowDensity, NearCopies
from synthgen.synthesis.filters.base import divided, halves
from synthgen.types import LabelledImages

FILTERS = {
    "label_agreement": lambda **options: LabelAgreement(steps=400, width=16, **options),
    "near_copies": NearCopies,
    "low_density": LowDensity,
}


@pytest.fixture(scope="module")
def fitted(train):
    filters = {name: build() for name, build in FILTERS.items()}
    for one in filters.values():
        one.fit(train, 0)
    return filters


def rejected(one, images, labels):
    return 1 - one.examine(images, labels).keep.double().mean().item()


@pytest.mark.parametrize(
    ("name", "stated", "slack"),
    [("label_agreement", 0.95, 0.04), ("near_copies", 0.99, 0.02), ("low_density", 0.95, 0.03)],
)
def test_fresh_real_images_pass_at_about_the_stated_rate(fitted, fresh, name, stated, slack):
    kept = 1 - rejected(fitted[name], fresh.images, fresh.labels)
    assert kept == pytest.approx(stated, abs=slack)
    assert fitted[name].facts().keeps_of_real == pytest.approx(stated, abs=0.02)


def test_wrong_labels_are_caught(fitted, fresh):
    wrong = (fresh.labels + 1 + torch.arange(len(fresh)) % 9) % 10
    assert rejected(fitted["label_agreement"], fresh.images, wrong) > 0.98
    assert fitted["label_agreement"].facts().accuracy_on_held_out_real > 0.95


def test_copies_are_caught_exact_and_shaken(fitted, train, shaken):
    copies = train.subset(range(300))
    assert rejected(fitted["near_copies"], copies.images, copies.labels) == 1
    assert rejected(fitted["near_copies"], shaken(copies.images), copies.labels) > 0.95


def test_the_filter_says_which_copies_it_misses(fitted, train):
    copies = train.subset(range(300))
    assert rejected(fitted["near_copies"], copies.images.flip(3), copies.labels) < 0.5
    facts = fitted["near_copies"].facts()
    assert "mirrored" in facts.misses
    assert f"; it misses {facts.misses}" in _keeps(facts)


def test_garbage_is_caught(fitted):
    noise = torch.randint(
        256, (200, 1, 8, 8), generator=torch.Generator().manual_seed(0), dtype=torch.int32
    )
    labels = torch.arange(200) % 10
    assert rejected(fitted["low_density"], noise.to(torch.uint8), labels) > 0.98
    empty = torch.zeros(10, 1, 8, 8, dtype=torch.uint8)
    assert rejected(fitted["low_density"], empty, torch.arange(10)) == 1


def test_a_filter_is_blind_to_what_the_others_are_for(fitted, train, fresh):
    """Otherwise catching would prove nothing: a filter that rejects everything would pass."""
    assert rejected(fitted["low_density"], train.images, train.labels) < 0.06
    wrong = (fresh.labels + 1) % 10
    assert rejected(fitted["near_copies"], fresh.images, wrong) < 0.03


@pytest.mark.parametrize("name", FILTERS)
def test_a_verdict_does_not_depend_on_the_company(fitted, fresh, name):
    one = fitted[name]
    together = one.examine(fresh.images, fresh.labels)
    for size in (1, 7, 200):
        parts = zip(fresh.images.split(size), fresh.labels.split(size), strict=True)
        apart = torch.cat([one.examine(*part).scores for part in parts])
        assert torch.equal(apart, together.scores)
    backwards = one.examine(fresh.images.flip(0), fresh.labels.flip(0))
    assert torch.equal(backwards.scores.flip(0), together.scores)
    assert torch.equal(backwards.keep.flip(0), together.keep)


@pytest.mark.parametrize("name", FILTERS)
def test_fitting_again_gives_the_same_and_global_randomness_is_left_alone(
    fitted, train, fresh, name
):
    before = torch.random.get_rng_state()
    again = from_spec(to_spec(fitted[name]))
    again.fit(train, 0)
    assert torch.equal(torch.random.get_rng_state(), before)
    first, second = (one.examine(fresh.images, fresh.labels) for one in (fitted[name], again))
    assert torch.equal(first.scores, second.scores)
    assert again.facts() == fitted[name].facts()


@pytest.mark.parametrize("name", FILTERS)
def test_facts_are_read_as_they_were_written(fitted, name):
    facts = fitted[name].facts()
    assert Fact.from_json(facts.to_json()) == facts
    assert len(facts.thresholds) == 10


@pytest.mark.parametrize("name", FILTERS)
def test_classes_of_a_few_images_and_repeated_images(train, name):
    """8 images of one class, one of another, and half of the set in triplicate."""
    few = torch.cat([(train.labels == 3).nonzero()[:8], (train.labels == 7).nonzero()[:1]])
    others = ((train.labels != 3) & (train.labels != 7)).nonzero()[:300]
    chosen = torch.cat([few, others, others[:150], others[:150]]).flatten()
    one = FILTERS[name]()
    one.fit(train.subset(chosen), 0)
    copies = train.subset(others.flatten()[:100])
    verdicts = one.examine(copies.images, copies.labels)
    assert verdicts.scores.isfinite().all()
    assert verdicts.keep.any() == (name != "near_copies")
    rare = train.subset((train.labels == 7).nonzero().flatten())
    assert one.examine(rare.images, rare.labels).scores.isfinite().all()


def test_a_threshold_of_ones_own(train, fresh):
    strict, lax = NearCopies(threshold=2.0), NearCopies(threshold=0.0)
    for one, kept in ((strict, 0), (lax, len(fresh))):
        one.fit(train, 0)
        assert one.examine(fresh.images, fresh.labels).keep.sum() == kept
        assert one.facts().asked_to_keep_of_real is None


def test_nothing_is_examined_when_nothing_comes(fitted):
    for one in fitted.values():
        none = one.examine(torch.zeros(0, 1, 8, 8, dtype=torch.uint8), torch.zeros(0).long())
        assert len(none.keep) == 0


@pytest.mark.parametrize("share", [0.2, 1.0, 1.5, float("nan")])
def test_an_impossible_share_is_refused(share):
    for one in (LabelAgreement, NearCopies, LowDensity):
        with pytest.raises(SynthgenError, match="keep_real"):
            one(keep_real=share)


def test_too_few_images_are_refused(train):
    with pytest.raises(SynthgenError, match="at least 20 different"):
        NearCopies().fit(train.subset([0] * 100), 0)


@pytest.mark.parametrize("name", FILTERS)
def test_classes_of_one_image_each_are_refused_in_words(name):
    images = torch.randint(256, (30, 1, 8, 8), dtype=torch.int32).to(torch.uint8)
    singles = LabelledImages(images, torch.arange(30), tuple(str(number) for number in range(30)))
    if name == "near_copies":  # which compares across classes
        FILTERS[name]().fit(singles, 0)
        return
    with pytest.raises(SynthgenError, match="two different training images"):
        FILTERS[name]().fit(singles, 0)


def test_busy_garbage_is_caught_among_flat_and_busy_images():
    """Real images whose contrast differs tenfold: noise must not hide behind the busy ones."""
    random = torch.Generator().manual_seed(0)
    smooth = torch.randn(600, 1, 3, 3, generator=random)
    contrast = 10 ** torch.rand(600, 1, 1, 1, generator=random)
    fine = torch.nn.functional.interpolate(smooth * contrast * 10, size=(12, 12), mode="bicubic")
    images = (fine + 128 + contrast * torch.randn(fine.shape, generator=random)).clamp(0, 255)
    real = LabelledImages(images.to(torch.uint8), torch.zeros(600).long(), ("all",))
    one = LowDensity(components=12)
    one.fit(real.subset(range(400)), 0)
    assert rejected(one, real.images[400:], real.labels[400:]) < 0.15
    noise = torch.randint(256, (100, 1, 12, 12), generator=random, dtype=torch.int32)
    assert rejected(one, noise.to(torch.uint8), torch.zeros(100).long()) == 1


def twice(images):
    """Each image and a copy of it with a little noise, as of one patient, in random order."""
    noise = torch.randint(0, 9, images.images.shape, generator=torch.Generator().manual_seed(2))
    pixels = torch.cat([images.images, (images.images + noise).clamp(max=255).to(torch.uint8)])
    groups = torch.arange(len(images)).repeat(2)
    both = LabelledImages(pixels, images.labels.repeat(2), images.classes, groups)
    return both.subset(torch.randperm(len(both), generator=torch.Generator().manual_seed(3)))


def test_what_is_held_out_tears_no_group(train):
    grouped = twice(train.subset(range(200)))
    for parts in (halves(grouped, 0), divided(grouped, 0.2, 0)):
        sides = [set(grouped.groups[part].tolist()) for part in parts]
        assert not sides[0] & sides[1]
        assert sorted(torch.cat(parts).tolist()) == list(range(400))
        assert all(len(side) > 20 for side in sides)
    torn = LabelledImages(grouped.images, grouped.labels, grouped.classes)
    sides = [set(grouped.groups[part].tolist()) for part in halves(torn, 0)]
    assert sides[0] & sides[1]


def test_images_of_one_patient_are_no_copies_of_each_other(train, fresh):
    """Held-out images whose kin are among the others would teach that near copies are usual."""
    grouped = twice(train.subset(range(300)))
    one, torn = NearCopies(), NearCopies()
    one.fit(grouped, 0)
    torn.fit(LabelledImages(grouped.images, grouped.labels, grouped.classes), 0)
    known = grouped.subset(range(200))
    assert rejected(one, known.images, known.labels) == 1
    noise = torch.randint(0, 9, known.images.shape, generator=torch.Generator().manual_seed(4))
    near = (known.images + noise).clamp(max=255).to(torch.uint8)
    assert rejected(one, near, known.labels) > 0.95
    assert rejected(torn, near, known.labels) < 0.5
    assert rejected(one, fresh.images, fresh.labels) < 0.05


@pytest.mark.parametrize("name", ["low_density", "label_agreement"])
def test_filters_of_grouped_images_keep_new_patients(train, fresh, name):
    one = LowDensity() if name == "low_density" else LabelAgreement(steps=150, width=8)
    one.fit(twice(train.subset(range(300))), 0)
    assert rejected(one, fresh.images, fresh.labels) < 0.12
