"""Real images that are always there, and the cheap samplers fitted on them."""

import pytest
import torch
from sklearn.datasets import load_digits

from synthgen.samplers import Bootstrap, Noise, PCAGaussian
from synthgen.types import LabelledImages


@pytest.fixture(scope="session")
def digits() -> LabelledImages:
    data = load_digits()
    images = torch.from_numpy(data.images * 15.9375).round().to(torch.uint8)[:, None]
    return LabelledImages(images, torch.from_numpy(data.target).long(), tuple("0123456789"))


@pytest.fixture(params=[PCAGaussian, Bootstrap, Noise], ids=lambda cls: cls.__name__)
def sampler(request, digits):
    sampler = request.param(digits.image)
    sampler.fit(digits)
    return sampler
