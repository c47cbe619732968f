"""HDF5 and MATLAB files as data: what an ``.npz`` of the same arrays would give."""

from pathlib import Path

import h5py
import numpy as np
import pytest
import scipy.io
from sklearn.datasets import load_digits

from synthgen.data import NPZ, check, prepare
from synthgen.data.array_files import open_arrays
from synthgen.errors import SynthgenError

COUNT = 40


@pytest.fixture
def arrays():
    digits = load_digits()
    rows = np.flatnonzero(digits.target < 2)[:COUNT]
    pixels = (digits.images[rows] * 15).astype(np.uint8)
    pixels = np.stack([pixels, pixels // 2, 255 - pixels], axis=-1)[:, :, :6]  # 8 × 6, in colour
    return {"x": pixels, "y": digits.target[rows]}


def hdf5(path: Path, content: dict) -> Path:
    with h5py.File(path, "w") as file:
        for name, array in content.items():
            file[name] = array
    return path


def read(path: Path, **settings):
    return NPZ(path=str(path), **settings).read()


@pytest.fixture
def wanted(tmp_path, arrays):
    np.savez(tmp_path / "same.npz", **arrays)
    return read(tmp_path / "same.npz")


def same(one, other) -> bool:
    images, others = one.images, other.images
    return (
        bool((images.images == others.images).all())
        and images.labels.tolist() == others.labels.tolist()
        and images.classes == others.classes
    )


@pytest.mark.parametrize(
    "names",
    [("images", "labels"), ("x", "y"), ("X", "y"), ("data/images", "data/labels")],
    ids=" ".join,
)
def test_hdf5_by_usual_names(tmp_path, arrays, wanted, names):
    path = hdf5(tmp_path / "a.h5", dict(zip(names, arrays.values(), strict=True)))
    assert same(read(path), wanted)


def test_hdf5_in_splits_and_with_names(tmp_path, arrays):
    content = {}
    for part, rows in {"train": slice(0, 30), "test": slice(30, COUNT)}.items():
        content[f"{part}/images"] = arrays["x"][rows]
        content[f"{part}/labels"] = np.array(["zero", "one"], dtype=object)[arrays["y"][rows]]
    source = NPZ(path=str(hdf5(tmp_path / "a.hdf5", content)))
    splits, result = prepare(source), check(source)
    assert len(splits.test) == COUNT - 30
    assert splits.train.classes == ("one", "zero")
    assert result.splits.digest == splits.digest


def test_hdf5_of_sixteen_bits_keeps_them(tmp_path, arrays):
    content = arrays | {"x": arrays["x"].astype(np.uint16) * 200}
    records = read(hdf5(tmp_path / "a.h5", content))
    assert int(records.images.images.numpy().max()) == int(content["x"].max())


@pytest.mark.parametrize("compressed", [False, True])
def test_matlab_with_images_along_the_last_axis(tmp_path, arrays, wanted, compressed):
    """As SVHN's train_32x32.mat has them."""
    content = {"X": np.moveaxis(arrays["x"], 0, -1), "y": arrays["y"][:, None]}
    scipy.io.savemat(tmp_path / "a.mat", content, do_compression=compressed)
    records = read(tmp_path / "a.mat")
    assert same(records, wanted)
    assert "Images lie along the last axis of X." in records.notes


def test_matlab_of_version_7_3_is_stored_by_column(tmp_path, arrays, wanted):
    with h5py.File(tmp_path / "a.mat", "w", userblock_size=512) as file:
        file["X"] = np.moveaxis(arrays["x"], 0, -1).T
        file["y"] = arrays["y"][None].astype(float)
        file["info"] = np.array([72, 105], dtype=np.uint16)
        file["info"].attrs["MATLAB_class"] = np.bytes_("char")
        file["#refs#/a"] = np.zeros(3)
    with (tmp_path / "a.mat").open("r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64")
    records = read(tmp_path / "a.mat")
    assert same(records, wanted)
    assert "Left out info of a.mat: no plain arrays." in records.notes


def test_objects_of_matlab_are_left_out(tmp_path, arrays):
    content = {"images": arrays["x"], "labels": arrays["y"], "meta": {"who": "me"}}
    scipy.io.savemat(tmp_path / "a.mat", content)
    assert set(open_arrays(tmp_path / "a.mat")[0]) == {"images", "labels"}


def test_nothing_outside_of_the_file_is_read(tmp_path, arrays):
    hdf5(tmp_path / "secret.h5", {"images": arrays["x"]})
    (tmp_path / "raw.bin").write_bytes(bytes(arrays["x"].size))
    layout = h5py.VirtualLayout(shape=arrays["x"].shape, dtype="u1")
    layout[:] = h5py.VirtualSource(tmp_path / "secret.h5", "images", shape=arrays["x"].shape)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["labels"] = arrays["y"]
        file["linked"] = h5py.ExternalLink(str(tmp_path / "secret.h5"), "images")
        file["soft"] = h5py.SoftLink("/labels")
        raw = [(str(tmp_path / "raw.bin"), 0, arrays["x"].size)]
        file.create_dataset("raw", shape=arrays["x"].shape, dtype="u1", external=raw)
        file.create_virtual_dataset("images", layout)
        file["loop"] = file["/"]
    content, notes = open_arrays(tmp_path / "a.h5")
    assert {name.rpartition("/")[2] for name in content} == {"labels"}
    assert "images" in notes[0]
    assert "raw" in notes[0]


@pytest.mark.parametrize("start", [b"\x89HDF\r\n\x1a\n", b"MATLAB 5.0 MAT-file", b"MATLAB 7.3 MAT"])
@pytest.mark.parametrize("rest", [bytes(10), bytes(600), bytes(range(256)) * 4])
def test_damaged_files_are_told(tmp_path, start, rest):
    (tmp_path / "a.mat").write_bytes(start + rest)
    with pytest.raises(SynthgenError, match=r"damaged|has no array"):
        read(tmp_path / "a.mat")


def test_a_missing_package_is_said(tmp_path, arrays, monkeypatch):
    path = hdf5(tmp_path / "a.h5", arrays)
    monkeypatch.setitem(__import__("sys").modules, "h5py", None)
    with pytest.raises(SynthgenError, match="needs the package h5py"):
        read(path)
