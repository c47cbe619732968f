"""Were training images copied? Judged by how real images that nobody trained on would look.

Three questions in one feature space, none of which is answered by an absolute threshold:

- *Share nearer to train*: is a synthetic image nearer to a training image than to any of equally
  many held-back ones? One half for images that owe nothing to single training images.
- *Near copies*: images whose nearest training image is far nearer than their nearest held-back
  image. How much nearer happens by chance is read off real reference images, so a set of plain or
  blurred images, near to everything, is not accused. The count is tested exactly: reference and
  honest synthetic images are exchangeable.
- *AuthPct* (Alaa et al. 2022), beside the value of the real reference images.

The extractor may have been trained on the training images and see them specially; reference images
meet the same treatment, so the calibration holds as far as synthetic images resemble real ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from synthgen.evaluation.features import Extractor
from synthgen.evaluation.metrics.intervals import Estimate, clopper_pearson, wilson
from synthgen.evaluation.neighbours import nearest
from synthgen.evaluation.references import FeatureSet, extract_set
from synthgen.evaluation.subsets import positions_by_class
from synthgen.types import LabelledImages

SEARCHED = 5000  # synthetic and reference images at most, in proportion to the classes
CHANCE = 0.002  # of the reference images count as near copies, by the choice of the threshold
FALSE_ALARMS = 0.001  # of honest sets that are flagged for near copies
SUSPICIOUS = 0.05  # chance below which near copies are worth a look
MATERIAL = 0.55  # share nearer to train from which a set is flagged
PAIRS = 24


@dataclass(frozen=True)
class Nearness:
    """Where images lie between the training and the held-back images."""

    train_distance: Tensor  # float64 (N,): to the nearest training image
    train_index: Tensor  # int64 (N,)
    ratio: Tensor  # float64 (N,): that distance / the one to the nearest held-back image
    nearer: (
        Tensor  # float64 (N,): 1 nearer to the training subset than to the holdout, 0 not, ½ tie
    )
    weight: float  # number of independent images that the N are worth for ``nearer``

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
) -> dict[str, Any]:
    """The report's ``copying`` entry of one space; positions in ``pairs`` are rows of ``synthetic``
    and ``train``. ``reference`` says what ``test`` is. An exact copy is one at distance 0; whether
    its pixels are the same too is for the caller to say."""
    asked = positions_by_class(synthetic.labels, SEARCHED)
    usual = positions_by_class(test.labels, SEARCHED)
    fake = nearness(synthetic.features[asked], train, holdout)
    real = nearness(test.features[usual], train, holdout)
    allowed = max(1, round(CHANCE * len(usual)))
    threshold = float(real.ratio.sort().values[min(allowed, len(usual)) - 1])
    near = fake.ratio < threshold
    exact = near & (fake.train_distance == 0)
    chance = exceedance(int(near.sum()), len(asked), allowed, len(usual))
    share, usual_share = fake.share(), real.share()
    flags = {
        "near copies": chance < FALSE_ALARMS,
        "nearer to train": above(share, MATERIAL) and above(share, usual_share.high),
    }
    found = {
        "share_nearer_train": as_json(share, len(asked)),
        "share_nearer_train_real": as_json(usual_share, len(usual)),
        "exact_copies": int(exact.sum()),
        "near_copies": int((near & ~exact).sum()),
        "threshold": threshold,
        "p": chance,
        "pairs": pairs(fake, near, asked),
        **authenticity(fake, real, train.features, real_count=min(len(asked), len(usual))),
        "searched": len(asked),
        "searched_train": len(train),
        "n_holdout": min(len(train), len(holdout)),
        "n_reference": len(usual),
        "flagged": any(flags.values()),
    }
    return {**found, "sentence": sentence(found, flags, extractor, reference)}


def copies_in_space(
    extractor: Extractor,
    *,
    train: LabelledImages,
    holdout: LabelledImages,
    test: LabelledImages,
    synthetic: LabelledImages,
    reference: str = "test",
) -> dict[str, Any]:
    """:func:`find_copies` for images, with a prepared extractor; positions in ``pairs`` are images
    of ``synthetic`` and ``train``."""
    most, searched = extractor.max_images, extractor.max_searched
    found = find_copies(
        extractor=extractor.name,
        reference=reference,
        train=extract_set(extractor, train, searched, "training images"),
        holdout=extract_set(extractor, holdout, most, "held-back images"),
        test=extract_set(extractor, test, most, f"{reference} images"),
        synthetic=extract_set(extractor, synthetic, most, "synthetic images"),
    )
    return in_images(
        found,
        positions_by_class(synthetic.labels, most),
        positions_by_class(train.labels, searched),
    )


def in_images(found: dict[str, Any], synthetic: Tensor, train: Tensor) -> dict[str, Any]:
    """Rows of features in ``pairs`` -> the images that they were extracted from."""
    named = [
        {**pair, "synthetic": int(synthetic[pair["synthetic"]]), "train": int(train[pair["train"]])}
        for pair in found["pairs"]
    ]
    return {**found, "pairs": named}


def nearness(queries: Tensor, train: FeatureSet, holdout: FeatureSet) -> Nearness:
    """Compare ``(N, D)`` features with all training images, with the holdout, and with as many
    training images as there are held back."""
    count = min(len(train), len(holdout))
    subset, held = train.at_most(count).features, holdout.at_most(count).features
    to_train, in_train = (found[:, 0] for found in nearest(queries, train.features, 1))
    to_subset, in_subset = (found[:, 0] for found in nearest(queries, subset, 1))
    to_held, in_held = (found[:, 0] for found in nearest(queries, held, 1))
    nearer = (to_subset < to_held).double() + 0.5 * (to_subset == to_held).double()
    closest = torch.where(to_subset < to_held, in_subset, count + in_held)
    ratio = torch.where(to_train > 0, to_train / to_held.clamp_min(1e-300), 0.0)
    return Nearness(to_train, in_train, ratio, nearer, independent(closest))


def independent(closest: Tensor) -> float:
    """Images that share their nearest real image also share its fate: had that image been in the
    other set, all would count there. The variance of the share under such swaps is Σ cⱼ² / 4N² for
    cⱼ images at the real image j; that of N²/Σcⱼ² independent images is the same."""
    crowds = torch.bincount(closest).double()
    return float(crowds.sum() ** 2 / crowds.square().sum())


def exceedance(near: int, count: int, allowed: int, calibrated_on: int) -> float:
    """Chance that ``near`` or more of ``count`` honest images lie below the ``allowed``-th smallest
    of ``calibrated_on`` reference values, if both come from one distribution: among the smallest
    near + allowed - 1 of all, fewer than ``allowed`` are reference images."""
    if near == 0:
        return 1.0
    from scipy.stats import hypergeom

    smallest = near + allowed - 1
    return float(hypergeom.cdf(allowed - 1, count + calibrated_on, calibrated_on, smallest))


def authenticity(
    fake: Nearness, real: Nearness, train: Tensor, *, real_count: int
) -> dict[str, dict[str, float | int | None]]:
    """AuthPct of both, in per cent: images farther from their nearest training image than that one
    is from the next training image. The real images are cut to ``real_count``, evenly."""
    kept = torch.arange(real_count) * len(real.train_index) // max(1, real_count)
    indices = torch.cat([fake.train_index, real.train_index[kept]])
    distances = torch.cat([fake.train_distance, real.train_distance[kept]])
    used, back = indices.unique(return_inverse=True)
    spacing = nearest(train[used], train, 2)[0]
    authentic = distances > spacing[back, -1]
    own, others = authentic[: len(fake.ratio)], authentic[len(fake.ratio) :]
    return {
        name: as_json(wilson(int(flags.sum()), len(flags)), len(flags), scale=100)
        for name, flags in (("auth_pct", own), ("auth_pct_real", others))
    }


def pairs(fake: Nearness, near: Tensor, asked: Tensor) -> list[dict[str, int | float]]:
    """The near copies with the smallest ratio, at most 24."""
    order = fake.ratio.argsort(stable=True)
    return [
        {
            "synthetic": int(asked[row]),
            "train": int(fake.train_index[row]),
            "distance": float(fake.train_distance[row]),
            "ratio": float(fake.ratio[row]),
        }
        for row in order[near[order]][:PAIRS].tolist()
    ]


def above(share: Estimate, level: float | None) -> bool:
    return share.low is not None and level is not None and share.low > level


def as_json(estimate: Estimate, count: int, scale: int = 1) -> dict[str, float | int | None]:
    value, low, high = (None if x is None else scale * x for x in estimate)
    return {"value": value, "ci_low": low, "ci_high": high, "n": count}


def sentence(found: dict[str, Any], flags: dict[str, bool], extractor: str, reference: str) -> str:
    """What a person should make of it."""
    copies = found["exact_copies"] + found["near_copies"]
    share = found["share_nearer_train"]
    expected = (
        found["searched"]
        * max(1, round(CHANCE * found["n_reference"]))
        / (found["n_reference"] + 1)
    )
    counted = (
        f"of {found['searched']:,} synthetic images {copies:,} are suspiciously near to one of "
        f"{found['searched_train']:,} training images (about {expected:.2g} of as many real "
        f"{reference} images would be)"
    )
    halves = (
        f"{100 * share['value']:.0f} % ({100 * share['ci_low']:.0f}–{100 * share['ci_high']:.0f}) "
        f"are nearer to a training image than to any of equally many held-back ones, where images "
        "that owe nothing to single training images are at 50 %"
        f"{usual_sentence(found['share_nearer_train_real'], reference)}"
    )
    if flags["near copies"]:
        return f"Training images were copied, by the space {extractor}: {counted}; {halves}."
    if flags["nearer to train"]:
        return (
            f"The set keeps too close to training images in the space {extractor}: {halves}; "
            f"{counted}."
        )
    if found["p"] < SUSPICIOUS:
        return (
            f"No proof of copying in the space {extractor}, but look at the nearest pairs: "
            f"{counted}, which honest sets reach by chance in {100 * found['p']:.1g} % of cases "
            f"(a set is flagged below {100 * FALSE_ALARMS:g} %); {halves}."
        )
    return f"No sign of copying in the space {extractor}: {counted}; {halves}."


def usual_sentence(usual: dict[str, Any], reference: str) -> str:
    """With few held-back images the real ones are not at 50 % either."""
    if usual["value"] is None:
        return ""
    return (
        f" on average, and these real {reference} images at {100 * usual['value']:.0f} % "
        f"({100 * usual['ci_low']:.0f}–{100 * usual['ci_high']:.0f})"
    )
