"""A sampler fitted on real digits, saved the way ``train`` saves it."""

import hashlib
from pathlib import Path

import pytest
import torch
from sklearn.datasets import load_digits

from synthgen.samplers import PCAGaussian, save_sampler
from synthgen.types import LabelledImages


@pytest.fixture(scope="session")
def digits() -> LabelledImages:
    data = load_digits()
    images = torch.from_numpy(data.images * 15.9375).round().to(torch.uint8)[:, None]
    return LabelledImages(images, torch.from_numpy(data.target).long(), tuple("0123456789"))


@pytest.fixture(scope="session")
def sampler(digits, tmp_path_factory) -> Path:
    sampler = PCAGaussian(digits.image, components=16)
    sampler.fit(digits)
    counts = dict(zip(digits.classes, digits.counts, strict=True))
    provenance = {"data": {"name": "digits", "digest": "abc", "class_counts": counts}}
    return save_sampler(sampler, tmp_path_factory.mktemp("saved") / "sampler", provenance)


@pytest.fixture
def contents():
    """Every file below a folder, by its relative path, as a hash."""

    def read(folder: Path) -> dict[str, str]:
        return {
            str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        }

    return read
