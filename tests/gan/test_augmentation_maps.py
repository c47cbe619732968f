"""The affine maps that adaptive augmentation draws, of places and of colours."""

import pytest
import torch

from synthgen.gan.augmentations import (
    AnisotropicScaling,
    FlipLuma,
    FractionalTranslation,
    IntegerTranslation,
    IsotropicScaling,
    RotateHue,
    Rotation,
)
from synthgen.gan.augmentations.base import warp
from synthgen.seeds import BatchGenerator


def rng():
    return BatchGenerator().manual_seed(0)


def rotated(quarter):
    cosine, sine = [(1.0, 0.0), (0.0, 1.0), (-1.0, 0.0), (0.0, -1.0)][quarter]
    return torch.tensor([[[cosine, -sine, 0.0], [sine, cosine, 0.0], [0.0, 0.0, 1.0]]])


@pytest.mark.parametrize("quarter", range(4))
@pytest.mark.parametrize("side", [7, 8])
def test_quarter_turns_of_a_square_are_exact(quarter, side):
    images = torch.randn(1, 3, side, side, generator=rng())
    expected = torch.rot90(images, quarter, dims=(2, 3))
    assert torch.allclose(warp(images, rotated(quarter), "zeros"), expected, atol=1e-5)


@pytest.mark.parametrize("operation", [RotateHue(), FlipLuma()])
def test_hue_and_luma_turn_and_mirror_colours_and_do_not_stretch_them(operation):
    inner = operation.draw(20, rng())[:, :3, :3]
    assert torch.allclose(inner @ inner.mT, torch.eye(3).expand(20, 3, 3), atol=1e-5)
    grey = inner.sum(2)  # of (1, 1, 1)
    assert torch.allclose(grey.abs(), torch.ones(20, 3), atol=1e-5)
    negative = grey[:, 0] < 0  # the mirror turns white to black, the hue stays as it is
    assert 0 < negative.sum() < 20 if isinstance(operation, FlipLuma) else not negative.any()


def test_geometric_maps_are_what_they_say():
    size, count = (10, 1000), 4000
    moved = IntegerTranslation(0.1).draw(count, size, rng())[:, :2, 2]
    assert moved.abs().amax(0).tolist() == [100, 1]  # (column, row) of a wide image
    assert torch.equal(moved, moved.round())
    moved = FractionalTranslation(0.125).draw(count, size, rng())[:, :2, 2]
    assert moved.std(0).tolist() == pytest.approx([125, 1.25], rel=0.05)
    stretched = AnisotropicScaling(0.2).draw(count, size, rng()).diagonal(dim1=1, dim2=2)
    assert torch.allclose(stretched[:, 0] * stretched[:, 1], torch.ones(count), atol=1e-5)
    scaled = IsotropicScaling(0.2).draw(count, size, rng()).diagonal(dim1=1, dim2=2)
    assert torch.equal(scaled[:, 0], scaled[:, 1])
    for one in (stretched, scaled):
        assert one[:, 0].log2().std().item() == pytest.approx(0.2, rel=0.05)
    turned = Rotation(90).draw(count, size, rng())
    angle = torch.atan2(turned[:, 1, 0], turned[:, 0, 0]).rad2deg()
    assert 85 < angle.max() <= 90.001
    assert -90.001 <= angle.min() < -85
