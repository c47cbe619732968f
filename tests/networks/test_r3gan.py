"""Shapes for every size, and images that don't depend on what else is in the batch."""

import pytest
import torch

from synthgen.networks import R3Discriminator, R3Encoder, R3Generator
from synthgen.networks.blocks import ResidualBlock, crop_to, pad_to, stages
from synthgen.types import ImageSpec

SMALL = {"width": 16, "max_width": 32, "expansion": 1, "group_size": None}


@pytest.mark.parametrize("patch", [1, 2])
@pytest.mark.parametrize("shape", [(1, 8, 8), (1, 28, 28), (3, 32, 32), (3, 33, 50), (1, 64, 9)])
def test_any_size_goes_in_and_comes_out(shape, patch):
    image = ImageSpec(*shape, classes=("a", "b", "c"))
    labels = torch.tensor([0, 1, 2, 0])
    generator = R3Generator(image, z_dim=5, patch=patch, **SMALL)
    images = generator(torch.randn(4, 5), labels)
    assert images.shape == (4, *shape)
    assert R3Discriminator(image, patch=patch, **SMALL)(images, labels).shape == (4,)
    mean, logvar = R3Encoder(image, z_dim=5, patch=patch, **SMALL)(images, labels)
    assert mean.shape == logvar.shape == (4, 5)


@pytest.mark.parametrize(
    ("size", "expected"), [(8, (1, 4)), (28, (2, 7)), (32, (3, 4)), (50, (3, 7)), (5, (0, 5))]
)
def test_stages_pad_little(size, expected):
    assert stages(size) == expected
    doublings, base = stages(size)
    assert base * 2**doublings - size < 2**doublings


def test_cropping_undoes_padding():
    images = torch.randn(2, 3, 5, 9)
    assert torch.equal(crop_to(pad_to(images, 8, 12), 5, 9), images)


def test_the_label_matters_to_both_networks():
    image = ImageSpec(1, 8, 8, ("a", "b"))
    torch.manual_seed(0)
    generator, discriminator = R3Generator(image, **SMALL), R3Discriminator(image, **SMALL)
    z = torch.randn(1, 64)
    zero, one = torch.tensor([0]), torch.tensor([1])
    assert not torch.allclose(generator(z, zero), generator(z, one))
    images = torch.randn(1, 1, 8, 8)
    assert not torch.allclose(discriminator(images, zero), discriminator(images, one))


def test_a_deep_stack_starts_as_the_identity():
    block = ResidualBlock(8, expansion=2, group_size=4, blocks=10)
    x = torch.randn(2, 8, 4, 4)
    assert torch.equal(block(x), x)


def test_groups_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="groups of 16"):
        ResidualBlock(12, expansion=1, group_size=16, blocks=1)


def test_weights_shrink_with_the_number_of_blocks():
    torch.manual_seed(0)
    for blocks in (1, 16):
        block = ResidualBlock(64, expansion=2, group_size=16, blocks=blocks)
        gain = (2 / 1.04) ** 0.5 / blocks**0.25
        assert float(block.expand.weight.detach().std()) == pytest.approx(gain / 8, rel=0.05)
        assert float(block.mix.weight.detach().std()) == pytest.approx(gain / 12, rel=0.05)
