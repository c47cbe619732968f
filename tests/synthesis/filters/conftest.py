"""Real digits: some to fit filters to, others that they have never seen."""

import pytest
import torch

from synthgen.types import LabelledImages


@pytest.fixture(scope="session")
def parts(digits) -> tuple[LabelledImages, LabelledImages]:
    """1,300 training images and 497 fresh ones."""
    order = torch.randperm(len(digits), generator=torch.Generator().manual_seed(0))
    return digits.subset(order[:1300]), digits.subset(order[1300:])


@pytest.fixture(scope="session")
def train(parts) -> LabelledImages:
    return parts[0]


@pytest.fixture(scope="session")
def fresh(parts) -> LabelledImages:
    return parts[1]


@pytest.fixture(scope="session")
def shaken():
    """The images with a little noise, as after a lossy format."""

    def shake(images, deviation=4.0):
        noise = torch.randn(images.shape, generator=torch.Generator().manual_seed(1))
        return (images + deviation * noise).clamp(0, 255).round().to(torch.uint8)

    return shake
