"""Networks: plain modules that know images and labels and nothing of training."""

from synthgen.networks.base import Discriminator, Encoder, Generator
from synthgen.networks.biggan import BigGANDiscriminator, BigGANGenerator
from synthgen.networks.blocks import Head, InnerProduct, Projection, Unconditional
from synthgen.networks.dcgan import DCDiscriminator, DCGenerator
from synthgen.networks.grid import GridDecoder, GridEncoder
from synthgen.networks.ladder import LadderDecoder, LadderEncoder
from synthgen.networks.patch import PatchDiscriminator
from synthgen.networks.r3gan import R3Discriminator, R3Encoder, R3Generator
from synthgen.networks.sngan import SNDiscriminator, SNGenerator
from synthgen.networks.spectral import SpectrallyNormalised
from synthgen.networks.stylegan2 import StyleGAN2Discriminator, StyleGAN2Generator
from synthgen.networks.vq import Codebook, CodeTransformer, VQDecoder, VQEncoder

__all__ = [
    "BigGANDiscriminator",
    "BigGANGenerator",
    "CodeTransformer",
    "Codebook",
    "DCDiscriminator",
    "DCGenerator",
    "Discriminator",
    "Encoder",
    "Generator",
    "GridDecoder",
    "GridEncoder",
    "Head",
    "InnerProduct",
    "LadderDecoder",
    "LadderEncoder",
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
    "VQDecoder",
    "VQEncoder",
]
