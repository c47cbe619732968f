"""Auxiliary classifiers on the discriminator's features."""

from synthgen.gan.auxiliary.ac_gan import ACGAN
from synthgen.gan.auxiliary.base import AuxiliaryClassifier
from synthgen.gan.auxiliary.d2d_ce import D2DCE

__all__ = ["ACGAN", "D2DCE", "AuxiliaryClassifier"]
