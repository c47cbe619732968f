"""Adversarial losses: each sees logits only and returns one value per image."""

from synthgen.gan.losses.base import GANLoss
from synthgen.gan.losses.hinge import Hinge
from synthgen.gan.losses.least_squares import LeastSquares
from synthgen.gan.losses.non_saturating import NonSaturating
from synthgen.gan.losses.relativistic import RelativisticPairing
from synthgen.gan.losses.wasserstein import Wasserstein

__all__ = [
    "GANLoss",
    "Hinge",
    "LeastSquares",
    "NonSaturating",
    "RelativisticPairing",
    "Wasserstein",
]
