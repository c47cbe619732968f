"""Penalties on the discriminator: each sees one CriticStep and returns one value per image."""

from synthgen.gan.penalties.base import CriticStep, Penalty
from synthgen.gan.penalties.zero_centred import R1, R2

__all__ = ["R1", "R2", "CriticStep", "Penalty"]
