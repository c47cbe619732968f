"""One picture saved twice: found among all images of a source by what is left after re-encoding.

Two images are compared by the root mean square of their difference once each has mean 0 and
variance 1, so that brightness and contrast don't count: sqrt(2 - 2 r) for a correlation r. Pictures
saved again differ by less than 0.12 (JPEG at quality 75), or by less than 0.07 in 2 x 2 means,
which forget what resampling does. A class whose images are alike anyway (a fixed camera, aligned
scans) lowers both bounds: to a quarter of the distance that a fifth of its random pairs fall below.

Small pictures that were resized differ by more, as much as neighbours do where a set is dense. So
up to 0.14 count where the set itself is sparse: where no other image is nearer to either of the two
than ten thirds of their distance.

False alarms: none among MNIST's 70,000 digits and the 1,797 of scikit-learn at 8 to 64 pixels, none
among 50,000 photographs of CIFAR-10, where it finds nine pairs that are the same picture. Recall of
pictures saved again at 28 or 32 pixels: JPEG of quality 75 to 95 and 10 % brighter or darker 0.98
to 1; JPEG 60 0.95 to 1; resized by 0.8 to 1.2 and back 1 in photographs and digits of smooth
strokes, 0.67, 0.88, 0.98 and 0.99 in MNIST. Of 8 pixels that were resized nothing is left to find.

All sums are of whole numbers in float64, hence exact: a split that depends on them is the same on
every machine.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from torch import Tensor

from synthgen.data.continuum import (
    MOST_COPIES,
    Neighbours,
    clusters_that_stand_out,
    links_within,
    pairs_among,
)

FULL, HALF = 0.12, 0.07  # largest distance of a near duplicate, as stored and in 2 x 2 means
RATIO = 0.3  # of the distance of a near duplicate, where the set is sparse, to that of any other
MOST_OPEN = 5_000  # images whose distance from all others is measured
GRID, NEIGHBOURS, STEPS = 4, 8, 2.0**14
SMALLEST_HALVED = 16  # pixels: below, 2 x 2 means leave too little of a picture
PAIRS, FEWEST_PAIRS = 512, 10  # of a class, whose distances bound what is near in it
QUANTILE, PART = 0.2, 0.25
CHUNK = 2**20  # pixels at a time


@dataclass(frozen=True)
class Rule:
    """``radius``: largest distance of the 4 x 4 means of two candidates. ``alone``: largest
    distance of a near duplicate where the set is sparse."""

    radius: float
    alone: float


RULE = Rule(0.06, 0.14)
FIRST_RULE = Rule(0.05, 0.0)  # of older splits, which must be rebuilt as they were


@dataclass(frozen=True)
class NearDuplicates:
    """``keys``: for each image a name that it shares with its near duplicates, None without any.
    ``policy`` is what becomes of them, see :class:`synthgen.data.Source`."""

    keys: tuple[str | None, ...]
    policy: str

    @classmethod
    def among(
        cls,
        policy: str,
        images: Tensor,
        names: Sequence[str],
        hashes: Sequence[str],
        rule: Rule = RULE,
    ) -> Self:
        """Near duplicates among uint8 ``(N, C, H, W)`` images of the classes ``names``, ``hashes``
        being those of their contents; none if ``policy`` is ``"ignore"``."""
        if policy == "ignore":
            return cls((None,) * len(hashes), policy)
        return cls(near_duplicate_keys(images, names, hashes, rule), policy)

    def standing_out(
        self, images: Tensor, names: Sequence[str], hashes: Sequence[str], rule: Rule = RULE
    ) -> Self:
        """Those alone that are no part of a continuum, see :func:`near_duplicate_keys`."""
        return replace(
            self, keys=near_duplicate_keys(images, names, hashes, rule, links_of=standing_out)
        )

    @property
    def count(self) -> int:
        """Images that have a near duplicate."""
        return sum(key is not None for key in self.keys)

    @property
    def columns(self) -> tuple[tuple[str | None, ...], ...]:
        """What keeps images together."""
        return (self.keys,) if self.policy == "group" and self.count else ()

    def notes(self, split: Sequence[str | None]) -> list[str]:
        """Sentences on images that were put into ``split``."""
        if not self.count:
            return []
        sets = len(set(self.keys) - {None})
        found = (
            f"{self.count:,} images show only {sets:,} different picture{'s' if sets > 1 else ''}, "
            "saved again and again"
        )
        if self.policy == "group":
            return [f"{found}: such near duplicates share a split."]
        return [
            f"{found}; of these pictures {self._astride(split):,} lie in several splits, so that "
            "results are too good. data.near_duplicates=group keeps them together."
        ]

    def _astride(self, split: Sequence[str | None]) -> int:
        parts = defaultdict(set)
        for key, part in zip(self.keys, split, strict=True):
            if key is not None and part is not None:
                parts[key].add(part)
        return sum(len(found) > 1 for found in parts.values())


Links = Callable[[np.ndarray, np.ndarray, np.ndarray, np.ndarray], np.ndarray]
"""Pixels, places, the pairs that are near and their distances -> those that count."""


def all_links(
    pixels: np.ndarray, places: np.ndarray, links: np.ndarray, lengths: np.ndarray
) -> np.ndarray:
    return links


def near_duplicate_keys(
    images: Tensor,
    names: Sequence[str],
    hashes: Sequence[str],
    rule: Rule = RULE,
    links_of: Links = all_links,
) -> tuple[str | None, ...]:
    """The smallest hash among an image and its near duplicates; None for one without any. Exact
    copies alone are none. Depends on the set of images, not on their order.

    Candidates come from a k-d tree over 4 x 4 means (of each image less its mean, by its
    deviation), so that time grows about linearly with the number of images. ``links_of`` chooses
    among the pairs that are near.
    """
    if not len(images):
        return ()
    pixels = images.numpy()
    first = {digest: position for position, digest in reversed(list(enumerate(hashes)))}
    order = sorted(first)
    places = np.array([first[digest] for digest in order], dtype=np.int64)
    pairs = _candidates(_coarse(pixels, places), rule.radius)
    owners = [names[place] for place in places]
    near, found = _are_near(pixels, places, pairs, owners, rule.alone)
    return _keys(order, links_of(pixels, places, pairs[near], found[near]), hashes)


def _keys(order: Sequence[str], near: np.ndarray, hashes: Sequence[str]) -> tuple[str | None, ...]:
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    links = coo_array((np.ones(len(near)), tuple(near.T)), shape=(len(order), len(order)))
    _, part_of = connected_components(links, directed=False)
    _, smallest = np.unique(part_of, return_index=True)  # order is ascending
    key_of = {order[i]: order[smallest[part_of[i]]] for i in np.unique(near).tolist()}
    return tuple(key_of.get(digest) for digest in hashes)


def _candidates(coarse: np.ndarray, radius: float) -> np.ndarray:
    """int64 ``(P, 2)`` rows ``i < j`` that are near each other."""
    from scipy.spatial import cKDTree

    lengths, found = cKDTree(coarse, balanced_tree=False).query(
        coarse, k=NEIGHBOURS, distance_upper_bound=radius * STEPS, workers=-1
    )
    rows, columns = np.nonzero(np.isfinite(lengths))
    pairs = np.sort(np.stack([rows, found[rows, columns]], axis=1), axis=1)
    return np.unique(pairs[pairs[:, 0] != pairs[:, 1]], axis=0)


def _coarse(pixels: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Of the images at ``places``, float64 ``(N, cells)`` whole numbers: the mean of each cell of
    the grey picture, less the picture's mean, in units of its deviation; two rows lie at most STEPS
    times the distance of their pictures apart."""
    _, channels, height, width = pixels.shape
    rows, columns = min(GRID, height), min(GRID, width)
    cell = (np.arange(height) * rows // height)[:, None] * columns + (
        np.arange(width) * columns // width
    )
    inside = cell.ravel()[:, None] == np.arange(rows * columns)
    sizes = inside.sum(axis=0)
    weights = np.tile(inside, (channels, 1)).astype(np.float64)
    coarse = np.empty((len(places), rows * columns))
    for part in parts_of(len(places), pixels):
        flat = pixels[places[part]].reshape(-1, weights.shape[0]).astype(np.float64)
        total, squares = flat.sum(axis=1), np.einsum("ij,ij->i", flat, flat)
        mean = total / flat.shape[1]
        deviation = np.sqrt(np.maximum(squares / flat.shape[1] - mean * mean, 1.0))
        means = flat @ weights / (sizes * channels)
        shares = np.sqrt(sizes / sizes.sum())
        coarse[part] = np.rint((means - mean[:, None]) / deviation[:, None] * shares * STEPS)
    return coarse


def _are_near(
    pixels: np.ndarray,
    places: np.ndarray,
    pairs: np.ndarray,
    owners: Sequence[str],
    alone: float,
) -> tuple[np.ndarray, np.ndarray]:
    """bool ``(P,)``: which ``pairs`` of rows are near duplicates; float64 ``(P,)``: their
    distances. ``places`` are the rows' images among ``pixels``, ``owners`` their classes."""
    _, label = np.unique(owners, return_inverse=True)
    own = _pairs_within_classes(label)
    near = np.zeros(len(pairs), dtype=bool)
    looks = [(whole, FULL)]
    if min(pixels.shape[2:]) >= SMALLEST_HALVED:
        looks.append((halved, HALF))
    for look, most in looks:
        bounds = _bounds(distances(pixels, places[own], look), label[own[:, 0]], label.max() + 1)
        allowed, found = bounds[label[pairs]].min(axis=1), distances(pixels, places[pairs], look)
        near |= found <= np.minimum(most, allowed)
    open_ = np.flatnonzero(~near & (found <= np.minimum(alone, allowed)))
    others = np.full(len(places), np.inf)  # first as far as the pairs tell, which rules out most
    far = found > alone
    for side in (0, 1):
        np.minimum.at(others, pairs[far, side], found[far])
    open_ = open_[found[open_] <= RATIO * others[pairs[open_]].min(axis=1)]
    chosen = np.unique(pairs[open_])
    if 0 < len(chosen) <= MOST_OPEN:
        others[chosen] = _nearest_others(pixels, places, chosen, look, alone)
        near[open_] = found[open_] <= RATIO * others[pairs[open_]].min(axis=1)
    return near, found


def _nearest_others(
    pixels: np.ndarray,
    places: np.ndarray,
    chosen: np.ndarray,
    look: Callable[[np.ndarray], np.ndarray],
    alone: float,
) -> np.ndarray:
    """float64: for each of the ``chosen`` rows the distance of the nearest that is farther than
    ``alone``, and so no copy of it."""
    nearest = np.full(len(chosen), np.inf)
    for _, found in distances_to_all(pixels, places, chosen, look):
        nearest = np.minimum(nearest, np.where(found > alone, found, np.inf).min(axis=1))
    return nearest


def distances_to_all(
    pixels: np.ndarray,
    places: np.ndarray,
    chosen: np.ndarray,
    look: Callable[[np.ndarray], np.ndarray],
) -> Iterator[tuple[slice, np.ndarray]]:
    """float64 ``(len(chosen), n)``, of the ``chosen`` rows to n of all rows at a time."""
    x = look(pixels[places[chosen]]).reshape(len(chosen), -1)
    size, sum_x, xx = x.shape[1], x.sum(axis=1), np.einsum("ij,ij->i", x, x)
    for part in parts_of(len(places), pixels):
        y = look(pixels[places[part]]).reshape(-1, size)
        sum_y, yy = y.sum(axis=1), np.einsum("ij,ij->i", y, y)
        spread = (size * xx - sum_x * sum_x)[:, None] * (size * yy - sum_y * sum_y)
        together = (size * (x @ y.T) - sum_x[:, None] * sum_y) / np.sqrt(np.maximum(spread, 1.0))
        yield part, np.sqrt(np.maximum(2 - 2 * together, 0.0))


def _bounds(found: np.ndarray, label: np.ndarray, classes: int) -> np.ndarray:
    """For each class a part of the distance that few of its pairs fall below; for a class of few
    pairs the same of all others."""
    mine = [found[label == one] for one in range(classes)]
    large = [one for one in mine if len(one) >= FEWEST_PAIRS]
    every = _low(np.concatenate(large or mine))
    return PART * np.array([_low(one) if len(one) >= FEWEST_PAIRS else every for one in mine])


def _low(found: np.ndarray) -> float:
    return float(np.sort(found)[int(QUANTILE * len(found))]) if len(found) else 0.0


def _pairs_within_classes(label: np.ndarray) -> np.ndarray:
    """int64 ``(P, 2)``: neighbours in the order of hashes, which is as good as random."""
    pairs = []
    for one in range(label.max() + 1):
        members = np.flatnonzero(label == one)
        several = np.stack([members[:-1], members[1:]], axis=1)
        pairs.append(several[:: max(1, len(several) // PAIRS)])
    return np.concatenate(pairs)


def whole(pixels: np.ndarray) -> np.ndarray:
    """As float64, which sums of whole numbers are exact in."""
    return pixels.astype(np.float64)


def halved(pixels: np.ndarray) -> np.ndarray:
    """The sums of 2 x 2 pixels, float64 ``(N, C, H // 2, W // 2)``."""
    even = whole(pixels[..., : pixels.shape[2] // 2 * 2, : pixels.shape[3] // 2 * 2])
    rows = even[..., ::2, :] + even[..., 1::2, :]
    return rows[..., ::2] + rows[..., 1::2]


def distances(
    pixels: np.ndarray, pairs: np.ndarray, look: Callable[[np.ndarray], np.ndarray] = whole
) -> np.ndarray:
    """float64 ``(P,)``: root mean square difference of the two images of each of ``pairs``, int64
    ``(P, 2)``, among ``(N, C, H, W)`` ones, each brought to mean 0 and variance 1; from 0 to 2."""
    found = np.empty(len(pairs))
    for part in parts_of(len(pairs), pixels):
        x, y = (look(pixels[pairs[part, side]]).reshape(len(found[part]), -1) for side in (0, 1))
        size = x.shape[1]
        sum_x, sum_y = x.sum(axis=1), y.sum(axis=1)
        xx, yy, xy = (np.einsum("ij,ij->i", a, b) for a, b in ((x, x), (y, y), (x, y)))
        spread = (size * xx - sum_x * sum_x) * (size * yy - sum_y * sum_y)
        together = (size * xy - sum_x * sum_y) / np.sqrt(np.maximum(spread, 1.0))
        found[part] = np.sqrt(np.maximum(2 - 2 * together, 0.0))
    return found


def parts_of(count: int, pixels: np.ndarray) -> Iterator[slice]:
    """``count`` images a few at a time, whatever their size."""
    step = max(1, CHUNK // pixels[:1].size)
    for first in range(0, count, step):
        yield slice(first, first + step)


# A continuum, whose images lead to each other by small steps.


def standing_out(
    pixels: np.ndarray, places: np.ndarray, links: np.ndarray, lengths: np.ndarray
) -> np.ndarray:
    """The links of copies that stand out, see :mod:`synthgen.data.continuum`; all of them again
    where too many images have some."""
    members = np.unique(links)
    if not 0 < len(members) <= MOST_OPEN:
        return links
    look = halved if min(pixels.shape[2:]) >= SMALLEST_HALVED else whole
    around = _neighbours(pixels, places, members, look)

    def spread(rows: Sequence[int]) -> float:
        return float(distances(pixels, pairs_among(places[list(rows)].tolist()), look).max())

    clusters = clusters_that_stand_out(links, lengths, around, RATIO)
    return links_within(clusters, spread, 2 * FULL)


def _neighbours(
    pixels: np.ndarray,
    places: np.ndarray,
    chosen: np.ndarray,
    look: Callable[[np.ndarray], np.ndarray],
) -> dict[int, Neighbours]:
    """The nearest rows of each of the ``chosen`` rows."""
    most = min(MOST_COPIES, len(places))
    found: dict[int, Neighbours] = {}
    for some in parts_of(len(chosen), pixels):
        lengths = np.empty((len(chosen[some]), len(places)))
        for part, of_part in distances_to_all(pixels, places, chosen[some], look):
            lengths[:, part] = of_part
        for row, of_row in zip(chosen[some].tolist(), lengths, strict=True):
            of_row[row] = np.inf  # itself
            nearest = np.argpartition(of_row, most - 1)[:most]
            nearest = nearest[np.argsort(of_row[nearest], kind="stable")]
            nearest = nearest[np.isfinite(of_row[nearest])]
            found[row] = nearest, of_row[nearest]
    return found
