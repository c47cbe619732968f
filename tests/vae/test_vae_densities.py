"""Densities fitted to latents: known distributions, and what they are worth to a trained model."""

import pytest
import torch

from synthgen.errors import SynthgenError
from synthgen.metrics.frechet import frechet_distance
from synthgen.samplers.neural import DecoderSampler
from synthgen.seeds import row_seeds
from synthgen.types import whole_groups
from synthgen.vae import densities
from synthgen.vae.densities import (
    MADE,
    GaussianMixtureDensity,
    MAFDensity,
    TwoStageDensity,
    minimize,
    parted,
)
from synthgen.vae.priors import StandardNormalPrior

FLOW = {"layers": 3, "hidden": 32, "epochs": 25, "batch_size": 128, "lr": 5e-3}
STAGE = {"hidden": 64, "epochs": 40, "batch_size": 128, "lr": 3e-3}


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
    [(MAFDensity, {**FLOW, "epochs": 8}), (TwoStageDensity, {**STAGE, "epochs": 25})],
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


def test_a_second_stage_finds_a_narrow_direction():
    """Its spread around the second decoder's output is learned far enough to be as narrow."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(2).repeat(2000)
    latents = torch.randn(4000, 2, generator=generator)
    latents[:, 1] = latents[:, 0] + 0.1 * latents[:, 1]
    density = TwoStageDensity(2, 2, **{**STAGE, "epochs": 15})
    density.fit(latents, labels, seed=0)
    drawn = density.sample(labels, row_seeds(0, 0, 4000))
    assert (drawn[:, 1] - drawn[:, 0]).std().item() < 0.2
    assert drawn[:, 0].std().item() == pytest.approx(1, abs=0.15)


@pytest.mark.parametrize("hidden", [3, 16])
def test_a_made_sees_all_dimensions_before_and_none_after(hidden):
    torch.manual_seed(0)
    made = MADE(2, 8, hidden).double()
    for layer in (made.first, made.second, made.last):
        torch.nn.init.uniform_(layer.weight, 0.1, 1.0)  # of one sign, so that nothing cancels
        torch.nn.init.constant_(layer.bias, 5.0)
    z, labels = torch.randn(8, dtype=torch.float64), torch.tensor([1])
    for part in range(2):
        jacobian = torch.autograd.functional.jacobian(
            lambda one, part=part: made(one[None], labels)[part][0], z
        )
        assert jacobian.triu().abs().max() == 0
    seen = torch.autograd.functional.jacobian(lambda one: made(one[None], labels)[0][0], z)
    if hidden > 8:
        assert (seen.tril(-1) != 0).sum() == 8 * 7 // 2
    assert (seen[-1] != 0).sum() >= 5  # few units, but not all of them for the first dimensions


def test_a_mixture_never_draws_from_a_component_without_weight(monkeypatch):
    class Highest:
        def random(self):
            return 1 - 2.0**-53  # rounds to 1 in float32

    density = GaussianMixtureDensity(1, 2, components=5)
    latents = 50 + torch.randn(300, 2, generator=torch.Generator().manual_seed(0))
    density.fit(latents, torch.zeros(300, dtype=torch.int64), seed=0)
    assert (density.weights[0] > 0).sum() == 3
    monkeypatch.setattr("synthgen.vae.densities.image_rng", lambda seed, stream: Highest())
    drawn = density.sample(torch.zeros(10, dtype=torch.int64), torch.arange(10))
    assert drawn.min().item() > 40


def test_a_class_without_images_is_refused():
    with pytest.raises(SynthgenError, match="Class 1 has no training images"):
        GaussianMixtureDensity(2, 2).fit(torch.randn(50, 2), torch.zeros(50).long(), seed=0)


def test_a_density_is_fitted_again_as_if_new():
    latents, labels = torch.randn(100, 3), torch.arange(2).repeat(50)
    for kind in (MAFDensity, TwoStageDensity):
        density, drawn = kind(2, 3, hidden=8, epochs=2), []
        for _ in range(2):
            density.fit(latents, labels, 0)
            drawn.append(density.sample(labels, row_seeds(0, 0, 100)))
        assert torch.equal(*drawn)


def test_few_latents_are_refused():
    with pytest.raises(SynthgenError, match="19 latents are too few"):
        MAFDensity(1, 3).fit(torch.randn(19, 3), torch.zeros(19, dtype=torch.int64), seed=0)


def test_before_training_ends_an_autoencoder_draws_around_its_latents(rae):
    """N(0, I) would show latents that its decoder never saw."""
    labels, seeds = torch.arange(10).repeat(50), row_seeds(0, 0, 500)
    early, late = rae.sampler(), rae.density
    found, expected = early.latents(labels, seeds), late.sample(labels, seeds)
    for label in range(10):
        distance = (found[labels == label].mean(0) - expected[labels == label].mean(0)).abs()
        assert (distance < expected[labels == label].std(0)).all()


def test_a_fit_keeps_the_epoch_that_was_best_on_held_out_latents():
    """Here training never stops to push a number up that is best at a half."""
    network = torch.nn.Linear(1, 1)
    torch.nn.init.zeros_(network.weight)
    torch.nn.init.zeros_(network.bias)

    def loss(latents, labels, random):
        bias = network.bias.squeeze()
        return -bias if network.training else (bias - 0.5).square()

    settings = {"seed": 0, "epochs": 50, "batch_size": 9, "lr": 0.02, "description": "Fitting"}
    minimize(network, loss, torch.zeros(20, 1), torch.zeros(20, dtype=torch.int64), **settings)
    assert network.bias.item() == pytest.approx(0.5, abs=0.05)  # 1 at the end


def test_the_epoch_is_chosen_by_whole_groups():
    groups = torch.arange(200) // 4
    labels = groups % 2
    used, held = parted(labels, groups, torch.Generator().manual_seed(0))
    assert not set(groups[used].tolist()) & set(groups[held].tolist())
    assert 16 <= len(held) <= 24
    assert len(used) + len(held) == 200
    used, held = parted(labels, None, torch.Generator().manual_seed(0))
    assert set(groups[used].tolist()) & set(groups[held].tolist())


@pytest.mark.parametrize("density", [MAFDensity, TwoStageDensity])
def test_densities_hold_out_the_groups_that_they_are_told(density, monkeypatch):
    asked = []
    monkeypatch.setattr(
        densities, "whole_groups", lambda *given: asked.append(given) or whole_groups(*given)
    )
    groups = torch.arange(60) // 3
    labels = torch.zeros(60, dtype=torch.int64)
    density(1, 3, epochs=1).fit(torch.randn(60, 3), labels, seed=0, groups=groups)
    assert torch.equal(asked[0][1], groups)
    with pytest.raises(SynthgenError, match="one group"):
        density(1, 3).fit(torch.randn(60, 3), labels, seed=0, groups=labels)
