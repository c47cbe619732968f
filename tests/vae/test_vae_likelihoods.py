"""Likelihoods against closed forms, optima and sums to one."""

import math

import pytest
import torch

from synthgen.types import ImageSpec
from synthgen.vae.likelihoods import (
    BernoulliLikelihood,
    GaussianLikelihood,
    LaplaceLikelihood,
    LearnedGaussianLikelihood,
    LogisticMixtureLikelihood,
    PixelGaussianLikelihood,
)


def test_gaussian_likelihood_uses_the_best_sigma():
    torch.manual_seed(0)
    outputs, images = torch.zeros(64, 1, 8, 8), 0.3 * torch.randn(64, 1, 8, 8)
    likelihood = GaussianLikelihood()
    value = likelihood.negative_log_likelihood(outputs, images).mean().item()
    assert likelihood.log_sigma.exp().item() == pytest.approx(0.3, rel=0.05)
    for sigma in (0.25, 0.35):
        normal = torch.distributions.Normal(outputs, sigma)
        assert value < -normal.log_prob(images).sum(dim=(1, 2, 3)).mean().item()


def test_in_evaluation_sigma_is_that_of_training():
    """So that an image's likelihood doesn't depend on its companions."""
    torch.manual_seed(0)
    outputs, images = torch.zeros(64, 1, 8, 8), 0.3 * torch.randn(64, 1, 8, 8)
    likelihood = GaussianLikelihood()
    likelihood.negative_log_likelihood(outputs, images)
    likelihood.eval()
    others = 3 * images
    found = likelihood.negative_log_likelihood(outputs, others)
    normal = torch.distributions.Normal(outputs, likelihood.log_sigma.exp())
    assert likelihood.log_sigma.exp().item() == pytest.approx(0.3, rel=0.05)
    assert torch.allclose(found, -normal.log_prob(others).sum(dim=(1, 2, 3)), rtol=1e-4)


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


def test_the_best_sigma_is_the_root_of_the_squared_error():
    torch.manual_seed(0)
    outputs, images = torch.zeros(32, 1, 8, 8), 0.2 * torch.randn(32, 1, 8, 8)
    error = images.square().mean()
    closed = GaussianLikelihood(min_log_sigma=-20)
    value = closed.negative_log_likelihood(outputs, images).mean()
    assert closed.log_sigma.item() == pytest.approx(0.5 * error.log().item(), abs=1e-4)
    assert value.item() == pytest.approx(32 * (2 * math.pi * math.e * error).log().item(), abs=1e-3)
    learned = LearnedGaussianLikelihood(min_log_sigma=-20)
    optimizer = torch.optim.LBFGS(learned.parameters(), max_iter=100, line_search_fn="strong_wolfe")

    def closure():
        optimizer.zero_grad()
        loss = learned.negative_log_likelihood(outputs, images).mean() / 64
        loss.backward()
        return loss

    optimizer.step(closure)
    assert closure().item() * 64 == pytest.approx(value.item(), abs=0.01)


def test_a_sigma_per_pixel_is_a_normal_distribution():
    torch.manual_seed(0)
    outputs, images = torch.randn(4, 6, 5, 5), torch.randn(4, 3, 5, 5)
    likelihood = PixelGaussianLikelihood(min_log_sigma=-50)
    normal = torch.distributions.Normal(outputs[:, :3], outputs[:, 3:].exp())
    expected = -normal.log_prob(images).sum(dim=(1, 2, 3))
    assert torch.allclose(likelihood.negative_log_likelihood(outputs, images), expected, rtol=1e-4)
    assert torch.equal(likelihood.mean(outputs), outputs[:, :3])


LEVELS = torch.arange(256) / 127.5 - 1


def mixture_outputs(channels, components=3, log_scale=-2.0):
    """Numbers of one pixel such that fewer channels are the marginal of more."""
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(components, generator=generator)
    means = torch.empty(3, components).uniform_(-1.2, 1.2, generator=generator)
    scales = log_scale + 0.5 * torch.randn(3, components, generator=generator)
    coefficients = torch.randn(3, components, generator=generator)
    pairs = channels * (channels - 1) // 2
    parts = [logits[None], means[:channels], scales[:channels], coefficients[:pairs]]
    return torch.cat(parts).flatten()[None, :, None, None]


def level_probs(channels, pixels, **settings):
    """P of ``(N, channels)`` levels."""
    outputs = mixture_outputs(channels, **settings).expand(len(pixels), -1, 1, 1)
    likelihood = LogisticMixtureLikelihood(3)
    return likelihood.level_log_probs(outputs, pixels[:, :, None, None]).flatten().exp().double()


@pytest.mark.parametrize("log_scale", [-6.9, -4.0, -1.0, 2.0])
def test_probabilities_of_256_levels_sum_to_one(log_scale):
    probs = level_probs(1, LEVELS[:, None], log_scale=log_scale)
    assert probs.sum().item() == pytest.approx(1, abs=1e-4)


def test_channels_of_a_logistic_mixture_are_a_chain():
    pair = torch.tensor([[0.2, -0.6]]).expand(256, 2)
    blue = level_probs(3, torch.cat([pair, LEVELS[:, None]], dim=1)).sum().item()
    assert blue == pytest.approx(level_probs(2, pair[:1]).item(), rel=1e-3)
    red = pair[:, :1]
    green = level_probs(2, torch.cat([red, LEVELS[:, None]], dim=1)).sum().item()
    assert green == pytest.approx(level_probs(1, red[:1]).item(), rel=1e-3)


@pytest.mark.parametrize("log_scale", [-5.0, -1.0, 2.0])
def test_the_mean_image_is_the_expectation(log_scale):
    """Also where much of a component lies beyond black and white."""
    outputs = mixture_outputs(1, log_scale=log_scale)
    outputs[:, 3:6] = torch.tensor([-1.5, 0.1, 0.98])[None, :, None, None]
    pixels = LEVELS[:, None, None, None]
    likelihood = LogisticMixtureLikelihood(3)
    probs = likelihood.level_log_probs(outputs.expand(256, -1, 1, 1), pixels).flatten().exp()
    assert likelihood.mean(outputs).item() == pytest.approx((probs @ LEVELS).item(), abs=2e-3)


@pytest.mark.parametrize("size", [1e-3, 30.0, 1e4])
def test_extreme_outputs_have_finite_likelihoods_and_gradients(size):
    generator = torch.Generator().manual_seed(0)
    outputs = (size * torch.randn(64, 30, 4, 4, generator=generator)).requires_grad_()
    images = torch.randint(0, 3, (64, 3, 4, 4), generator=generator).float() - 1
    likelihood = LogisticMixtureLikelihood(3)
    value = likelihood.negative_log_likelihood(outputs, images)
    value.sum().backward()
    assert value.isfinite().all()
    assert outputs.grad.isfinite().all()
    mean = likelihood.mean(outputs)
    assert mean.isfinite().all()
    assert mean.abs().max() <= 1 + 1e-6


def test_the_likeliest_image_is_the_mean_of_one_component():
    outputs = mixture_outputs(1, log_scale=-5.0)
    outputs[:, 3:6] = torch.tensor([-0.5, 0.1, 0.6])[None, :, None, None]
    best = int(outputs[0, :3, 0, 0].argmax())
    likeliest = LogisticMixtureLikelihood(3, image="likeliest").mean(outputs)
    assert likeliest.item() == pytest.approx([-0.5, 0.1, 0.6][best])


def test_the_mean_colour_follows_from_the_channels_before():
    outputs = mixture_outputs(3, log_scale=-6.5)
    outputs[:, :3] = torch.tensor([50.0, 0.0, 0.0])[None, :, None, None]  # one component alone
    outputs[:, 3:12] *= 0.3
    likelihood = LogisticMixtureLikelihood(3)
    centre = likelihood.mean(outputs)
    best = likelihood.negative_log_likelihood(outputs, centre)
    for channel in range(3):
        moved = centre.clone()
        moved[:, channel] += 0.05
        assert likelihood.negative_log_likelihood(outputs, moved).item() > best.item() + 1
    assert LogisticMixtureLikelihood(10).out_channels(ImageSpec(3, 8, 8, ("a", "b"))) == 100


def test_laplace_likelihood_is_the_distribution():
    torch.manual_seed(0)
    outputs, images = torch.randn(2, 4, 3, 5, 5)
    expected = -torch.distributions.Laplace(outputs, 0.3).log_prob(images).sum(dim=(1, 2, 3))
    found = LaplaceLikelihood(0.3).negative_log_likelihood(outputs, images)
    assert torch.allclose(found, expected, rtol=1e-4)
