"""What a card says of a format, tried: the set, opened by each reader that people have, holds its
images with their labels and nothing more. Readers of clean-fid and torch-fidelity count files; what
they do with the images afterwards needs weights, and isn't ours."""

import hashlib
import json
import re
import shutil
from collections import Counter
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from pyarrow.parquet import read_table
from torchvision.datasets import ImageFolder

from synthgen.data import ImageFolder as ImageFolderSource
from synthgen.dataset.card import OPENINGS, sheet_page, sheet_picture
from synthgen.dataset.formats import (
    HDF5,
    JPEG,
    NPY,
    NPZ,
    PNG,
    Parquet,
    WebDataset,
    WebP,
)  # fmt: skip
from synthgen.dataset.source import Synthetic, read_synthetic
from synthgen.images import encode_png
from synthgen.io import canonical_digest
from synthgen.samplers import Noise, save_sampler
from synthgen.synthesis import PerClass, public_papers, regenerate, synthesize, verify
from synthgen.types import ImageSpec, LabelledImages

# "test" is a split for some readers, "__other" a folder to pass by, "a.png" an image; the others
# hold what globs and shells read otherwise. Labels follow this order, not that of the folders.
ODD = {"zebra": 9, "test": 4, "__other": 5, "a.png": 3, "[0-9] #1": 2, "猫 & Maus": 6}
FORMS = {form.name: form for form in (HDF5, JPEG, NPY, NPZ, PNG, Parquet, WebDataset, WebP)}
IN_FOLDERS = {"png": "png", "jpeg": "jpg", "webp": "webp"}  # format -> the files' ending
LABELS = {"hdf5": "labels", "webdataset": "cls"}  # columns, else "label"
IMAGES = {"hdf5": "images", "webdataset": "png"}  # else "image"


def draw(folder, name, counts, *, real=None):
    """A set of colour images in shards of eight."""
    sampler = save_sampler(Noise(ImageSpec(3, 6, 5, tuple(counts))), folder / "sampler", {})
    mode = {"real": real, "mode": "augment"} if real else {}
    form = FORMS[name]()
    return synthesize(sampler, PerClass(counts), folder / name, format=form, shard_size=8, **mode)


@pytest.fixture(scope="module")
def sets(tmp_path_factory):
    """A set of each format, with the odd classes."""
    folder = tmp_path_factory.mktemp("sets")
    return {name: draw(folder / name, name, ODD) for name in FORMS}


@pytest.fixture
def load(tmp_path, monkeypatch):
    """``datasets.load_dataset`` of a folder and nothing else: the card says the rest."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    import datasets

    def read(folder):
        (split,) = datasets.load_dataset(str(folder), cache_dir=str(tmp_path / "cache")).values()
        return split

    return read


def by_clean_fid(folder, monkeypatch):
    """The files that clean-fid would compare."""
    from cleanfid import fid

    found = []
    monkeypatch.setattr(fid, "get_files_features", lambda files, *_, **__: found.extend(files))
    fid.get_folder_features(str(folder), verbose=False)
    return found


def by_torch_fidelity(folder, deep, endings="png,jpg,jpeg"):
    """The files that torch-fidelity would compare; its default endings."""
    from torch_fidelity.utils import glob_samples_paths

    return glob_samples_paths(str(folder), deep, endings, verbose=False)


def counted(labels, names=tuple(ODD)):
    return dict(Counter(names[label] for label in labels))


def by_folder(files):
    return dict(Counter(Path(file).parent.name for file in files))


def pixels_of(folder):
    """Each image's bytes, row by row, as synthgen reads them."""
    images = read_synthetic(folder, tuple(sorted(ODD))).images.images
    return {image.permute(1, 2, 0).numpy().tobytes() for image in images}


@pytest.mark.parametrize("name", sorted(set(FORMS) - {"npz", "npy"}))
def test_datasets(sets, name, load):
    assert "`datasets.load_dataset(FOLDER)`" in OPENINGS[name].by
    data = load(sets[name])
    assert data.num_rows == sum(ODD.values())
    column = LABELS.get(name, "label")
    names = getattr(data.features[column], "names", tuple(ODD))
    assert counted(data[column], names) == ODD
    images = data[IMAGES.get(name, "image")]
    assert {np.asarray(image, np.uint8).tobytes() for image in images} == pixels_of(sets[name])


@pytest.mark.parametrize("name", ["npz", "npy"])
def test_datasets_cannot_read_arrays_of_numpy_and_the_card_says_so(sets, name, load):
    from datasets.exceptions import DatasetGenerationError

    with pytest.raises(DatasetGenerationError):
        load(sets[name])
    assert "`datasets`, `ImageFolder`, clean-fid and torch-fidelity do not" in OPENINGS[name].by


def test_datasets_keeps_the_label_of_a_set_of_one_class(tmp_path, load):
    data = load(draw(tmp_path, "png", {"only": 3}))
    assert (data.features["label"].names, data["label"]) == (["only"], [0, 0, 0])


@pytest.mark.parametrize("name", FORMS)
def test_image_folder(sets, name):
    if name in IN_FOLDERS:
        folder = ImageFolder(sets[name])
        assert counted(folder.targets, folder.classes) == ODD
    else:
        assert "`torchvision.datasets.ImageFolder`" not in OPENINGS[name].by
        with pytest.raises(FileNotFoundError):
            ImageFolder(sets[name])


@pytest.mark.parametrize("name", FORMS)
def test_clean_fid(sets, name, monkeypatch):
    found = by_clean_fid(sets[name], monkeypatch)
    if name in IN_FOLDERS:
        files = [path for path in found if Path(path).is_file()]
        assert by_folder(files) == ODD
        # A class that is called like an image is one to clean-fid, folder or not.
        assert [Path(path).name for path in found if path not in files] == ["a.png"]
    else:  # of npy the card warns
        assert by_folder(found) == ({"shards": 8} if name == "npy" else {})
        assert ("clean-fid takes each" in OPENINGS[name].by) == (name == "npy")


@pytest.mark.parametrize("name", FORMS)
def test_torch_fidelity(sets, name):
    assert by_torch_fidelity(sets[name], deep=False) == []
    if name in IN_FOLDERS:
        asked = re.search(r'samples_find_ext="(\w+)"', OPENINGS[name].by)
        endings = {"endings": asked[1]} if asked else {}
        assert by_folder(by_torch_fidelity(sets[name], deep=True, **endings)) == ODD
    else:
        assert by_torch_fidelity(sets[name], deep=True, endings="png,jpg,jpeg,webp") == []


def test_webdataset(sets):
    import webdataset

    shards = [str(path) for path in sorted((sets["webdataset"] / "shards").iterdir())]
    data = list(
        webdataset.WebDataset(shards, shardshuffle=False).decode("rgb8").to_tuple("png", "cls")
    )
    assert counted(label for _, label in data) == ODD
    assert {image.tobytes() for image, _ in data} == pixels_of(sets["webdataset"])


@pytest.mark.parametrize("name", ["npz", "npy", "hdf5", "parquet"])
def test_shards_of_arrays(sets, name):
    shards = sorted((sets[name] / "shards").iterdir())
    read = {"npz": np.load, "npy": np.load, "hdf5": h5py.File, "parquet": read_table}[name]
    if name == "npy":
        labels = [np.load(path) for path in shards if path.name.endswith(".labels.npy")]
    elif name == "parquet":
        labels = [read_table(path)["label"].to_numpy() for path in shards]
    else:
        labels = [read(path)["labels"][...] for path in shards]
    assert counted(np.concatenate(labels).tolist()) == ODD


@pytest.mark.parametrize("name", FORMS)
def test_synthgen_itself(sets, name):
    images = Synthetic(root=str(sets[name])).read().images
    assert dict(zip(images.classes, images.counts, strict=True)) == ODD
    images = read_synthetic(sets[name], tuple(sorted(ODD))).images
    assert dict(zip(images.classes, images.counts, strict=True)) == ODD
    assert list(verify(sets[name])) == []


@pytest.mark.parametrize("name", ["png", "parquet"])
def test_real_images_beside_the_drawn_ones(tmp_path, name, load, monkeypatch):
    classes = ("dog", "cat")
    pixels = torch.randint(0, 256, (7, 3, 6, 5), dtype=torch.uint8)
    real = LabelledImages(pixels, torch.tensor([0, 0, 0, 0, 1, 1, 1]), classes)
    out = draw(tmp_path, name, {"dog": 9, "cat": 12}, real=real)
    data = load(out)
    assert counted(data["label"], data.features["label"].names) == {"dog": 13, "cat": 15}
    assert read_synthetic(out, classes).images.counts == [9, 12]
    if name == "png":
        for found in (by_clean_fid(out, monkeypatch), by_torch_fidelity(out, deep=True)):
            assert by_folder(found) == {"dog": 13, "cat": 15}


def old(folder):
    """The set as it was written before: with a picture beside the class folders."""
    picture = sheet_picture(folder)
    (folder / "contact_sheet.html").unlink()
    (folder / "contact_sheet.png").write_bytes(picture)
    dataset = json.loads((folder / "dataset.json").read_text())
    del dataset["files"]["contact_sheet.html"], dataset["sha256"]
    dataset["files"]["contact_sheet.png"] = hashlib.sha256(picture).hexdigest()
    (folder / "dataset.json").write_text(
        json.dumps({**dataset, "sha256": canonical_digest(dataset)})
    )
    return folder


def test_sets_with_a_picture_beside_the_folders_are_still_read(tmp_path, contents):
    folder = old(draw(tmp_path, "png", ODD))
    assert list(verify(folder)) == []
    assert len(Synthetic(root=str(folder)).read().images) == 29
    assert len(ImageFolderSource(root=str(folder)).listing().paths) == 29
    assert len(read_synthetic(folder, tuple(sorted(ODD))).images) == 29
    assert contents(regenerate(folder, tmp_path / "sampler", tmp_path / "again")) == contents(
        folder
    )
    public = public_papers(folder, tmp_path / "public")
    assert sheet_picture(public) == sheet_picture(folder)
    assert not (public / "contact_sheet.png").exists()


def test_a_set_with_such_a_picture_that_is_appended_to_gets_the_page_of_its_card(tmp_path):
    counts = {"dog": 9, "cat": 0, "emu": 3}
    folder = old(draw(tmp_path, "png", counts))
    picture = sheet_picture(folder)
    synthesize(tmp_path / "sampler", PerClass({"cat": 4}), folder, shard_size=8, append=True)
    assert "](contact_sheet.html)" in (folder / "README.md").read_text()
    page = (folder / "contact_sheet.html").read_text()
    assert re.findall("<li[^>]*>(.*)</li>", page) == ["dog", "emu"]
    assert sheet_picture(folder) == picture
    assert list(verify(folder)) == []


@pytest.mark.browser
@pytest.mark.parametrize("width", [400, 1300])
def test_a_name_stands_beside_its_row(tmp_path, width):
    from playwright.sync_api import sync_playwright

    page = tmp_path / "sheet.html"
    picture = encode_png(torch.zeros(1, 102, 102, dtype=torch.uint8))  # ten rows of 10 pixels
    names = [f"class {i} {'with a name that is far too long ' * 3}" for i in range(10)]
    page.write_text(sheet_page(picture, names, "Bands <3, 2, 1>"), encoding="utf-8")
    executable = next(filter(None, map(shutil.which, ("chromium", "google-chrome"))))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=["--no-sandbox"])
        opened = browser.new_page(viewport={"width": width, "height": 700})
        opened.goto(page.as_uri())
        middles = opened.evaluate(
            "[...document.querySelectorAll('li')].map(li => li.getBoundingClientRect())"
            ".map(box => (box.top + box.bottom) / 2 - document.images[0].y)"
        )
        wide = opened.evaluate("document.documentElement.scrollWidth - innerWidth")
        text = opened.evaluate("document.querySelector('p').textContent")
        browser.close()
    assert wide <= 0
    assert text == "Bands <3, 2, 1>"
    assert middles == pytest.approx([3 + 30 * (i + 0.5) for i in range(10)], abs=2)


def test_the_sheet_names_its_rows_and_what_it_holds_is_text():
    picture = encode_png(torch.zeros(1, 22, 102, dtype=torch.uint8))
    page = sheet_page(picture, ["<script>", "a & b"])
    assert re.findall("<li[^>]*>(.*)</li>", page) == ["&lt;script&gt;", "a &amp; b"]
    assert "<script" not in page
    assert "line-height: 30px" in page  # rows of 10 pixels, enlarged three times
    assert "width: 306px; height: 66px" in page
    assert "http" not in page
