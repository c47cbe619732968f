"""SNGAN's blocks against the sums in the paper's figure, and what its discriminator promises."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from synthgen.networks import SNDiscriminator, SNGenerator
from synthgen.networks.sngan import DownBlock, FirstDownBlock, PlainBlock, UpBlock
from synthgen.types import ImageSpec

IMAGE = ImageSpec(3, 16, 16, ("a", "b", "c"))
LABELS = torch.tensor([0, 1, 2, 0])


def test_a_block_up_doubles_both_of_its_branches():
    torch.manual_seed(0)
    block, x = UpBlock(4, 6, 3), torch.randn(4, 4, 5, 5)
    h = F.interpolate(F.relu(block.first_norm(x, LABELS)), scale_factor=2)
    h = block.second(F.relu(block.second_norm(block.first(h), LABELS)))
    expected = h + block.shortcut(F.interpolate(x, scale_factor=2))
    torch.testing.assert_close(block(x, LABELS), expected)


def test_blocks_down_halve_both_of_their_branches_and_only_the_first_takes_pixels_as_they_are():
    torch.manual_seed(0)
    x = torch.randn(2, 4, 6, 6)
    for block, seen in ((FirstDownBlock(4, 6), x), (DownBlock(4, 6), F.relu(x))):
        h = block.second(F.relu(block.first(seen)))
        expected = F.avg_pool2d(h + block.shortcut(x), 2)
        torch.testing.assert_close(block(x), expected)
    plain = PlainBlock(4)
    torch.testing.assert_close(plain(x), x + plain.second(F.relu(plain.first(F.relu(x)))))


def test_the_generator_ends_with_norm_relu_convolution_tanh():
    torch.manual_seed(0)
    network = SNGenerator(IMAGE, z_dim=8, width=8, max_width=16)
    seen = {}
    network.to_image.register_forward_hook(lambda layer, taken, made: seen.update(taken=taken[0]))
    images = network(torch.randn(4, 8), LABELS)
    assert float(seen["taken"].detach().min()) == 0
    torch.testing.assert_close(images, network.to_image(seen["taken"]).tanh())
    assert [block.first.in_channels for block in network.blocks] == [16, 16]
    assert network.to_image.in_channels == 8


def test_features_are_sums_over_positions_of_what_is_positive():
    torch.manual_seed(0)
    network = SNDiscriminator(IMAGE, width=8, max_width=16, smallest=4).eval()
    images = torch.randn(2, 3, 16, 16)
    maps = network.blocks(images)
    assert maps.shape == (2, 16, 4, 4)
    torch.testing.assert_close(network.features(images), maps.relu().sum(dim=(2, 3)))


def test_every_layer_of_the_discriminator_has_spectral_norm_one():
    torch.manual_seed(0)
    network = SNDiscriminator(IMAGE, width=8, max_width=16, smallest=4).eval()
    layers = [
        one for one in network.modules() if isinstance(one, nn.Conv2d | nn.Linear | nn.Embedding)
    ]
    assert len(layers) > 10
    for layer in layers:
        value = torch.linalg.matrix_norm(layer.weight.detach().flatten(1), 2)
        assert float(value) == pytest.approx(1, abs=0.1)


def test_weights_start_as_glorot_says_and_are_doubled_in_variance_before_a_relu():
    torch.manual_seed(0)
    block = UpBlock(64, 64, 3)
    for layer, gain, fan in ((block.first, math.sqrt(2), 9), (block.shortcut, 1.0, 1)):
        expected = gain * math.sqrt(2 / (2 * 64 * fan))
        assert float(layer.weight.detach().std()) == pytest.approx(expected, rel=0.05)
        assert not layer.bias.any()


def test_the_smallest_images_are_said():
    with pytest.raises(ValueError, match="at least 8 pixels"):
        SNGenerator(ImageSpec(1, 6, 6, ("a",)))
