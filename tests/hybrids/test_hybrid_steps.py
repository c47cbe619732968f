"""What one training step does with its latents, its terms and its clock."""

import functools

import pytest
import torch
from small_hybrids import build_kl_autoencoder, build_vae_gan, build_vq_autoencoder
from torch import nn

from synthgen.hybrids import KLBottleneck
from synthgen.hybrids.bottleneck import Encoded, PrincipalMixture
from synthgen.networks.dcgan import DCGenerator
from synthgen.seeds import normal_latents, row_seeds
from synthgen.training.schedules import Constant
from synthgen.types import ImageSpec, LabelledImages
from synthgen.vae.base import Posterior, encoded
from synthgen.vae.priors import ClassGaussianPrior


def alone(model):
    """Without a trainer."""
    optimizers = model.configure_optimizers()
    model.optimizer_list = lambda: optimizers
    model.manual_backward = lambda loss: loss.backward()
    model.clock.start(32 * 100, None)
    return model


def steps(model, splits, count):
    for number in range(count):
        rows = slice(32 * number, 32 * (number + 1))
        model.training_step((splits.train.images[rows], splits.train.labels[rows]), number)


def test_half_of_what_the_discriminator_sees_is_reconstructed_and_half_is_drawn(splits):
    model = alone(build_vae_gan(splits.train.image))
    seen = []
    model.networks.decoder.register_forward_pre_hook(lambda _, given: seen.append(given))
    labels = splits.train.labels[:32]
    model.step(splits.train.images[:32], labels)
    model.step(splits.train.images[32:64], labels)  # the clock stands still: the same draws
    (latents, classes), (others, _) = seen
    assert torch.equal(classes, torch.cat([labels, labels]))
    assert torch.equal(latents[32:48], latents[:16])
    assert not torch.isclose(latents[48:], latents[16:32]).any()
    assert not torch.isclose(latents[:32], others[:32]).all()
    # What is drawn follows the prior, which has moved a little, and not the images.
    assert torch.allclose(latents[48:], others[48:], atol=0.05)
    assert latents[48:].std().item() == pytest.approx(1.0, abs=0.3)


@pytest.mark.parametrize("beta", [0.0, 1.0])
def test_the_divergence_teaches_the_encoder_by_its_weight(splits, beta):
    model = alone(build_vae_gan(splits.train.image, beta=Constant(beta), lr=Constant(1e-2)))
    model.feature_misfit = lambda *images: torch.zeros(())
    before = [value.clone() for value in model.networks.encoder.parameters()]
    steps(model, splits, 1)
    first = model.losses["kl"]
    steps(model, splits, 25)
    changed = zip(model.networks.encoder.parameters(), before, strict=True)
    assert any((new != old).any() for new, old in changed) == (beta > 0)
    assert (model.losses["kl"] < 0.8 * first) == (beta > 0)


def test_a_divergence_without_a_closed_form_is_estimated(splits):
    class Open(nn.Module):
        """The same prior, without its closed form."""

        def __init__(self, num_classes, z_dim):
            super().__init__()
            self.inner = ClassGaussianPrior(num_classes, z_dim)

        def log_prob(self, z, labels):
            return self.inner.log_prob(z, labels)

        def sample(self, labels, seeds):
            return self.inner.sample(labels, seeds)

    model = build_vae_gan(splits.train.image, prior=Open)
    labels = torch.zeros(20_000, dtype=torch.int64)
    shape = (20_000, 4)
    posterior = Posterior(torch.full(shape, 1.5), torch.full(shape, -1.0))
    expected = model.networks.prior.inner.kl(posterior.mean[:1], posterior.logvar[:1], labels[:1])
    z = posterior.at(torch.randn(shape, generator=torch.Generator().manual_seed(0)))
    assert model._kl(posterior, z, labels).item() == pytest.approx(expected.sum().item(), rel=0.05)


def test_the_adversary_waits_for_its_turn(splits):
    model = alone(build_kl_autoencoder(splits.train.image, adversarial_from=0.03))
    before = model.critic.discriminator.score.weight.clone()
    steps(model, splits, 3)  # progress 0, 0.01, 0.02
    assert torch.equal(model.critic.discriminator.score.weight, before)
    assert "generator" not in model.losses
    steps(model, splits, 1)
    assert not torch.equal(model.critic.discriminator.score.weight, before)
    assert {"generator", "discriminator", "adaptive_weight"} <= set(model.losses)


def test_the_price_of_the_bottleneck_is_paid(splits):
    found = []
    for weight in (0.0, 100.0):
        bottleneck = functools.partial(KLBottleneck, weight=Constant(weight))
        model = alone(
            build_kl_autoencoder(splits.train.image, bottleneck=bottleneck, lr=Constant(5e-3))
        )
        steps(model, splits, 20)
        found.append(model.losses["kl"].item())
    assert found[1] < 0.2 * found[0]


def test_codes_follow_the_steps(splits):
    model = alone(build_vq_autoencoder(splits.train.image))
    vectors = model.networks.bottleneck.codes.codebook.vectors
    before = vectors.clone()
    steps(model, splits, 1)
    assert (vectors != before).any()


def test_a_runaway_variance_stays_finite():
    mean = torch.zeros(2, 3, requires_grad=True)
    said = Encoded(mean, torch.full((2, 3), 1e4), torch.zeros(2, dtype=torch.int64), mean + 1, 0.0)
    passed = KLBottleneck(1, (3, 1, 1), weight=Constant(1.0))(said)
    assert passed.latents.isfinite().all()
    assert passed.price.isfinite().all()


def test_every_image_is_encoded_with_numbers_of_its_own():
    real = LabelledImages(
        torch.zeros(10, 1, 4, 4, dtype=torch.uint8), torch.zeros(10, dtype=torch.int64), ("a",)
    )

    def standard(seed):
        device = torch.device("cpu")
        return encoded(
            lambda images, labels, standard: standard,
            real, z_dim=500, seed=seed, device=device, batch_size=4,
        )  # fmt: skip

    found = standard(0)
    assert torch.equal(found, standard(0))
    assert len(found.unique(dim=0)) == 10
    # Not the next run's numbers one chunk later, and none that a gradient could not flow through.
    assert not torch.isclose(found, standard(4).roll(4, 0)).all(dim=1).any()
    assert not found.is_inference()


def test_the_rest_is_independent_of_the_principal_components():
    torch.manual_seed(0)
    turn, _ = torch.linalg.qr(torch.randn(6, 6))
    latents = torch.randn(8000, 6) * torch.tensor([2.0, 1.5, 1.0, 1.0, 1.0, 0.8]) @ turn.T
    density = PrincipalMixture(1, 6, rank=2, components=1)
    labels = torch.zeros(8000, dtype=torch.int64)
    density.fit(latents, labels, 0)
    drawn = density.sample(labels, row_seeds(0, 0, 8000))
    assert torch.allclose(drawn.var(0), latents.var(0), rtol=0.08)


class Far(nn.Module):
    """A density far from N(0, I)."""

    def __init__(self, num_classes, z_dim):
        super().__init__()
        self.z_dim = z_dim

    def fit(self, latents, labels, seed, groups=None):
        """Nothing is learned."""

    def sample(self, labels, seeds):
        return 4 + normal_latents(seeds, self.z_dim)


def test_statistics_of_batch_norm_are_those_of_the_latents_that_are_drawn(splits):
    image = ImageSpec(1, 8, 8, splits.train.image.classes)
    decoder = DCGenerator(image, z_dim=4, width=8)
    model = alone(build_vae_gan(image, decoder=decoder, density=Far))
    steps(model, splits, 4)
    sampler = model.finish(splits.train).eval()
    (first, *_) = [one for one in sampler.decoder.modules() if isinstance(one, nn.BatchNorm2d)]
    seen = []
    first.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    labels = splits.train.labels
    sampler.sample(labels, row_seeds(0, 0, len(labels)))
    values = torch.cat(seen).transpose(0, 1).flatten(1)
    assert torch.allclose(values.mean(1), first.running_mean, atol=0.05 * values.std().item())
    assert torch.allclose(values.var(1), first.running_var, rtol=0.15)
