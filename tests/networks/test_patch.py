"""A logit knows its patch and nothing else."""

import pytest
import torch

from synthgen.networks import PatchDiscriminator
from synthgen.types import ImageSpec


def first_logits(network, images):
    return network(images, torch.tensor([0])).view(-1)


@pytest.mark.parametrize(("halvings", "field"), [(1, 8), (2, 18), (3, 38)])
def test_a_far_pixel_does_not_change_a_patchs_logit(halvings, field):
    torch.manual_seed(0)
    network = PatchDiscriminator(ImageSpec(1, 64, 64, ("a", "b")), width=8, halvings=halvings)
    assert network.receptive_field == field
    side = 64 >> halvings
    middle = (side // 2) * side + side // 2
    images = torch.zeros(1, 1, 64, 64).requires_grad_(True)
    logit = first_logits(network, images + 0.1 * torch.randn(1, 1, 64, 64))[middle]
    (slope,) = torch.autograd.grad(logit, images)
    rows = slope[0, 0].abs().sum(1).nonzero()
    assert rows.max() - rows.min() + 1 == field  # it sees exactly its patch


@pytest.mark.parametrize("shape", [(1, 8, 8), (1, 28, 28), (3, 33, 50), (1, 64, 9)])
def test_any_size_goes_in_and_logits_of_one_image_stay_together(shape):
    torch.manual_seed(0)
    network = PatchDiscriminator(ImageSpec(*shape, ("a", "b", "c")), width=8, halvings=2)
    images, labels = torch.randn(4, *shape), torch.tensor([0, 1, 2, 0])
    logits = network(images, labels)
    assert logits.shape == (4 * network.patches,)
    assert network.features(images).shape == (4, network.feature_dim)
    alone = torch.cat([network(images[i : i + 1], labels[i : i + 1]) for i in range(4)])
    assert torch.allclose(logits, alone, atol=1e-5)
    other = network(images, (labels + 1) % 3)
    assert not torch.allclose(logits, other)


def test_too_many_halvings_are_refused():
    with pytest.raises(ValueError, match="leave a pixel of 8 x 8"):
        PatchDiscriminator(ImageSpec(1, 8, 8, ("a", "b")), halvings=4)
