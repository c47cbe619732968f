"""Were training images copied? Judged by how real images that nobody trained on would look.

Four questions; real images that were held back meet the same treatment in each:

- *Exact copies*, by the pixels of all images: one is enough
  (:mod:`synthgen.evaluation.copy_tests`).
- *Near copies*: an image whose nearest training image is far nearer than the next ones. How much
  nearer happens by chance is read off the held-back images (:mod:`synthgen.evaluation.copy_tests`),
  so a set of plain or blurred images, near to everything, is not accused, nor one that repeats
  itself. It is asked in a space that forgives shifts, mirroring and brightness, and in each
  extractor's; there the distance is also held against the one to the nearest held-back image.
- *Share nearer to train*: is a synthetic image nearer to a training image than to any of equally
  many held-back ones? One half for images that owe nothing to single training images.
- *AuthPct* (Alaa et al. 2022), beside the value of the real reference images.

An extractor may have been trained on the training images and see them specially; held-back images
meet the same treatment, so the calibration holds as far as synthetic images resemble real ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from synthgen.evaluation.copy_search import AlignedSpace, nearest, plant
from synthgen.evaluation.copy_tests import (
    FEWEST_HELD,
    LEVEL,
    TINY,
    Found,
    Twins,
    Usual,
    exactly_copied,
    fewest_flagged,
    find_twins,
    nearly_copied,
    too_close,
)
from synthgen.evaluation.features import Extractor
from synthgen.evaluation.fidelity import FeatureSet, extract_set
from synthgen.evaluation.narrative import copying_sentence
from synthgen.evaluation.schema import (
    CopiedPair,
    CopiesOfReference,
    Copying,
    CountedInterval,
    Power,
)
from synthgen.stats import Estimate, clopper_pearson, wilson
from synthgen.types import LabelledImages, positions_by_class, spread_by_class

SEARCHED = 5000  # synthetic and reference images at most, in proportion to the classes
NEXT = 20  # training images beyond the nearest that say what distance is usual
OTHER_CLASSES = 0.25  # difference of the class shares from which held-back images are cut to match
PAIRS = 24


@dataclass(frozen=True)
class Nearness:
    """How near images lie to training images."""

    distance: Tensor  # float64 (N,): to the nearest training image
    index: Tensor  # int64 (N,): which one
    score: Tensor  # float64 (N,): that distance / the mean of those to the next 20

    @classmethod
    def of(cls, distances: Tensor, positions: Tensor) -> Nearness:
        """``(N, K)`` each, nearest first."""
        usual = distances[:, 1:].mean(1) if distances.shape[1] > 1 else distances[:, 0]
        return cls(distances[:, 0], positions[:, 0], distances[:, 0] / usual.clamp_min(TINY))


@dataclass(frozen=True)
class Side:
    """On which side, training or held back, images have their nearest real one."""

    nearer: (
        Tensor  # float64 (N,): 1 nearer to the training subset than to the holdout, 0 not, ½ tie
    )
    to_held: Tensor  # float64 (N,): distance to the nearest held-back image
    weight: float  # number of independent images that the N are worth

    def share(self) -> Estimate:
        value = float(self.nearer.mean())
        return clopper_pearson(value * self.weight, self.weight)


def find_copies(
    *,
    extractor: str,
    reference: str,
    train: FeatureSet,
    holdout: FeatureSet,
    test: FeatureSet,
    synthetic: FeatureSet,
    twins: Twins | None = None,
    planted: Mapping[str, Tensor] | None = None,
    positions: Tensor | None = None,
    known: FeatureSet | None = None,
) -> Copying:
    """The report's ``copying`` entry of one space; positions in ``pairs`` are rows of ``synthetic``
    and ``train``, or of ``known``: all that a generator that knew the ``holdout`` too may have
    copied, which then is no measure of what is usual. ``reference`` says what ``test`` is,
    ``twins`` which images are equal by their pixels, ``planted`` holds features ``(N, D)`` of known
    copies of each kind, ``positions`` int64 ``(N,)`` which images the rows of ``synthetic`` are,
    null: in order."""
    asked = positions_by_class(synthetic.labels, SEARCHED)
    usual = positions_by_class(test.labels, SEARCHED)
    held, searched = holdout.at_most(SEARCHED), known or train
    queries, real = synthetic.features[asked], test.features[usual]

    def near(features: Tensor) -> Nearness:
        return Nearness.of(*nearest(features, searched.features, NEXT + 1))

    fake, other, different = near(queries), near(real), first_of_equal(queries)
    strangers = [(other, test.labels[usual])]
    if known is None:
        strangers.append((near(held.features), held.labels))
    found = near_copies(
        fake,
        strangers,
        asked=asked,
        labels=synthetic.labels[asked],
        different=different,
        planted={kind: near(features) for kind, features in (planted or {}).items()},
        twins=twins,
        equal=twins.among(asked if positions is None else positions[asked]) if twins else None,
        searched_train=len(searched),
    )
    if known is None:
        here, there = side(queries, train, holdout), side(real, train, holdout)
        if found.n_reference >= FEWEST_HELD:
            usual_ratios = Usual((other.distance / there.to_held.clamp_min(TINY)).sort().values)
            ratios = fake.distance / here.to_held.clamp_min(TINY)
            beside = usual_ratios.together(ratios, fake.index, found.different or 0)
            found = found.model_copy(update={"p": min(1.0, 2 * min(found.p, beside))})
        shares = {
            "share_nearer_train": CountedInterval.counted(here.share(), len(asked)),
            "share_nearer_train_real": CountedInterval.counted(there.share(), len(usual)),
            "n_holdout": min(len(train), len(holdout)),
        }
        found = found.model_copy(update=shares)
    own, others = authenticity(
        fake, other, searched.features, real_count=min(len(asked), len(usual))
    )
    tested = of_reference(queries, synthetic.labels[asked], test=test, holdout=holdout)
    more = {"auth_pct": own, "auth_pct_real": others, "of_reference": tested}
    return with_verdict(found.model_copy(update=more), extractor, reference)


def aligned_copies(
    *,
    train: LabelledImages,
    held_back: Sequence[LabelledImages],
    synthetic: LabelledImages,
    reference: str = "test",
    twins: Twins | None = None,
) -> tuple[str, Copying]:
    """The name of the aligned pixels and their ``copying`` entry, for images; positions in
    ``pairs`` are images of ``synthetic`` and ``train``. ``held_back`` are all sets of real images
    that the generator did not know."""
    space = AlignedSpace(train.images)
    asked = positions_by_class(synthetic.labels, SEARCHED)
    queries = synthetic.images[asked]

    def near(images: Tensor, what: str) -> Nearness:
        return Nearness.of(*space.nearest(images, NEXT + 1, f"{space.name}: {what}"))

    held = [spread_by_class(images, SEARCHED) for images in held_back]
    found = near_copies(
        near(queries, "synthetic images"),
        [(near(real.images, "held-back images"), real.labels) for real in held],
        asked=asked,
        labels=synthetic.labels[asked],
        different=first_of_equal(queries.flatten(1)),
        planted={
            kind: near(images.images, f"copies ({kind})") for kind, images in plant(train).items()
        },
        twins=twins,
        equal=twins.among(asked) if twins else None,
        searched_train=len(train),
    )
    return space.name, with_verdict(found, space.name, reference)


def copies_in_space(
    extractor: Extractor,
    *,
    train: LabelledImages,
    holdout: LabelledImages,
    test: LabelledImages,
    synthetic: LabelledImages,
    reference: str = "test",
) -> Copying:
    """:func:`find_copies` for images, with a prepared extractor; positions in ``pairs`` are images
    of ``synthetic`` and ``train``."""
    most, searched = extractor.max_images, extractor.max_searched
    rows = positions_by_class(synthetic.labels, most)
    found = find_copies(
        extractor=extractor.name,
        reference=reference,
        train=extract_set(extractor, train, searched, "training images"),
        holdout=extract_set(extractor, holdout, most, "held-back images"),
        test=extract_set(extractor, test, most, f"{reference} images"),
        synthetic=extract_set(extractor, synthetic, most, "synthetic images"),
        twins=find_twins(synthetic, [train], [holdout, test]),
        planted=planted_features(extractor, train),
        positions=rows,
    )
    return in_images(found, rows, positions_by_class(train.labels, searched))


def planted_features(extractor: Extractor, train: LabelledImages) -> dict[str, Tensor]:
    """Features of copies of images that are searched, to see which kinds the space would find."""
    searched = spread_by_class(train, extractor.max_searched)
    return {
        kind: extractor.extract(images.images, f"{extractor.name}: copies ({kind})")
        for kind, images in plant(searched).items()
    }


def in_images(found: Copying, synthetic: Tensor, train: Tensor) -> Copying:
    """Rows of features in ``pairs`` -> the images that they were extracted from."""
    places = [(int(synthetic[pair.synthetic]), int(train[pair.train])) for pair in found.pairs]
    named = tuple(
        pair.model_copy(update={"synthetic": ours, "train": theirs})
        for pair, (ours, theirs) in zip(found.pairs, places, strict=True)
    )
    return found.model_copy(update={"pairs": named})


def with_verdict(found: Copying, extractor: str, reference: str) -> Copying:
    flagged = exactly_copied(found) or nearly_copied(found) or too_close(found)
    said = copying_sentence(found, extractor, reference)
    return found.model_copy(update={"flagged": flagged, "sentence": said})


def near_copies(
    fake: Nearness,
    held_back: list[tuple[Nearness, Tensor]],
    *,
    asked: Tensor,
    labels: Tensor,
    different: Tensor,
    planted: Mapping[str, Nearness],
    twins: Twins | None,
    searched_train: int,
    equal: Tensor | None = None,
) -> Copying:
    """What one space says of near copies, without the verdict on it.

    ``held_back`` holds images that nobody trained on, with their labels; ``asked`` the position of
    each synthetic image and ``labels`` its label; ``different`` the first of equal ones,
    ``equal`` (bool ``(N,)``) those that ``twins`` speaks of.
    """
    scores = torch.cat([near.score for near, _ in held_back])
    scores = scores[of_like_classes(torch.cat([found for _, found in held_back]), labels)]
    among = len(different)
    found = Found(
        torch.zeros_like(fake.score).bool(), torch.zeros_like(fake.score).bool(), 1.0, 0.0
    )
    power: dict[str, Power] = {}
    if len(scores) >= FEWEST_HELD:
        usual = Usual(scores.sort().values)
        repeated = usual.judge(fake.score, fake.index, among)
        once = usual.judge(fake.score[different], fake.index[different], among)
        found = Found(repeated.near, repeated.alone, once.p, once.threshold)
        power = {
            kind: Power(
                mostly=fewest_flagged(usual, near.score, among, 0.8),
                nearly_always=fewest_flagged(usual, near.score, among, 0.95),
            )
            for kind, near in planted.items()
        }
    # By pixels: a mirrored copy may lie at distance 0 too, and an equal one a rounding away.
    exact = found.near & (fake.distance == 0) if equal is None else equal
    return Copying(
        sentence="",
        flagged=False,
        exact_copies=twins.counts.copies if twins else int(exact.sum()),
        searched_exact=int(exact.sum()),
        near_copies=int((found.near & ~exact).sum()),
        unmistakable=int((found.alone & ~exact).sum()),
        threshold=found.threshold,
        p=found.p,
        pairs=pairs(fake, found.near, asked),
        searched=len(asked),
        searched_train=searched_train,
        different=among,
        n_reference=len(scores),
        power=power,
        twins=twins.counts if twins else None,
    )


def of_like_classes(labels: Tensor, wanted: Tensor) -> Tensor:
    """Positions of held-back images to compare with: all, or, where the set has quite other class
    shares, as many as have its shares. Images of some classes are nearer to each other."""
    classes = int(torch.cat([labels, wanted]).max()) + 1
    have, need = (torch.bincount(part, minlength=classes).double() for part in (labels, wanted))
    shares = need / need.sum()
    if (have / have.sum() - shares).abs().sum() / 2 <= OTHER_CLASSES:
        return torch.arange(len(labels))
    total = float((have / shares)[need > 0].min())
    keep = [
        positions_of(labels, label, int(total * share))
        for label, share in enumerate(shares.tolist())
    ]
    cut = torch.cat(keep).sort().values
    return cut if len(cut) >= FEWEST_HELD else torch.arange(len(labels))


def positions_of(labels: Tensor, label: int, count: int) -> Tensor:
    """``count`` positions of a class, evenly among its own."""
    mine = (labels == label).nonzero().flatten()
    return mine[torch.arange(count) * len(mine) // max(1, count)]


def first_of_equal(rows: Tensor) -> Tensor:
    """Ascending positions of the first of each group of equal rows ``(N, D)``."""
    plain = np.ascontiguousarray(rows.numpy())
    whole = plain.view(np.dtype((np.void, plain.dtype.itemsize * plain.shape[1]))).ravel()
    return torch.from_numpy(np.sort(np.unique(whole, return_index=True)[1]))


def of_reference(
    queries: Tensor, labels: Tensor, *, test: FeatureSet, holdout: FeatureSet
) -> CopiesOfReference | None:
    """Near copies of the reference images, judged by the holdout's distances to them: such a set
    was made with the images that it is tested on. None with too few held-back images."""
    held = holdout.at_most(SEARCHED)
    usual = Nearness.of(*nearest(held.features, test.features, NEXT + 1)).score
    usual = usual[of_like_classes(held.labels, labels)]
    if len(usual) < FEWEST_HELD:
        return None
    near = Nearness.of(*nearest(queries, test.features, NEXT + 1))
    once = first_of_equal(queries)
    found = Usual(usual.sort().values).judge(near.score[once], near.index[once], len(once))
    count = int((near.score < found.threshold).sum())
    return CopiesOfReference(near_copies=count, p=found.p, flagged=found.p < LEVEL)


def side(queries: Tensor, train: FeatureSet, holdout: FeatureSet) -> Side:
    """Compare ``(N, D)`` features with the holdout and with as many training images."""
    count = min(len(train), len(holdout))
    subset, held = train.at_most(count).features, holdout.at_most(count).features
    to_subset, in_subset = (found[:, 0] for found in nearest(queries, subset, 1))
    to_held, in_held = (found[:, 0] for found in nearest(queries, held, 1))
    nearer = (to_subset < to_held).double() + 0.5 * (to_subset == to_held).double()
    closest = torch.where(to_subset < to_held, in_subset, count + in_held)
    return Side(nearer, to_held, independent(closest))


def independent(closest: Tensor) -> float:
    """Images that share their nearest real image also share its fate: had that image been in the
    other set, all would count there. The variance of the share under such swaps is Σ cⱼ² / 4N² for
    cⱼ images at the real image j; that of N²/Σcⱼ² independent images is the same."""
    crowds = torch.bincount(closest).double()
    return float(crowds.sum() ** 2 / crowds.square().sum())


def authenticity(
    fake: Nearness, real: Nearness, train: Tensor, *, real_count: int
) -> tuple[CountedInterval, CountedInterval]:
    """AuthPct of both, in per cent: images farther from their nearest training image than that one
    is from the next training image. The real images are cut to ``real_count``, evenly."""
    kept = torch.arange(real_count) * len(real.index) // max(1, real_count)
    indices = torch.cat([fake.index, real.index[kept]])
    distances = torch.cat([fake.distance, real.distance[kept]])
    used, back = indices.unique(return_inverse=True)
    spacing = nearest(train[used], train, 2)[0]
    authentic = distances > spacing[back, -1]
    own, others = authentic[: len(fake.index)], authentic[len(fake.index) :]
    return per_cent(own), per_cent(others)


def per_cent(flags: Tensor) -> CountedInterval:
    share = wilson(int(flags.sum()), len(flags))
    scaled = Estimate(*(None if part is None else 100 * part for part in share))
    return CountedInterval.counted(scaled, len(flags))


def pairs(fake: Nearness, near: Tensor, asked: Tensor) -> tuple[CopiedPair, ...]:
    """The near copies with the smallest score, at most 24."""
    order = fake.score.argsort(stable=True)
    return tuple(
        CopiedPair(
            synthetic=int(asked[row]),
            train=int(fake.index[row]),
            distance=float(fake.distance[row]),
            ratio=float(fake.score[row]),
        )
        for row in order[near[order]][:PAIRS].tolist()
    )
