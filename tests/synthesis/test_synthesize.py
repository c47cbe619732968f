import hashlib
import io
import json
import re

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.datasets import ImageFolder

from synthgen.dataset.card import sheet_picture
from synthgen.errors import SynthgenError
from synthgen.io import file_digest
from synthgen.samplers import Bootstrap, load_sampler, save_sampler
from synthgen.synthesis import (
    Balanced,
    MatchReal,
    PerClass,
    regenerate,
    regenerate_row,
    synthesize,
)
from synthgen.synthesis.manifest import read_manifest
from synthgen.types import ImageSpec, LabelledImages


@pytest.fixture(scope="module")
def dataset(sampler, tmp_path_factory):
    """A set with a large class, a small one and one that is left out."""
    out = tmp_path_factory.mktemp("sets") / "set"
    return synthesize(sampler, PerClass({"1": 150, "3": 1, "7": 40, "0": 0}), out, seed=4)


def test_the_folder_holds_the_quotas_and_nothing_else(dataset):
    folders = {path.name: len(list(path.iterdir())) for path in dataset.iterdir() if path.is_dir()}
    assert folders == {"1": 150, "3": 1, "7": 40}
    files = {path.name for path in dataset.iterdir() if path.is_file()}
    assert files == {"manifest.jsonl", "dataset.json", "README.md", "contact_sheet.html"}
    assert [path.name for path in dataset.parent.iterdir()] == ["set"]


def test_pixels_are_those_of_the_sampler_for_label_and_seed(dataset, sampler):
    entries = read_manifest(dataset)
    labels = torch.tensor([entry.label for entry in entries])
    seeds = torch.tensor([entry.seed for entry in entries])
    expected = load_sampler(sampler).sample(labels, seeds).images
    for entry, image in zip(entries, expected, strict=True):
        assert np.array_equal(np.array(Image.open(dataset / entry.file)), image[0].numpy())


def test_manifest_rows(dataset, sampler):
    entries = read_manifest(dataset)
    digest = json.loads((sampler / "sampler.json").read_text())["sha256"]
    assert len(entries) == 191
    assert len({entry.seed for entry in entries}) == 191
    assert list(entries[0].to_json()) == [
        "file", "label", "class", "seed", "sampler", "origin", "source", "sha256",
    ]  # fmt: skip
    for entry in entries:
        assert entry.sha256 == file_digest(dataset / entry.file)
        assert entry.file.startswith(entry.class_ + "/")
        assert entry.class_ == "0123456789"[entry.label]
        assert (entry.origin, entry.sampler) == ("synthetic", digest)


def test_dataset_json(dataset, sampler):
    description = json.loads((sampler / "sampler.json").read_text())
    found = json.loads((dataset / "dataset.json").read_text())
    assert found["format"] == "synthgen-dataset/1"
    assert found["classes"] == list("0123456789")
    assert found["image"] == description["image"]
    assert (found["seed"], found["count"], found["exposes_real"]) == (4, 191, False)
    assert found["quotas"]["1"] == 150
    assert sum(found["quotas"].values()) == 191
    assert found["plan"]["per_class"] == {"1": 150, "3": 1, "7": 40, "0": 0}
    assert found["sampler"]["sha256"] == description["sha256"]
    assert found["provenance"] == description["provenance"]
    assert found["execution"]["chunk"] == 64
    assert found["execution"]["threads"] == description["execution"]["threads"]
    assert found["digest"] == file_digest(dataset / "manifest.jsonl")


def test_image_folder_opens_it_with_the_same_labels(sampler, tmp_path):
    out = synthesize(sampler, Balanced(3), tmp_path / "set")
    folder = ImageFolder(out)
    assert folder.classes == list("0123456789")
    labels = {str(out / entry.file): entry.label for entry in read_manifest(out)}
    assert dict(folder.samples) == labels


def test_the_card_and_the_contact_sheet_say_what_it_is(dataset):
    card = (dataset / "README.md").read_text()
    assert "191 synthetic images" in card
    assert "| 1 | 150 |" in card
    page = (dataset / "contact_sheet.html").read_text()
    assert re.findall('<li title=".*">(.*)</li>', page) == ["1", "3", "7"]
    sheet = np.array(Image.open(io.BytesIO(sheet_picture(dataset))))
    assert sheet.shape == (3 * 10 + 2, 10 * 10 + 2)
    first = next(e.file for e in read_manifest(dataset) if e.class_ == "7")
    assert np.array_equal(sheet[22:30, 2:10], np.array(Image.open(dataset / first)))


@pytest.mark.parametrize("batch_size", [1, 100, 100_000])
def test_batch_size_changes_no_byte(sampler, tmp_path, dataset, contents, batch_size):
    plan = PerClass({"1": 150, "3": 1, "7": 40, "0": 0})
    out = synthesize(sampler, plan, tmp_path / "set", seed=4, batch_size=batch_size)
    assert contents(out) == contents(dataset)


def test_another_seed_gives_other_images(sampler, tmp_path, dataset):
    plan = PerClass({"1": 150, "3": 1, "7": 40, "0": 0})
    out = synthesize(sampler, plan, tmp_path / "set", seed=5)
    hashes = [{entry.sha256 for entry in read_manifest(folder)} for folder in (out, dataset)]
    assert not hashes[0] & hashes[1]


def test_regenerated_from_its_manifest_it_is_identical_to_the_byte(
    sampler, dataset, tmp_path, contents
):
    again = regenerate(dataset, sampler, tmp_path / "again", batch_size=64)
    assert contents(again) == contents(dataset)


@pytest.mark.parametrize("row", [0, 150, 190])
def test_a_single_row_is_regenerated_alone(sampler, dataset, row):
    image = regenerate_row(dataset, sampler, row)
    file = dataset / read_manifest(dataset)[row].file
    assert np.array_equal(np.array(Image.open(file)), image[0].numpy())


def test_a_row_that_does_not_exist_is_refused(sampler, dataset):
    with pytest.raises(SynthgenError, match="rows 0 to 190"):
        regenerate_row(dataset, sampler, 191)


def test_regenerating_with_another_sampler_is_refused(dataset, digits, tmp_path):
    bootstrap = Bootstrap(digits.image)
    bootstrap.fit(digits)
    other = save_sampler(bootstrap, tmp_path / "other", {})
    with pytest.raises(SynthgenError, match="not drawn with the sampler"):
        regenerate(dataset, other, tmp_path / "again")


def test_regenerating_a_changed_manifest_leaves_nothing(sampler, dataset, tmp_path):
    copy = tmp_path / "copy"
    copy.mkdir()
    lines = (dataset / "manifest.jsonl").read_text().splitlines(keepends=True)
    entry = json.loads(lines[0])
    lines[0] = json.dumps({**entry, "seed": entry["seed"] + 1}) + "\n"
    (copy / "manifest.jsonl").write_text("".join(lines))
    (copy / "dataset.json").write_bytes((dataset / "dataset.json").read_bytes())
    with pytest.raises(SynthgenError, match="differ"):
        regenerate(copy, sampler, tmp_path / "again")
    assert [path.name for path in tmp_path.iterdir()] == ["copy"]


def test_match_real_takes_the_counts_from_the_sampler(sampler, digits, tmp_path):
    out = synthesize(sampler, MatchReal(500), tmp_path / "set")
    quotas = json.loads((out / "dataset.json").read_text())["quotas"]
    real = dict(zip(digits.classes, digits.counts, strict=True))
    assert sum(quotas.values()) == 500
    assert all(abs(quotas[name] - 500 * real[name] / len(digits)) < 1 for name in real)


def test_copies_of_real_images_are_marked(digits, tmp_path):
    bootstrap = Bootstrap(digits.image)
    bootstrap.fit(digits)
    out = synthesize(save_sampler(bootstrap, tmp_path / "s", {}), Balanced(2), tmp_path / "set")
    assert json.loads((out / "dataset.json").read_text())["exposes_real"] is True
    assert "copies of real ones" in (out / "README.md").read_text()


def test_colour_images_and_class_names_of_any_language(tmp_path):
    image = ImageSpec(3, 6, 5, ("Straße 1", "猫", "c++"))
    random = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (30, 3, 6, 5), generator=random, dtype=torch.uint8)
    bootstrap = Bootstrap(image)
    bootstrap.fit(LabelledImages(pixels, torch.arange(30) % 3, image.classes))
    out = synthesize(save_sampler(bootstrap, tmp_path / "s", {}), Balanced(4), tmp_path / "set")
    real = {hashlib.sha256(p.permute(1, 2, 0).numpy().tobytes()).digest() for p in pixels}
    for entry in read_manifest(out):
        stored = np.array(Image.open(out / entry.file))
        assert hashlib.sha256(stored.tobytes()).digest() in real
    assert ImageFolder(out).classes == sorted(image.classes)


def test_the_number_of_torch_threads_is_restored(sampler, tmp_path):
    before = torch.get_num_threads()
    synthesize(sampler, Balanced(1), tmp_path / "set")
    assert torch.get_num_threads() == before


def test_regenerating_never_leaves_the_folder(digits, description, tmp_path):
    """A sampler and a manifest from elsewhere, made for each other, with a class ``../x``."""
    classes = ("../x", *digits.classes[1:])
    bootstrap = Bootstrap(ImageSpec(*digits.image.shape, classes))
    bootstrap.fit(digits)
    sampler = save_sampler(bootstrap, tmp_path / "sampler", {})
    given = tmp_path / "given"
    given.mkdir()
    digest = json.loads((sampler / "sampler.json").read_text())["sha256"]
    source = {"name": "sampler", "sha256": digest, "target": "x"}
    described = description({name: 0 for name in classes}, part={"samplers": [source]})
    (given / "dataset.json").write_text(json.dumps(described))
    row = {"file": "../x/000000.png", "label": 0, "seed": 0, "sha256": ""}
    (given / "manifest.jsonl").write_text(json.dumps(row) + "\n")
    with pytest.raises(SynthgenError, match="can't be the name of a folder"):
        regenerate(given, sampler, tmp_path / "out" / "again")
    assert not (tmp_path / "out").exists()
