"""MedMNIST: all sizes, its makers' class names, several labels per image, volumes."""

import hashlib
import json

import numpy as np
import pytest
import torch

from synthgen.data import MedMNIST, image_hashes, medmnist, prepare, rebuild
from synthgen.data.source import require_safe_names
from synthgen.errors import SynthgenError


def arrays(digits, **changes):
    """400 real digits as MedMNIST has its images."""
    pixels, labels = digits
    content = {}
    for prefix, part in (
        ("train", slice(200)),
        ("val", slice(200, 300)),
        ("test", slice(300, 400)),
    ):
        content[f"{prefix}_images"] = pixels[part]
        content[f"{prefix}_labels"] = labels[part, None].astype(np.uint8)
    return {**content, **changes}


def binary(digits, **changes):
    content = arrays(digits, **changes)
    labels = {key: value % 2 for key, value in content.items() if key.endswith("_labels")}
    return {**content, **labels}


def written(path, content):
    np.savez_compressed(path, **content)
    return str(path)


def test_all_three_splits_are_kept(tmp_path, digits):
    splits = prepare(MedMNIST(path=written(tmp_path / "digitmnist.npz", arrays(digits))))
    assert (len(splits.train), len(splits.holdout), len(splits.test)) == (200, 100, 100)
    assert splits.name == "digitmnist"
    assert splits.recipe.official == ("holdout", "test", "train")
    validation = image_hashes(torch.from_numpy(digits[0][200:300])[:, None])
    assert sorted(image_hashes(splits.holdout.images)) == sorted(validation)


def test_the_names_are_those_of_medmnist():
    """The digest is that of ``{flag: [label["0"], …]}`` as made of INFO of medmnist 3.0.2."""
    content = json.dumps({flag: list(medmnist.NAMES[flag]) for flag in sorted(medmnist.NAMES)})
    digest = hashlib.sha256(content.encode()).hexdigest()
    assert digest == "3c387133de003e131013dde2af75f9dfbda22d2b31fc882ce0ee27acf23c966a"
    for names in medmnist.NAMES.values():
        require_safe_names(names)


@pytest.mark.parametrize("name", ["breastmnist.npz", "BreastMNIST_64.npz", "breastmnist_224.npz"])
def test_0_is_malignant_in_breastmnist(tmp_path, digits, name):
    images = MedMNIST(path=written(tmp_path / name, binary(digits))).read().images
    assert images.classes == ("malignant", "normal, benign")
    assert torch.equal(images.labels, torch.from_numpy(digits[1][:400] % 2))


def test_large_files_are_scaled_in_parts(tmp_path, digits, monkeypatch):
    rng = np.random.default_rng(0)
    content = {}
    for prefix, count in (("train", 9), ("val", 4), ("test", 5)):
        content[f"{prefix}_images"] = rng.integers(0, 256, (count, 128, 128, 3), dtype=np.uint8)
        content[f"{prefix}_labels"] = np.zeros((count, 1), dtype=np.uint8)
    source = MedMNIST(path=written(tmp_path / "pathmnist_128.npz", content))
    whole = source.read()
    assert whole.images.images.shape == (18, 3, 64, 64)
    assert any("scaled to a longer side of 64" in note for note in whole.notes)
    assert not any("all 18 images are 64" in note for note in whole.notes)
    monkeypatch.setattr(medmnist, "CHUNK", 2 * 128 * 128 * 3)
    assert torch.equal(source.read().images.images, whole.images.images)
    kept = source.with_options(size=128).read().images.images
    assert np.array_equal(kept[9:13].numpy(), content["val_images"].transpose(0, 3, 1, 2))
    mixed = {key: np.asfortranarray(value) for key, value in content.items()}
    other = source.with_options(path=written(tmp_path / "pathmnist.npz", mixed), size=128)
    assert torch.equal(other.read().images.images, kept)


def test_a_finding_is_chosen_of_several(tmp_path, digits):
    findings = {
        f"{prefix}_labels": np.random.default_rng(1).integers(0, 2, (count, 14))
        for prefix, count in (("train", 200), ("val", 100), ("test", 100))
    }
    path = written(tmp_path / "chestmnist.npz", arrays(digits, **findings))
    records = MedMNIST(path=path, label="pneumonia").read()
    assert records.images.classes == ("no pneumonia", "pneumonia")
    sixth = np.concatenate([findings[f"{prefix}_labels"][:, 6] for prefix in medmnist.SPLITS])
    assert np.array_equal(records.images.labels.numpy(), sixth)
    assert any("whatever else" in note for note in records.notes)
    for label in (None, "flu"):
        with pytest.raises(SynthgenError, match=r"multi-label \(14(.|\n)*data.label=.*hernia"):
            MedMNIST(path=path, label=label).read()


def test_a_slice_is_taken_of_volumes_if_one_is_named(tmp_path, digits):
    volumes = {
        f"{prefix}_images": np.random.default_rng(2).integers(0, 256, (n, 6, 8, 8), dtype=np.uint8)
        for prefix, n in (("train", 200), ("val", 100), ("test", 100))
    }
    path = written(tmp_path / "nodulemnist3d.npz", binary(digits, **volumes))
    for number in (None, 6, -1):
        with pytest.raises(SynthgenError, match=r"3-D volumes of 6 slices(.|\n)*data.slice=3"):
            MedMNIST(path=path, slice=number).read()
    records = MedMNIST(path=path, slice=3).read()
    assert records.images.classes == ("benign", "malignant")
    assert np.array_equal(records.images.images[:200, 0].numpy(), volumes["train_images"][:, 3])
    assert "Slice 3 of 0 to 5 was taken of each volume." in records.notes


def test_unknown_sets_have_numbers_and_a_note(tmp_path, digits):
    for name in ("mine.npz", "breastmnist.npz", "chestmnist.npz"):
        records = MedMNIST(path=written(tmp_path / name, arrays(digits))).read()
        assert records.images.classes == tuple("0123456789")
        assert any("by their numbers" in note for note in records.notes), name
    with pytest.raises(SynthgenError, match="has 10 labels, but breastmnist has 2"):
        MedMNIST(path=str(tmp_path / "mine.npz"), names="breastmnist").read()
    with pytest.raises(SynthgenError, match=r"data.names=brestmnist(.|\n)*breastmnist"):
        MedMNIST(path=str(tmp_path / "mine.npz"), names="brestmnist")
    named = MedMNIST(path=written(tmp_path / "mine.npz", binary(digits)), names="nodulemnist3d")
    assert named.read().images.classes == ("benign", "malignant")


def test_a_split_of_the_time_of_numbers_is_rebuilt(tmp_path, digits):
    source = MedMNIST(path=written(tmp_path / "breastmnist.npz", binary(digits)))
    old = prepare(source.with_options(names="numbers"))
    assert old.train.classes == ("0", "1")
    again = rebuild(source, old.recipe, old.digest)
    assert again.digest == old.digest
    new = prepare(source)
    assert rebuild(source, new.recipe, new.digest).train.classes == ("malignant", "normal, benign")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"val_images": np.zeros((100, 9, 9), dtype=np.uint8)}, "differ in image size"),
        ({"val_images": np.zeros((100, 8, 8))}, "float64, not uint8"),
        ({"val_images": np.zeros((0, 8, 8), np.uint8)}, "not empty"),
        ({"test_labels": np.zeros((3, 1), dtype=np.uint8)}, "one class number"),
        ({"test_labels": np.zeros((100, 1))}, "one class number"),
        ({"test_labels": np.full((100, 1), -1)}, "one class number"),
        ({"test_labels": np.full((100, 2), 1)}, "differ in labels"),
        ({"test_labels": np.array([None] * 100)}, "damaged or no .npz"),
    ],
)
def test_refused(tmp_path, digits, changes, message):
    path = written(tmp_path / "a.npz", arrays(digits, **changes))
    with pytest.raises(SynthgenError, match=message):
        MedMNIST(path=path).read()


def test_settings_for_other_sets_are_refused(tmp_path, digits):
    path = written(tmp_path / "a.npz", arrays(digits))
    with pytest.raises(SynthgenError, match=r"one label per image(.|\n)*Leave data.label=mass out"):
        MedMNIST(path=path, label="mass").read()
    with pytest.raises(SynthgenError, match=r"images, not volumes(.|\n)*Leave data.slice=1 out"):
        MedMNIST(path=path, slice=1).read()


def test_other_files_are_refused(tmp_path):
    images = np.zeros((4, 8, 8), dtype=np.uint8)
    path = written(tmp_path / "a.npz", {"images": images, "labels": [0] * 4})
    with pytest.raises(SynthgenError, match="no array 'train_images'; it has images, labels"):
        MedMNIST(path=path).read()
    content = (tmp_path / "a.npz").read_bytes()
    for damaged in (content[:-30], b"hello", b""):
        (tmp_path / "a.npz").write_bytes(damaged)
        with pytest.raises(SynthgenError, match="damaged"):
            MedMNIST(path=path).read()
    with pytest.raises(SynthgenError, match="is a folder"):
        MedMNIST(path=str(tmp_path)).read()
