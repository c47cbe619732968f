"""Gaussians with the one quantity that the Fréchet distance finds hard: how far two overlap."""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

ROWS = 1024  # of the features that are made float64 at a time
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


def scatter(features: Tensor, centre: Tensor) -> Tensor:
    """float64 ``(D, D)``: Σ (x - c)(x - c)ᵀ over the rows of ``(N, D)`` features, float32 or 64.

    A part of the rows at a time is made float64 and centred, in one buffer: whole copies would cost
    more time than the products, of which BLAS's symmetric one does half.
    """
    from scipy.linalg.blas import dsyrk

    if features.device.type != "cpu":
        centred = features.double() - centre
        return centred.T @ centred
    size = features.shape[1]
    found = np.zeros((size, size), order="F")
    buffer, offset = np.empty((min(ROWS, len(features)), size)), centre.numpy()
    for rows in features.split(ROWS):
        # NumPy, because torch's threads and BLAS's would wait for each other at every turn.
        part = np.subtract(rows.numpy(), offset, out=buffer[: len(rows)])
        found = dsyrk(1.0, part.T, beta=1.0, c=found, overwrite_c=1)
    upper = torch.from_numpy(found)
    return upper.triu() + upper.triu(1).T


def products(rows: Tensor) -> Tensor:
    """XᵀX of ``(N, D)``, float64."""
    return scatter(rows, torch.zeros(rows.shape[1], dtype=torch.float64, device=rows.device))
