"""Which network learns from which term."""

import pytest
import torch
from small_hybrids import build_kl_autoencoder, build_vae_gan
from torch import nn

from synthgen.hybrids.autoencoder import EPSILON, LARGEST, adaptive_weight, last_weight
from synthgen.images import to_float
from synthgen.networks import R3Generator
from synthgen.seeds import BatchGenerator
from synthgen.types import ImageSpec


def gradients(loss, network):
    found = torch.autograd.grad(loss, list(network.parameters()), allow_unused=True, retain_graph=1)
    return sum(value.abs().sum().item() for value in found if value is not None)


@pytest.fixture
def batch(splits):
    return to_float(splits.train.images[:16]), splits.train.labels[:16]


def test_errors_in_features_teach_encoder_and_decoder_but_not_the_discriminator(splits, batch):
    model = build_vae_gan(splits.train.image)
    real, labels = batch
    networks, discriminator = model.networks, model.critic.discriminator
    z = networks.posterior(real, labels).at(torch.zeros(16, 4))
    reconstructed = networks.decoder(z, labels)
    with model.critic.frozen():
        misfit = model.feature_misfit(reconstructed, real)
        assert gradients(misfit, networks.encoder) > 0
        assert gradients(misfit, networks.decoder) > 0
    assert all(parameter.requires_grad for parameter in discriminator.parameters())
    misfit.backward()
    assert all(parameter.grad is None for parameter in discriminator.parameters())


def test_errors_in_features_vanish_for_a_perfect_reconstruction(splits, batch):
    model = build_vae_gan(splits.train.image)
    real, _ = batch
    slope = torch.zeros_like(real).requires_grad_(True)
    with model.critic.frozen():
        perfect = model.feature_misfit(real + slope, real)
        worse = model.feature_misfit(real + 0.1 * torch.randn_like(real), real)
    (found,) = torch.autograd.grad(perfect, slope)
    assert found.abs().max() == 0
    assert perfect < worse


def test_the_adversarial_loss_is_none_of_the_encoders_business(splits, batch, monkeypatch):
    """Without reconstruction a step leaves the encoder as it was (Larsen's algorithm 1)."""
    model = build_vae_gan(splits.train.image, reconstruction_weight=lambda progress: 0.0)
    before = {n: p.clone() for n, p in model.networks.named_parameters()}
    optimizers = model.configure_optimizers()
    monkeypatch.setattr(model, "optimizer_list", lambda: optimizers)
    monkeypatch.setattr(model, "manual_backward", lambda loss: loss.backward())
    model.step(splits.train.images[:16], splits.train.labels[:16])
    changed = {
        n.split(".")[0] for n, p in model.networks.named_parameters() if (p != before[n]).any()
    }
    assert changed == {"decoder"}


def test_adaptive_weight_is_the_ratio_of_gradients_at_the_last_layer():
    layer = nn.Linear(2, 1, bias=False)
    x = torch.tensor([[3.0, 4.0]])
    reconstruction = 2 * layer(x).sum()  # gradient (6, 8), norm 10
    adversarial = -0.5 * layer(x).sum()  # gradient (-1.5, -2), norm 2.5
    weight = adaptive_weight(reconstruction, adversarial, layer.weight)
    assert weight.item() == pytest.approx(10 / (2.5 + EPSILON))
    assert not weight.requires_grad
    assert adaptive_weight(reconstruction, 0 * adversarial, layer.weight).item() == LARGEST


def test_the_weighted_pull_is_as_strong_as_the_reconstructions(splits, batch, monkeypatch):
    model = build_kl_autoencoder(splits.train.image, adversarial_weight=lambda progress: 1.0)
    real, labels = batch
    optimizers = model.configure_optimizers()
    monkeypatch.setattr(model, "optimizer_list", lambda: optimizers)
    monkeypatch.setattr(model, "manual_backward", lambda loss: loss.backward())
    outputs = model.networks.decoder(torch.randn(16, model.networks.decoder.z_dim), labels)
    reconstruction = (outputs - real).abs().mean()
    term = model._adversarial(reconstruction, outputs, real, labels)
    last = last_weight(model.networks.decoder)
    norms = [
        torch.autograd.grad(loss, last, retain_graph=True)[0].norm().item()
        for loss in (reconstruction, term)
    ]
    assert norms[1] == pytest.approx(norms[0], rel=0.02)
    # … and it points where the adversarial loss itself points.
    with model.critic.frozen():
        loss = model.critic.generator_loss(outputs, real, labels, BatchGenerator())
    slopes = [torch.autograd.grad(loss, last, retain_graph=True)[0] for loss in (loss, term)]
    cosine = nn.functional.cosine_similarity(slopes[0].flatten(), slopes[1].flatten(), dim=0)
    assert cosine.item() > 0.999


def test_the_last_layer_is_the_one_that_makes_pixels():
    generator = R3Generator(ImageSpec(1, 8, 8, ("a", "b")), width=8, max_width=8, group_size=None)
    assert last_weight(generator) is generator.to_image.weight
    with pytest.raises(ValueError, match="no convolution"):
        last_weight(nn.ReLU())
