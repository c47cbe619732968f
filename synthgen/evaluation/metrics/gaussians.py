"""Gaussians with the one quantity that the Fréchet distance finds hard: how far two overlap."""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

BLOCK = 256  # columns per block of a symmetric product
WELL_CONDITIONED = 1e-10  # smallest squared Cholesky pivot against the largest
NEGLIGIBLE = 1e-15  # eigenvalues below this share of the largest are rounding


class Gaussian(ABC):
    """float64 mean ``(D,)`` and a covariance S, never factorised before it is needed."""

    def __init__(self, mean: Tensor) -> None:
        self.mean = mean

    @property
    @abstractmethod
    def spread(self) -> Tensor:
        """Tr S."""

    @property
    @abstractmethod
    def exact_root(self) -> Tensor:
        """F ``(R, D)`` with FᵀF = S and R the rank of S, or more."""

    @property
    @abstractmethod
    def eigenvalues(self) -> Tensor:
        """Of S, without those that must be 0; none is negative."""

    def overlap(self, other: Gaussian) -> Tensor:
        """Tr (S₁S₂)^½, the nuclear norm of F₁F₂ᵀ.

        This needs no square root of a matrix that isn't symmetric, is real and finite for singular
        covariances, and loses nothing to squared singular values.
        """
        return torch.linalg.svdvals(self.exact_root @ other.exact_root.T).sum()


class ThinGaussian(Gaussian):
    """Covariance of few images: S = rowsᵀ rows with ``rows`` ``(N, D)``, N ≤ D."""

    def __init__(self, mean: Tensor, rows: Tensor) -> None:
        super().__init__(mean)
        self.rows = rows

    @property
    def spread(self) -> Tensor:
        return self.rows.square().sum()

    @property
    def exact_root(self) -> Tensor:
        return self.rows

    @property
    def eigenvalues(self) -> Tensor:
        return torch.linalg.svdvals(self.rows).square()


class FullGaussian(Gaussian):
    """A covariance ``(D, D)``, which may still be singular."""

    def __init__(self, mean: Tensor, covariance: Tensor) -> None:
        super().__init__(mean)
        self.covariance = covariance

    @property
    def spread(self) -> Tensor:
        return self.covariance.trace()

    @cached_property
    def cholesky(self) -> Tensor | None:
        """Lower triangle L with LLᵀ = S; None if S is singular or nearly so."""
        lower, failed = torch.linalg.cholesky_ex(self.covariance)
        if failed:
            return None
        pivots = lower.diagonal()
        if (pivots.min() / pivots.max()) ** 2 < WELL_CONDITIONED:
            return None
        return lower

    @cached_property
    def exact_root(self) -> Tensor:
        values, vectors = torch.linalg.eigh(self.covariance)
        kept = values > NEGLIGIBLE * values[-1].clamp_min(0)
        return values[kept].sqrt()[:, None] * vectors[:, kept].T

    @property
    def eigenvalues(self) -> Tensor:
        return torch.linalg.eigvalsh(self.covariance).clamp_min(0)

    def overlap(self, other: Gaussian) -> Tensor:
        """For two regular covariances the eigenvalues of LᵀS₂L, which are those of S₁S₂: symmetric,
        so several times cheaper than singular values."""
        if (
            isinstance(other, FullGaussian)
            and (lower := self.cholesky) is not None
            and other.cholesky is not None
        ):
            squared = torch.from_numpy(congruent_eigenvalues(lower, other.covariance))
            return squared.clamp_min_(0).sqrt_().sum()
        return super().overlap(other)


def congruent_eigenvalues(lower: Tensor, covariance: Tensor) -> np.ndarray:
    """Eigenvalues of LᵀSL, float64 ``(D,)`` ascending. BLAS multiplies by a triangle in half the
    time of a plain product, and torch doesn't offer that."""
    from scipy.linalg import eigvalsh
    from scipy.linalg.blas import dtrmm

    upper = lower.numpy().T  # in BLAS's column order as it is, without a copy
    right = dtrmm(1.0, upper, covariance.numpy().T, side=1, lower=0, trans_a=1)
    whole = dtrmm(1.0, upper, right, side=0, lower=0, overwrite_b=1)
    return eigvalsh(whole, driver="evr", check_finite=False, overwrite_a=True)


def products(centred: Tensor) -> Tensor:
    """XᵀX of ``(N, D)``; half the work of a plain product, because it is symmetric."""
    size = centred.shape[1]
    if size <= 2 * BLOCK:
        return centred.T @ centred
    found = torch.empty(size, size, dtype=centred.dtype, device=centred.device)
    for start in range(0, size, BLOCK):
        stop = min(start + BLOCK, size)
        strip = centred[:, start:stop].T @ centred[:, start:]
        found[start:stop, start:] = strip
        found[start:, start:stop] = strip.T
    return found
