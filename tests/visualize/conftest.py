"""A small GAN and a small VAE, with weights that make images differ."""

from pathlib import Path

import pytest
import torch

from synthgen.networks.r3gan import R3Generator
from synthgen.samplers import save_sampler
from synthgen.samplers.neural import DecoderSampler, GeneratorSampler
from synthgen.types import ImageSpec
from synthgen.vae.likelihoods import BernoulliLikelihood
from synthgen.vae.priors import ClassGaussianPrior

IMAGE = ImageSpec(1, 8, 8, ("cat", "dog", "emu"))


def network(image=IMAGE):
    torch.manual_seed(0)
    made = R3Generator(image, z_dim=6, width=16, max_width=32, group_size=None, embedding_dim=8)
    with torch.no_grad():
        made.to_image.weight.mul_(6)  # fresh weights draw nearly grey images
    return made


def gan_of(image=IMAGE):
    return GeneratorSampler(network(image)).eval().requires_grad_(False)


def vae_of(image=IMAGE):
    prior = ClassGaussianPrior(image.num_classes, 6)
    with torch.no_grad():
        prior.means.normal_(0, 3)
    made = DecoderSampler(network(image), prior, BernoulliLikelihood())
    return made.eval().requires_grad_(False)


MADE = {"gan": gan_of, "vae": vae_of}


@pytest.fixture(params=MADE)
def neural(request):
    return MADE[request.param]()


@pytest.fixture
def colourful():
    return gan_of(ImageSpec(3, 9, 7, ("cat", "dog")))


@pytest.fixture
def saved(tmp_path) -> Path:
    return save_sampler(gan_of(), tmp_path / "run" / "sampler", {"data": {"name": "zoo"}})
