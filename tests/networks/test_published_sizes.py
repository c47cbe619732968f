"""The yamls of published size against what the papers' own code reports, and against sums worked
out from the architecture alone."""

import itertools

import pytest
import torch
from omegaconf import OmegaConf

from synthgen.cli.build import build
from synthgen.networks import BigGANDiscriminator, BigGANGenerator
from synthgen.networks.cost import cost
from synthgen.networks.equalised import EqualConv, EqualConvUp, EqualLinear, Modulated, ToImage
from synthgen.paths import config_dir
from synthgen.types import ImageSpec


def measured(kind, name, size, classes):
    """Parameters and multiply-adds, without allocating a weight."""
    config = OmegaConf.load(config_dir() / "network" / kind / f"{name}.yaml")
    image = ImageSpec(3, size, size, tuple(map(str, range(classes))))
    with torch.device("meta"):
        found = cost(build(OmegaConf.to_container(config), key=kind, facts={"image": image}))
    return found.parameters, found.multiply_adds


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


class Sum:
    """Parameters and multiply-adds, added up layer by layer."""

    def __init__(self):
        self.parameters, self.multiply_adds = 0, 0

    def conv(self, before, after, kernel, side, bias=True):
        self.parameters += before * after * kernel**2 + bias * after
        self.multiply_adds += before * after * kernel**2 * side**2

    def linear(self, before, after, bias=True):
        self.conv(before, after, 1, 1, bias)

    def attention(self, width, side):
        for before, after in [(width, width // 8), (width, width // 8), (width, width // 2)]:
            self.conv(before, after, 1, side, bias=False)
        self.conv(width // 2, width, 1, side, bias=False)
        self.parameters += 1
        self.multiply_adds += side**2 * side**2 // 4 * (width // 8 + width // 2)

    def total(self):
        return self.parameters, self.multiply_adds


def biggan_generator(widths, z_dim, classes, attention):
    total, part = Sum(), z_dim // len(widths)
    total.parameters += classes * 128
    total.linear(part, widths[0] * 16)
    side = 4
    for before, after in itertools.pairwise(widths):
        for width in (before, after):  # scale and shift of the batch norms
            total.linear(128 + part, width, bias=False)
            total.linear(128 + part, width, bias=False)
        total.conv(before, after, 1, side)
        side *= 2
        total.conv(before, after, 3, side)
        total.conv(after, after, 3, side)
        if side == attention:
            total.attention(after, side)
    total.parameters += 2 * widths[-1]
    total.conv(widths[-1], 3, 3, side)
    return total.total()


def biggan_discriminator(widths, size, halvings, classes, attention):
    total, side, before = Sum(), size, 3
    for level, width in enumerate(widths):
        total.conv(before, width, 3, side)
        total.conv(width, width, 3, side)
        side //= 2 if level < halvings else 1
        if before != width or level < halvings:
            total.conv(before, width, 1, side)
        if level == 0 and attention:
            total.attention(width, side)
        before = width
    total.linear(before, 1)
    total.parameters += classes * before
    return total.total()


def stylegan2_generator(widths, layers):
    total, w_dim, side = Sum(), 512, 4
    total.parameters += 10 * w_dim + widths[0] * 16
    total.linear(2 * w_dim, w_dim)
    for _ in range(layers - 1):
        total.linear(w_dim, w_dim)
    for before, after in zip([None, *widths], widths, strict=False):
        if before is not None:
            total.linear(w_dim, before)
            total.conv(before, after, 3, side)  # transposed: 9 products per input position
            side *= 2
            total.multiply_adds += before * after  # demodulation
            total.multiply_adds += 16 * side**2 * after  # blur
        total.linear(w_dim, after)
        total.conv(after, after, 3, side)
        total.multiply_adds += after**2
        total.linear(w_dim, after)
        total.conv(after, 3, 1, side)
    return total.total()


def stylegan2_discriminator(widths, size, shortcuts):
    total, side = Sum(), size
    total.conv(3, widths[0], 1, side)
    for before, after in itertools.pairwise(widths):
        total.conv(before, before, 3, side)
        total.multiply_adds += 16 * (side + 1) ** 2 * before
        total.conv(before, after, 3, side // 2)
        if shortcuts:
            total.multiply_adds += 16 * (side - 1) ** 2 * before
            total.conv(before, after, 1, side // 2, bias=False)
        side //= 2
    last = widths[-1]
    total.conv(last + 1, last, 3, side)
    total.linear(last * side**2, last)
    total.linear(last, last)
    total.parameters += 10 * last
    return total.total()


STYLE_256 = [512, 512, 512, 512, 256, 128, 64]
IMAGENET = [1536, 1536, 768, 384, 192, 96]


@pytest.mark.parametrize(("name", "size", "generator", "discriminator"), [
    ("biggan", 32, biggan_generator([384] * 4, 80, 10, 16),
     biggan_discriminator([384] * 4, 32, 2, 10, 16)),
    ("biggan_64", 32, biggan_generator([256] * 4, 128, 10, None),
     biggan_discriminator([256] * 4, 32, 2, 10, None)),
    ("biggan_imagenet128", 128, biggan_generator(IMAGENET, 120, 10, 64),
     biggan_discriminator([*IMAGENET[::-1]], 128, 5, 10, 64)),
    ("stylegan2", 32, stylegan2_generator([512] * 4, 2),
     stylegan2_discriminator([512] * 4, 32, shortcuts=False)),
    ("stylegan2_256", 256, stylegan2_generator(STYLE_256, 8),
     stylegan2_discriminator(STYLE_256[::-1], 256, shortcuts=True)),
])  # fmt: skip
def test_published_sizes_cost_what_their_architecture_costs(name, size, generator, discriminator):
    assert measured("generator", name, size, 10) == generator
    assert measured("discriminator", name, size, 10) == discriminator


def test_biggan_has_the_parameters_that_another_implementation_pins():
    # google/compare_gan, resnet_biggan_test.py: ImageNet at 128 pixels, 1,000 classes
    assert measured("generator", "biggan_imagenet128", 128, 1000)[0] == 70_433_988
    assert measured("discriminator", "biggan_imagenet128", 128, 1000)[0] == 87_982_370
    # PyTorch-StudioGAN's table for CIFAR-10: 9.4 M
    assert round(measured("generator", "biggan", 32, 10)[0] / 1e6, 1) == 9.4


def test_stylegan2_has_the_layers_that_its_authors_code_lists():
    # stylegan2-ada-pytorch prints these; theirs have one more number, the strength of the noise.
    assert count(EqualLinear(512, 512)) == 262_656
    assert count(Modulated(EqualConv(512, 512, 3), 512)) == 2_622_465 - 1
    assert count(Modulated(EqualConvUp(512, 256, 3), 512)) == 1_442_561 - 1
    assert count(Modulated(EqualConvUp(256, 128, 3), 512)) == 426_369 - 1
    assert count(Modulated(EqualConv(128, 128, 3), 512)) == 213_249 - 1
    assert count(ToImage(512, 3, 512)) == 264_195
    assert count(ToImage(128, 3, 512)) == 66_051


def test_commuting_1x1_convolutions_with_resampling_changes_no_number():
    torch.manual_seed(0)
    image = ImageSpec(3, 16, 16, ("a", "b"))
    up = BigGANGenerator(image, width=8, max_width=16).blocks[0]
    x = torch.randn(2, 16, 4, 4)
    torch.testing.assert_close(up.resample(up.shortcut(x)), up.shortcut(up.resample(x)))
    down = BigGANDiscriminator(image, width=8, max_width=16).blocks[0]
    x = torch.randn(2, 3, 16, 16)
    torch.testing.assert_close(down.resample(down.shortcut(x)), down.shortcut(down.resample(x)))
