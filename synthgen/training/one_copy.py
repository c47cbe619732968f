"""One copy of the training images per machine, in a memory map that all of its processes read."""

from __future__ import annotations

import dataclasses
import os
import secrets
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from synthgen.data.splits import Splits
from synthgen.dataset.origin import Recipe
from synthgen.io import readable_os_errors
from synthgen.launch import Launch
from synthgen.private_folders import held, remove_abandoned
from synthgen.processes import Processes
from synthgen.types import LabelledImages, Levels

MEMORY = Path("/dev/shm")  # Linux's file system without a disk
PREFIX, PIXELS, ABOUT = "synthgen-images-", "pixels", "about.pt"
SPARE = 1.1  # of the room that the images take


def read_once(processes: Processes, launch: Launch, read: Callable[[], Splits]) -> Splits:
    """The split that ``read`` reads, read by one process of each machine.

    The others have its training images, without the hashes, and nothing of the other parts: what
    looks at those is process 0's to do. Nothing is left on the disk once all have opened it.
    """
    if processes.world == 1:
        return read()
    machine = (launch.rank - launch.local_rank) // launch.local_world
    token = f"{processes.first_says(secrets.token_hex(8))}-{machine}"
    if launch.local_rank:
        processes.wait()
        splits = opened(next(one for one in places(token) if one.is_dir()))
        processes.wait()
        return splits
    splits = with_pixels_of_their_own(read())
    remove_abandoned(one for place in places("*") for one in place.parent.glob(place.name))
    folder = place_for(splits.train.images.nbytes, token)
    with readable_os_errors(folder, option="TMPDIR"), held(folder):
        write(splits, folder)
        processes.wait()
        splits = dataclasses.replace(splits, train=opened(folder).train)
        processes.wait()
    return splits


def in_turn(processes: Processes, launch: Launch, read: Callable[[], Splits]) -> Splits:
    """What ``read`` finds, in every process: first in one of each machine, which leaves it where
    the others find it soon."""
    if launch.local_rank:
        processes.wait()
        return read()
    splits = read()
    processes.wait()
    return splits


def places(token: str) -> list[Path]:
    return [folder / f"{PREFIX}{token}" for folder in (MEMORY, Path(tempfile.gettempdir()))]


def place_for(count: int, token: str) -> Path:
    """A folder in memory if there is room for ``count`` bytes, else on the disk."""
    in_memory, on_disk = places(token)
    writable = MEMORY.is_dir() and os.access(MEMORY, os.W_OK)
    room = writable and shutil.disk_usage(MEMORY).free > SPARE * count
    return in_memory if room else on_disk


def with_pixels_of_their_own(splits: Splits) -> Splits:
    """The parts may lie in one piece of memory, which would stay for the smallest of them."""
    whole = splits.train.images.untyped_storage().data_ptr()
    changed: dict[str, Any] = {}
    for name in ("holdout", "test"):
        part: LabelledImages = getattr(splits, name)
        if part.images.untyped_storage().data_ptr() == whole:
            changed[name] = dataclasses.replace(part, images=part.images.clone())
    return dataclasses.replace(splits, **changed)


def write(splits: Splits, folder: Path) -> None:
    """The training images and what is known of them, into ``folder``."""
    train = splits.train
    with (folder / PIXELS).open("wb") as file:
        train.images.contiguous().view(torch.uint8).numpy().tofile(file)
    about = {
        "shape": list(train.images.shape),
        "bits": train.image.bits,
        "labels": train.labels,
        "groups": train.groups,
        "classes": list(train.classes),
        "levels": None if train.levels is None else [train.levels.low, train.levels.high],
        "view": None if train.view is None else list(train.view),
        "digest": splits.digest,
        "recipe": splits.recipe.to_json(),
        "name": splits.name,
    }
    torch.save(about, folder / ABOUT)


def opened(folder: Path) -> Splits:
    """What :func:`write` wrote, without another copy of the pixels."""
    about: dict[str, Any] = torch.load(folder / ABOUT, weights_only=True)
    train = LabelledImages(
        mapped(folder / PIXELS, about["shape"], about["bits"]),
        about["labels"],
        tuple(about["classes"]),
        about["groups"],
        None if about["levels"] is None else Levels(*about["levels"]),
        None if about["view"] is None else tuple(about["view"]),
    )
    nothing = train.subset([])
    return Splits(
        train,
        nothing,
        nothing,
        digest=about["digest"],
        recipe=Recipe.from_json(about["recipe"], str(folder)),
        assignment={},
        notes=(),
        name=about["name"],
    )


def mapped(path: Path, shape: list[int], bits: int) -> Tensor:
    """uint8 or uint16 ``shape`` whose pages are the file's, in all processes together; whoever
    writes gets pages of its own."""
    found = torch.from_file(str(path), shared=False, size=path.stat().st_size, dtype=torch.uint8)
    return (found if bits == 8 else found.view(torch.uint16)).view(shape)
