"""A linear Gaussian model, whose likelihood is known, and models trained on digits."""

import functools

import pytest
import torch
from torch import nn

from synthgen.data import Digits, prepare
from synthgen.networks.base import Encoder, Generator
from synthgen.networks.r3gan import R3Encoder, R3Generator
from synthgen.seeds import step_generator
from synthgen.training.schedules import Constant, Cosine
from synthgen.training.train import train
from synthgen.types import ImageSpec
from synthgen.vae import VAE
from synthgen.vae.base import Networks
from synthgen.vae.densities import GaussianMixtureDensity
from synthgen.vae.likelihoods import FixedGaussianLikelihood, GaussianLikelihood
from synthgen.vae.objectives import ELBO, RAE, VAEStep, WeightDecay
from synthgen.vae.priors import StandardNormalPrior

SMALL = {"width": 16, "max_width": 32, "expansion": 1, "group_size": None, "embedding_dim": 8}
Z = 8


class LinearDecoder(Generator):
    """x = Wz, the same for every class."""

    def __init__(self, image: ImageSpec, z_dim: int) -> None:
        super().__init__()
        self.image, self.z_dim = image, z_dim
        self.weight = nn.Parameter(torch.randn(image.height * image.width, z_dim) * 0.7)

    def forward(self, z, labels):
        return (z @ self.weight.T).view(len(z), *self.image.shape)


class LinearEncoder(Encoder):
    """A linear mean and a constant variance."""

    def __init__(self, image: ImageSpec, z_dim: int) -> None:
        super().__init__()
        self.image, self.z_dim = image, z_dim
        self.weight = nn.Parameter(torch.randn(z_dim, image.height * image.width) * 0.3)
        self.logvar = nn.Parameter(torch.full((z_dim,), -0.5))

    def forward(self, images, labels):
        return images.flatten(1) @ self.weight.T, self.logvar.expand(len(images), -1)


@pytest.fixture
def step_of():
    """``step_of(networks, images, labels, seed)``: a step whose noise and randomness are the
    seed's."""

    def make(networks, images, labels, seed=0):
        return VAEStep(
            images=images,
            labels=labels,
            networks=networks,
            progress=1.0,
            noise=lambda rows, size: torch.randn(rows, size, generator=step_generator(seed, 1)),
            random=step_generator(seed, 2),
            autocast=functools.partial(torch.autocast, "cpu", enabled=False),
        )

    return make


@pytest.fixture
def linear_encoder():
    return LinearEncoder


@pytest.fixture
def linear():
    """Networks of p(x) = N(0, WWᵀ + σ²I) with a posterior that is a little wrong, 64 images of that
    distribution, and log p(x) of each."""
    torch.manual_seed(0)
    image = ImageSpec(1, 2, 3, ("a", "b"))
    sigma = 0.5
    decoder, encoder = LinearDecoder(image, 2), LinearEncoder(image, 2)
    covariance = decoder.weight @ decoder.weight.T + sigma**2 * torch.eye(6)
    truth = torch.distributions.MultivariateNormal(torch.zeros(6), covariance)
    right = decoder.weight.T @ torch.linalg.inv(covariance)
    with torch.no_grad():
        encoder.weight.copy_(right + 0.05 * torch.randn(2, 6))
        encoder.logvar.copy_((torch.eye(2) - right @ decoder.weight).diagonal().log() + 0.3)
    x = truth.sample((64,)).detach()
    networks = Networks(encoder, decoder, StandardNormalPrior(2, 2), FixedGaussianLikelihood(sigma))
    labels = torch.zeros(64, dtype=torch.int64)
    return networks, x.view(64, 1, 2, 3), labels, truth.log_prob(x).detach()


@pytest.fixture(scope="session")
def digits():
    return prepare(Digits())


def trained(objective, likelihood, digits, out):
    torch.manual_seed(0)
    image = digits.train.image
    model = VAE(
        R3Encoder(image, z_dim=Z, **SMALL),
        R3Generator(image, z_dim=Z, **SMALL),
        StandardNormalPrior,
        likelihood,
        functools.partial(torch.optim.Adam, lr=0.0, fused=True),
        lr=Cosine(3e-3, 1e-4),
        objective=objective,
        density=functools.partial(GaussianMixtureDensity, components=2),
        ema_half_life=2000,
        batch_size=64,
    )
    train(model, digits, out, max_images=15_000, previews=0)
    return model


@pytest.fixture(scope="session")
def vae(digits, tmp_path_factory):
    elbo = ELBO(Constant(1.0))
    return trained(elbo, GaussianLikelihood(), digits, tmp_path_factory.mktemp("vae") / "run")


@pytest.fixture(scope="session")
def rae(digits, tmp_path_factory):
    objective = RAE(0.01, WeightDecay(1e-3))
    out = tmp_path_factory.mktemp("rae") / "run"
    return trained(objective, FixedGaussianLikelihood(), digits, out)
