"""Small models for the tests of training."""

import functools
import os
import signal

import pytest
import torch

from synthgen.gan import GAN
from synthgen.gan.losses import RelativisticPairing
from synthgen.gan.penalties import R1
from synthgen.networks import R3Discriminator, R3Encoder, R3Generator
from synthgen.training.schedules import Constant, Cosine
from synthgen.vae import VAE
from synthgen.vae.likelihoods import GaussianLikelihood
from synthgen.vae.objectives import ELBO
from synthgen.vae.priors import ClassGaussianPrior

TINY = {"max_width": 16, "patch": 2, "expansion": 1, "group_size": None}


@pytest.fixture
def build_gan():
    """``build_gan(image, width=8, stop_at=None, generator=None, **arguments of GAN)``."""

    def build(image, width=8, stop_at=None, generator=None, **options):
        class Stopping(GAN):
            def step(self, images, labels):
                super().step(images, labels)
                if self.clock.images_seen // self.batch_size + 1 == stop_at:
                    os.kill(os.getpid(), signal.SIGINT)

        torch.manual_seed(0)
        adam = functools.partial(torch.optim.Adam, lr=0.0, betas=(0.0, 0.9))
        return (GAN if stop_at is None else Stopping)(
            generator or R3Generator(image, z_dim=8, width=width, **TINY),
            R3Discriminator(image, width=width, **TINY),
            RelativisticPairing(),
            {"r1": R1(Constant(1.0), every=2)},
            adam,
            adam,
            lr=Cosine(1e-3, 1e-4),
            ema_half_life=100,
            batch_size=32,
            **options,
        )

    return build


@pytest.fixture
def build_vae():
    """``build_vae(image, prior=…, **arguments of VAE)``."""

    def build(image, prior=ClassGaussianPrior, **options):
        torch.manual_seed(0)
        return VAE(
            R3Encoder(image, z_dim=4, width=8, **TINY),
            R3Generator(image, z_dim=4, width=8, **TINY),
            prior,
            GaussianLikelihood(),
            functools.partial(torch.optim.Adam, lr=0.0),
            lr=Constant(1e-3),
            objective=ELBO(Constant(1.0)),
            batch_size=32,
            **options,
        )

    return build
