"""A sampler fitted on real digits, saved the way ``train`` saves it."""

import hashlib
from pathlib import Path

import pytest
import torch
from sklearn.datasets import load_digits

from synthgen.dataset.formats import HDF5, JPEG, NPY, NPZ, PNG, Parquet, WebDataset, WebP
from synthgen.samplers import Noise, PCAGaussian, save_sampler
from synthgen.types import ImageSpec, LabelledImages


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


@pytest.fixture(scope="session")
def noise(tmp_path_factory) -> Path:
    """A sampler that is fast and whose images follow from their seeds: grey 6 × 5 pixels."""
    sampler = Noise(ImageSpec(1, 6, 5, ("cat", "dog")))
    return save_sampler(sampler, tmp_path_factory.mktemp("noise") / "sampler", {})


FORMATS = {
    "png": PNG, "webp": WebP, "jpeg": JPEG, "webdataset": WebDataset, "npz": NPZ, "npy": NPY,
    "parquet": Parquet, "hdf5": HDF5,
}  # fmt: skip


@pytest.fixture(params=FORMATS)
def form(request):
    """A file format, each in turn."""
    return FORMATS[request.param]()


@pytest.fixture(params=["png", "npz"])
def one_of_each_kind(request):
    """A format with a file per image, and one that keeps them in shards."""
    return FORMATS[request.param]()
