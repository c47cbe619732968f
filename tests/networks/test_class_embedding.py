import pytest
import torch
from torch import nn

from synthgen.networks import DCGenerator, R3Generator
from synthgen.networks.ladder import LadderDecoder
from synthgen.types import ImageSpec


@pytest.mark.parametrize("classes", [2, 10, 400])
@pytest.mark.parametrize("build", [DCGenerator, R3Generator, LadderDecoder])
def test_a_label_starts_quieter_than_the_latents(build, classes):
    """As loud as the latents, it made DCGAN draw one image per class."""
    torch.manual_seed(0)
    image = ImageSpec(1, 16, 16, tuple(str(number) for number in range(classes)))
    network = build(image)
    assert isinstance(network.embedding, nn.Embedding)
    weights = network.embedding.weight.detach()
    variance = float(weights.square().mean())
    assert variance == pytest.approx(1 / classes, rel=0.5 if classes == 2 else 0.25)
