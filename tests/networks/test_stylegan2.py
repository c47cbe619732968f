"""StyleGAN2's layers against what they replace, and what its networks promise."""

import pytest
import torch
import torch.nn.functional as F

from synthgen.networks import StyleGAN2Discriminator, StyleGAN2Generator
from synthgen.networks.equalised import (
    GAIN,
    SLOPE,
    SMALL,
    EqualConv,
    EqualConvDown,
    EqualConvUp,
    EqualLinear,
    Modulated,
    blur,
    unit,
)
from synthgen.networks.stylegan2 import BatchDeviation, ResidualStage
from synthgen.types import ImageSpec

IMAGE = ImageSpec(1, 12, 12, ("a", "b", "c"))


def weights_per_image(layer, x, w):
    """Modulation as in the paper's eqs. 1 and 3: a weight of its own for each image, as groups of
    one convolution."""
    style = layer.style(w)
    weight = style[:, None, :, None, None] * layer.convolution.scaled_weight()
    weight = weight / (weight.square().sum(dim=(2, 3, 4), keepdim=True) + SMALL).sqrt()
    count, after, before = weight.shape[:3]
    joined = x.reshape(1, count * before, *x.shape[2:])
    if isinstance(layer.convolution, EqualConvUp):
        kernels = weight.flip(3, 4).transpose(1, 2).flatten(0, 1)
        h = F.conv_transpose2d(joined, kernels, stride=2, groups=count)
        h = blur(h, padding=1, gain=4.0)
    else:
        h = F.conv2d(joined, weight.flatten(0, 1), padding=1, groups=count)
    h = h.view(count, after, *h.shape[2:]) + layer.bias[:, None, None]
    return F.leaky_relu(h, SLOPE) * GAIN


@pytest.mark.parametrize("convolution", [EqualConv, EqualConvUp])
def test_scaling_activations_is_scaling_the_weights_of_each_image(convolution):
    torch.manual_seed(0)
    layer = Modulated(convolution(6, 5, 3), w_dim=4).double()
    torch.nn.init.normal_(layer.bias)
    x, w = torch.randn(3, 6, 7, 7, dtype=torch.double), torch.randn(3, 4, dtype=torch.double)
    torch.testing.assert_close(layer(x, w), weights_per_image(layer, x, w))


@torch.no_grad()
def test_demodulation_keeps_variance_whatever_the_style():
    torch.manual_seed(0)
    layer = Modulated(EqualConv(64, 64, 3), w_dim=4)
    x = torch.randn(8, 64, 16, 16)
    for strength in (0.1, 1.0, 10.0):
        out = layer(x, strength * torch.randn(8, 4))
        assert 0.9 < float(out.square().mean().sqrt()) < 1.1


def test_going_up_is_convolving_the_blurred_doubled_image():
    torch.manual_seed(0)
    layer, x = EqualConvUp(3, 4, 3), torch.randn(2, 3, 6, 5)
    doubled = torch.zeros(2, 3, 12, 10)
    doubled[:, :, ::2, ::2] = x
    taps = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 4
    kernel = (taps[:, None] * taps).expand(3, 1, 4, 4)
    blurred = F.conv2d(F.pad(doubled, (2, 1, 2, 1)), kernel, groups=3)
    expected = F.conv2d(blurred, layer.scaled_weight(), padding=1)
    inside = (slice(None), slice(None), slice(2, -2), slice(2, -2))  # borders see other zeros
    torch.testing.assert_close(layer(x)[inside], expected[inside], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("kernel", [1, 3])
def test_going_down_halves_and_keeps_what_is_even(kernel):
    layer = EqualConvDown(1, 1, kernel)
    layer.weight.data.zero_()
    layer.weight.data[0, 0, kernel // 2, kernel // 2] = 1 / layer.scale
    out = layer(torch.full((1, 1, 12, 8), 3.0))
    assert out.shape == (1, 1, 6, 4)
    torch.testing.assert_close(out[:, :, 1:-1, 1:-1], torch.full((1, 1, 4, 2), 3.0))


@pytest.mark.parametrize("padding", [1, 2])
def test_the_blur_has_the_gradients_of_a_convolution(padding):
    x = torch.randn(2, 3, 5, 6, dtype=torch.double, requires_grad=True)
    for check in (torch.autograd.gradcheck, torch.autograd.gradgradcheck):
        assert check(lambda images: blur(images, padding=padding, gain=2.0).square(), x)
    flat = blur(torch.ones(1, 1, 9, 9), padding=padding, gain=4.0)
    torch.testing.assert_close(flat[0, 0, 4, 4], torch.tensor(4.0))


def test_a_slow_layer_computes_the_same_and_learns_slowly():
    torch.manual_seed(0)
    slow, x = EqualLinear(50, 40, lr_multiplier=0.01), torch.randn(200, 50)
    assert 0.9 < float(slow(x).detach().std()) < 1.1
    before = slow(x).detach()
    optimizer = torch.optim.Adam(slow.parameters(), lr=0.01)
    slow(x).sum().backward()
    optimizer.step()
    # 50 weights each move by lr · multiplier / sqrt(50), and the bias by lr · multiplier.
    assert 0 < float((slow(x).detach() - before).abs().max()) < 50 * 4 * 0.01 * 0.01 / 50**0.5


def test_unit_rows_whatever_their_length():
    rows = unit(torch.randn(4, 9) * torch.tensor([[1e-2], [1.0], [10.0], [1e3]]))
    torch.testing.assert_close(rows.square().mean(dim=1), torch.ones(4), atol=2e-4, rtol=0)


@pytest.mark.parametrize(("count", "group"), [(8, 4), (12, 3), (60, 3), (10, 1), (9, 3), (2, 1)])
def test_groups_of_the_deviation_never_straddle_real_and_generated(count, group):
    assert BatchDeviation(4).group(count) == group


def test_the_deviation_of_one_half_does_not_depend_on_the_other():
    torch.manual_seed(0)
    layer, real, fake = BatchDeviation(4), torch.randn(8, 2, 3, 3), torch.randn(8, 2, 3, 3)
    first = layer(torch.cat([real, fake]))
    second = layer(torch.cat([real, 5 * fake]))
    assert first.shape == (16, 3, 3, 3)
    assert torch.equal(first[:8], second[:8])
    torch.testing.assert_close(5 * first[8:, 2], second[8:, 2])
    by_hand = real[:4].std(dim=0, correction=0).mean()
    torch.testing.assert_close(first[:4, 2], by_hand.expand(4, 3, 3))


def test_a_collapsed_batch_shows_in_training_and_not_in_evaluation():
    torch.manual_seed(0)
    network = StyleGAN2Discriminator(IMAGE, width=8, max_width=16)
    various, labels = torch.randn(8, 1, 12, 12), torch.zeros(8, dtype=torch.int64)
    same = various[:1].expand(8, -1, -1, -1)
    assert not torch.allclose(network(various, labels)[0], network(same, labels)[0])
    network.eval()
    torch.testing.assert_close(network(various, labels)[0], network(same, labels)[0])
    assert network.deviation.average > 0


def test_latents_count_by_their_direction():
    torch.manual_seed(0)
    network = StyleGAN2Generator(IMAGE, z_dim=8, w_dim=8, width=8, max_width=16)
    z, labels = torch.randn(2, 8), torch.tensor([0, 1])
    torch.testing.assert_close(network(z, labels), network(3 * z, labels), atol=1e-4, rtol=1e-3)
    assert not torch.allclose(network(z, labels), network(-z, labels), atol=1e-2)


def test_an_unknown_architecture_is_refused():
    with pytest.raises(ValueError, match="residual, plain"):
        StyleGAN2Discriminator(IMAGE, architecture="orig")


@torch.no_grad()
def test_styles_and_their_scales_stay_float32_under_autocast():
    torch.manual_seed(0)
    network = StyleGAN2Generator(IMAGE, z_dim=8, w_dim=8, width=8, max_width=16)
    z, labels = torch.randn(3, 8), torch.tensor([0, 1, 2])
    exact = network.styles(z, labels)
    layer, styles = Modulated(EqualConv(6, 5, 3), w_dim=8), []
    layer.style.register_forward_hook(lambda module, taken, made: styles.append(made))
    layer(torch.randn(3, 6, 4, 4), exact)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(network.styles(z, labels), exact)
        assert layer(torch.randn(3, 6, 4, 4), exact).dtype == torch.bfloat16
    assert torch.equal(*styles)


def test_the_constant_is_the_same_for_all_and_the_mapping_learns_slowly():
    network = StyleGAN2Generator(IMAGE, z_dim=8, w_dim=8, width=8, max_width=16)
    assert network.constant.shape[1:] == (6, 6)
    assert all(layer.lr_multiplier == 0.01 for layer in network.mapping)


@torch.no_grad()
def test_every_resolution_adds_its_share_to_the_image():
    torch.manual_seed(0)
    network = StyleGAN2Generator(ImageSpec(1, 8, 8, ("a",)), z_dim=4, w_dim=4, width=8)
    z, labels = torch.randn(2, 4), torch.zeros(2, dtype=torch.int64)
    x, shares = network.constant.expand(2, -1, -1, -1), []
    for stage in network.stages:
        x, share = stage(x, network.styles(z, labels))
        shares.append(share)
    first, second = shares
    doubled = F.interpolate(first, scale_factor=2, mode="bilinear")
    torch.testing.assert_close(network(z, labels), doubled + second)


@torch.no_grad()
def test_a_residual_stage_keeps_the_variance_of_its_terms():
    torch.manual_seed(0)
    stage, x = ResidualStage(8, 6), torch.randn(2, 8, 6, 6)
    total = stage.down(stage.same(x)) + stage.shortcut(x)
    torch.testing.assert_close(stage(x), total / 2**0.5)


@torch.no_grad()
def test_logits_begin_at_the_size_of_one_feature():
    torch.manual_seed(0)
    network = StyleGAN2Discriminator(IMAGE, width=256, max_width=256)
    logits = network.logits(torch.randn(3000, 256), torch.arange(3000) % 3)
    assert 0.8 < float(logits.std()) < 1.2
