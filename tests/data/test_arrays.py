"""Digits, MNIST's raw files and .npz."""

import dataclasses
import gzip

import numpy as np
import pytest
import torch

from synthgen.data import MNIST, NPZ, Arrays, Digits, FashionMNIST, prepare
from synthgen.data.arrays import require_consistent
from synthgen.errors import SynthgenError


def test_digits():
    from sklearn.datasets import load_digits

    images = Digits().read().images
    assert images.images.shape == (1797, 1, 8, 8)
    assert images.classes == tuple("0123456789")
    expected = np.rint(load_digits().images * 255 / 16)
    assert np.array_equal(images.images[:, 0].numpy(), expected)
    assert images.images.max() == 255


def test_arrays_are_brought_to_a_size():
    records = Digits(size=[16, 12]).read()
    assert records.images.images.shape == (1797, 1, 16, 12)
    assert any("brought to 16 × 12" in note for note in records.notes)


def idx(array):
    header = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, dtype=">i4").tobytes()
    return header + array.tobytes()


@pytest.fixture
def raw(tmp_path, digits):
    """200 + 100 real digits in MNIST's layout under tmp_path/MNIST/raw."""
    pixels, labels = digits
    folder = tmp_path / "MNIST" / "raw"
    folder.mkdir(parents=True)
    for prefix, part in (("train", slice(0, 200)), ("t10k", slice(200, 300))):
        (folder / f"{prefix}-images-idx3-ubyte").write_bytes(idx(pixels[part]))
        (folder / f"{prefix}-labels-idx1-ubyte").write_bytes(idx(labels[part].astype(np.uint8)))
    return folder


def test_mnist_from_either_root_and_from_gz(raw, digits):
    for root in (raw.parent.parent, raw.parent, raw):
        records = MNIST(root=str(root)).read()
        assert np.array_equal(records.images.images[:, 0].numpy(), digits[0][:300])
        assert np.array_equal(records.images.labels.numpy(), digits[1][:300])
        assert records.split == ("train",) * 200 + ("test",) * 100
    for path in list(raw.iterdir()):
        path.with_name(path.name + ".gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    assert torch.equal(MNIST(root=str(raw)).read().images.images, records.images.images)


def test_mnist_equals_torchvision(raw):
    from torchvision.datasets import MNIST as Theirs  # noqa: N811

    theirs = Theirs(raw.parent.parent, train=False)
    mine = MNIST(root=str(raw.parent.parent)).read().images
    assert torch.equal(mine.images[200:, 0], theirs.data)
    assert torch.equal(mine.labels[200:], theirs.targets)


def test_mnist_keeps_its_test_set(raw, digits):
    splits = prepare(MNIST(root=str(raw)))
    assert splits.test.counts == np.bincount(digits[1][200:300], minlength=10).tolist()
    assert len(splits.test) == 100


def test_missing_sets_say_how_to_get_them(tmp_path, raw):
    for source in (FashionMNIST(root=str(tmp_path)), MNIST(root=str(tmp_path / "MNIST" / ".."))):
        if source.kind == "fashion_mnist":
            with pytest.raises(SynthgenError, match="download=True"):
                source.read()
        else:
            source.read()
    with pytest.raises(SynthgenError, match="does not exist"):
        MNIST(root=str(tmp_path / "nowhere")).read()


@pytest.mark.parametrize("damage", ["cut", "magic", "swapped", "gone", "gz"])
def test_damaged_mnist_is_refused(raw, damage):
    images, labels = raw / "train-images-idx3-ubyte", raw / "train-labels-idx1-ubyte"
    if damage == "cut":
        images.write_bytes(images.read_bytes()[:-1])
    elif damage == "magic":
        images.write_bytes(b"nonsense" + images.read_bytes()[8:])
    elif damage == "swapped":
        labels.write_bytes((raw / "t10k-labels-idx1-ubyte").read_bytes())
    elif damage == "gone":
        labels.unlink()
    else:
        labels.unlink()
        labels.with_name(labels.name + ".gz").write_bytes(b"\x1f\x8b\x08broken")
    with pytest.raises(SynthgenError) as error:
        MNIST(root=str(raw)).read()
    assert "ownload" in str(error.value)


def test_fashion_names_can_be_folders(tmp_path, raw):
    raw.parent.rename(tmp_path / "FashionMNIST")
    records = FashionMNIST(root=str(tmp_path)).read()
    assert records.images.classes[0] == "T-shirt"
    assert len(records.images.classes) == 10


def write_npz(path, **arrays):
    np.savez(path, **arrays)
    return str(path)


@pytest.mark.parametrize("layout", ["NHW", "NHWC", "NCHW"])
def test_npz_layouts(tmp_path, layout, digits, colour_noise):
    if layout == "NHW":
        images = digits[0][:20]
        expected = images[:, None]
    else:
        nhwc = np.stack([colour_noise(6, 9, i) for i in range(20)])
        expected = nhwc.transpose(0, 3, 1, 2)
        images = nhwc if layout == "NHWC" else expected
    path = write_npz(tmp_path / "a.npz", images=images, labels=np.arange(20) % 2)
    read = NPZ(path=path).read().images
    assert np.array_equal(read.images.numpy(), expected)
    assert read.classes == ("0", "1")


def test_npz_labels(tmp_path, digits):
    images = digits[0][:4]
    for labels, extra, classes, expected in (
        ([10, 9, 10, 9], {}, ("9", "10"), [1, 0, 1, 0]),
        (["cat", "dog", "cat", "ant"], {}, ("ant", "cat", "dog"), [1, 2, 1, 0]),
        ([1, 0, 1, 0], {"classes": ["b", "a"]}, ("b", "a"), [1, 0, 1, 0]),
        ([[1], [0], [1], [0]], {}, ("0", "1"), [1, 0, 1, 0]),
    ):
        path = write_npz(tmp_path / "a.npz", images=images, labels=labels, **extra)
        read = NPZ(path=path).read().images
        assert (read.classes, read.labels.tolist()) == (classes, expected)


IMAGES = np.zeros((4, 8, 8), dtype=np.uint8)
BAD_NPZ = {
    "no images": ({"a": IMAGES, "labels": [0] * 4}, "no array 'images'; it has a, labels"),
    "no labels": ({"images": IMAGES}, "no array 'labels'"),
    "floats": ({"images": IMAGES + np.inf, "labels": [0] * 4}, "NaN or infinite"),
    "too few labels": ({"images": IMAGES, "labels": [0] * 3}, "labels for 3 images"),
    "float labels": ({"images": IMAGES, "labels": [0.5] * 4}, "one whole number"),
    "eight slices": ({"images": np.zeros((4, 8, 8, 8), "u1"), "labels": [0] * 4}, "the shape"),
    "none": ({"images": np.zeros((0, 8, 8), "u1"), "labels": []}, "not empty"),
    "beyond classes": ({"images": IMAGES, "labels": [0, 1, 2, 0], "classes": ["a", "b"]}, "0 to 2"),
    "stranger": ({"images": IMAGES, "labels": ["a", "b", "z", "a"], "classes": ["a", "b"]}, "'z'"),
    "pickled": ({"images": np.array([None] * 4), "labels": [0] * 4}, "never opened"),
}


@pytest.mark.parametrize("case", BAD_NPZ)
def test_bad_npz(tmp_path, case):
    arrays, message = BAD_NPZ[case]
    with pytest.raises(SynthgenError) as error:
        NPZ(path=write_npz(tmp_path / "a.npz", **arrays)).read()
    assert message in str(error.value)


def test_unreadable_npz(tmp_path):
    path = tmp_path / "a.npz"
    path.write_bytes(b"PK\x03\x04 not a zip")
    with pytest.raises(SynthgenError, match="damaged"):
        NPZ(path=str(path)).read()
    np.savez_compressed(path, images=IMAGES, labels=[0] * 4)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(SynthgenError, match="damaged"):
        NPZ(path=str(path)).read()
    path.write_text("hello")
    with pytest.raises(SynthgenError, match=r"no \.npz"):
        NPZ(path=str(path)).read()
    path.write_bytes(b"")
    with pytest.raises(SynthgenError, match=r"no \.npz"):
        NPZ(path=str(path)).read()
    with pytest.raises(SynthgenError, match="folder"):
        NPZ(path=str(tmp_path)).read()


SOUND = Arrays(np.zeros((4, 8, 8), np.uint8), np.array([0, 1, 0, 1]), ("a", "b"), (None,) * 4)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("pixels", np.zeros((4, 8, 8)), r"pixels are float64 \(4, 8, 8\)"),
        ("pixels", torch.zeros(4, 8, 8, dtype=torch.uint8), "pixels are torch.uint8"),
        ("pixels", np.zeros((4, 3, 8, 8), np.uint8), r"pixels are uint8 \(4, 3, 8, 8\)"),
        ("pixels", np.zeros((4, 64), np.uint8), r"pixels are uint8 \(4, 64\)"),
        ("labels", np.array([0, 1, 0]), "labels are .*not a whole number per image"),
        ("labels", np.eye(4), "labels are .*not a whole number per image"),
        ("labels", np.array(list("abab")), "labels are .*not a whole number per image"),
        ("labels", np.array([1, 2, 1, 2]), "labels go from 1 to 2, but classes names 2"),
        ("labels", np.array([-1, 0, 1, 0]), "labels go from -1 to 1"),
        ("split", (), "split must have one of train, holdout, test or None"),
        ("split", ("validation",) * 4, "split must have one of"),
    ],
)
def test_what_a_source_of_ones_own_got_wrong_is_a_sentence(field, value, message):
    require_consistent("mine", SOUND)
    with pytest.raises(SynthgenError, match=f"data=mine: {message}"):
        require_consistent("mine", dataclasses.replace(SOUND, **{field: value}))
