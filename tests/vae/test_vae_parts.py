"""Closed forms against Monte Carlo, optima against formulas, fits against known densities."""

import math

import pytest
import torch

from synthgen.seeds import row_seeds
from synthgen.vae.densities import GaussianMixtureDensity
from synthgen.vae.likelihoods import BernoulliLikelihood, GaussianLikelihood
from synthgen.vae.priors import ClassGaussianPrior


@pytest.fixture
def prior():
    torch.manual_seed(0)
    prior = ClassGaussianPrior(3, 4)
    with torch.no_grad():
        prior.means.normal_()
        prior.logvars.normal_(std=0.5)
    return prior


def test_kl_equals_its_monte_carlo_estimate(prior):
    labels = torch.tensor([0, 1, 2])
    mean, logvar = torch.randn(3, 4), 0.5 * torch.randn(3, 4)
    z = mean + torch.randn(200_000, 3, 4) * (0.5 * logvar).exp()
    q = torch.distributions.Normal(mean, (0.5 * logvar).exp())
    p = torch.distributions.Normal(prior.means[labels], (0.5 * prior.logvars[labels]).exp())
    estimate = (q.log_prob(z) - p.log_prob(z)).mean(dim=0)
    assert torch.allclose(prior.kl(mean, logvar, labels), estimate, atol=0.02)


def test_kl_is_zero_where_the_posterior_is_the_prior(prior):
    labels = torch.tensor([2, 0])
    kl = prior.kl(prior.means[labels], prior.logvars[labels], labels)
    assert kl.abs().max().item() < 1e-6


def test_prior_draws_have_its_moments_and_depend_on_their_seed_alone(prior):
    seeds = row_seeds(5, 0, 20_000)
    labels = torch.ones(20_000, dtype=torch.int64)
    z = prior.sample(labels, seeds).detach()
    assert torch.allclose(z.mean(0), prior.means[1], atol=0.05)
    assert torch.allclose(z.var(0).log(), prior.logvars[1], atol=0.05)
    backwards = prior.sample(labels[:10], seeds[:10].flip(0)).detach().flip(0)
    assert torch.equal(z[:10], backwards)


def test_gaussian_likelihood_uses_the_best_sigma():
    torch.manual_seed(0)
    outputs, images = torch.zeros(64, 1, 8, 8), 0.3 * torch.randn(64, 1, 8, 8)
    likelihood = GaussianLikelihood()
    value = likelihood.negative_log_likelihood(outputs, images).mean().item()
    assert likelihood.log_sigma.exp().item() == pytest.approx(0.3, rel=0.05)
    for sigma in (0.25, 0.35):
        normal = torch.distributions.Normal(outputs, sigma)
        assert value < -normal.log_prob(images).sum(dim=(1, 2, 3)).mean().item()


def test_gaussian_likelihood_of_a_perfect_output_is_bounded():
    images = torch.zeros(2, 1, 4, 4)
    value = GaussianLikelihood(min_log_sigma=-3).negative_log_likelihood(images, images)
    floor = 16 * (-3 + 0.5 * math.log(2 * math.pi))
    assert value.tolist() == pytest.approx([floor] * 2, abs=0.5)


def test_bernoulli_likelihood_of_white_and_black():
    likelihood = BernoulliLikelihood()
    white, black = torch.ones(1, 1, 2, 2), -torch.ones(1, 1, 2, 2)
    sure = torch.full((1, 1, 2, 2), 20.0)
    assert likelihood.negative_log_likelihood(sure, white).item() == pytest.approx(0, abs=1e-6)
    assert likelihood.negative_log_likelihood(sure, black).item() == pytest.approx(80)
    assert likelihood.mean(torch.zeros(1)).item() == 0


def test_a_fitted_mixture_finds_two_far_modes_of_each_class():
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(2).repeat_interleave(1000)
    side = torch.randint(0, 2, (2000,), generator=generator) * 2 - 1
    centres = torch.stack([side * 5.0, labels * 20.0], dim=1)
    latents = centres + 0.5 * torch.randn(2000, 2, generator=generator)
    density = GaussianMixtureDensity(2, 2, components=2)
    density.fit(latents, labels, seed=0)
    asked = torch.ones(4000, dtype=torch.int64)
    drawn = density.sample(asked, row_seeds(0, 0, 4000))
    assert drawn[:, 1].mean().item() == pytest.approx(20, abs=0.1)
    assert (drawn[:, 0].abs() - 5).abs().mean().item() == pytest.approx(0.4, abs=0.1)
    assert (drawn[:, 0] > 0).float().mean().item() == pytest.approx(0.5, abs=0.05)
    single = density.sample(asked[7:8], row_seeds(0, 7, 1))
    assert torch.equal(single[0], drawn[7])


def test_small_classes_get_fewer_components():
    density = GaussianMixtureDensity(1, 2, components=5, min_images=100)
    density.fit(torch.randn(150, 2), torch.zeros(150, dtype=torch.int64), seed=0)
    assert (density.weights[0] > 0).sum().item() == 1


def test_a_class_with_fewer_images_than_dimensions_still_fills_every_direction():
    density = GaussianMixtureDensity(1, 32, components=5)
    latents = torch.randn(8, 32, generator=torch.Generator().manual_seed(0))
    density.fit(latents, torch.zeros(8, dtype=torch.int64), seed=0)
    drawn = density.sample(torch.zeros(500, dtype=torch.int64), row_seeds(0, 0, 500))
    centred = latents - latents.mean(0)
    span = torch.linalg.svd(centred, full_matrices=False).Vh[:7]
    outside = (drawn - latents.mean(0)) @ (torch.eye(32) - span.T @ span)
    assert outside.square().sum(1).mean().item() > 1.0
