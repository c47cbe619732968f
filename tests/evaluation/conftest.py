import pytest
import torch

from synthgen.data import Digits, prepare
from synthgen.data.synthetic import SyntheticSet
from synthgen.samplers.pca_gaussian import PCAGaussian
from synthgen.seeds import row_seeds
from synthgen.types import LabelledImages


@pytest.fixture(scope="session")
def digits():
    return prepare(Digits())


@pytest.fixture(scope="session")
def drawn(digits):
    """A plausible synthetic set: 300 digits from a Gaussian per class."""
    sampler = PCAGaussian(digits.train.image)
    sampler.fit(digits.train)
    samples = sampler.sample(torch.arange(10).repeat_interleave(30), row_seeds(1, 0, 300))
    return LabelledImages(samples.images, samples.labels, digits.train.classes)


@pytest.fixture
def as_set(tmp_path):
    """Wrap images as the set that ``read_synthetic`` returns."""

    def wrap(images, provenance=None):
        return SyntheticSet(images, provenance, tmp_path / "set", "0" * 64)

    return wrap
