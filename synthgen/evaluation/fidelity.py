"""How near a set of images is to the real ones in one feature space."""

from __future__ import annotations

import time

from torch import Tensor

from synthgen.evaluation.metrics import (
    Estimate,
    frechet_estimate,
    kid_estimate,
    manifold_estimates,
)
from synthgen.evaluation.metrics.intervals import TOO_FEW
from synthgen.evaluation.result import Result, make_result
from synthgen.progress import track

METRICS = ("frechet_distance", "kid", "precision", "recall", "density", "coverage")
FEWEST = 10  # images of each set; balls need six, and below ten the numbers say nothing


def fidelity_results(
    real: Tensor, fake: Tensor, *, extractor: str, scope: dict[str, str] | None = None
) -> list[Result]:
    """The six metrics of float32 ``(N, D)`` features; None below 10 images of either set."""
    results = []
    for estimates, seconds in compute(real, fake):
        results += [
            make_result(
                f"fidelity/{name}",
                estimate,
                extractor=extractor,
                scope=scope,
                n_real=len(real),
                n_fake=len(fake),
                seconds=seconds / len(estimates),
            )
            for name, estimate in estimates.items()
        ]
    return results


def compute(real: Tensor, fake: Tensor) -> list[tuple[dict[str, Estimate], float]]:
    """Estimates by name with the seconds that each group of them took."""
    if min(len(real), len(fake)) < FEWEST:
        return [(dict.fromkeys(METRICS, TOO_FEW), 0.0)]
    started = time.perf_counter()
    frechet = {"frechet_distance": frechet_estimate(real=real, fake=fake)}
    after_frechet = time.perf_counter()
    kernel = {"kid": kid_estimate(real=real, fake=fake)}
    after_kernel = time.perf_counter()
    manifold = manifold_estimates(real=real, fake=fake)
    return [
        (frechet, after_frechet - started),
        (kernel, after_kernel - after_frechet),
        (manifold, time.perf_counter() - after_kernel),
    ]


def fidelity_by_class(
    real: Tensor,
    real_labels: Tensor,
    fake: Tensor,
    fake_labels: Tensor,
    *,
    extractor: str,
    classes: tuple[str, ...],
) -> list[Result]:
    """The six metrics of each class against the real images of that class."""
    results = []
    with track(len(classes), f"fidelity by class ({extractor})", "classes") as advance:
        for label, name in enumerate(classes):
            results += fidelity_results(
                real[real_labels == label],
                fake[fake_labels == label],
                extractor=extractor,
                scope={"class": name},
            )
            advance(1)
    return results
