"""Real images that are always there, and the cheap samplers fitted on them."""

import pytest
import torch
from omegaconf import OmegaConf
from sklearn.datasets import load_digits

from synthgen.cli.build import build
from synthgen.io import config_dir
from synthgen.types import ImageSpec, LabelledImages


@pytest.fixture(scope="session")
def digits() -> LabelledImages:
    data = load_digits()
    images = torch.from_numpy(data.images * 15.9375).round().to(torch.uint8)[:, None]
    return LabelledImages(images, torch.from_numpy(data.target).long(), tuple("0123456789"))


def described(name, **changes):
    """The sampler's YAML as plain values."""
    config = OmegaConf.load(config_dir() / "model" / f"{name}.yaml")
    return OmegaConf.to_container(OmegaConf.merge(config, changes), resolve=True)


NAMES = [
    path.stem
    for path in sorted((config_dir() / "model").glob("*.yaml"))
    if described(path.stem).get("_target_", "").startswith("synthgen.samplers.")
    and path.stem != "road_signs"  # draws no digits; see test_drawn
]


@pytest.fixture(scope="session", params=NAMES)
def fitted_sampler(request, digits):
    sampler = build(described(request.param), key="model", facts={"image": digits.image})
    sampler.fit(digits)
    return sampler


@pytest.fixture
def sampler(fitted_sampler):
    """Every sampler that a YAML describes and that needs no training, fitted on the digits."""
    threads = fitted_sampler.threads
    yield fitted_sampler
    fitted_sampler.threads = threads


@pytest.fixture
def from_yaml():
    """``from_yaml("pca_gaussian", image, components=3)``: a sampler as its YAML describes it."""

    def make(name, image, **changes):
        return build(described(name, **changes), key="model", facts={"image": image})

    return make


@pytest.fixture
def signs(from_yaml):
    """``signs(attributes=...)``: the drawn road signs, colour, 32 pixels unless told."""
    image = ImageSpec(3, 32, 32, tuple(described("road_signs")["scenes"]))

    def make(channels=3, height=32, width=32, **changes):
        spec = ImageSpec(channels, height, width, image.classes)
        return from_yaml("road_signs", spec, **changes)

    return make
