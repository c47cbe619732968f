"""Which image of a stream goes to which split: by the hash of its bytes or of its group alone, so
that images that are added move none; in passes that hold a bounded number of them."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from synthgen.data.assign import SPLITS
from synthgen.data.stream.index import Index
from synthgen.errors import SynthgenError
from synthgen.io import canonical_digest

CHUNK = 2**20  # images looked at together
TRAIN, HOLDOUT, TEST = range(3)  # positions in SPLITS
DROPPED = -1  # in a stronger split too
LEFT_OUT = -2  # more than at_most
FEWEST = 5  # of a class
ALL = 2**64


@dataclass(frozen=True)
class Rule:
    """How images are divided; see :class:`synthgen.data.Source`."""

    holdout: float
    test: float
    seed: int


@dataclass(frozen=True)
class Division:
    """The split of each image.

    Attributes:
        split: int8 ``(N,)``: positions in ``SPLITS``, or why it is in none.
        places: uint64 ``(N,)``: pseudo-random numbers of the images' contents, by which some of
            them are chosen.
    """

    split: np.ndarray
    places: np.ndarray
    copies: int
    several_classes: int

    @property
    def dropped(self) -> int:
        return int(np.count_nonzero(self.split == DROPPED))


def divided(index: Index, rule: Rule) -> Division:
    """Divide by ``rule``; the splits that the files' names say stay.

    Raises:
        SynthgenError: a class has fewer than 5 images, or none in a split.
    """
    labels, official = index.array("labels"), index.array("official")
    hashes, groups = index.array("hashes"), index.array("groups")
    counts = _counts(labels, len(index.classes))
    for name, count in zip(index.classes, counts, strict=True):
        if count < FEWEST:
            raise SynthgenError(
                f"Too few images to learn from, at least {FEWEST} per class are needed: {name!r} "
                f"({count}).\nAdd images of it, or leave the class out."
            )
    said = {k for part in _chunks(len(index)) for k in np.unique(official[part]).tolist()}
    cuts = _cuts(said, rule)
    split = np.empty(len(index), np.int8)
    places = np.empty(len(index), np.uint64)
    salt = _salt(rule.seed)
    for part in _chunks(len(index)):
        own = hashes[part, 0]
        places[part] = scrambled(own ^ salt)
        unit = scrambled(np.where(groups[part] == 0, own, groups[part]) ^ salt)
        found = np.full(len(own), TRAIN, np.int8)
        for below, chosen in reversed(cuts):
            found[unit < np.uint64(below)] = chosen
        split[part] = np.where(official[part] > TRAIN, official[part], found)
    if groups.any() and said - {DROPPED, TRAIN}:
        _keep_strongest(groups, np.flatnonzero(groups), split, official, labels)
    copies, several = _keep_strongest(hashes, None, split, official, labels)
    return Division(split, places, copies, several)


def _cuts(said: set[int], rule: Rule) -> list[tuple[int, int]]:
    """(threshold of a number below 2**64, split), in ascending order, of the splits that the files
    don't have."""
    cuts, below = [], 0.0
    for split, share in ((TEST, rule.test), (HOLDOUT, rule.holdout)):
        if split not in said:
            below += share
            cuts.append((int(below * ALL), split))
    return cuts


def _salt(seed: int) -> np.uint64:
    digest = hashlib.blake2b(f"split {seed}".encode(), digest_size=8).digest()
    return np.uint64(int.from_bytes(digest, "little"))


def scrambled(numbers: np.ndarray) -> np.ndarray:
    """uint64 -> uint64, one to one: SplitMix64's finalizer (Steele et al. 2014, section 4)."""
    x = numbers ^ (numbers >> np.uint64(30))
    x = x * np.uint64(0xBF58476D1CE4E5B9)
    x ^= x >> np.uint64(27)
    x *= np.uint64(0x94D049BB133111EB)
    x ^= x >> np.uint64(31)
    return x


def _keep_strongest(
    keys: np.ndarray,
    rows: np.ndarray | None,
    split: np.ndarray,
    official: np.ndarray,
    labels: np.ndarray,
) -> tuple[int, int]:
    """Take images out of ``split`` whose key is in a stronger one too: those that the files tell
    are stronger than those that are cut. How many have an equal one before them, and how many keys
    are of several classes."""
    first = keys if keys.ndim == 1 else keys[:, 0]
    buckets = max(1, len(split) // (4 * CHUNK))
    copies = several = 0
    for bucket in range(buckets):
        found = _of_bucket(first, rows, bucket, buckets)
        order = found[
            np.lexsort((keys[found, 1], first[found]) if keys.ndim == 2 else (first[found],))
        ]
        ordered = keys[order].reshape(len(order), -1)
        new = np.ones(len(order), bool)
        new[1:] = (ordered[1:] != ordered[:-1]).any(1)
        if new.all():
            continue
        copies += int((~new).sum())
        starts = np.flatnonzero(new)
        run = np.cumsum(new) - 1
        strength = split[order] + np.where(official[order] > TRAIN, len(SPLITS), 0)
        strongest = np.maximum.reduceat(strength, starts)
        split[order[strength < strongest[run]]] = DROPPED
        of_run = labels[order]
        differ = np.maximum.reduceat(of_run, starts) != np.minimum.reduceat(of_run, starts)
        several += int(differ.sum())
    return copies, several


def _of_bucket(first: np.ndarray, rows: np.ndarray | None, bucket: int, of: int) -> np.ndarray:
    """Positions of the keys of a bucket."""
    if of == 1:
        return np.arange(len(first)) if rows is None else rows
    width = np.uint64(ALL // of + 1)
    found = [
        part.start + np.flatnonzero(first[part] // width == np.uint64(bucket))
        for part in _chunks(len(first))
    ]
    every = np.concatenate(found)
    return every if rows is None else np.intersect1d(every, rows, assume_unique=True)


def _chunks(count: int) -> Iterator[slice]:
    return (slice(at, min(at + CHUNK, count)) for at in range(0, count, CHUNK))


def _counts(labels: np.ndarray, classes: int) -> list[int]:
    total = np.zeros(classes, np.int64)
    for part in _chunks(len(labels)):
        total += np.bincount(labels[part], minlength=classes)
    return total.tolist()


def counts_of(index: Index, split: np.ndarray, which: int) -> list[int]:
    """Images of each class in a split."""
    labels, total = index.array("labels"), np.zeros(len(index.classes), np.int64)
    for part in _chunks(len(labels)):
        of_part = labels[part][split[part] == which]
        total += np.bincount(of_part, minlength=len(total))
    return total.tolist()


def require_every_class(index: Index, split: np.ndarray) -> None:
    """Raises SynthgenError for a class that a split lacks."""
    for which, part in enumerate(SPLITS):
        for name, count in zip(index.classes, counts_of(index, split, which), strict=True):
            if not count:
                raise SynthgenError(
                    f"Class {name!r} has no image in {part}.\nAdd some there, or leave the class "
                    f"out everywhere; where splits are cut, a larger data.{part}= or another "
                    "data.split_seed gives it one."
                    if part != "train"
                    else f"Class {name!r} has no image in train that isn't in another split too.\n"
                    "Add some there, or leave the class out everywhere."
                )


def keep_at_most(index: Index, division: Division, limits: Sequence[int | None]) -> None:
    """Leave out training images beyond ``limits`` per class, and the same share of the holdout."""
    for label, limit in enumerate(limits):
        if limit is None:
            continue
        train = _members(index, division.split, TRAIN, label)
        holdout = _members(index, division.split, HOLDOUT, label)
        share = min(1.0, limit / max(len(train), 1))
        for rows, count in ((train, limit), (holdout, math.ceil(share * len(holdout)))):
            division.split[smallest(division.places, rows, len(rows))[count:]] = LEFT_OUT


def some_of(index: Index, division: Division, which: int, most: int) -> np.ndarray:
    """All images of a split, or ``most`` of them with the same share of each class: those whose
    places come first. int64 positions, in the order of their hashes."""
    counts = counts_of(index, division.split, which)
    share = min(1.0, most / max(sum(counts), 1))
    found = []
    for label, count in enumerate(counts):
        if count:
            members = _members(index, division.split, which, label)
            found.append(smallest(division.places, members, max(1, round(share * count))))
    rows = np.concatenate(found) if found else np.empty(0, np.int64)
    hashes = index.array("hashes")[rows]
    return rows[np.lexsort((rows, hashes[:, 1], hashes[:, 0]))]


def _members(index: Index, split: np.ndarray, which: int, label: int) -> np.ndarray:
    labels = index.array("labels")
    return np.concatenate(
        [
            part.start + np.flatnonzero((split[part] == which) & (labels[part] == label))
            for part in _chunks(len(split))
        ]
    )


def smallest(places: np.ndarray, rows: np.ndarray, count: int) -> np.ndarray:
    """The first ``count`` of ``rows`` in the order of their places."""
    return rows[np.argsort(places[rows], kind="stable")[:count]]


def fingerprint(index: Index) -> str:
    """SHA-256 of a stream's contents (bytes of images, classes, official splits, groups) in any
    order: of sums over the images."""
    return canonical_digest(_sums(index, index.array("official")))


def digest(index: Index, division: Division) -> str:
    """SHA-256 over which image is in which split, in any order."""
    return canonical_digest(_sums(index, division.split))


def _sums(index: Index, split: np.ndarray) -> dict[str, object]:
    """For each class and split: how many images, and sums of their hashes mod 2**64."""
    labels, hashes, groups = (index.array(name) for name in ("labels", "hashes", "groups"))
    cells = len(index.classes) * 8
    count, sums = np.zeros(cells, np.int64), np.zeros((cells, 3), np.uint64)
    for part in _chunks(len(labels)):
        cell = labels[part].astype(np.int64) * 8 + split[part] + 2
        count += np.bincount(cell, minlength=cells)
        first, second = hashes[part, 0], hashes[part, 1]
        columns = (scrambled(first), scrambled(second + first), scrambled(first ^ ~groups[part]))
        for k, column in enumerate(columns):
            np.add.at(sums[:, k], cell, column)
    found: dict[str, object] = {}
    for at in np.flatnonzero(count).tolist():
        name = f"{index.classes[at // 8]}/{at % 8 - 2}"
        found[name] = [int(count[at]), *(f"{one:016x}" for one in sums[at].tolist())]
    return found
