"""The hierarchical VAE: its levels, their divergences, and images from one vector of numbers."""

import functools
import os
import signal

import pytest
import torch

from synthgen import load_sampler
from synthgen.data import Digits, prepare
from synthgen.errors import StoppedByUserError, SynthgenError
from synthgen.images import to_float, to_uint8
from synthgen.networks.ladder import LadderDecoder, LadderEncoder, residual_kl
from synthgen.samplers.artifact import save_sampler
from synthgen.samplers.neural import LadderSampler
from synthgen.seeds import normal_latents, row_seeds
from synthgen.serialization import Rebuildable
from synthgen.training.schedules import Constant, Cosine
from synthgen.training.train import train
from synthgen.types import ImageSpec
from synthgen.vae.densities import GaussianMixtureDensity
from synthgen.vae.ladder import LadderVAE
from synthgen.vae.likelihoods import (
    BernoulliLikelihood,
    GaussianLikelihood,
    LogisticMixtureLikelihood,
)
from synthgen.visualize.latent import images_at, one_hot, require_latents

SIZE = {"width": 8, "max_width": 16, "patch": 1}
DECODER = SIZE | {"top_dim": 4, "channels": [2, 2]}
ADAM = functools.partial(torch.optim.Adam, lr=0.0, betas=(0.9, 0.99), fused=True)
RUN = {"precision": "float32", "accelerator": "cpu", "previews": 0}
BUDGET = RUN | {"max_images": 32 * 12}


@pytest.fixture(scope="module")
def splits():
    return prepare(Digits())


def build_ladder(image, cls=LadderVAE, likelihood=None, beta=1.0, **changes):
    torch.manual_seed(0)
    return cls(
        LadderEncoder(image, **SIZE),
        functools.partial(LadderDecoder, image, **DECODER),
        likelihood or GaussianLikelihood(),
        ADAM,
        lr=Cosine(3e-3, 1e-4),
        beta=Constant(beta),
        batch_size=32,
        **changes,
    )


@pytest.fixture(scope="module")
def trained(splits, tmp_path_factory):
    module = build_ladder(splits.train.image)
    out = tmp_path_factory.mktemp("ladder") / "run"
    train(module, splits, out, **RUN, max_images=32 * 400)
    return module.eval(), out


@pytest.fixture
def decoder():
    """Two classes, 8 x 8, random weights that make every level matter."""
    torch.manual_seed(0)
    decoder = LadderDecoder(ImageSpec(1, 8, 8, ("a", "b")), **DECODER)
    for parameter in decoder.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return decoder.eval()


def test_z_is_the_numbers_of_all_levels(decoder):
    assert decoder.shapes == [(4, 1, 1), (2, 4, 4), (2, 8, 8)]
    assert decoder.z_dim == 4 + 2 * 16 + 2 * 64
    z, label = torch.randn(1, decoder.z_dim), torch.tensor([0])
    before = decoder(z, label)
    for place in (0, 4, 36, 163):
        other = z.clone()
        other[0, place] += 1
        assert not torch.allclose(decoder(other, label), before)


def test_residual_divergence_is_the_closed_form():
    torch.manual_seed(0)
    mean, logvar, shift, scale = torch.randn(4, 50)
    q = torch.distributions.Normal(mean + shift, (0.5 * (logvar + scale)).exp())
    p = torch.distributions.Normal(mean, (0.5 * logvar).exp())
    expected = torch.distributions.kl_divergence(q, p)
    assert torch.allclose(residual_kl(shift, scale, logvar), expected, atol=1e-5)
    assert residual_kl(torch.zeros(3), torch.zeros(3), torch.randn(3)).abs().max() == 0


def test_every_level_has_a_divergence_and_none_is_negative(trained, splits):
    average = trained[0].ema.average
    images, labels = to_float(splits.test.images), splits.test.labels
    with torch.no_grad():
        z = torch.randn(len(images), average.decoder.z_dim)
        _, kl = average.decoder.infer(z, labels, average.encoder(images))
    assert kl.shape == (3, len(images))
    assert (kl >= 0).all()
    assert kl.mean(1).min() > 0.05  # no level is left aside


def test_the_elbo_is_the_reconstruction_and_all_levels(splits):
    module = build_ladder(splits.train.image, beta=0.3)
    real, labels = splits.train.images[:32], splits.train.labels[:32]
    losses_seen = []

    class Keeping(LadderVAE):
        def optimizer_list(self):
            return [torch.optim.SGD(self.networks.parameters(), lr=0.0)]

        def manual_backward(self, loss):
            losses_seen.append(loss.detach() * real[0].numel())
            loss.backward()

    module.__class__ = Keeping
    module.precision = "float32"
    module.clock.start(100, None)
    module.step(real, labels)
    losses = module.losses
    kl = losses["kl_0"] + losses["kl_1"] + losses["kl_2"]
    assert losses["negative_elbo"].item() == pytest.approx(
        (losses["reconstruction"] + kl).item(), rel=1e-5
    )
    expected = (losses["reconstruction"] + 0.3 * kl).item()
    assert losses_seen[0].item() == pytest.approx(expected, rel=1e-5)
    module.free_bits = 1000.0  # more than any level has
    module.step(real, labels)
    expected = (module.losses["reconstruction"] + 0.3 * 3 * 1000).item()
    assert losses_seen[1].item() == pytest.approx(expected, rel=1e-5)
    module.free_bits, module.grid_beta = 0.0, Constant(5.0)
    module.step(real, labels)
    losses = module.losses
    kl = losses["kl_0"] + 5 * (losses["kl_1"] + losses["kl_2"])
    expected = (losses["reconstruction"] + 0.3 * kl).item()
    assert losses_seen[2].item() == pytest.approx(expected, rel=1e-5)


def test_the_posterior_explains_an_image_better_than_the_prior_does(trained, splits):
    """Even when what the posterior costs is counted in."""
    average = trained[0].ema.average
    image, label = to_float(splits.test.images[:1]), splits.test.labels[:1]
    images, labels = image.repeat(500, 1, 1, 1), label.repeat(500)
    torch.manual_seed(0)
    z = torch.randn(500, average.decoder.z_dim)
    with torch.no_grad():
        outputs, kl = average.decoder.infer(z, labels, average.encoder(images))
        bound = (average.likelihood.negative_log_likelihood(outputs, images) + kl.sum(0)).mean()
        from_prior = average.decoder(z, labels)
        blind = average.likelihood.negative_log_likelihood(from_prior, images).mean()
    assert bound < blind


def test_the_prior_follows_the_class(trained, splits):
    labels = torch.arange(10).repeat_interleave(20)
    images = trained[0].sampler().eval().sample(labels, row_seeds(0, 0, 200)).images.float()
    real = torch.stack([splits.train.of_class(c).images.float().mean(0) for c in range(10)])
    nearest = torch.cdist(images.flatten(1), real.flatten(1)).argmin(dim=1)
    assert (nearest == labels).float().mean() > 0.7


def test_an_image_depends_on_its_label_and_seed_alone(trained):
    sampler = load_sampler(trained[1])
    assert not sampler.exposes_real
    labels, seeds = torch.arange(150) % 10, row_seeds(4, 0, 150)
    whole = sampler.sample(labels, seeds).images
    order = torch.randperm(150, generator=torch.Generator().manual_seed(0))
    assert torch.equal(sampler.sample(labels[order], seeds[order]).images, whole[order])
    single = [sampler.sample(labels[i : i + 1], seeds[i : i + 1]).images for i in (0, 63, 64, 149)]
    assert torch.equal(torch.cat(single), whole[[0, 63, 64, 149]])


def test_the_latents_of_an_image_do_not_depend_on_its_companions(trained):
    sampler = load_sampler(trained[1])
    seeds = row_seeds(9, 0, 20)
    together = sampler.latents(torch.zeros(20, dtype=torch.int64), seeds)
    assert together.shape == (20, sampler.generator.z_dim)
    assert torch.equal(together, normal_latents(seeds, sampler.generator.z_dim))
    alone = sampler.latents(torch.tensor([3]), seeds[7:8])
    assert torch.equal(alone[0], together[7])


def test_the_top_level_of_an_image_is_the_number_that_draws_the_same_latent(decoder):
    for rung in decoder.rungs:
        torch.nn.init.zeros_(rung.inject.weight)  # so that the top alone decides
    encoder = LadderEncoder(decoder.image, **SIZE)
    images, labels = torch.rand(6, 1, 8, 8) * 2 - 1, torch.arange(6) % 2
    z = torch.randn(6, decoder.z_dim)
    features = encoder(images)
    inferred, _ = decoder.infer(z, labels, features)
    again = z.clone()
    again[:, :4] = decoder.top(z[:, :4], labels, features)
    assert not torch.allclose(decoder(z, labels), inferred, atol=1e-2)
    assert torch.allclose(decoder(again, labels), inferred, atol=1e-4)


def fitted(trained, splits, density):
    module = trained[0]
    module.density = density(10, module.networks.decoder.top_dim)
    try:
        return module.finish(splits.train).eval()
    finally:
        module.density = None


def test_a_fitted_density_is_of_the_top_level(trained, splits):
    sampler = fitted(trained, splits, GaussianMixtureDensity)
    labels, seeds = torch.arange(10).repeat_interleave(200), row_seeds(0, 0, 2000)
    latents = sampler.latents(labels, seeds)
    prior = normal_latents(seeds, sampler.generator.z_dim)
    assert torch.equal(latents[:, 4:], prior[:, 4:])
    real = splits.train
    with torch.no_grad():
        average = trained[0].ema.average
        features = average.encoder(to_float(real.images))
        top = average.decoder.top(torch.randn(len(real), 4), real.labels, features)
    for drawn, known in ((latents, True), (prior, False)):
        means = torch.stack([drawn[labels == c, :4].mean(0) for c in range(10)])
        truth = torch.stack([top[real.labels == c].mean(0) for c in range(10)])
        assert ((means - truth).abs().max() < 0.4) == known
    one = sampler.latents(torch.tensor([3]), seeds[700:701])
    assert torch.equal(one[0], latents[700])


def test_a_fitted_sampler_is_saved_and_tempered(trained, splits, tmp_path):
    sampler = fitted(trained, splits, GaussianMixtureDensity)
    labels, seeds = torch.arange(60) % 10, row_seeds(0, 0, 60)
    save_sampler(sampler, tmp_path / "sampler", {})
    again = load_sampler(tmp_path / "sampler")
    assert torch.equal(again.sample(labels, seeds).images, sampler.sample(labels, seeds).images)
    usual = again.latents(labels, seeds)
    again.set_latents(temperature=0.01, truncation=None)
    cold = again.latents(labels, seeds)
    assert cold[:, 4:].std() < 0.02 * usual[:, 4:].std()
    assert cold[:, :4].std() < usual[:, :4].std()


def test_a_density_that_cannot_be_tempered_says_so(decoder):
    class Points(torch.nn.Module, Rebuildable):
        def sample(self, labels, seeds):
            return labels[:, None].expand(-1, 4).float()

    sampler = LadderSampler(decoder, GaussianLikelihood(), Points()).eval()
    labels, seeds = torch.tensor([0, 1, 1]), row_seeds(0, 0, 3)
    assert torch.equal(sampler.latents(labels, seeds)[:, :4], Points().sample(labels, seeds))
    assert sampler.sample(labels, seeds).images.shape == (3, 1, 8, 8)
    with pytest.raises(SynthgenError, match="Points can't be drawn from with temperature"):
        sampler.set_latents(temperature=0.5, truncation=None)


def test_the_images_of_drawn_latents_are_the_drawn_images(trained):
    """So the verbs that walk through latents start from images that the sampler really draws."""
    sampler = require_latents(load_sampler(trained[1]))
    labels, seeds = torch.arange(64) % 10, row_seeds(0, 0, 64)
    z = sampler.latents(labels, seeds)
    walked = images_at(sampler, z, one_hot(sampler, labels))
    drawn = sampler.sample(labels, seeds).images
    assert (walked.int() - drawn.int()).abs().max() <= 1
    halfway = sampler.between(z[:1], z[1:2], torch.tensor([0.5]))
    both = torch.full((1, 10), 0.0)
    both[0, 3] = both[0, 5] = 0.5
    assert sampler.decode(halfway, both).isfinite().all()


def test_temperature_acts_on_every_level(decoder):
    sampler = LadderSampler(decoder, GaussianLikelihood()).eval()
    labels, seeds = torch.zeros(64, dtype=torch.int64), row_seeds(0, 0, 64)
    usual = sampler.sample(labels, seeds).images.float().var(0).mean()
    sampler.set_latents(temperature=1e-6, truncation=None)
    cold = sampler.sample(labels, seeds).images.float().var(0).mean()
    assert usual > 10
    assert cold < 0.1


@pytest.mark.parametrize(
    "likelihood", [BernoulliLikelihood, LogisticMixtureLikelihood], ids=["bernoulli", "logistics"]
)
def test_other_likelihoods_train_too(likelihood, splits, tmp_path):
    module = build_ladder(splits.train.image, likelihood=likelihood())
    sampler = load_sampler(train(module, splits, tmp_path / "run", **BUDGET))
    assert sampler.sample(torch.arange(3), torch.arange(3)).images.shape == (3, 1, 8, 8)


@pytest.mark.parametrize("patch", [1, 2])
@pytest.mark.parametrize("shape", [(1, 8, 8), (1, 28, 28), (3, 33, 50), (1, 64, 9)])
def test_any_size_goes_in_and_comes_out(shape, patch):
    image = ImageSpec(*shape, classes=("a", "b", "c"))
    labels, size = torch.tensor([0, 1, 2]), SIZE | {"patch": patch}
    decoder = LadderDecoder(image, **DECODER | size)
    z = torch.randn(3, decoder.z_dim)
    images = decoder(z, labels)
    assert images.shape == (3, *shape)
    outputs, kl = decoder.infer(z, labels, LadderEncoder(image, **size)(images))
    assert outputs.shape == images.shape
    assert kl.shape == (len(decoder.shapes), 3)


def test_stages_that_do_not_fit_are_refused():
    image = ImageSpec(1, 8, 8, ("a",))
    encoder, rest = LadderEncoder(image, width=4), (GaussianLikelihood(), ADAM)
    with pytest.raises(ValueError, match="the same patch, width and max_width"):
        LadderVAE(encoder, LadderDecoder(image), *rest, lr=Constant(0.1), beta=Constant(1.0))
    with pytest.raises(ValueError, match="one grid"):
        LadderDecoder(image, channels=[])


def test_a_stopped_and_resumed_run_ends_with_the_same_weights(splits, tmp_path):
    class Stopping(LadderVAE):
        steps = 0

        def step(self, images, labels):
            super().step(images, labels)
            self.steps += 1
            if self.steps == 5:
                os.kill(os.getpid(), signal.SIGTERM)

    image, out = splits.train.image, tmp_path / "parts"
    whole = train(build_ladder(image), splits, tmp_path / "whole", seed=3, **BUDGET)
    with pytest.raises(StoppedByUserError):
        train(build_ladder(image, cls=Stopping), splits, out, seed=3, **BUDGET)
    resumed = train(build_ladder(image), splits, out, seed=3, resume=True, **BUDGET)
    expected, found = load_sampler(whole).state_dict(), load_sampler(resumed).state_dict()
    assert expected.keys() == found.keys()
    for name, value in expected.items():
        assert torch.equal(value, found[name]), name


def test_reconstructions_look_like_their_images(trained, splits):
    images, labels = splits.test.images, splits.test.labels
    again = to_uint8(trained[0].reconstruct(images, labels)).float()
    mean = splits.train.images.float().mean(0)
    error = (again - images.float()).square().mean()
    assert error < 0.5 * (mean - images.float()).square().mean()
