"""Directions in which real features vary most."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from synthgen.evaluation.metrics.arrays import as_pair


@dataclass(frozen=True)
class Components:
    """Both sets along K principal components: ``real (N, K)``, ``fake (M, K)``, in units of the
    features, and the share of the variance that was fitted along each."""

    real: np.ndarray
    fake: np.ndarray
    shares: list[float]


def real_components(real: Tensor, fake: Tensor, count: int) -> Components:
    """The first ``count`` components of the *first half* of the real rows, with the other half and
    all fake rows along them.

    A test on the rows that the directions were fitted to would find differences where there are
    none: fitted rows spread more along their own directions than any others do. So ``real`` holds
    the second half only.
    """
    real, fake = as_pair(real, fake, at_least=4)
    fitted, kept = real[0::2].numpy(), real[1::2].numpy()
    directions, shares = _fit(fitted, count)
    centre = fitted.mean(0)
    return Components(
        (kept - centre) @ directions.T, (fake.numpy() - centre) @ directions.T, shares
    )


def pooled_components(real: Tensor, fake: Tensor, count: int) -> Components:
    """The first ``count`` components of both sets together, where neither is favoured: exchanging
    real and fake rows changes nothing."""
    real, fake = as_pair(real, fake)
    together = np.concatenate([real.numpy(), fake.numpy()])
    directions, shares = _fit(together, count)
    scores = (together - together.mean(0)) @ directions.T
    return Components(scores[: len(real)], scores[len(real) :], shares)


def _fit(rows: np.ndarray, count: int) -> tuple[np.ndarray, list[float]]:
    """Directions ``(K, D)`` with any variance, largest first, and their shares of it. The sign
    makes the largest entry positive, so that it does not depend on the linear algebra library."""
    centred = rows - rows.mean(0)
    if len(centred) < centred.shape[1]:  # the smaller of the two Gram matrices
        values, vectors = np.linalg.eigh(centred @ centred.T)
        directions = vectors.T @ centred
    else:
        values, vectors = np.linalg.eigh(centred.T @ centred)
        directions = vectors.T.copy()
    order = values.argsort()[::-1][:count]
    order = order[values[order] > 1e-10 * max(float(values.sum()), 1e-300)]
    chosen = directions[order]
    chosen /= np.linalg.norm(chosen, axis=1, keepdims=True)
    largest = np.take_along_axis(chosen, abs(chosen).argmax(1)[:, None], axis=1)
    shares = values[order] / max(float(values.sum()), 1e-300)
    return chosen * np.sign(largest), [float(share) for share in shares]
