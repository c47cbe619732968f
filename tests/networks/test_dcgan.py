"""DCGAN's guidelines: where batch norm is, how weights start, what range comes out."""

import pytest
import torch
from torch import nn

from synthgen.networks import DCDiscriminator, DCGenerator
from synthgen.types import ImageSpec

IMAGE = ImageSpec(3, 32, 32, ("a", "b", "c"))


@pytest.mark.parametrize("made", [DCGenerator, DCDiscriminator])
def test_weights_start_small_and_gains_near_one(made):
    torch.manual_seed(0)
    network = made(IMAGE, width=64, max_width=256)
    kinds = nn.Conv2d | nn.ConvTranspose2d
    layers = [one for one in network.modules() if isinstance(one, kinds)]
    assert len(layers) == 3
    for layer in layers:
        assert float(layer.weight.detach().std()) == pytest.approx(0.02, rel=0.1)
        assert layer.kernel_size == (4, 4)
        assert layer.stride == (2, 2)
    norms = [one for one in network.modules() if isinstance(one, nn.BatchNorm2d)]
    for norm in norms:
        assert float(norm.weight.detach().mean()) == pytest.approx(1, abs=0.01)
        assert float(norm.weight.detach().std()) == pytest.approx(0.02, rel=0.4)


def test_batch_norm_is_everywhere_but_next_to_the_image():
    def before_and_after(network):
        return [type(layer) for layer in network.stages]

    generator = before_and_after(DCGenerator(IMAGE))
    assert generator[:2] == [nn.BatchNorm2d, nn.ReLU]
    assert generator[-1] is nn.ConvTranspose2d
    assert generator.count(nn.BatchNorm2d) == 3
    discriminator = before_and_after(DCDiscriminator(IMAGE))
    assert discriminator[:2] == [nn.Conv2d, nn.LeakyReLU]
    assert discriminator.count(nn.BatchNorm2d) == 2


@torch.no_grad()
def test_images_are_bounded_by_a_tanh():
    torch.manual_seed(0)
    network = DCGenerator(IMAGE, width=8, max_width=16)
    network.stages[-1].weight.mul_(1000)
    images = network(torch.randn(4, 100), torch.tensor([0, 1, 2, 0]))
    assert 0.9 < float(images.abs().max()) <= 1


def test_the_smallest_images_are_said():
    with pytest.raises(ValueError, match="at least 8 pixels"):
        DCGenerator(ImageSpec(1, 6, 6, ("a",)))
