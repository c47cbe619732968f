"""What each head makes of features."""

import torch

from synthgen.networks import (
    InnerProduct,
    Projection,
    R3Discriminator,
    SNDiscriminator,
    Unconditional,
)
from synthgen.types import ImageSpec

FEATURES = torch.randn(4, 6, generator=torch.Generator().manual_seed(0))
LABELS = torch.tensor([0, 1, 2, 0])


def test_projection_is_the_unconditional_term_and_an_inner_product():
    head = Projection(6, 3)
    direct = FEATURES @ head.linear.weight[0] + head.linear.bias
    inner = torch.stack([FEATURES[i] @ head.embedding.weight[LABELS[i]] for i in range(4)])
    assert torch.allclose(head(FEATURES, LABELS), direct + inner, atol=1e-6)


def test_the_inner_product_begins_at_the_size_of_one_feature():
    torch.manual_seed(0)
    features = torch.randn(5000, 64)
    logits = InnerProduct(64, 3)(features, torch.arange(5000) % 3)
    assert 0.7 < logits.std().item() < 1.4


def test_unconditional_does_not_look_at_the_label():
    head = Unconditional(6, 3)
    assert torch.equal(head(FEATURES, LABELS), head(FEATURES, (LABELS + 1) % 3))
    assert head(FEATURES, LABELS).shape == (4,)


def test_a_discriminator_takes_any_head():
    image = ImageSpec(1, 8, 8, ("a", "b", "c"))
    images = torch.randn(4, 1, 8, 8)
    sizes = {"width": 8, "max_width": 8}
    for kind, more in ((R3Discriminator, {"group_size": None}), (SNDiscriminator, {"smallest": 4})):
        network = kind(image, head=Unconditional, **sizes, **more).eval()
        assert torch.equal(network(images, LABELS), network(images, (LABELS + 1) % 3))
