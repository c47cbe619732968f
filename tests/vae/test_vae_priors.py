"""Divergences from priors against Monte Carlo and integrals; their draws."""

import math

import pytest
import torch

from synthgen.seeds import row_seeds
from synthgen.types import ImageSpec
from synthgen.vae.base import Networks
from synthgen.vae.priors import ClassGaussianPrior, DiagonalMixture, VampPrior


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


def test_the_estimated_kl_of_a_vamp_prior_is_the_integral(step_of, linear_encoder):
    torch.manual_seed(0)
    image = ImageSpec(1, 2, 3, ("a", "b"))
    encoder, prior = linear_encoder(image, 1), VampPrior(2, 1, components=4)
    networks = Networks(encoder, torch.nn.Identity(), prior, torch.nn.Identity())
    images, labels = torch.randn(2, 1, 2, 3), torch.tensor([0, 1])
    means, logvars = (part.detach() for part in prior.encoded())
    grid = torch.linspace(-12, 12, 20_001)
    expected = []
    for label in labels:
        mean, logvar = (part.detach() for part in encoder(images[label][None], labels[:1]))
        q = torch.distributions.Normal(mean.squeeze(), (0.5 * logvar).exp().squeeze())
        each = torch.distributions.Normal(means[label, :, 0], (0.5 * logvars[label, :, 0]).exp())
        log_p = each.log_prob(grid[:, None]).logsumexp(dim=1) - math.log(4)
        log_q = q.log_prob(grid)
        expected.append(torch.trapezoid(log_q.exp() * (log_q - log_p), grid).item())
    draws, rows = 20_000, torch.arange(2).repeat(20_000)
    step = step_of(networks, images[rows], labels[rows])
    with torch.no_grad():
        found = step.kl(step.draw()[0]).view(draws, 2).mean(dim=0).tolist()
    assert found == pytest.approx(expected, abs=0.02)
    assert min(expected) > 0.01


def test_a_saved_vamp_prior_draws_what_the_prior_draws(linear_encoder):
    torch.manual_seed(0)
    prior = VampPrior(2, 3, components=4)
    prior.use(linear_encoder(ImageSpec(1, 2, 3, ("a", "b")), 3))
    labels, seeds = torch.tensor([0, 1, 1]), row_seeds(0, 0, 3)
    assert torch.equal(prior.sample(labels, seeds), prior.frozen().sample(labels, seeds))
    assert not any("encoder" in name for name in prior.state_dict())


def test_a_vamp_priors_draws_are_those_of_its_components():
    """Two far components of unequal widths, equally often; row by row from the seeds alone."""
    mixture = DiagonalMixture(1, 1, components=2)
    mixture.means.copy_(torch.tensor([-10.0, 10.0])[None, :, None])
    mixture.logvars.copy_(torch.tensor([0.5, 2.0]).square().log()[None, :, None])
    seeds = row_seeds(0, 0, 4000)
    z = mixture.sample(torch.zeros(4000, dtype=torch.int64), seeds)
    low, high = z[z < 0], z[z > 0]
    assert len(low) / 4000 == pytest.approx(0.5, abs=0.03)
    assert low.std().item() == pytest.approx(0.5, rel=0.05)
    assert high.std().item() == pytest.approx(2.0, rel=0.05)
    assert torch.equal(mixture.sample(torch.tensor([0]), seeds[7:8])[0], z[7])
