"""Costs against numbers worked out by hand."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from synthgen.networks import R3Discriminator, R3Encoder, R3Generator
from synthgen.networks.cost import cost, example_inputs, multiply_adds, parameters
from synthgen.types import ImageSpec

IMAGE = ImageSpec(3, 16, 12, ("a", "b"))
NETWORKS = [R3Generator, R3Discriminator, R3Encoder]


class Attention(nn.Module):
    """Single-head self-attention over all positions of a map."""

    def __init__(self, width):
        super().__init__()
        self.query, self.key, self.value = (nn.Linear(width, width, bias=False) for _ in range(3))

    def forward(self, x):  # (1, T, width)
        q, k, v = self.query(x), self.key(x), self.value(x)
        return torch.softmax(q @ k.transpose(1, 2), dim=-1) @ v


def test_a_convolution():
    # Each of 5 x 8 x 8 outputs sums over 3 channels x 3 x 3 taps; stride 2 halves 16 to 8.
    layer = nn.Conv2d(3, 5, 3, stride=2, padding=1)
    assert multiply_adds(layer, torch.zeros(1, 3, 16, 16)) == 5 * 8 * 8 * 3 * 9
    assert parameters(layer) == 5 * 3 * 9 + 5


def test_groups_divide_the_work():
    layer = nn.Conv2d(8, 8, 3, padding=1, groups=4)
    assert multiply_adds(layer, torch.zeros(1, 8, 6, 6)) == 8 * 36 * 2 * 9


def test_a_transposed_convolution():
    # Each of 4 x 5 x 5 inputs is spread over 7 channels x 4 x 4 taps.
    layer = nn.ConvTranspose2d(4, 7, 4, stride=2, padding=1)
    assert multiply_adds(layer, torch.zeros(1, 4, 5, 5)) == 4 * 25 * 7 * 16


def test_a_linear_layer_and_nothing_for_activations():
    network = nn.Sequential(nn.Linear(10, 20), nn.ReLU(), nn.BatchNorm1d(20), nn.Linear(20, 3))
    assert multiply_adds(network, torch.zeros(1, 10)) == 10 * 20 + 20 * 3


def test_attention():
    # Three projections of T vectors, T x T products of queries and keys, and as many with values.
    width, count = 8, 25
    expected = 3 * count * width**2 + 2 * count**2 * width
    assert multiply_adds(Attention(width), torch.zeros(1, count, width)) == expected


def test_fused_attention_is_counted_too():
    q = torch.zeros(1, 2, 9, 4)
    assert multiply_adds(F.scaled_dot_product_attention, q, q, q) == 2 * 2 * 9 * 9 * 4


@pytest.mark.parametrize("network_class", NETWORKS)
def test_the_meta_device_counts_the_same(network_class):
    real = cost(network_class(IMAGE, group_size=None))
    with torch.device("meta"):
        assert cost(network_class(IMAGE, group_size=None)) == real
    assert real.parameters > 10_000
    assert real.multiply_adds > real.parameters / 10


def test_twice_the_width_is_nearly_four_times_the_work():
    narrow, wide = (
        cost(R3Generator(IMAGE, width=width, max_width=width, group_size=None))
        for width in (64, 128)
    )
    assert 3.5 < wide.multiply_adds / narrow.multiply_adds < 4


def test_what_is_frozen_is_not_a_parameter():
    layer = nn.Linear(3, 4).requires_grad_(False)
    assert parameters(nn.Sequential(layer, nn.Linear(4, 2))) == 4 * 2 + 2


def test_training_mode_and_statistics_are_left_as_they_were():
    network = nn.Sequential(nn.BatchNorm1d(3), nn.Linear(3, 1).eval())
    before = network[0].running_mean.clone()
    multiply_adds(network, torch.full((2, 3), 9.0))
    assert network.training
    assert network[0].training
    assert not network[1].training
    assert torch.equal(network[0].running_mean, before)


def test_other_modules_have_parameters_alone():
    assert example_inputs(nn.Linear(2, 2)) is None
    assert cost(nn.Linear(2, 2)).multiply_adds is None
