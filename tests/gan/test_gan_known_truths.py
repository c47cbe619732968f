"""What theory says of each loss and of a whole GAN, found again by training.

Of two Gaussians on a line the optimal discriminator is known. A table of logits on a grid, trained
on exact expectations, has to arrive there: nothing but the loss decides.
"""

import math

import pytest
import torch

from synthgen.gan.losses import (
    Hinge,
    LeastSquares,
    NonSaturating,
    RelativisticPairing,
    Wasserstein,
)
from synthgen.gan.penalties import R1, R2, WGANGP
from synthgen.training.schedules import Constant, Cosine
from synthgen.types import ImageSpec

GRID = torch.linspace(-2, 2, 31, dtype=torch.float64)


def gaussian(mean, deviation):
    """Probabilities of the grid's points."""
    return torch.softmax(-((GRID - mean) / deviation).square() / 2, dim=0)


REAL, FAKE = gaussian(-0.5, 0.7), gaussian(0.5, 1.0)
LOG_RATIO = (REAL / FAKE).log()


def trained_table(loss, rate=1.0, steps=1000):
    """Descent from zero, each point's slope divided by how often it is seen, or rare points would
    take for ever."""
    logits = torch.zeros_like(GRID, requires_grad=True)
    pairs = torch.outer(REAL, FAKE).flatten()
    for number in range(steps):
        real, fake = logits.repeat_interleave(len(GRID)), logits.repeat(len(GRID))
        expected = (pairs * loss.discriminator(real, fake)).sum()
        (slope,) = torch.autograd.grad(expected, logits)
        share = 1 + math.cos(math.pi * number / steps)
        with torch.no_grad():
            logits -= rate * share * slope / (REAL + FAKE)
    return logits.detach()


def error(found, expected):
    return (found - expected).abs().max().item()


def test_non_saturating_finds_the_log_ratio():
    found = trained_table(NonSaturating())
    assert LOG_RATIO.max() - LOG_RATIO.min() > 5  # zero would not do
    assert error(found, LOG_RATIO) < 0.01


def test_least_squares_finds_the_posterior():
    assert error(trained_table(LeastSquares()), REAL / (REAL + FAKE)) < 0.01


def test_hinge_finds_the_sign():
    assert error(trained_table(Hinge(), rate=0.1), LOG_RATIO.sign()) < 0.01


def test_relativistic_pairing_finds_the_log_ratio_up_to_a_constant():
    found = trained_table(RelativisticPairing())
    difference = found - LOG_RATIO
    assert error(found, LOG_RATIO + difference.mean()) < 0.01


def gaussian_points(count, mean, deviation, dims=1):
    """``(count, 1, 1, dims)``; the quantiles of a normal distribution in shuffled order."""
    quantiles = (torch.arange(count) + 0.5) / count
    columns = [torch.special.ndtri(quantiles)[torch.randperm(count)] for _ in range(dims)]
    return (mean + deviation * torch.stack(columns, dim=1)).view(count, 1, 1, dims)


def critic_of(width=32):
    net = torch.nn.Sequential(
        torch.nn.Flatten(), torch.nn.Linear(1, width), torch.nn.Softplus(beta=4),
        torch.nn.Linear(width, width), torch.nn.Softplus(beta=4), torch.nn.Linear(width, 1),
    )  # fmt: skip
    return net, lambda images, labels: net(images).squeeze(1)


def slope_between(net):
    """Mean of d D / d x over the middle of the way from -1 to 1."""
    ends = torch.tensor([-0.5, 0.5]).view(2, 1, 1, 1)
    low, high = net(ends).squeeze(1).tolist()
    return high - low


@pytest.mark.parametrize("weight", [5.0, 50.0])
def test_wasserstein_with_gradient_penalty_has_slope_one_between(weight, critic_step):
    """Between distributions that are W apart, W s - λ (s - 1)² is largest for the slope
    s = 1 + W / 2λ: one, but for what the penalty leaves."""
    torch.manual_seed(0)
    net, critic = critic_of()
    adam = torch.optim.Adam(net.parameters(), lr=1e-2, betas=(0.0, 0.9))
    penalty, loss = WGANGP(Constant(weight)), Wasserstein()
    decay = torch.optim.lr_scheduler.CosineAnnealingLR(adam, 400)
    for number in range(400):
        real, fake = gaussian_points(128, 1.0, 0.1), gaussian_points(128, -1.0, 0.1)
        step = critic_step(critic, real, fake, seed=number)
        total = loss.discriminator(step.real_logits, step.fake_logits) + weight * penalty(step)
        adam.zero_grad()
        total.mean().backward()
        adam.step()
        decay.step()
    assert slope_between(net) == pytest.approx(1 + 2 / (2 * weight), abs=0.03)


RING = ImageSpec(2, 1, 1, ("ring",))
ANGLES = torch.arange(8) * 2 * math.pi / 8
MODES = 0.7 * torch.stack([ANGLES.cos(), ANGLES.sin()], dim=1)  # (8, 2) in [-1, 1]
SPREAD = 0.03


def ring(count, generator):
    """Points of eight Gaussians as images: uint8 ``(N, 2, 1, 1)``."""
    chosen = MODES[torch.randint(8, (count,), generator=generator)]
    points = chosen + SPREAD * torch.randn(count, 2, generator=generator)
    return ((points + 1) * 127.5).round().clamp(0, 255).to(torch.uint8).view(count, 2, 1, 1)


def modes_covered(points):
    """How many modes get a quarter of their fair share of the points or more, points within
    five standard deviations; and how large a part of all points those are."""
    distance, nearest = torch.cdist(points.flatten(1), MODES).min(dim=1)
    close = distance < 5 * SPREAD
    counts = torch.bincount(nearest[close], minlength=8)
    return int((counts >= len(points) / 32).sum()), close.float().mean().item()


def test_a_ring_of_eight_is_covered(tiny):
    gan = tiny(
        RING,
        generator=tiny.generator(RING, z_dim=8, width=64),
        discriminator=tiny.discriminator(RING, width=64),
        loss=RelativisticPairing(),
        penalties={"r1": R1(Constant(0.02)), "r2": R2(Constant(0.02))},
        batch_size=128,
        lr=Cosine(4e-3, 4e-4),
        ema_half_life=128 * 50,
    )
    generator = torch.Generator().manual_seed(0)
    labels = torch.zeros(128, dtype=torch.int64)
    gan.clock.start(128 * 1000, None)
    while not gan.clock.finished:
        gan.training_step((ring(128, generator), labels), 0)
    with torch.no_grad():
        z = torch.randn(2000, 8, generator=generator)
        points = gan.ema.average(z, torch.zeros(2000, dtype=torch.int64))
    covered, close = modes_covered(points)
    print(f"{covered} of 8 modes, {close:.1%} of the points near one")
    assert covered == 8
    assert close > 0.5


def test_the_count_of_modes_counts():
    generator = torch.Generator().manual_seed(0)
    real = ring(4000, generator).float() / 127.5 - 1
    covered, close = modes_covered(real)
    assert covered == 8
    assert close > 0.99
    assert modes_covered(MODES[3].expand(1000, 2)) == (1, 1.0)  # a collapsed generator
    assert modes_covered(torch.zeros(1000, 2)) == (0, 0.0)  # the mean of all: near none
    assert modes_covered(2 * torch.rand(4000, 2, generator=generator) - 1)[0] == 0  # everywhere
