import os
import signal
import socket
from pathlib import Path

import pytest
import torch

from synthgen.data import CIFAR10, CSV, NPZ, ImageFolder, prepare
from synthgen.data.checks.check import check
from synthgen.errors import SynthgenError


def read(root):
    return ImageFolder(root=str(root)).read()


def test_class_folders(tmp_path, write_classes, digits):
    write_classes(tmp_path, {"0": 6, "1": 7})
    records = read(tmp_path)
    assert records.images.classes == ("0", "1")
    assert records.images.counts == [6, 7]
    assert records.images.images.shape == (13, 1, 8, 8)
    assert records.files[0] == "0/000.png"
    assert set(records.split) == {None}
    pixels, labels = digits
    assert torch.equal(records.images.images[0, 0], torch.from_numpy(pixels[labels == 0][0]))


@pytest.mark.parametrize("holdout", ["holdout", "val", "valid", "Validation"])
def test_official_folders(tmp_path, write_classes, holdout):
    write_classes(tmp_path / "train", {"0": 10, "1": 10})
    write_classes(tmp_path / holdout, {"0": 3, "1": 3}, first=10)
    write_classes(tmp_path / "test", {"0": 4, "1": 4}, first=13)
    splits = prepare(ImageFolder(root=str(tmp_path)))
    assert (splits.train.counts, splits.holdout.counts, splits.test.counts) == (
        [10, 10],
        [3, 3],
        [4, 4],
    )


def test_train_alone_is_divided(tmp_path, write_classes):
    write_classes(tmp_path / "train", {"0": 10, "1": 10})
    splits = prepare(ImageFolder(root=str(tmp_path)))
    assert (len(splits.train), len(splits.holdout), len(splits.test)) == (14, 2, 4)


def test_a_class_may_be_called_train(tmp_path, write_classes):
    write_classes(tmp_path, {"bus": 5, "train": 5})
    assert read(tmp_path).images.classes == ("bus", "train")


def test_deeper_folders_belong_to_their_class(tmp_path, write_classes):
    write_classes(tmp_path / "a", {"monday": 5})
    write_classes(tmp_path, {"b": 5})
    records = read(tmp_path)
    assert records.images.counts == [5, 5]
    assert records.files[0] == "a/monday/000.png"


def test_junk_is_ignored(tmp_path, write_classes):
    write_classes(tmp_path, {"0": 5, "1": 5})
    for name in (".DS_Store", "Thumbs.db", "manifest.jsonl", "dataset.json", "README.md"):
        (tmp_path / name).write_text("junk")
    for name in (".DS_Store", "Thumbs.db", "desktop.ini", "._000.png"):
        (tmp_path / "0" / name).write_text("junk")
    (tmp_path / ".cache").mkdir()
    (tmp_path / "__MACOSX").mkdir()
    (tmp_path / "contact_sheet.png").write_bytes(b"")
    records = read(tmp_path)
    assert len(records.images) == 10
    assert not any("Ignored" in note for note in records.notes)


def test_other_files_beside_the_classes_are_noted(tmp_path, write_classes):
    write_classes(tmp_path, {"0": 5})
    (tmp_path / "labels.txt").write_text("0")
    assert any("labels.txt" in note for note in read(tmp_path).notes)


REFUSED = {
    "missing": (lambda root, write: root / "nowhere", "does not exist"),
    "empty": (lambda root, write: root, "holds no class folders"),
    "a file": (lambda root, write: write(root, {"0": 5}) / "0" / "000.png", "is a file"),
    "loose images": (
        lambda root, write: write(root, {"x": 2}) / "x",
        "x holds images without class folders",
    ),
    "empty class": (
        lambda root, write: ((root / "e").mkdir(), write(root, {"0": 5}))[1],
        "e holds no images",
    ),
    "only empty classes": (lambda root, write: ((root / "e").mkdir(), root)[1], "holds no images"),
    "test without train": (
        lambda root, write: (write(root / "test", {"0": 5}), root)[1],
        "no train/",
    ),
    "a folder beside train": (
        lambda root, write: (write(root / "train", {"0": 5}), write(root, {"zoo": 5}))[1],
        "zoo beside train/",
    ),
    "two holdouts": (
        lambda root, write: (
            [write(root / name, {"0": 5}) for name in ("train", "val", "holdout")],
            root,
        )[1],
        "both holdout/ and val/",
    ),
    "class missing in test": (
        lambda root, write: (
            write(root / "train", {"0": 5, "1": 5}),
            write(root / "test", {"0": 3}, 5),
            root,
        )[2],
        "test has no folder 1/",
    ),
    "unsafe class": (lambda root, write: write(root, {"a:b": 5}), "'a:b' can't be"),
    "same but for capitals": (lambda root, write: write(root, {"Cat": 5, "cat": 5}), "twice"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused_with_a_way_out(tmp_path, write_classes, case):
    make, message = REFUSED[case]
    with pytest.raises(SynthgenError) as error:
        read(make(tmp_path, write_classes))
    assert message in str(error.value)
    assert str(error.value).count("\n") == 1


def test_class_with_one_image_is_refused(tmp_path, write_classes):
    write_classes(tmp_path, {"0": 6, "1": 1})
    with pytest.raises(SynthgenError, match=r"'1' \(1\)"):
        prepare(ImageFolder(root=str(tmp_path)))


def test_cifar10_takes_train_and_test_folders(tmp_path, write_classes):
    write_classes(tmp_path / "train", {"0": 10, "1": 10})
    write_classes(tmp_path / "test", {"0": 4, "1": 4}, first=10)
    splits = prepare(CIFAR10(root=str(tmp_path), holdout=0.2, split_seed=4))
    assert (len(splits.train), len(splits.holdout), len(splits.test)) == (16, 4, 8)
    assert splits.name == "cifar10"
    assert splits.recipe.source == "cifar10"


def test_cifar10_elsewhere_says_how_to_get_it(tmp_path):
    with pytest.raises(SynthgenError, match="download=True"):
        CIFAR10(root=str(tmp_path)).read()


def test_cifar10_batches_are_read(tmp_path, monkeypatch, colour_noise):
    """Batches in torchvision's layout, with their own MD5 written into torchvision's table."""
    import hashlib
    import pickle

    import numpy as np
    import torchvision

    table = torchvision.datasets.CIFAR10
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()

    def write(name, content):
        (folder / name).write_bytes(pickle.dumps(content))
        return hashlib.md5((folder / name).read_bytes()).hexdigest()

    names = [f"class{i}" for i in range(10)]
    pictures = [colour_noise(32, 32, i) for i in range(40)]
    rows = np.stack([p.transpose(2, 0, 1).reshape(-1) for p in pictures])
    sums = {
        "one": write("one", {"data": rows[:30], "labels": [i % 10 for i in range(30)]}),
        "two": write("two", {"data": rows[30:], "labels": list(range(10))}),
    }
    meta = write("batches.meta", {"label_names": names})
    monkeypatch.setattr(table, "train_list", [["one", sums["one"]]])
    monkeypatch.setattr(table, "test_list", [["two", sums["two"]]])
    monkeypatch.setattr(
        table, "meta", {"filename": "batches.meta", "key": "label_names", "md5": meta}
    )
    for root in (tmp_path, folder):
        records = CIFAR10(root=str(root)).read()
        assert records.images.classes == tuple(names)
        assert records.split.count("test") == 10
        assert np.array_equal(records.images.images[3].permute(1, 2, 0).numpy(), pictures[3])
    write("one", {"data": rows[:30], "labels": [0] * 30})  # tampered: never unpickled
    with pytest.raises(SynthgenError, match="not the original"):
        CIFAR10(root=str(tmp_path)).read()


@pytest.fixture
def at_once():
    """Nothing may wait, as opening a pipe would, or walk in circles."""
    signal.setitimer(signal.ITIMER_REAL, 30)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)


def make_special(path, kind):
    if kind == "pipe":
        os.mkfifo(path)
    else:
        before = Path.cwd()
        os.chdir(path.parent)  # the names of sockets are short
        socket.socket(socket.AF_UNIX).bind(path.name)
        os.chdir(before)


@pytest.mark.parametrize("kind", ["pipe", "socket"])
def test_a_pipe_or_socket_among_the_images_is_refused_and_listed(
    tmp_path, write_classes, at_once, kind
):
    write_classes(tmp_path, {"0": 6, "1": 6})
    make_special(tmp_path / "1" / "999.png", kind)
    with pytest.raises(SynthgenError, match=r"999\.png is a pipe, socket or device"):
        read(tmp_path)
    found = check(ImageFolder(root=str(tmp_path))).of_kind("not_image")
    assert [one.file for one in found] == ["1/999.png"]


@pytest.mark.parametrize("kind", ["pipe", "socket"])
def test_a_pipe_or_socket_as_the_data_is_refused(tmp_path, at_once, kind):
    make_special(tmp_path / "data", kind)
    for source in (NPZ(path=str(tmp_path / "data")), CSV(path=str(tmp_path / "data"))):
        with pytest.raises(SynthgenError, match="data is a pipe, socket or device"):
            source.read()


def test_links_that_lead_in_circles_are_skipped_with_a_notice(tmp_path, write_classes, at_once):
    root = write_classes(tmp_path / "photos", {"0": 6, "1": 6})
    for where in ("again", "1/up", "1/here"):
        (root / where).symlink_to(root / "1" if where == "1/here" else root)
    records = read(root)
    assert records.images.classes == ("0", "1")
    assert records.images.counts == [6, 6]
    skipped = [note.split()[1] for note in records.notes if "leads back" in note]
    loops = ("1/here", "1/up", "again")
    assert skipped == [f"{root / one}:" for one in loops]


def test_a_link_to_an_image_or_a_folder_elsewhere_is_read(tmp_path, write_classes):
    root = write_classes(tmp_path / "photos", {"0": 6})
    write_classes(tmp_path / "elsewhere", {"1": 6})
    (root / "1").symlink_to(tmp_path / "elsewhere" / "1")
    (root / "0" / "link.png").symlink_to(tmp_path / "elsewhere" / "1" / "000.png")
    assert read(root).images.counts == [7, 6]
