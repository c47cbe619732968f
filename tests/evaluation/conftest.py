import pytest
import torch

from synthgen.data import Digits, prepare
from synthgen.dataset.schema import Dataset
from synthgen.dataset.source import SyntheticSet
from synthgen.samplers.statistical import PCAGaussian
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
def as_set(tmp_path, described_as):
    """Wrap images as the set that ``read_synthetic`` returns."""

    def wrap(images, said=None):
        about = None if said is None else described_as(images, **said)
        return SyntheticSet(images, about, tmp_path / "set", "0" * 64)

    return wrap


@pytest.fixture(scope="session")
def described_as(description):
    """What a set of some images says, with a provenance and fields of its parts."""

    def describe(images, provenance, parts=({},)):
        content = description(dict(zip(images.classes, images.counts, strict=True)))
        (first,), (given, *more) = content["parts"], parts
        empty = {"count": 0, "quotas": {}, "first": content["count"]}
        later = [first | empty | {"first_shard": n} | part for n, part in enumerate(more, 1)]
        content |= {"provenance": provenance, "parts": [first | given, *later]}
        return Dataset.from_json(content)

    return describe
