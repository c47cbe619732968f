"""Networks: plain modules that know images and labels and nothing of training."""

from synthgen.networks.r3gan import R3Discriminator, R3Encoder, R3Generator

__all__ = ["R3Discriminator", "R3Encoder", "R3Generator"]
