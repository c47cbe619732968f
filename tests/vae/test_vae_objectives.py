"""Bounds and penalties on a linear Gaussian model whose likelihood is known, and on digits."""

import functools
import math

import pytest
import torch

from synthgen.training.schedules import Constant, Linear
from synthgen.vae.base import Networks
from synthgen.vae.likelihoods import FixedGaussianLikelihood
from synthgen.vae.objectives import (
    ELBO,
    IWAE,
    RAE,
    SCALES,
    DoublyReparameterizedIWAE,
    InfoVAE,
    LatentGradientPenalty,
    WeightDecay,
    discrepancy,
    kernel,
)
from synthgen.vae.priors import VampPrior


@pytest.fixture
def bound(step_of):
    return functools.partial(average_bound, step_of)


def average_bound(step_of, objective, networks, images, labels, repeats):
    """The average of an objective over many draws of the noise."""
    with torch.no_grad():
        steps = (step_of(networks, images, labels, seed) for seed in range(repeats))
        return -torch.stack([objective(step).value for step in steps]).mean().item()


def test_iwae_with_one_sample_is_the_elbo_and_more_samples_close_the_gap(linear, bound):
    networks, images, labels, truth = linear
    exact = truth.mean().item()
    elbo = bound(ELBO(Constant(1.0)), networks, images, labels, 200)
    bounds = [bound(IWAE(k), networks, images, labels, 200) for k in (1, 4, 16, 128)]
    assert bounds[0] == pytest.approx(elbo, abs=0.02)
    assert exact - elbo > 0.1
    assert elbo < bounds[1] - 0.02 < bounds[2] - 0.03 < bounds[3] < exact + 0.01
    assert bounds[3] == pytest.approx(exact, abs=0.02)


def test_iwae_is_tighter_than_the_elbo_of_a_trained_vae(vae, digits, bound):
    test, networks = digits.test, vae.ema.average.eval()
    images, labels = test.images.float().div(127.5).sub(1), test.labels
    bounds = [bound(IWAE(k), networks, images, labels, 4) for k in (1, 5, 20)]
    elbo = bound(ELBO(Constant(1.0)), networks, images, labels, 4)
    assert bounds[0] == pytest.approx(elbo, abs=0.3)
    assert bounds[0] + 0.2 < bounds[1] < bounds[2] - 0.1


def gradients(step_of, objective, networks, images, labels):
    """A gradient per parameter and each of three independent draws of the noise."""
    parameters = dict(networks.named_parameters())
    values = [objective(step_of(networks, images, labels, seed)).value for seed in range(3)]
    found = [torch.autograd.grad(value, list(parameters.values())) for value in values]
    by_parameter = zip(*found, strict=True)
    return {name: torch.stack(each) for name, each in zip(parameters, by_parameter, strict=True)}


def test_the_doubly_reparameterized_gradient_is_the_bounds_with_less_noise(linear, step_of):
    networks, images, labels, _ = linear
    images, labels = images[:8].repeat(2000, 1, 1, 1), labels[:8].repeat(2000)
    plain, double = IWAE(8), DoublyReparameterizedIWAE(8)
    one = step_of(networks, images, labels)
    assert plain(one).value.item() == pytest.approx(double(one).value.item(), abs=1e-4)
    expected = gradients(step_of, plain, networks, images, labels)
    found = gradients(step_of, double, networks, images, labels)
    assert torch.allclose(found["decoder.weight"], expected["decoder.weight"], atol=1e-4)
    for name in ("encoder.weight", "encoder.logvar"):
        scale = expected[name].mean(0).abs().max().item()
        assert torch.allclose(found[name].mean(0), expected[name].mean(0), atol=0.2 * scale)
        assert found[name].std(0).mean() < 0.3 * expected[name].std(0).mean()


def test_equal_samples_have_no_discrepancy_and_others_have():
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(3).repeat(20)
    same, moved = [], []
    for _ in range(200):
        first, second = torch.randn(2, 60, 4, generator=generator)
        same.append(discrepancy(first, second, labels).item())
        # Two classes exchanged: all together look alike, class by class they don't.
        offset = (labels == 0).float()[:, None] * 2 - (labels == 1).float()[:, None] * 2
        moved.append(discrepancy(first + offset, second - offset, labels).item())
    same = torch.tensor(same)
    assert abs(same.mean().item()) < 3 * same.std().item() / math.sqrt(len(same))
    assert same.min().item() < 0  # unbiased, so it can't always be positive
    assert min(moved) > same.max().item()


def test_the_elbo_is_the_reconstruction_and_beta_times_the_divergence(linear, step_of):
    networks, images, labels, _ = linear
    step = step_of(networks, images, labels)
    parts = ELBO(Constant(1.0))(step).parts
    assert parts["negative_elbo"].item() == pytest.approx(
        (parts["reconstruction"] + parts["kl"]).item()
    )
    annealed = ELBO(Linear(0.0, 4.0, until=0.5))
    for progress, beta in ((0.0, 0.0), (0.25, 2.0), (0.8, 4.0)):
        object.__setattr__(step, "progress", progress)
        expected = parts["reconstruction"] + beta * parts["kl"]
        assert annealed(step).value.item() == pytest.approx(expected.item(), rel=1e-5)


@pytest.mark.parametrize("estimated", [False, True], ids=["closed form", "estimated"])
def test_free_bits_exert_no_force(estimated, linear, step_of, linear_encoder):
    networks, images, labels, _ = linear
    if estimated:
        prior = VampPrior(2, 2, components=3)
        networks = Networks(networks.encoder, networks.decoder, prior, networks.likelihood)
    step = step_of(networks, images, labels)
    kl = step.kl(step.draw()[0]).mean(0).detach()
    enough = kl.sum().item() / 2 + 5.0  # per dimension, more than any has
    free = ELBO(Constant(1.0), free_bits=enough)(step)
    expected = free.parts["reconstruction"].item() + 2 * enough
    assert free.value.item() == pytest.approx(expected, rel=1e-5)
    bound = ELBO(Constant(1.0), free_bits=0.5 * kl.min().item() / (2 if estimated else 1))(step)
    assert bound.value.item() == pytest.approx(bound.parts["negative_elbo"].item(), rel=1e-5)
    assert free.parts["kl"].item() == pytest.approx(kl.sum().item(), rel=1e-5)


def test_the_kernel_is_inverse_multiquadratic():
    first, second = torch.zeros(1, 3), torch.tensor([[1.0, 2.0, 2.0]])
    assert kernel(first, first).item() == pytest.approx(len(SCALES))
    expected = sum(6 * scale / (6 * scale + 9) for scale in SCALES)
    assert kernel(first, second).item() == pytest.approx(expected, rel=1e-5)


def test_discrepancy_is_the_mean_over_pairs_of_one_class():
    torch.manual_seed(0)
    first, second = torch.randn(2, 7, 3)
    labels = torch.tensor([0, 1, 0, 1, 1, 2, 0])
    pairs = [
        kernel(first[i : i + 1], first[j : j + 1])
        + kernel(second[i : i + 1], second[j : j + 1])
        - kernel(first[i : i + 1], second[j : j + 1])
        - kernel(first[j : j + 1], second[i : i + 1])
        for i in range(7)
        for j in range(7)
        if i != j and labels[i] == labels[j]
    ]
    expected = torch.stack(pairs).mean().item()
    assert discrepancy(first, second, labels).item() == pytest.approx(expected, rel=1e-4)
    assert discrepancy(first[:1], second[:1], labels[:1]).item() == 0  # no pair


def test_info_vae_weighs_divergence_and_discrepancy(linear, step_of):
    networks, images, labels, _ = linear
    loss = InfoVAE(mmd_weight=30.0, kl_weight=0.5)(step_of(networks, images, labels))
    expected = loss.parts["reconstruction"] + 30 * loss.parts["mmd"] + 0.5 * loss.parts["kl"]
    assert loss.value.item() == pytest.approx(expected.item(), rel=1e-5)
    assert "kl" not in InfoVAE(30.0)(step_of(networks, images, labels)).parts


def test_a_regularized_autoencoder_is_error_size_and_smoothness(linear, step_of):
    networks, images, labels, _ = linear
    networks.likelihood = FixedGaussianLikelihood()  # the squared error and a constant
    z = images.flatten(1) @ networks.encoder.weight.T
    error = (networks.decoder(z, labels) - images).square().sum(dim=(1, 2, 3)).mean()
    error = error + 6 * 0.5 * math.log(math.pi)
    size, length = z.square().sum(1).mean(), networks.decoder.weight.square().sum()
    loss = RAE(0.2, WeightDecay(0.3))(step_of(networks, images, labels))
    expected = error + 0.5 * 0.2 * size + 0.3 * length
    assert loss.value.item() == pytest.approx(expected.item(), rel=1e-5)
    # A linear decoder's gradient is its matrix, so the penalty is the squared length of that.
    penalty = LatentGradientPenalty(0.3)
    steps = [step_of(networks, images, labels, seed) for seed in range(50)]
    found = [RAE(0.0, penalty)(step).parts["decoder_penalty"] for step in steps]
    assert torch.stack(found).mean().item() == pytest.approx(0.3 * length.item(), rel=0.05)
