"""Sets of 16 bits and of more bands than three: each format keeps every level, or refuses."""

import io

import h5py
import imagecodecs
import numpy as np
import pytest
import tifffile
import torch
from PIL import Image

from synthgen.dataset.formats import HDF5, JPEG, NPY, NPZ, PNG, TIFF, Parquet, WebDataset, WebP
from synthgen.dataset.formats.images import encode_pngs
from synthgen.dataset.source import Synthetic, read_synthetic
from synthgen.errors import SynthgenError
from synthgen.samplers import Noise, save_sampler
from synthgen.synthesis import PerClass, synthesize, verify
from synthgen.synthesis.regenerate import regenerate_row
from synthgen.types import ImageSpec, Levels

CLASSES = ("ant", "bee")
PLAN = PerClass({"ant": 5, "bee": 4})
KINDS = {(16, 1): "deep grey", (16, 3): "deep colour", (8, 5): "five bands", (16, 5): "both"}


def a_sampler(tmp_path, bits, channels):
    image = ImageSpec(channels, 9, 7, CLASSES, bits, Levels(0.0, 4095.0), view=(0,))
    sampler = Noise(image)
    return sampler, save_sampler(sampler, tmp_path / "sampler", {})


def drawn(sampler, folder):
    """What the set should hold: regenerated from the manifest, one image at a time."""
    return np.stack([regenerate_row(folder, sampler, row).numpy() for row in range(9)])


def opened(path):
    """By the usual reader of the format: (N, H, W[, C])."""
    files = sorted(path.glob("*/*.*"), key=lambda file: file.name)
    if files[0].suffix == ".png":
        return np.stack([imagecodecs.imread(str(file)) for file in files])
    if files[0].suffix == ".tif":
        return np.stack([tifffile.imread(file) for file in files])
    (file,) = [file for file in files if "labels" not in file.name]
    if file.suffix == ".h5":
        with h5py.File(file) as content:
            return content["images"][...]
    found = np.load(file)
    return found if file.suffix == ".npy" else found["images"]


@pytest.mark.parametrize("kind", KINDS, ids=KINDS.get)
@pytest.mark.parametrize("form", [TIFF, NPY, NPZ, HDF5])
def test_every_level_comes_back(tmp_path, kind, form):
    bits, channels = kind
    sampler, place = a_sampler(tmp_path, bits, channels)
    out = synthesize(place, PLAN, tmp_path / "set", format=form())
    wanted = drawn(place, out)
    assert wanted.dtype == (np.uint16 if bits == 16 else np.uint8)
    assert wanted.max() > 250 * (257 if bits == 16 else 1)
    last = wanted[:, 0] if channels == 1 else wanted.transpose(0, 2, 3, 1)
    assert np.array_equal(opened(out), last)
    assert list(verify(out)) == []
    read = read_synthetic(out, CLASSES).images
    assert read.image == sampler.image
    assert np.array_equal(read.images.numpy(), wanted)
    again = Synthetic(root=str(out)).read().images
    assert np.array_equal(again.images.numpy(), wanted)


@pytest.mark.parametrize("channels", [1, 3])
def test_png_holds_16_bits(tmp_path, channels):
    _, place = a_sampler(tmp_path, 16, channels)
    out = synthesize(place, PLAN, tmp_path / "set", format=PNG())
    wanted = drawn(place, out)
    last = wanted[:, 0] if channels == 1 else wanted.transpose(0, 2, 3, 1)
    assert np.array_equal(opened(out), last)
    assert np.array_equal(read_synthetic(out, CLASSES).images.images.numpy(), wanted)


def test_png_of_8_bits_is_as_it_was():
    images = torch.arange(2 * 3 * 4 * 5, dtype=torch.uint8).view(2, 3, 4, 5)
    for image, content in zip(images, encode_pngs(images), strict=True):
        assert np.array_equal(
            np.asarray(Image.open(io.BytesIO(content))), image.permute(1, 2, 0).numpy()
        )


@pytest.mark.parametrize(
    ("form", "bits", "channels", "said"),
    [
        (PNG, 8, 5, "format=png holds grey or RGB images, not 5 bands"),
        (Parquet, 16, 4, "format=parquet holds grey or RGB images, not 4 bands"),
        (WebDataset, 8, 2, "format=webdataset holds grey or RGB images, not 2 bands"),
        (JPEG, 16, 1, "format=jpeg holds 8 bits, and would lose levels of 16"),
        (WebP, 16, 3, "format=webp holds 8 bits, and would lose levels of 16"),
    ],
)
def test_what_a_format_cannot_hold_is_refused_before_anything_is_drawn(
    tmp_path, form, bits, channels, said
):
    _, place = a_sampler(tmp_path, bits, channels)
    with pytest.raises(SynthgenError, match=said):
        synthesize(place, PLAN, tmp_path / "set", format=form())
    assert not (tmp_path / "set").exists()


def test_the_card_says_what_levels_stand_for(tmp_path):
    _, place = a_sampler(tmp_path, 16, 5)
    card = (synthesize(place, PLAN, tmp_path / "set", format=TIFF()) / "README.md").read_text()
    assert "9 labelled 5-band images" in card
    assert "Level 0 stands for 0 in the images as read, 65,535 for 4095" in card
    assert "16 bits a level: `tifffile.imread(file)` reads a file" in card


def test_sets_of_other_bits_are_brought_to_those_of_the_real_images(tmp_path):
    _, place = a_sampler(tmp_path, 16, 1)
    out = synthesize(place, PLAN, tmp_path / "set", format=NPY())
    eight = read_synthetic(out, CLASSES, like=ImageSpec(1, 9, 7, CLASSES))
    assert eight.images.images.dtype == torch.uint8
    assert "brought to the 8 bits" in eight.notes[0]
    levels = drawn(place, out) / 257
    assert np.abs(eight.images.images.numpy() - levels).max() <= 0.51
