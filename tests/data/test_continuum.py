"""Images that lead to each other by small steps are no copies, and don't keep a set from being
divided; what stands out among them is."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from test_saved_twice import SAVED_AGAIN

from synthgen.data import Digits, image_hashes
from synthgen.data.continuum import clusters_that_stand_out
from synthgen.data.divide import divide
from synthgen.data.near_duplicates import NearDuplicates
from synthgen.types import LabelledImages

COUNT, PATIENTS, TWINS = 1000, 40, 20


def blobs(count: int) -> np.ndarray:
    """Smooth spots of any place and width, uint8 ``(count, 32, 32)``."""
    random = np.random.default_rng(0)
    y, x = np.mgrid[:32, :32]
    down, right = (16 + 22.4 * (random.random((2, count, 1, 1)) - 0.5)).astype(float)
    width = 8 * (0.85 + 0.3 * random.random((count, 1, 1)))
    spots = np.exp(-((y - down) ** 2 + (x - right) ** 2) / (2 * width**2))
    return np.rint(spots * 220 + 10).astype(np.uint8)


def records(pixels: np.ndarray, groups: list[str | None]):
    count = len(pixels)
    labels = torch.arange(count) % 2
    return replace(
        Digits().read(),
        images=LabelledImages(torch.from_numpy(pixels)[:, None], labels, ("0", "1")),
        files=tuple(map(str, range(count))),
        split=(None,) * count,
        groups=tuple(groups),
    )


def near_among(found) -> NearDuplicates:
    names = [str(label) for label in found.images.labels.tolist()]
    hashes = image_hashes(found.images.images)
    return NearDuplicates.among("group", found.images.images, names, hashes)


@pytest.fixture(scope="module")
def smooth():
    return blobs(COUNT)


def test_patients_with_smooth_images_can_be_divided(smooth):
    found = records(smooth, [f"p{number % PATIENTS}" for number in range(COUNT)])
    near = near_among(found)
    assert near.count > COUNT // 2  # as far as single steps go
    splits = divide(Digits(), found)
    sizes = [len(splits.train), len(splits.holdout), len(splits.test)]
    assert sizes[0] < 0.8 * COUNT
    assert min(sizes) > 0.05 * COUNT
    assert any("one leading to the next" in note for note in splits.notes)


def test_what_can_be_divided_keeps_all_neighbours_together(smooth):
    found = records(smooth, [None] * COUNT)
    splits = divide(Digits(), found)
    near = near_among(found)
    hashes = image_hashes(found.images.images)
    for key in set(near.keys) - {None}:
        part_of = {splits.assignment[h] for h, k in zip(hashes, near.keys, strict=True) if k == key}
        assert len(part_of) == 1
    assert not any("one leading to the next" in note for note in splits.notes)


@pytest.mark.parametrize("how", ["brighter", "a little larger", "jpeg 95"])
def test_copies_stand_out_of_a_continuum(smooth, how):
    """But for those that are as far from their picture as its neighbours are."""
    again = np.stack([SAVED_AGAIN[how](picture) for picture in smooth[:TWINS]])
    found = records(np.concatenate([smooth, again]), [None] * (COUNT + TWINS))
    images = found.images
    names = [str(label) for label in images.labels.tolist()]
    hashes = image_hashes(images.images)
    near = NearDuplicates.among("group", images.images, names, hashes)
    alone = near.standing_out(images.images, names, hashes)
    kept = [alone.keys[i] is not None and alone.keys[i] == alone.keys[COUNT + i] for i in range(20)]
    assert sum(kept) >= 0.8 * TWINS
    others = [key for key in alone.keys[TWINS:COUNT] if key is not None]
    assert len(others) < 0.1 * COUNT


def test_a_cluster_stands_out_by_its_steps_alone():
    """On a line: 0 and 1 are near, 2 is far enough; 10, 12, 14 go on to 20."""
    places = np.array([0.0, 1.0, 5.0, 10.0, 12.0, 14.0, 20.0])
    apart = np.abs(places[:, None] - places)
    np.fill_diagonal(apart, np.inf)
    around = {
        row: (np.argsort(apart[row])[:6], np.sort(apart[row])[:6]) for row in range(len(places))
    }
    links = np.array([(0, 1), (3, 4), (4, 5)])
    lengths = np.array([1.0, 2.0, 2.0])
    found = clusters_that_stand_out(links, lengths, around, 0.3)
    assert sorted(map(sorted, found)) == [[0, 1]]
    wider = clusters_that_stand_out(links, lengths, around, 0.5)
    assert sorted(map(sorted, wider)) == [[0, 1], [3, 4, 5]]
