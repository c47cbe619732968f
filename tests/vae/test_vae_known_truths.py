"""What theory says must be so, on a linear model with a known likelihood and on digits."""

import functools
import math

import pytest
import torch

from synthgen.evaluation.metrics.frechet import frechet_distance
from synthgen.samplers.neural import DecoderSampler
from synthgen.seeds import row_seeds
from synthgen.training.schedules import Constant
from synthgen.types import ImageSpec
from synthgen.vae.base import Networks
from synthgen.vae.densities import GaussianMixtureDensity, MAFDensity, TwoStageDensity
from synthgen.vae.likelihoods import (
    GaussianLikelihood,
    LearnedGaussianLikelihood,
    LogisticMixtureLikelihood,
    PixelGaussianLikelihood,
)
from synthgen.vae.objectives import ELBO, IWAE, DoublyReparameterizedIWAE
from synthgen.vae.objectives.info_vae import discrepancy
from synthgen.vae.priors import StandardNormalPrior, VampPrior

FLOW = {"layers": 3, "hidden": 32, "epochs": 25, "batch_size": 128, "lr": 5e-3}
STAGE = {"hidden": 64, "epochs": 40, "batch_size": 128, "lr": 3e-3}


@pytest.fixture
def bound(step_of):
    return functools.partial(average_bound, step_of)


def average_bound(step_of, objective, networks, images, labels, repeats):
    """The average of an objective over many draws of the noise."""
    with torch.no_grad():
        steps = (step_of(networks, images, labels, seed) for seed in range(repeats))
        return -torch.stack([objective(step).value for step in steps]).mean().item()


# --- objectives


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


# --- likelihoods


def test_the_best_sigma_is_the_root_of_the_squared_error():
    torch.manual_seed(0)
    outputs, images = torch.zeros(32, 1, 8, 8), 0.2 * torch.randn(32, 1, 8, 8)
    error = images.square().mean()
    closed = GaussianLikelihood(min_log_sigma=-20)
    value = closed.negative_log_likelihood(outputs, images).mean()
    assert closed.log_sigma.item() == pytest.approx(0.5 * error.log().item(), abs=1e-4)
    assert value.item() == pytest.approx(32 * (2 * math.pi * math.e * error).log().item(), abs=1e-3)
    learned = LearnedGaussianLikelihood(min_log_sigma=-20)
    optimizer = torch.optim.LBFGS(learned.parameters(), max_iter=100)

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


def test_the_mean_image_is_the_expectation_and_the_likeliest_that_of_one_component():
    outputs = mixture_outputs(1, log_scale=-5.0)
    outputs[:, 3:6] = torch.tensor([-0.5, 0.1, 0.6])[None, :, None, None]
    likelihood = LogisticMixtureLikelihood(3)
    pixels = LEVELS[:, None, None, None]
    probs = likelihood.level_log_probs(outputs.expand(256, -1, 1, 1), pixels).flatten().exp()
    assert likelihood.mean(outputs).item() == pytest.approx((probs @ LEVELS).item(), abs=0.01)
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


# --- priors


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


# --- densities


@pytest.fixture
def flow():
    torch.manual_seed(0)
    density = MAFDensity(3, 4, layers=3, hidden=16).double()
    for parameter in density.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    density.standardizer.scale.copy_(torch.tensor([0.5, 2.0, 1.0, 3.0]))
    density.standardizer.mean.copy_(torch.tensor([1.0, 0.0, -1.0, 2.0]))
    return density


def test_a_flow_is_undone_by_its_inverse(flow):
    z, labels = torch.randn(10, 4, dtype=torch.float64), torch.arange(10) % 3
    u, _ = flow(z, labels)
    assert not torch.allclose(u, z, atol=0.1)
    assert torch.allclose(flow.place(labels, labels, u), z, atol=1e-8)


def test_a_flows_log_determinant_is_autograds(flow):
    z, labels = torch.randn(5, 4, dtype=torch.float64), torch.arange(5) % 3
    _, log_det = flow(z, labels)
    for row in range(5):
        label = labels[row : row + 1]
        jacobian = torch.autograd.functional.jacobian(
            lambda one, label=label: flow(one[None], label)[0][0], z[row]
        )
        assert log_det[row].item() == pytest.approx(torch.linalg.slogdet(jacobian)[1].item())


@pytest.mark.parametrize("model", ["vae", "rae"])
@pytest.mark.parametrize(
    ("kind", "settings"),
    [(GaussianMixtureDensity, {"components": 2}), (MAFDensity, FLOW), (TwoStageDensity, STAGE)],
    ids=["mixture", "flow", "two_stage"],
)
def test_a_fitted_density_beats_the_standard_normal(kind, settings, model, digits, request):
    """Of held-out latents it is the better model (where it has a likelihood), and images drawn from
    it lie closer to real ones, in pixels."""
    module = request.getfixturevalue(model)
    density, prior = kind(10, 8, **settings), StandardNormalPrior(10, 8)
    density.fit(module.encode(digits.train), digits.train.labels, seed=0)
    if kind is not TwoStageDensity:
        latents, labels = module.encode(digits.test), digits.test.labels
        gain = density.log_prob(latents, labels) - prior.log_prob(latents, labels)
        assert gain.mean().item() > 1.0
    average = module.ema.average
    labels = torch.arange(10).repeat(100)
    distances = {}
    for name, latents_from in (("fitted", density), ("prior", prior)):
        sampler = DecoderSampler(average.decoder, latents_from, average.likelihood)
        drawn = sampler.sample(labels, row_seeds(0, 0, 1000)).images
        real, fake = (x.flatten(1).double().numpy() / 255 for x in (digits.train.images, drawn))
        distances[name] = frechet_distance(real=real, fake=fake)
    assert distances["fitted"] < 0.8 * distances["prior"]


@pytest.mark.parametrize(
    ("kind", "settings"),
    [(MAFDensity, {**FLOW, "epochs": 8}), (TwoStageDensity, {**STAGE, "epochs": 40})],
    ids=["flow", "two_stage"],
)
def test_draws_of_a_fitted_network_have_the_moments_of_each_class(kind, settings):
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(2).repeat(2000)
    standard = torch.randn(4000, 3, generator=generator)
    mix = torch.tensor(
        [[[1.0, 0, 0], [0.8, 0.6, 0], [0, 0, 2]], [[0.5, 0, 0], [0, 1, 0], [1, 0, 1]]]
    )
    centres = torch.tensor([[3.0, 0, 0], [0.0, -2, 1]])
    latents = (mix[labels] * standard[:, None, :]).sum(dim=2) + centres[labels]
    density = kind(2, 3, **settings)
    density.fit(latents, labels, seed=0)
    for label in range(2):
        asked = torch.full((4000,), label)
        drawn = density.sample(asked, row_seeds(0, 0, 4000))
        mine = latents[labels == label]
        assert torch.allclose(drawn.mean(0), mine.mean(0), atol=0.2)
        assert torch.allclose(drawn.T.cov(), mine.T.cov(), atol=0.35)


@pytest.mark.parametrize("kind", [MAFDensity, TwoStageDensity])
def test_a_fit_is_a_function_of_its_seed(kind):
    latents, labels = torch.randn(100, 3), torch.arange(2).repeat(50)
    drawn = []
    for seed in (0, 0, 1):
        density = kind(2, 3, hidden=8, epochs=2)
        density.fit(latents, labels, seed)
        drawn.append(density.sample(labels, row_seeds(0, 0, 100)))
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])
