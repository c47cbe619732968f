"""How near a set of images is to the real ones in one feature space."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from torch import Tensor

from synthgen.evaluation.features import Extractor, InceptionExtractor
from synthgen.evaluation.metrics import (
    Estimate,
    frechet_estimate,
    frechet_infinity_estimate,
    inception_score_estimate,
    kernel_estimates,
    manifold_estimates,
    mind_estimate,
    vendi_estimate,
)
from synthgen.evaluation.metrics.intervals import TOO_FEW
from synthgen.evaluation.metrics.strata import StrataOfBoth
from synthgen.evaluation.result import Result, make_result
from synthgen.progress import track

METRICS = (
    "frechet_distance",
    "frechet_infinity",
    "kid",
    "mmd",
    "mind",
    "precision",
    "recall",
    "density",
    "coverage",
    "vendi",
)
INCEPTION_SCORE = "inception_score"  # only where the features lead to published class scores
FEWEST = 10  # images of each set; balls need six, and below ten the numbers say nothing
DEFINITIONS = (
    "Fréchet distance: covariance with n - 1, float64; at infinite n: intercept of the line in 1/n"
    " through n, n/2 and n/3 images of both sets. KID: squared MMD, all pairs, kernel "
    "(x·y/D + 1)³; unbiased for sets with fixed counts of each class, whose pairs of one class are "
    "weighted by 1/(n_k(n_k - 1)) and the class's squared share. The published estimator takes all "
    "images for drawn freely, and lies lower: it is in settings as plain, for comparing with other "
    "people's numbers. Class shares are those of all real images, unless the set's own differ from "
    "them (p < 0.001). MMD: the same with a Gaussian kernel, its bandwidth the median distance "
    "between real images (in settings). MIND: 3·D times the squared 2-Wasserstein distance along "
    "1,000 fixed directions. Precision and recall: k = 3; density and coverage: k = 5; the ball's "
    "surface belongs to it. Vendi score: cosine similarities of the synthetic images alone. "
    "Inception score: of the synthetic images alone, no splits."
)
INTERVALS = (
    "Fréchet distance, KID and MMD: jackknife over 10 groups of each set, for KID and MMD without "
    "what it counts twice; Fréchet distance at infinite n: over 6 groups, MIND: over 10 groups of "
    "both sets together; Vendi and Inception score: over 10 groups; t quantile. Every group has "
    "its part of each class. Precision, recall, density and coverage: scatter between random "
    "halves of both sets, 20 times halved; Wilson's interval for shares, t for density."
)


@dataclass(frozen=True)
class Computed:
    """Estimates of one computation by name, its time, and the settings that the data chose."""

    estimates: dict[str, Estimate]
    seconds: float
    settings: dict[str, dict[str, float]] = field(default_factory=dict)


def fidelity_results(
    real: Tensor,
    fake: Tensor,
    *,
    extractor: str,
    scope: dict[str, str] | None = None,
    strata: StrataOfBoth | None = None,
    logits: Callable[[Tensor], Tensor] | None = None,
) -> list[Result]:
    """All metrics of float32 ``(N, D)`` features; None below 10 images of either set.

    ``strata`` of the real and the synthetic images, if both sets were drawn class by class.

    ``logits`` turns features into the class scores ``(N, K)`` of the Inception score, which is left
    out without it.
    """
    return [
        make_result(
            f"fidelity/{name}",
            estimate,
            extractor=extractor,
            scope=scope,
            n_real=len(real),
            n_fake=len(fake),
            seconds=computed.seconds / len(computed.estimates),
            settings=computed.settings.get(name),
        )
        for computed in compute(real, fake, strata, logits)
        for name, estimate in computed.estimates.items()
    ]


def compute(
    real: Tensor,
    fake: Tensor,
    strata: StrataOfBoth | None,
    logits: Callable[[Tensor], Tensor] | None,
) -> list[Computed]:
    """Every metric, in the order in which a report lists them."""
    names = METRICS if logits is None else (*METRICS, INCEPTION_SCORE)
    if min(len(real), len(fake)) < FEWEST:
        return [Computed(dict.fromkeys(names, TOO_FEW), 0.0)]
    computed = [
        timed(lambda: {"frechet_distance": frechet_estimate(real=real, fake=fake, strata=strata)}),
        timed(lambda: {"frechet_infinity": infinity(real, fake, strata)}),
        kernels(real, fake, strata),
        timed(lambda: {"mind": mind_estimate(real=real, fake=fake, strata=strata)}),
        timed(lambda: manifold_estimates(real=real, fake=fake)),
        timed(lambda: {"vendi": vendi_estimate(fake=fake, strata=strata and strata[1])}),
    ]
    if logits is not None:
        scores = logits(fake)
        computed.append(
            timed(
                lambda: {
                    INCEPTION_SCORE: inception_score_estimate(
                        fake_logits=scores, strata=strata and strata[1]
                    )
                }
            )
        )
    return computed


def logits_of(extractor: Extractor) -> Callable[[Tensor], Tensor] | None:
    """What turns features into class scores; only Inception's are those of the Inception score."""
    return extractor.logits if isinstance(extractor, InceptionExtractor) else None


def timed(metric: Callable[[], dict[str, Estimate]]) -> Computed:
    started = time.perf_counter()
    return Computed(metric(), time.perf_counter() - started)


def infinity(real: Tensor, fake: Tensor, strata: StrataOfBoth | None) -> Estimate:
    labels = [side.labels for side in strata] if strata else [None, None]
    return frechet_infinity_estimate(
        real=real, fake=fake, real_strata=labels[0], fake_strata=labels[1]
    )


def kernels(real: Tensor, fake: Tensor, strata: StrataOfBoth | None = None) -> Computed:
    started = time.perf_counter()
    found = kernel_estimates(real=real, fake=fake, strata=strata)
    return Computed(
        {"kid": found.kid, "mmd": found.mmd},
        time.perf_counter() - started,
        {"mmd": {"bandwidth": found.bandwidth}}
        | ({"kid": {"plain": found.plain_kid}} if strata else {}),
    )


def fidelity_by_class(
    real: Tensor,
    real_labels: Tensor,
    fake: Tensor,
    fake_labels: Tensor,
    *,
    extractor: str,
    classes: tuple[str, ...],
    logits: Callable[[Tensor], Tensor] | None = None,
) -> list[Result]:
    """The metrics of each class against the real images of that class."""
    results = []
    with track(len(classes), f"fidelity by class ({extractor})", "classes") as advance:
        for label, name in enumerate(classes):
            results += fidelity_results(
                real[real_labels == label],
                fake[fake_labels == label],
                extractor=extractor,
                scope={"class": name},
                logits=logits,
            )
            advance(1)
    return results
