"""A set that is read back shows its own pixels: none from other files, and nothing that waits."""

import io
import os
import signal

import numpy as np
import pytest

from synthgen.dataset.formats.read import read_stored
from synthgen.dataset.source import Synthetic
from synthgen.errors import SynthgenError

h5py = pytest.importorskip("h5py")
SHAPE = (4, 5, 5)


@pytest.fixture
def private(tmp_path):
    """Pixels that are not the set's: as bytes, and as another HDF5 file."""
    pixels = np.arange(100, dtype=np.uint8).reshape(SHAPE)
    (tmp_path / "private").write_bytes(pixels.tobytes())
    with h5py.File(tmp_path / "private.h5", "w") as file:
        file["images"] = pixels
    return tmp_path


def written(fill):
    content = io.BytesIO()
    with h5py.File(content, "w") as file:
        fill(file)
    return content.getvalue()


def external_storage(file, place):
    file.create_dataset("images", SHAPE, "u1", external=[(str(place / "private"), 0, 100)])


def external_link(file, place):
    file["images"] = h5py.ExternalLink(str(place / "private.h5"), "images")


def soft_link_to_an_external_one(file, place):
    file["there"] = h5py.ExternalLink(str(place / "private.h5"), "images")
    file["images"] = h5py.SoftLink("/there")


def virtual_dataset(file, place):
    layout = h5py.VirtualLayout(SHAPE, "u1")
    layout[:] = h5py.VirtualSource(str(place / "private.h5"), "images", SHAPE)
    file.create_virtual_dataset("images", layout)


def far_too_many_pixels(file, place):
    file.create_dataset("images", (10**6, 1000, 1000), "u1", chunks=(1, 1000, 1000))


def a_group(file, place):
    file.create_group("images")


def nothing(file, place):
    file["labels"] = [0]


@pytest.mark.parametrize(
    "fill",
    [external_storage, external_link, soft_link_to_an_external_one, virtual_dataset,
     far_too_many_pixels, a_group, nothing],
)  # fmt: skip
def test_pixels_that_are_not_in_the_file_are_not_read(private, fill):
    content = written(lambda file: fill(file, private))
    with pytest.raises(SynthgenError, match=r"shard\.h5 is damaged \(it"):
        read_stored("shard.h5", content)


def test_pixels_that_are_in_it_are(private):
    pixels, digests = read_stored("shard.h5", (private / "private.h5").read_bytes())
    assert pixels.tobytes() == (private / "private").read_bytes()
    assert len(digests) == 4


@pytest.mark.parametrize("name", ["dataset.json", "manifest.jsonl", "shards/a.npz"])
def test_a_pipe_in_a_set_is_not_waited_for(tmp_path, name):
    (tmp_path / "shards").mkdir()
    (tmp_path / "dataset.json").write_text('{"classes": ["cat", "dog"]}')
    row = '{{"file": "shards/a.npz", "class": "cat", "label": 0, "seed": 0, "index": {}}}\n'
    (tmp_path / "manifest.jsonl").write_text(row.format(0) + row.format(1))
    (tmp_path / name).unlink(missing_ok=True)
    os.mkfifo(tmp_path / name)
    signal.setitimer(signal.ITIMER_REAL, 30)
    with pytest.raises(SynthgenError):
        Synthetic(root=str(tmp_path)).read()
    signal.setitimer(signal.ITIMER_REAL, 0)
