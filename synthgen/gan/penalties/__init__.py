"""Penalties on the discriminator: each sees one CriticStep and returns one value per image."""

from synthgen.gan.penalties.base import CriticStep, Penalty
from synthgen.gan.penalties.consistency import Consistency
from synthgen.gan.penalties.dragan import DRAGAN
from synthgen.gan.penalties.gradient_norm import GradientNorm
from synthgen.gan.penalties.lecam import LeCam
from synthgen.gan.penalties.wgan_gp import WGANGP
from synthgen.gan.penalties.zero_centred import R1, R2

__all__ = [
    "DRAGAN",
    "R1",
    "R2",
    "WGANGP",
    "Consistency",
    "CriticStep",
    "GradientNorm",
    "LeCam",
    "Penalty",
]
