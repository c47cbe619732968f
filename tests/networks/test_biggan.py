"""What BigGAN's networks are made of, and self-attention against its equations."""

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrize

from synthgen.networks import BigGANDiscriminator, BigGANGenerator
from synthgen.networks.biggan import ConditionedBatchNorm
from synthgen.networks.blocks import SelfAttention
from synthgen.types import ImageSpec

IMAGE = ImageSpec(3, 32, 32, ("a", "b", "c"))
SMALL = {"width": 8, "max_width": 16}


def test_attention_is_a_weighted_mean_of_values():
    torch.manual_seed(0)
    layer, x = SelfAttention(16), torch.randn(2, 16, 4, 6)
    torch.testing.assert_close(layer(x), x)  # its share starts at zero
    nn.init.constant_(layer.share, 0.5)
    query = layer.query(x)
    key = nn.functional.max_pool2d(layer.key(x), 2).flatten(2)
    value = nn.functional.max_pool2d(layer.value(x), 2).flatten(2)
    seen = torch.zeros(2, 8, 4, 6)
    for row in range(4):
        for column in range(6):
            scores = torch.einsum("nc,nck->nk", query[:, :, row, column], key)
            weights = scores.exp() / scores.exp().sum(dim=1, keepdim=True)
            seen[:, :, row, column] = torch.einsum("nk,nck->nc", weights, value)
    torch.testing.assert_close(layer(x), x + 0.5 * layer.output(seen), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("shape", [(1, 9), (7, 7), (1, 1)])
def test_attention_takes_odd_maps(shape):
    assert SelfAttention(8)(torch.randn(2, 8, *shape)).shape == (2, 8, *shape)


def test_attention_needs_channels():
    with pytest.raises(ValueError, match="at least 8"):
        SelfAttention(4)


@pytest.mark.parametrize(("most", "generator", "discriminator"), [
    (None, [], []), (16, ["1"], ["0"]), (31, ["1"], ["0"]), (32, ["2"], ["0"]), (8, ["0"], ["1"]),
    (7, [], ["2"]), (3, [], []),
])  # fmt: skip
def test_attention_is_where_it_was_asked_for(most, generator, discriminator):
    maps = list(BigGANGenerator(IMAGE, **SMALL, attention=most).attention)  # 8, 16, 32
    assert maps == generator
    maps = list(BigGANDiscriminator(IMAGE, **SMALL, attention=most).attention)  # 16, 8, 4, 4
    assert maps == discriminator


def test_every_part_of_the_latents_matters_and_enters_once():
    torch.manual_seed(0)
    network = BigGANGenerator(IMAGE, z_dim=10, **SMALL)
    assert network.split == [2, 2, 3, 3]
    z, labels = torch.randn(8, 10), torch.zeros(8, dtype=torch.int64)
    network(z, labels)
    network.eval()
    for k in range(10):
        other = z.clone()
        other[:, k] += 1
        assert not torch.allclose(network(z, labels), network(other, labels), atol=1e-5)


def test_latents_too_short_to_split_are_refused():
    with pytest.raises(ValueError, match="at least 4"):
        BigGANGenerator(IMAGE, z_dim=3)


def test_one_embedding_is_all_that_a_generator_knows_of_classes():
    network = BigGANGenerator(IMAGE, **SMALL)
    embeddings = [layer for layer in network.modules() if isinstance(layer, nn.Embedding)]
    assert len(embeddings) == 1
    assert not parametrize.is_parametrized(embeddings[0])


@pytest.mark.parametrize("made", [BigGANGenerator, BigGANDiscriminator])
def test_every_weight_has_spectral_norm_one_and_starts_orthogonal(made):
    network = made(IMAGE, **SMALL, attention=16)
    layers = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
    assert len(layers) > 10
    for layer in layers:
        values = torch.linalg.svdvals(layer.weight.detach().flatten(1))
        torch.testing.assert_close(values, torch.ones_like(values), atol=1e-3, rtol=0)
        with torch.no_grad():
            layer.parametrizations.weight.original.mul_(3)
        again = torch.linalg.svdvals(layer.weight.detach().flatten(1))
        assert float(again[0]) == pytest.approx(1, abs=1e-3)


def test_the_discriminator_halves_as_often_as_asked():
    for halvings, side in [(0, 32), (2, 8), (None, 4), (9, 4)]:
        network = BigGANDiscriminator(IMAGE, **SMALL, halvings=halvings)
        x = torch.randn(1, 3, 32, 32)
        for block in network.blocks:
            x = block(x)
        assert x.shape[2] == side


def test_features_are_sums_over_positions():
    torch.manual_seed(0)
    network = BigGANDiscriminator(IMAGE, **SMALL).eval()
    images = torch.randn(2, 3, 32, 32)
    maps = nn.Sequential(*network.blocks)(images)
    torch.testing.assert_close(network.features(images), maps.relu().sum(dim=(2, 3)))


def test_commuting_1x1_convolutions_with_resampling_changes_no_number():
    torch.manual_seed(0)
    image = ImageSpec(3, 16, 16, ("a", "b"))
    up = BigGANGenerator(image, width=8, max_width=16).blocks[0]
    x = torch.randn(2, 16, 4, 4)
    torch.testing.assert_close(up.resample(up.shortcut(x)), up.shortcut(up.resample(x)))
    down = BigGANDiscriminator(image, width=8, max_width=16).blocks[0]
    x = torch.randn(2, 3, 16, 16)
    torch.testing.assert_close(down.resample(down.shortcut(x)), down.shortcut(down.resample(x)))


def test_a_condition_of_zero_leaves_batch_norm_as_it_is():
    torch.manual_seed(0)
    norm, x = ConditionedBatchNorm(4, 3), 3 * torch.randn(8, 4, 5, 5) + 1
    plain = nn.BatchNorm2d(4, affine=False)(x)
    torch.testing.assert_close(norm(x, torch.zeros(8, 3)), plain)
    one = torch.ones(8, 3)
    scale = 1 + norm.scale.weight.sum(dim=1)
    expected = plain * scale[:, None, None] + norm.shift.weight.sum(dim=1)[:, None, None]
    torch.testing.assert_close(norm(x, one), expected)


def test_only_the_first_block_takes_what_comes_in_as_it_is():
    torch.manual_seed(0)
    network = BigGANDiscriminator(IMAGE, **SMALL).eval()
    for level, (channels, seen) in enumerate([(3, nn.Identity()), (8, nn.ReLU())]):
        x, block = torch.randn(2, channels, 8, 8), network.blocks[level]
        h = block.conv2(block.conv1(seen(x)).relu())
        expected = nn.functional.avg_pool2d(h + block.shortcut(x), 2)
        torch.testing.assert_close(block(x), expected)
