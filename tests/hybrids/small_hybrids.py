"""Small hybrids: the builders that the tests share."""

import functools

import torch

from synthgen.gan.losses import NonSaturating
from synthgen.gan.penalties import R1
from synthgen.hybrids import VAEGAN, Autoencoder, KLBottleneck, VQBottleneck
from synthgen.hybrids.bottleneck import PrincipalMixture
from synthgen.networks import (
    GridDecoder,
    GridEncoder,
    PatchDiscriminator,
    R3Discriminator,
    R3Encoder,
    R3Generator,
)
from synthgen.networks.vq import CodeTransformer
from synthgen.training.schedules import Constant
from synthgen.vae.densities import GaussianMixtureDensity
from synthgen.vae.likelihoods import GaussianLikelihood, LaplaceLikelihood
from synthgen.vae.priors import ClassGaussianPrior

TINY = {"width": 8, "max_width": 16, "patch": 2, "expansion": 1, "group_size": None}
GRID = {**TINY, "channels": 4, "factor": 4, "blocks": 1}
ADAM = functools.partial(torch.optim.Adam, lr=0.0, betas=(0.5, 0.9))


def build_vae_gan(image, loss=None, cls=VAEGAN, **changes):
    torch.manual_seed(0)
    settings = {
        "encoder": R3Encoder(image, z_dim=4, **TINY),
        "decoder": R3Generator(image, z_dim=4, **TINY),
        "prior": ClassGaussianPrior,
        "likelihood": GaussianLikelihood(),
        "discriminator": R3Discriminator(image, **TINY),
        "loss": loss or NonSaturating(),
        "penalties": {"r1": R1(Constant(0.1), every=2)},
        "optimizer": ADAM,
        "discriminator_optimizer": ADAM,
        "lr": Constant(1e-3),
        "beta": Constant(1.0),
        "reconstruction_weight": Constant(1.0),
        "density": functools.partial(GaussianMixtureDensity, components=2, min_images=20),
        "batch_size": 32,
    }
    return cls(**{**settings, **changes})


def build_kl_autoencoder(image, loss=None, cls=Autoencoder, **changes):
    torch.manual_seed(0)
    settings = {
        "encoder": GridEncoder(image, **GRID),
        "decoder": functools.partial(GridDecoder, image, **GRID),
        "bottleneck": functools.partial(KLBottleneck, weight=Constant(1e-2)),
        "likelihood": LaplaceLikelihood(),
        "density": functools.partial(PrincipalMixture, rank=8, components=2),
        "discriminator": PatchDiscriminator(image, width=8, halvings=1),
        "loss": loss or NonSaturating(),
        "penalties": {"r1": R1(Constant(0.1), every=2)},
        "optimizer": ADAM,
        "discriminator_optimizer": ADAM,
        "lr": Constant(1e-3),
        "adversarial_weight": Constant(0.5),
        "adversarial_from": 0.2,
        "batch_size": 32,
    }
    return cls(**{**settings, **changes})


def build_vq_autoencoder(image, loss=None, cls=Autoencoder, **changes):
    prior = functools.partial(CodeTransformer, width=16, layers=1, heads=2)
    bottleneck = functools.partial(VQBottleneck, prior=prior, num_codes=16)
    return build_kl_autoencoder(image, loss, cls, bottleneck=bottleneck, density=None, **changes)


BUILDERS = [build_vae_gan, build_kl_autoencoder, build_vq_autoencoder]
