"""Each filter keeps the share of new real images that it states, however few it was fitted to, and
prefers no copies. The shares are means over fits: one fit to 100 images is off by some points."""

import numpy as np
import pytest
import torch

from synthgen.synthesis.filters import LabelAgreement, LowDensity, NearCopies, NearDuplicates
from synthgen.types import LabelledImages

SLACK = 0.03
FILTERS = {
    "low_density": LowDensity,
    "near_copies": NearCopies,
    "near_duplicates": NearDuplicates,
    "label_agreement": lambda: LabelAgreement(steps=150, width=8),
}


@pytest.fixture(scope="module")
def patches():
    """Colour: patches of two photographs that come with scikit-learn, 16 × 16, none overlapping."""
    from sklearn.datasets import load_sample_images

    found = []
    for photo in load_sample_images().images:
        pixels = torch.from_numpy(np.array(photo)).permute(2, 0, 1)
        rows = pixels.unfold(1, 16, 16).unfold(2, 16, 16)
        found.append(rows.permute(1, 2, 0, 3, 4).flatten(0, 1))
    labels = torch.repeat_interleave(torch.arange(2), torch.tensor([len(part) for part in found]))
    return LabelledImages(torch.cat(found), labels, ("china", "flower"))


def parted(images, per_class, seed):
    """``per_class`` images of each class to fit to, and as many new ones."""
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(seed))
    mine = [order[images.labels[order] == label] for label in range(len(images.classes))]
    new = torch.cat([part[per_class : 2 * per_class] for part in mine])
    shuffled = torch.randperm(len(new), generator=torch.Generator().manual_seed(seed))
    return images.subset(torch.cat([part[:per_class] for part in mine])), images.subset(
        new[shuffled]
    )


def shares(name, images, per_class, fits):
    """Means over fits: asked, stated, kept of new images, kept of copies."""
    found = []
    for seed in range(fits):
        train, new = parted(images, per_class, seed)
        one = FILTERS[name]()
        one.fit(train, seed)
        kept = []
        for part in (new, train):
            if name == "near_duplicates":
                one.begin()
            kept.append(one.examine(part.images, part.labels).keep.double().mean().item())
        found.append([one.keep_real, one.facts().keeps_of_real, *kept])
    return np.mean(found, axis=0)


def check(name, images, per_class, fits):
    asked, stated, new, copies = shares(name, images, per_class, fits)
    assert new == pytest.approx(stated, abs=SLACK)
    assert new == pytest.approx(asked, abs=SLACK)
    if name == "near_copies":
        assert copies == 0
    elif name == "low_density":
        assert copies < new + SLACK


@pytest.mark.parametrize("per_class", [10, 20, 50])
@pytest.mark.parametrize("name", ["low_density", "near_copies", "near_duplicates"])
def test_the_share_stated_is_kept_of_grey_images(digits, name, per_class):
    check(name, digits, per_class, fits=240 // per_class)


def test_the_interval_beside_the_share_holds_for_single_fits(digits):
    """What 100 images can say of near duplicates: the share of one fit may be off by some points,
    and the interval says so."""
    held, widths = [], []
    for seed in range(10):
        train, _ = parted(digits, 10, seed)
        one = NearDuplicates()
        one.fit(train, seed)
        kept = []
        for again in range(2):
            one.begin()
            _, new = parted(digits, 10, 100 + 2 * seed + again)
            kept.append(one.examine(new.images, new.labels).keep.double().mean().item())
        low, high = one.facts().keeps_of_real_95
        held.append(low <= np.mean(kept))
        widths.append(high - low)
    assert sum(held) >= 9
    assert 0.05 < np.mean(widths) < 0.2


@pytest.mark.parametrize("name", ["low_density", "near_copies", "near_duplicates"])
def test_the_share_stated_is_kept_of_colour_images(patches, name):
    check(name, patches, 50, fits=8)


@pytest.mark.slow
@pytest.mark.parametrize("per_class", [10, 20, 50, 80])
@pytest.mark.parametrize("name", FILTERS)
def test_the_share_of_grey_images_over_many_fits(digits, name, per_class):
    check(name, digits, per_class, fits=12 if name == "label_agreement" else 40)


@pytest.mark.slow
@pytest.mark.parametrize("per_class", [20, 50, 300])
@pytest.mark.parametrize("name", FILTERS)
def test_the_share_of_colour_images_over_many_fits(patches, name, per_class):
    check(name, patches, per_class, fits=12 if name == "label_agreement" else 30)
