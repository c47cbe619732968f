"""Networks: plain modules that know images and labels and nothing of training."""

from synthgen.networks.base import Discriminator, Encoder, Generator
from synthgen.networks.biggan import BigGANDiscriminator, BigGANGenerator
from synthgen.networks.dcgan import DCDiscriminator, DCGenerator
from synthgen.networks.grid import GridDecoder, GridEncoder
from synthgen.networks.heads import Head, InnerProduct, Projection, Unconditional
from synthgen.networks.patch import PatchDiscriminator
from synthgen.networks.r3gan import R3Discriminator, R3Encoder, R3Generator
from synthgen.networks.sngan import SNDiscriminator, SNGenerator
from synthgen.networks.spectral import SpectrallyNormalised
from synthgen.networks.stylegan2 import StyleGAN2Discriminator, StyleGAN2Generator

__all__ = [
    "BigGANDiscriminator",
    "BigGANGenerator",
    "DCDiscriminator",
    "DCGenerator",
    "Discriminator",
    "Encoder",
    "Generator",
    "GridDecoder",
    "GridEncoder",
    "Head",
    "InnerProduct",
    "PatchDiscriminator",
    "Projection",
    "R3Discriminator",
    "R3Encoder",
    "R3Generator",
    "SNDiscriminator",
    "SNGenerator",
    "SpectrallyNormalised",
    "StyleGAN2Discriminator",
    "StyleGAN2Generator",
    "Unconditional",
]
