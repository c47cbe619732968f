"""Bottlenecks, densities and refusals."""

import functools

import pytest
import torch
from small_hybrids import build_kl_autoencoder, build_vae_gan

from synthgen.hybrids import KLBottleneck, VQBottleneck
from synthgen.hybrids.bottleneck import Encoded, PrincipalMixture
from synthgen.networks import PatchDiscriminator, R3Encoder
from synthgen.networks.vq import CodeTransformer
from synthgen.seeds import row_seeds
from synthgen.training.schedules import Constant
from synthgen.types import ImageSpec
from synthgen.vae.densities import RunningGaussian
from synthgen.vae.likelihoods import (
    BernoulliLikelihood,
    LaplaceLikelihood,
    PixelGaussianLikelihood,
)


def encoded(mean, logvar):
    labels = torch.zeros(len(mean), dtype=torch.int64)
    return Encoded(mean, logvar, labels, torch.randn_like(mean), 0.5)


def test_the_price_of_a_gaussian_is_its_weighted_divergence():
    mean, logvar = torch.randn(5, 6), torch.randn(5, 6)
    bottleneck = KLBottleneck(2, (6, 1, 1), weight=Constant(0.25))
    q = torch.distributions.Normal(mean, (0.5 * logvar).exp())
    p = torch.distributions.Normal(torch.zeros(6), torch.ones(6))
    expected = 0.25 * torch.distributions.kl_divergence(q, p).sum(1)
    passed = bottleneck(encoded(mean, logvar))
    assert torch.allclose(passed.price, expected, rtol=1e-4)
    narrow = bottleneck(encoded(mean, torch.full_like(mean, -30.0))).latents
    assert torch.allclose(narrow, mean, atol=1e-5)


@pytest.fixture
def vq():
    torch.manual_seed(0)
    prior = functools.partial(CodeTransformer, width=16, layers=1, heads=2)
    return VQBottleneck(3, (4, 2, 2), prior=prior, num_codes=8)


def test_quantised_latents_are_codes_and_pass_the_gradient_straight_on(vq):
    mean = torch.randn(5, 16, requires_grad=True)
    passed = vq(encoded(mean, torch.zeros(5, 16)))
    vectors = passed.latents.detach().view(5, 4, 4).transpose(1, 2).reshape(-1, 4)
    assert torch.cdist(vectors, vq.codes.codebook.vectors).min(1).values.max() < 1e-3
    (slope,) = torch.autograd.grad(passed.latents.sum(), mean, retain_graph=True)
    assert torch.equal(slope, torch.ones_like(mean))
    # The prior's nats teach the prior alone: what is left for the encoder is the commitment.
    (slope,) = torch.autograd.grad(passed.price.sum(), mean)
    assert torch.allclose(slope, 2 * 0.25 * (mean - passed.latents).detach(), atol=1e-5)


def test_codes_move_only_when_they_are_told_to(vq):
    said = encoded(torch.randn(50, 16), torch.zeros(50, 16))
    before = vq.codes.codebook.vectors.clone()
    vq(said)
    assert torch.equal(vq.codes.codebook.vectors, before)
    distance = (vq(said).latents - said.mean).norm()
    for number in range(20):
        vq.observe(said, torch.Generator().manual_seed(number))
    assert (vq(said).latents - said.mean).norm() < distance


def test_the_mixture_over_components_keeps_mean_and_variance_of_each_class():
    torch.manual_seed(0)
    labels = torch.arange(6000) % 2
    scale = torch.linspace(2.0, 0.1, 12)
    latents = torch.randn(6000, 12) * scale + labels[:, None] * torch.linspace(0, 3, 12)
    density = PrincipalMixture(2, 12, rank=4, components=1)
    density.fit(latents, labels, 0)
    for label in (0, 1):
        drawn = density.sample(torch.full((6000,), label), row_seeds(label, 0, 6000))
        real = latents[labels == label]
        assert torch.allclose(drawn.var(0), real.var(0), rtol=0.2, atol=0.02)
        assert torch.allclose(drawn.mean(0), real.mean(0), atol=0.1)
    seeds = row_seeds(0, 0, 10)
    several = density.sample(torch.zeros(10, dtype=torch.int64), seeds)
    assert torch.equal(several[3:4], density.sample(torch.zeros(1, dtype=torch.int64), seeds[3:4]))


def test_running_gaussians_find_each_class():
    torch.manual_seed(0)
    density, labels = RunningGaussian(2, 3), torch.arange(400) % 2
    for _ in range(100):
        density.observe(torch.randn(400, 3) * 0.5 + labels[:, None] * 4.0, labels)
    drawn = density.sample(labels, row_seeds(0, 0, 400))
    assert torch.allclose(drawn[labels == 1].mean(0), torch.full((3,), 4.0), atol=0.2)
    assert torch.allclose(drawn[labels == 0].std(0), torch.full((3,), 0.5), atol=0.1)


def test_laplace_is_torchs():
    outputs, images = torch.randn(3, 1, 4, 4), torch.randn(3, 1, 4, 4)
    expected = -torch.distributions.Laplace(outputs, 0.5).log_prob(images).sum((1, 2, 3))
    found = LaplaceLikelihood(0.5).negative_log_likelihood(outputs, images)
    assert torch.allclose(found, expected, rtol=1e-5)
    with pytest.raises(ValueError, match="positive"):
        LaplaceLikelihood(0.0)


def test_senseless_combinations_are_refused():
    image, other = ImageSpec(1, 8, 8, ("a", "b")), ImageSpec(1, 16, 16, ("a", "b"))
    with pytest.raises(ValueError, match="KLBottleneck needs a density"):
        build_kl_autoencoder(image, density=None)
    with pytest.raises(ValueError, match="different sizes"):
        build_kl_autoencoder(image, discriminator=PatchDiscriminator(other, halvings=1))
    with pytest.raises(ValueError, match="the decoder takes"):
        build_kl_autoencoder(image, encoder=R3Encoder(image, z_dim=5, width=8, group_size=None))
    for likelihood in (BernoulliLikelihood(), PixelGaussianLikelihood()):
        with pytest.raises(ValueError, match="Likelihood describes pixels"):
            build_vae_gan(image, likelihood=likelihood)
    with pytest.raises(ValueError, match="adversarial_from"):
        build_kl_autoencoder(image, adversarial_from=1.0)
