"""The yamls of published size against what the papers' own code reports, and against sums worked
out from the architecture alone."""

import itertools

import pytest
import torch
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from synthgen.cli.build import build
from synthgen.io import config_dir
from synthgen.networks import StyleGAN2Discriminator, StyleGAN2Generator
from synthgen.networks.cost import cost
from synthgen.networks.equalised import EqualConv, EqualConvUp, EqualLinear, Modulated, ToImage
from synthgen.types import ImageSpec


def measured(kind, name, size, classes):
    """Parameters and multiply-adds, without allocating a weight."""
    with initialize_config_dir(version_base="1.3", config_dir=str(config_dir())):
        config = compose(f"network/{kind}/{name}").network[kind]
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
    return total.parameters + 10 * last, total.multiply_adds


def r3gan_blocks(total, side):
    for _ in range(2):
        total.conv(768, 1536, 1, side)
        total.conv(16, 1536, 3, side)  # 96 groups of 16 channels
        total.conv(1536, 768, 1, side, bias=False)


def r3gan_generator():
    total = Sum()
    total.parameters += 10 * 64
    total.linear(64 + 64, 768 * 16)
    for side in (4, 8, 16, 32):
        r3gan_blocks(total, side)
    total.conv(768, 3, 3, 32)
    return total.total()


def r3gan_discriminator():
    total = Sum()
    total.conv(3, 768, 3, 32)
    for side in (32, 16, 8, 4):
        r3gan_blocks(total, side)
    total.conv(1, 768, 4, 1, bias=False)  # depthwise
    total.linear(768, 768, bias=False)
    total.parameters += 10 * 768
    return total.total()


def sngan_generator(classes):
    total = Sum()
    total.linear(128, 256 * 16)
    for side in (4, 8, 16):
        total.parameters += 2 * 2 * 256 * classes
        total.conv(256, 256, 3, 2 * side)
        total.conv(256, 256, 3, 2 * side)
        total.conv(256, 256, 1, side)
    total.parameters += 2 * 256
    total.conv(256, 3, 3, 32)
    return total.total()


def sngan_discriminator(classes):
    total = Sum()
    for before, kernel, side in [(3, 3, 32), (128, 3, 32), (3, 1, 16)]:
        total.conv(before, 128, kernel, side)
    for kernel, side in [(3, 16), (3, 16), (1, 8), (3, 8), (3, 8), (3, 8), (3, 8)]:
        total.conv(128, 128, kernel, side)
    total.linear(128, 1)
    return total.parameters + classes * 128, total.multiply_adds


DCGAN = [1024, 512, 256, 128]


def dcgan_generator(classes):
    total, side = Sum(), 4
    total.parameters += classes * 64 + 2 * 1024
    total.linear(100 + 64, 1024 * 16, bias=False)
    for before, after in itertools.pairwise(DCGAN):
        total.conv(before, after, 4, side, bias=False)  # transposed: 16 products per input
        total.parameters += 2 * after
        side *= 2
    total.conv(128, 3, 4, side, bias=False)
    return total.parameters + 3, total.multiply_adds


def dcgan_discriminator(classes):
    total, side = Sum(), 32
    total.conv(3, 128, 4, side)
    for before, after in itertools.pairwise(DCGAN[::-1]):
        side //= 2
        total.conv(before, after, 4, side, bias=False)
        total.parameters += 2 * after
    total.linear(1024 * 16, 1)
    total.parameters += classes * 1024 * 16
    return total.total()


def patch_discriminator(classes):
    total = Sum()
    for before, after, side in [(3, 64, 128), (64, 128, 64), (128, 256, 32)]:
        total.conv(before, after, 4, side)
    total.conv(256, 512, 3, 32)
    total.conv(512, 1, 1, 32)
    total.parameters += classes * 512
    return total.total()


STYLE_256 = [512, 512, 512, 512, 256, 128, 64]
IMAGENET = [1536, 1536, 768, 384, 192, 96]


@pytest.mark.parametrize(("name", "size", "generator", "discriminator"), [
    ("biggan", 32, biggan_generator([384] * 4, 80, 10, 16),
     biggan_discriminator([192] * 4, 32, 2, 10, 16)),
    ("biggan_64", 32, biggan_generator([256] * 4, 128, 10, None),
     biggan_discriminator([256] * 4, 32, 2, 10, None)),
    ("biggan_imagenet128", 128, biggan_generator(IMAGENET, 120, 10, 64),
     biggan_discriminator([*IMAGENET[::-1]], 128, 5, 10, 64)),
    ("stylegan2", 32, stylegan2_generator([512] * 4, 2),
     stylegan2_discriminator([512] * 4, 32, shortcuts=False)),
    ("stylegan2_256", 256, stylegan2_generator(STYLE_256, 8),
     stylegan2_discriminator(STYLE_256[::-1], 256, shortcuts=True)),
    ("r3gan", 32, r3gan_generator(), r3gan_discriminator()),
    ("sngan", 32, sngan_generator(10), sngan_discriminator(10)),
    ("dcgan", 64, dcgan_generator(10), dcgan_discriminator(10)),
])  # fmt: skip
def test_published_sizes_cost_what_their_architecture_costs(name, size, generator, discriminator):
    assert measured("generator", name, size, 10) == generator
    assert measured("discriminator", name, size, 10) == discriminator


def test_the_patch_discriminator_costs_what_its_architecture_costs():
    assert measured("discriminator", "patch", 256, 10) == patch_discriminator(10)


def test_sngan_without_classes_has_one_gain_per_channel():
    # Miyato et al. 2018, table 4: batch norms have one gain and one bias per channel.
    assert measured("generator", "sngan", 32, 1)[0] == 4_276_739


def test_r3gan_is_its_authors_network_but_for_both_ends():
    """Blocks are theirs to the number. Theirs begin with a learned 4 x 4 basis (times a linear
    layer of the latents) and take 1x1 convolutions from and to pixels, without biases."""
    blocks = Sum()
    for side in (4, 8, 16, 32):
        r3gan_blocks(blocks, side)
    theirs = blocks.parameters + 10 * 64 + 128 * 768 + 16 * 768 + 768 * 3
    assert round(theirs / 1e6, 1) == 20.8
    ours = measured("generator", "r3gan", 32, 10)
    assert ours[0] - theirs == 128 * 768 * 15 + 768 * 8 * 3 + 3
    assert ours[1] / blocks.multiply_adds < 1.01
    theirs = blocks.parameters + 3 * 768 + 16 * 768 + 768 * 768 + 10 * 768
    assert measured("discriminator", "r3gan", 32, 10)[0] - theirs == 768 * 8 * 3 + 768


def test_biggan_has_the_parameters_that_another_implementation_pins():
    # google/compare_gan, resnet_biggan_test.py: ImageNet at 128 pixels, 1,000 classes
    assert measured("generator", "biggan_imagenet128", 128, 1000)[0] == 70_433_988
    assert measured("discriminator", "biggan_imagenet128", 128, 1000)[0] == 87_982_370
    # PyTorch-StudioGAN's networks for CIFAR-10, as scripts/references.py builds them
    assert measured("generator", "biggan", 32, 10)[0] == 9_416_196
    assert measured("discriminator", "biggan", 32, 10)[0] == 2_415_170


def test_sngan_has_the_parameters_that_another_implementation_has():
    # PyTorch-StudioGAN's networks for CIFAR-10, as scripts/references.py builds them
    assert measured("generator", "sngan", 32, 10)[0] == 4_304_387
    assert measured("discriminator", "sngan", 32, 10)[0] == 1_055_105


def test_stylegan2_has_the_parameters_that_its_authors_code_reports():
    """At 256 pixels stylegan2-ada-pytorch prints these totals without classes, with half and with
    all of the channels. Ours also has classes and lacks the strengths of the noise."""
    image = ImageSpec(3, 256, 256, tuple("0123456789"))
    classes, strengths = 10 * 512 + 512 * 512, 13
    for width, expected in ((64, 24_767_458), (128, 30_034_338)):
        with torch.device("meta"):
            found = count(StyleGAN2Generator(image, mapping_layers=8, width=width))
        assert found - classes + strengths == expected
    projection = 10 * 512 + 512 * 513  # in place of a linear layer of 513 numbers
    with torch.device("meta"):
        found = count(StyleGAN2Discriminator(image, width=64))
    assert found - projection + 513 == 24_001_089


def test_stylegan2_has_the_layers_that_its_authors_code_lists():
    # stylegan2-ada-pytorch prints these; theirs have one more number, the strength of the noise.
    assert count(EqualLinear(512, 512)) == 262_656
    assert count(Modulated(EqualConv(512, 512, 3), 512)) == 2_622_465 - 1
    assert count(Modulated(EqualConvUp(512, 256, 3), 512)) == 1_442_561 - 1
    assert count(Modulated(EqualConvUp(256, 128, 3), 512)) == 426_369 - 1
    assert count(Modulated(EqualConv(128, 128, 3), 512)) == 213_249 - 1
    assert count(ToImage(512, 3, 512)) == 264_195
    assert count(ToImage(128, 3, 512)) == 66_051
