"""Networks: plain modules that know images and labels and nothing of training."""

from synthgen.networks.base import Discriminator, Encoder, Generator
from synthgen.networks.r3gan import R3Discriminator, R3Encoder, R3Generator

__all__ = ["Discriminator", "Encoder", "Generator", "R3Discriminator", "R3Encoder", "R3Generator"]
