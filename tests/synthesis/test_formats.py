"""Each format, opened by the library that its users would use, and by ourselves."""

import io
import json

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.datasets import ImageFolder

from synthgen.data import prepare
from synthgen.dataset.formats import (
    HDF5,
    JPEG,
    NPY,
    NPZ,
    PNG,
    Parquet,
    Shard,
    WebDataset,
    WebP,
)  # fmt: skip
from synthgen.dataset.source import Synthetic, read_synthetic
from synthgen.errors import SynthgenError
from synthgen.samplers import Noise, load_sampler, save_sampler
from synthgen.synthesis import PerClass, regenerate, synthesize, verify
from synthgen.synthesis.manifest import read_manifest
from synthgen.types import ImageSpec

CLASSES = ("zebra", "ant")  # not alphabetical: labels follow the set, not the folder names
PLAN = PerClass({"zebra": 70, "ant": 41})


@pytest.fixture(params=[1, 3], ids=["grey", "colour"])
def colours(request, tmp_path):
    """A sampler of 111 images, in two shards, and what it draws: (N, H, W[, C]), labels."""
    sampler = Noise(ImageSpec(request.param, 6, 5, CLASSES))
    folder = save_sampler(sampler, tmp_path / "sampler", {})
    labels = torch.tensor([0] * 70 + [1] * 41)
    images = load_sampler(folder).sample(labels, torch.arange(111)).images
    pixels = images[:, 0] if request.param == 1 else images.permute(0, 2, 3, 1)
    return folder, pixels.numpy(), labels.numpy()


@pytest.fixture
def written(colours, tmp_path):
    return lambda form: synthesize(colours[0], PLAN, tmp_path / "set", format=form, shard_size=64)


def opened(content) -> np.ndarray:
    image = content if isinstance(content, Image.Image) else Image.open(io.BytesIO(content))
    return np.asarray(image)


def test_image_folder(written, colours):
    folder = ImageFolder(written(PNG()))
    names = [folder.classes[label] for _, label in folder.samples]
    assert (names.count("zebra"), names.count("ant")) == (70, 41)
    by_row = sorted(folder.samples, key=lambda sample: sample[0].rpartition("/")[2])
    for (path, label), pixels, expected in zip(by_row, *colours[1:], strict=True):
        assert folder.classes[label] == CLASSES[expected]
        assert np.array_equal(opened(Image.open(path)), pixels)


def test_webp_is_lossless_unless_told(written, colours):
    out = written(WebP())
    for entry, pixels in zip(read_manifest(out), colours[1], strict=True):
        found = np.asarray(Image.open(out / entry.file))
        assert np.array_equal(found, np.broadcast_to(pixels.reshape(6, 5, -1), (6, 5, 3)))


def test_jpeg_keeps_smooth_images_close():
    ramp = torch.arange(0, 240, 4, dtype=torch.uint8).view(1, 1, 1, 60).expand(2, 1, 16, 60)
    for quality, allowed in ((95, 3), (20, 40)):
        content = JPEG(quality).encode_images(ramp, ["", ""])[0]
        difference = opened(content).astype(int) - ramp[0, 0].numpy()
        assert np.abs(difference).max() <= allowed


def test_webdataset_opens_the_shards(written, colours):
    webdataset = pytest.importorskip("webdataset")
    out = written(WebDataset())
    shards = [str(path) for path in sorted((out / "shards").glob("*.tar"))]
    assert len(shards) == 2
    data = webdataset.WebDataset(shards, shardshuffle=False).decode("pil").to_tuple("png", "cls")
    found = list(data)
    assert [label for _, label in found] == colours[2].tolist()
    for (image, _), pixels in zip(found, colours[1], strict=True):
        assert np.array_equal(np.asarray(image).reshape(6, 5, -1)[..., 0],
                              pixels.reshape(6, 5, -1)[..., 0])  # fmt: skip


def test_datasets_loads_images_and_class_labels(written, colours, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    datasets = pytest.importorskip("datasets")
    out = written(Parquet())
    data = datasets.load_dataset(
        "parquet",
        data_files=str(out / "shards" / "*.parquet"),
        split="train",
        cache_dir=str(tmp_path / "cache"),
    )
    assert isinstance(data.features["image"], datasets.Image)
    assert data.features["label"].names == list(CLASSES)
    assert data["label"] == colours[2].tolist()
    assert list(data["seed"]) == list(range(111))
    for row, pixels in zip(data, colours[1], strict=True):
        assert np.array_equal(np.asarray(row["image"]), pixels)


def test_datasets_finds_its_way_through_the_folder(written, tmp_path, monkeypatch):
    """By the card: without it, the manifest would be taken for the data."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    datasets = pytest.importorskip("datasets")
    out = written(Parquet())
    data = datasets.load_dataset(str(out), split="train", cache_dir=str(tmp_path / "cache"))
    assert data.num_rows == 111
    assert data.features["label"].names == list(CLASSES)


def test_numpy_loads_archives_and_maps_arrays(written, colours, tmp_path):
    out = written(NPZ())
    parts = [np.load(path) for path in sorted((out / "shards").glob("*.npz"))]
    assert np.array_equal(np.concatenate([part["images"] for part in parts]), colours[1])
    assert np.array_equal(np.concatenate([part["labels"] for part in parts]), colours[2])
    assert all(part["synthetic"].all() for part in parts)
    assert parts[0]["classes"].tolist() == list(CLASSES)


def test_numpy_maps_arrays(written, colours):
    out = written(NPY())
    images, labels = (
        [np.load(path, mmap_mode="r") for path in sorted((out / "shards").glob(f"*.{what}.npy"))]
        for what in ("images", "labels")
    )
    assert np.array_equal(np.concatenate(images), colours[1])
    assert np.array_equal(np.concatenate(labels), colours[2])


def test_h5py_opens_the_shards(written, colours):
    h5py = pytest.importorskip("h5py")
    out = written(HDF5())
    found = []
    for path in sorted((out / "shards").glob("*.h5")):
        with h5py.File(path) as file:
            found.append((file["images"][...], file["labels"][...]))
            assert list(file["labels"].attrs["classes"]) == list(CLASSES)
    assert np.array_equal(np.concatenate([images for images, _ in found]), colours[1])
    assert np.array_equal(np.concatenate([labels for _, labels in found]), colours[2])


@pytest.mark.parametrize("form", [PNG(), WebP(), WebDataset(), NPZ(), NPY(), Parquet(), HDF5()])
def test_what_we_write_we_read_and_regenerate(written, colours, form, tmp_path, contents):
    out = written(form)
    expected = colours[1].reshape(111, 6, 5, -1).transpose(0, 3, 1, 2)
    read = read_synthetic(out, ("ant", "zebra"))
    assert np.array_equal(read.images.images.numpy(), expected)
    assert read.images.labels.tolist() == (1 - colours[2]).tolist()
    source = Synthetic(root=str(out)).read()
    assert source.images.classes == CLASSES
    assert np.array_equal(source.images.images.numpy(), expected)
    assert len(prepare(Synthetic(root=str(out), size=4)).train.images[0, 0]) == 4
    assert list(verify(out)) == []
    assert contents(regenerate(out, colours[0], tmp_path / "again")) == contents(out)


@pytest.mark.parametrize(
    ("form", "text"),
    [
        (PNG(), lambda image: image.text["Source"]),
        (WebP(), lambda image: image.getexif()[0x010E]),
        (JPEG(), lambda image: image.getexif()[0x010E]),
    ],
)
def test_an_image_says_that_it_is_synthetic_and_which_row_it_is(written, form, text):
    out = written(form)
    own = json.loads((out / "dataset.json").read_text())["parts"][0]["id"]
    for row in (0, 64, 110):
        image = Image.open(out / read_manifest(out)[row].file)
        assert text(image) == f"synthetic; synthgen set {own} row {row}"


def test_shards_do_not_depend_on_the_day(form, monkeypatch):
    images = torch.arange(4 * 3 * 6 * 5).to(torch.uint8).view(4, 3, 6, 5)
    shard = Shard(
        number=1, images=images, labels=[0, 1, 1, 0], seeds=[3, 4, None, 5],
        origins=["synthetic", "synthetic", "real", "synthetic"], names=list("abcd"),
        marks=["x", "y", "", "z"], classes=CLASSES,
    )  # fmt: skip
    now = form.encode(shard).files
    monkeypatch.setattr("time.time", lambda: 2e9)
    monkeypatch.setattr("time.localtime", lambda *_: (2033, 5, 18, 3, 33, 20, 2, 138, 0))
    assert form.encode(shard).files == now


@pytest.mark.parametrize(
    ("form", "missing"), [(Parquet(), "pyarrow"), (HDF5(), "h5py")], ids=["parquet", "hdf5"]
)
def test_a_missing_package_is_one_sentence(written, form, missing, monkeypatch, tmp_path):
    out = written(form)
    monkeypatch.setitem(__import__("sys").modules, missing, None)
    with pytest.raises(
        SynthgenError, match=rf"needs the package {missing}.*\n.*pip install {missing}$"
    ):
        form.prepare(ImageSpec(1, 4, 4, CLASSES))
    with pytest.raises(SynthgenError, match=rf"needs the package {missing}"):
        read_synthetic(out, CLASSES)


@pytest.mark.parametrize(
    "wrong", [lambda: PNG(10), lambda: WebP(0), lambda: JPEG(101), lambda: JPEG(True)]
)
def test_wrong_settings_are_refused(wrong):
    with pytest.raises(SynthgenError, match=r"format\.\w+ is"):
        wrong()
