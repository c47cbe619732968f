import pytest
import torch
from torch import nn

from synthgen.evaluation.classifiers import ResNet18Classifier, ResNet56Classifier
from synthgen.evaluation.classifiers.networks import Block
from synthgen.types import ImageSpec


@pytest.mark.parametrize(
    ("channels", "height", "width"), [(1, 8, 8), (1, 28, 28), (3, 32, 32), (3, 20, 33)]
)
@pytest.mark.parametrize(
    "classifier", [ResNet18Classifier(), ResNet56Classifier(depth=20)], ids=["resnet18", "resnet20"]
)
def test_networks_take_any_shape(classifier, channels, height, width):
    network = classifier.network(ImageSpec(channels, height, width, ("a", "b", "c"))).eval()
    assert network(torch.zeros(2, channels, height, width)).shape == (2, 3)


def parameters(network):
    return sum(parameter.numel() for parameter in network.parameters())


def test_sizes_are_those_of_the_paper():
    """Table 6 of He et al. 2016: 0.27 million parameters for 20 layers, 0.85 for 56."""
    image = ImageSpec(3, 32, 32, tuple("0123456789"))
    assert parameters(ResNet56Classifier(depth=20).network(image)) == pytest.approx(
        0.27e6, rel=0.02
    )
    deep = ResNet56Classifier().network(image)
    assert parameters(deep) == pytest.approx(0.85e6, rel=0.01)
    convolutions = [m for m in deep.modules() if isinstance(m, nn.Conv2d)]
    assert len(convolutions) == 55
    assert parameters(ResNet18Classifier().network(image)) == pytest.approx(11.17e6, rel=0.01)


def test_the_stem_of_resnet18_keeps_small_images_whole():
    network = ResNet18Classifier().network(ImageSpec(3, 32, 32, ("a", "b")))
    stem = network.maxpool(network.relu(network.bn1(network.conv1(torch.zeros(1, 3, 32, 32)))))
    assert stem.shape == (1, 64, 32, 32)


def test_a_blocks_identity_has_no_parameters():
    block = Block(16, 32, stride=2)
    for parameter in block.residual.parameters():
        nn.init.zeros_(parameter)
    x = torch.rand(1, 16, 8, 8)
    found = block(x)
    assert torch.equal(found[:, :16], x[..., ::2, ::2])
    assert not found[:, 16:].any()


@pytest.mark.parametrize("depth", [2, 18, 57])
def test_impossible_depths_are_refused(depth):
    with pytest.raises(ValueError, match="6n"):
        ResNet56Classifier(depth=depth)
