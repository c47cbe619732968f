import torch
from torch import nn

from synthgen.networks.blocks import ConditionalBatchNorm

LABELS = torch.tensor([0, 1, 1])


def test_it_begins_as_batch_norm_and_each_class_has_its_own_line():
    x = torch.randn(3, 4, 5, 5) * 3 + 1
    norm, plain = ConditionalBatchNorm(4, 2), nn.BatchNorm2d(4, affine=False)
    expected = plain(x)
    assert torch.allclose(norm(x, LABELS), expected, atol=1e-6)
    with torch.no_grad():
        norm.gain.weight[1] = 2
        norm.bias.weight[1] = -1
    changed = norm(x, LABELS)
    assert torch.allclose(changed[0], expected[0], atol=1e-6)
    assert torch.allclose(changed[1:], 2 * expected[1:] - 1, atol=1e-5)
