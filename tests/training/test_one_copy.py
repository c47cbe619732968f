"""One copy of the training images for all processes of a machine."""

import os
import shutil
import time
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as multiprocessing
from filelock import FileLock

from synthgen import private_folders
from synthgen.data.splits import Splits
from synthgen.dataset.origin import Recipe
from synthgen.launch import Launch
from synthgen.processes import Processes, Together
from synthgen.training import one_copy
from synthgen.types import LabelledImages, Levels

# More than 32 MiB: of less, glibc may keep what is freed, which would count as memory of one's own.
WORLD, SIDE, COUNT = 2, 64, 3200
PIXELS = 3 * COUNT * SIDE * SIDE
LEVELS = Levels(-1.0, 3.0)


def splits(bits=8):
    """All parts in one piece of memory, as reading leaves them."""
    dtype = torch.uint8 if bits == 8 else torch.uint16
    everything = torch.arange(COUNT, dtype=torch.int32).to(dtype).view(-1, 1, 1, 1)
    everything = everything.repeat(1, 3, SIDE, SIDE)
    labels = torch.arange(COUNT) % 2
    groups = torch.arange(COUNT) // 4

    def part(first, end):
        return LabelledImages(everything[first:end], labels[first:end], ("a", "b"),
                              groups[first:end], LEVELS, (2, 1, 0))  # fmt: skip

    recipe = Recipe(
        format="synthgen-split/1", source="any", name="set", fingerprint="ab" * 32, images=COUNT,
        channels=3, size=(SIDE, SIDE), classes=("a", "b"), fit="pad", holdout=0.1, test=0.1,
        split_seed=0,
    )  # fmt: skip
    return Splits(part(0, COUNT - 2), part(COUNT - 2, COUNT - 1), part(COUNT - 1, COUNT), "ab" * 32,
                  recipe, {"cd" * 32: "train"}, ("a note",), "set")  # fmt: skip


def one_of_two(rank, folder, bits):
    one_copy.MEMORY = Path(folder)
    dist.init_process_group(
        "gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=WORLD
    )
    before = memory("RssAnon")
    processes = Together()
    found = one_copy.read_once(processes, Launch(rank, WORLD, "", rank, WORLD), reader(rank, bits))
    checksum = int(found.train.images.view(torch.uint8).to(torch.int64).sum())
    processes.wait()
    seen = {
        "own": memory("RssAnon") - before,
        "shared": shared_pages(),
        "checksum": checksum,
        "train": (found.train.image.to_json(), found.train.labels.sum(), found.train.groups.sum()),
        "held": (len(found.holdout), len(found.test), len(found.assignment)),
        "digest": found.digest,
        "left": [path.name for path in Path(folder).glob(f"{one_copy.PREFIX}*")],
    }
    torch.save(seen, f"{folder}/{rank}.pt")
    processes.wait()
    dist.destroy_process_group()


def reader(rank, bits):
    def read():
        assert rank == 0, "only one process of a machine reads"
        return splits(bits)

    return read


def memory(name):
    """Bytes."""
    status = Path("/proc/self/status").read_text()
    return 1024 * int(status.partition(f"{name}:")[2].split()[0])


def shared_pages():
    """Bytes of the images, each page divided by the number of processes that have it."""
    total, ours = 0, False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        if "-" in line.split()[0] and ":" not in line.split()[0]:
            ours = one_copy.PREFIX in line
        elif ours and line.startswith("Pss:"):
            total += 1024 * int(line.split()[1])
    return total


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.skipif(not Path("/proc/self/smaps").exists(), reason="Linux tells of pages")
def test_pages_are_counted_once_and_nothing_is_left(tmp_path, bits):
    multiprocessing.start_processes(one_of_two, (str(tmp_path), bits), WORLD, start_method="fork")
    first, second = (torch.load(tmp_path / f"{rank}.pt") for rank in range(WORLD))
    size = PIXELS * bits // 8
    assert 0.99 * size < first["shared"] + second["shared"] < 1.01 * size
    assert max(first["own"], second["own"]) < 0.2 * size
    whole = splits(bits)
    checksum = int(whole.train.images.view(torch.uint8).to(torch.int64).sum())
    assert first["checksum"] == second["checksum"] == checksum
    assert first["train"] == second["train"]
    assert first["train"][0] == whole.train.image.to_json()
    assert (first["held"], second["held"]) == ((1, 1, 1), (0, 0, 0))
    assert first["digest"] == second["digest"] == whole.digest
    assert first["left"] == second["left"] == []


def test_alone_nothing_is_copied():
    whole = splits()
    assert one_copy.read_once(Processes(), Launch(0, 1, ""), lambda: whole) is whole


def test_what_killed_processes_left_is_removed_and_nothing_else(tmp_path, monkeypatch):
    monkeypatch.setattr(one_copy, "MEMORY", tmp_path)
    names = ("abandoned", "fresh", "in-use", "other")
    for name in names:
        folder = tmp_path / (f"{one_copy.PREFIX}{name}" if name != "other" else name)
        folder.mkdir()
        (folder / one_copy.PIXELS).write_bytes(b"x")
        if name != "fresh":
            long_ago = time.time() - 2 * private_folders.NEW
            os.utime(folder, (long_ago, long_ago))
    used = tmp_path / f"{one_copy.PREFIX}in-use"
    with FileLock(used / private_folders.LOCK):
        long_ago = time.time() - 2 * private_folders.NEW
        os.utime(used, (long_ago, long_ago))
        private_folders.remove_abandoned(tmp_path.glob(f"{one_copy.PREFIX}*"))
    left = {path.name.removeprefix(one_copy.PREFIX) for path in tmp_path.iterdir()}
    assert left == {"fresh", "in-use", "other"}


def test_where_memory_has_no_room_the_disk_is_taken(tmp_path, monkeypatch):
    monkeypatch.setattr(one_copy, "MEMORY", tmp_path)
    room = shutil.disk_usage(tmp_path).free
    assert one_copy.place_for(room // 2, "x").parent == tmp_path
    assert one_copy.place_for(room, "x").parent != tmp_path
