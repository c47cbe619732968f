"""The norm is the singular value, and what it keeps between steps is enough to go on exactly."""

import copy

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrize

from synthgen.networks import (
    BigGANDiscriminator,
    DCDiscriminator,
    R3Discriminator,
    SNDiscriminator,
    SpectrallyNormalised,
    StyleGAN2Discriminator,
)
from synthgen.networks.spectral import normalise_spectrum, with_spectral_norm
from synthgen.types import ImageSpec

IMAGE = ImageSpec(1, 8, 8, ("a", "b", "c"))
LABELS = torch.tensor([0, 1, 2, 0])


def largest_singular_value(weight, output_dim=0):
    return torch.linalg.matrix_norm(weight.transpose(0, output_dim).flatten(1), 2)


@pytest.mark.parametrize(
    ("layer", "output_dim"),
    [
        (nn.Linear(6, 9), 0),
        (nn.Conv2d(3, 5, 3), 0),
        (nn.ConvTranspose2d(3, 5, 4), 1),
        (nn.Embedding(4, 7), 0),
    ],
    ids=lambda value: type(value).__name__,
)
def test_the_norm_becomes_one(layer, output_dim):
    torch.manual_seed(0)
    with torch.no_grad():
        layer.weight.mul_(7)
    layer = with_spectral_norm(layer).train()
    for _ in range(200):
        layer.weight  # noqa: B018 (each use is a power iteration)
    assert largest_singular_value(layer.weight, output_dim).item() == pytest.approx(1, abs=1e-3)


def test_the_gradient_is_that_of_the_paper():
    """d(W/σ)/dW applied to A: (A - <A, W/σ> u vᵀ) / σ (Miyato et al. 2018, eq. 12)."""
    layer = with_spectral_norm(nn.Linear(5, 4, bias=False)).train()
    for _ in range(200):
        layer.weight  # noqa: B018
    direction = torch.randn(4, 5)
    layer.eval()
    (layer.weight * direction).sum().backward()
    original = layer.parametrizations.weight.original
    left, values, right = torch.linalg.svd(original.detach())
    along = torch.outer(left[:, 0], right[0])
    inner = (direction * original.detach() / values[0]).sum()
    expected = (direction - inner * along) / values[0]
    assert torch.allclose(original.grad, expected, atol=1e-4)


def test_one_power_iteration_per_pass_in_training_and_none_in_evaluation():
    layer = with_spectral_norm(nn.Conv2d(2, 3, 3))
    norm = layer.parametrizations.weight[0]
    images = torch.randn(2, 2, 5, 5)
    u, v = norm.u.clone(), norm.v.clone()
    layer.eval()(images)
    assert torch.equal(norm.u, u)
    matrix = layer.parametrizations.weight.original.flatten(1)
    expected = nn.functional.normalize(matrix.T @ u, dim=0)
    layer.train()(images)
    assert torch.equal(norm.v, expected)
    assert not torch.equal(norm.v, v)


def train(network, steps, seed=0):
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    random = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        images = torch.randn(4, 1, 8, 8, generator=random)
        optimizer.zero_grad()
        network(images, LABELS).square().mean().backward()
        optimizer.step()
    return network


def test_a_run_goes_on_from_its_state_to_the_bit():
    torch.manual_seed(0)
    network = train(SNDiscriminator(IMAGE, width=8, max_width=16, smallest=4), 3)
    torch.manual_seed(5)
    other = SNDiscriminator(IMAGE, width=8, max_width=16, smallest=4)
    other.load_state_dict(copy.deepcopy(network.state_dict()))
    train(network, 3, seed=1)
    train(other, 3, seed=1)
    for (key, one), two in zip(
        network.state_dict().items(), other.state_dict().values(), strict=True
    ):
        assert torch.equal(one, two), key


def test_the_norm_stays_float32_under_autocast():
    torch.manual_seed(0)
    layer = with_spectral_norm(nn.Linear(32, 32, bias=False)).eval()
    exact = layer.weight.detach().clone()
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(layer.weight, exact)
        assert layer(torch.randn(2, 32)).dtype == torch.bfloat16


def test_any_discriminator_can_have_it_even_with_layers_that_start_as_zero():
    torch.manual_seed(0)
    plain = R3Discriminator(IMAGE, width=16, max_width=16, group_size=None, embedding_dim=16)
    network = SpectrallyNormalised(plain).eval()
    layers = [
        one for one in plain.modules() if isinstance(one, nn.Conv2d | nn.Linear | nn.Embedding)
    ]
    assert len(layers) > 5
    for layer in layers:
        assert parametrize.is_parametrized(layer, "weight")
        assert largest_singular_value(layer.weight).item() == pytest.approx(1, abs=0.2)
    images = torch.randn(4, 1, 8, 8)
    assert network(images, LABELS).isfinite().all()


def test_two_passes_before_one_backward():
    network = SNDiscriminator(IMAGE, width=8, max_width=8, smallest=4)
    images = torch.randn(4, 1, 8, 8)
    (network(images, LABELS) - network(-images, LABELS)).sum().backward()
    assert all(parameter.grad.isfinite().all() for parameter in network.parameters())


def test_a_layer_is_normalised_once():
    network = normalise_spectrum(normalise_spectrum(nn.Sequential(nn.Linear(3, 3))))
    assert len(network[0].parametrizations.weight) == 1


def test_what_it_can_not_bound_is_refused():
    with pytest.raises(ValueError, match="reach the weights of EqualConv, EqualConvDown"):
        SpectrallyNormalised(StyleGAN2Discriminator(IMAGE, width=8, max_width=8))
    with pytest.raises(ValueError, match="batch norm"):
        SpectrallyNormalised(DCDiscriminator(ImageSpec(1, 16, 16, ("a", "b")), width=8))
    again = SpectrallyNormalised(SNDiscriminator(IMAGE, width=8, max_width=8, smallest=4))
    assert again(torch.randn(4, 1, 8, 8), LABELS).isfinite().all()


def test_no_batch_norm_in_a_discriminator_that_is_normalised():
    for made in (SNDiscriminator(IMAGE), BigGANDiscriminator(IMAGE)):
        assert not any(isinstance(layer, nn.BatchNorm2d) for layer in made.modules())
