"""Divided images, kept in a folder for the next start: found again until a file changes."""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.metadata
import json
import logging
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import synthgen
from synthgen.data.folders.tree import Tree
from synthgen.data.source import Source
from synthgen.data.splits import Splits
from synthgen.dataset.origin import Recipe
from synthgen.errors import SynthgenError
from synthgen.io import new_folder, readable_os_errors, write_bytes, write_json
from synthgen.types import LabelledImages, Levels

log = logging.getLogger(__name__)

FORM = "synthgen-kept/2"
PARTS = ("train", "holdout", "test")
TENSORS, FACTS = "images.safetensors", "facts.json"
DECODERS = ("pillow", "imagecodecs", "tifffile", "numpy")  # another version may decode otherwise
Entry = tuple[str, int, int]  # a file's name, size and time


def kept_splits(place: Path | None) -> Splits | None:
    """What was kept at a place; None if there is nothing (any more)."""
    if place is None or not (place / FACTS).is_file():
        return None
    try:
        return _read(place)
    except (OSError, ValueError, KeyError, TypeError, SynthgenError) as error:
        log.warning("%s is damaged (%s); the images are read again.", place, error)
        shutil.rmtree(place, ignore_errors=True)
        return None


def keep_splits(place: Path | None, splits: Splits) -> None:
    """Keep them, if there is a place for them. A folder that can't be written, or that another
    process writes, costs a warning only."""
    if place is None or (place / FACTS).is_file():
        return
    from safetensors.torch import save

    content = save(_tensors(splits))
    facts = _facts(splits) | {"sha256": hashlib.sha256(content).hexdigest()}
    try:
        with readable_os_errors(place.parent, option="data.cache"), new_folder(place) as staging:
            write_bytes(staging / TENSORS, content)
            write_json(staging / FACTS, facts)
    except SynthgenError as error:
        log.warning("The images were not kept in data.cache: %s", error)


def place_of(source: Source) -> Path | None:
    """A folder named by all settings, and by the name, size and time of every file; None if there
    is none to keep anything in, or nothing to see changes by. To be asked before files are read:
    what changes meanwhile is of another place."""
    watched = source.watched()
    if source.cache is None or watched is None or not watched.exists():
        return None
    settings = dataclasses.asdict(source) | {"cache": None, "kind": type(source).__qualname__}
    versions = {name: importlib.metadata.version(name) for name in DECODERS}
    state = hashlib.sha256(
        json.dumps([FORM, synthgen.__version__, versions, settings], sort_keys=True).encode()
    )
    for entry in entries(watched):
        state.update(repr(entry).encode("utf-8", "surrogatepass"))
    return Path(source.cache).expanduser() / state.hexdigest()[:32]


def entries(path: Path) -> Iterator[Entry]:
    """Every file below a folder (or the file itself), in order; links are followed, once each."""
    if path.is_file():
        found = path.stat()
        yield path.name, found.st_size, found.st_mtime_ns
        return
    yield from _below(str(path), "", {_identity(os.stat(path))})


def _below(folder: str, above: str, seen: set[tuple[int, int]]) -> Iterator[Entry]:
    with os.scandir(folder) as found:
        entries = sorted(found, key=lambda entry: entry.name)
    for entry in entries:
        name = f"{above}{entry.name}"
        try:
            about = entry.stat()
        except OSError:  # a broken link
            yield name, -1, -1
            continue
        if not entry.is_dir():
            yield name, about.st_size, about.st_mtime_ns
        elif (identity := _identity(os.stat(entry.path))) not in seen:
            seen.add(identity)
            yield name, -2, -2
            yield from _below(entry.path, f"{name}/", seen)


def _identity(found: os.stat_result) -> tuple[int, int]:
    return found.st_dev, found.st_ino


def _tensors(splits: Splits) -> dict[str, Tensor]:
    found: dict[str, Tensor] = {}
    for part in PARTS:
        images: LabelledImages = getattr(splits, part)
        found |= {f"{part}.images": images.images, f"{part}.labels": images.labels}
        if images.groups is not None:
            found[f"{part}.groups"] = images.groups
    hashes = b"".join(bytes.fromhex(image) for image in splits.assignment)
    found["assigned.hashes"] = torch.frombuffer(bytearray(hashes), dtype=torch.uint8)
    where = [PARTS.index(part) for part in splits.assignment.values()]
    found["assigned.parts"] = torch.tensor(where, dtype=torch.uint8)
    return {name: tensor.contiguous() for name, tensor in found.items()}


def _facts(splits: Splits) -> dict[str, Any]:
    image = splits.train
    levels = image.levels
    return {
        "format": FORM,
        "classes": list(image.classes),
        "levels": None if levels is None else [levels.low, levels.high],
        "view": image.view,
        "shown": image.shown,
        "digest": splits.digest,
        "recipe": splits.recipe.to_json(),
        "notes": splits.notes,
        "private": splits.private,
        "name": splits.name,
        "dropped": splits.dropped,
        "test_attributes": splits.test_attributes,
        "holdout_attributes": splits.holdout_attributes,
        "tree": None if splits.tree is None else dataclasses.asdict(splits.tree),
    }


def _read(place: Path) -> Splits:
    """Raises ValueError, KeyError or TypeError for what wasn't written so."""
    from safetensors import SafetensorError
    from safetensors.torch import load

    facts = json.loads((place / FACTS).read_text("utf-8"))
    content = (place / TENSORS).read_bytes()
    if facts["sha256"] != hashlib.sha256(content).hexdigest():
        raise ValueError("its checksum differs")
    try:
        tensors = load(content)
    except SafetensorError as error:
        raise ValueError(str(error)) from error
    levels = None if facts["levels"] is None else Levels(*facts["levels"])
    view = None if facts["view"] is None else tuple(facts["view"])
    shown = None if facts["shown"] is None else tuple(facts["shown"])
    parts = {
        part: LabelledImages(
            tensors[f"{part}.images"],
            tensors[f"{part}.labels"],
            tuple(facts["classes"]),
            tensors.get(f"{part}.groups"),
            levels,
            view,
            shown,
        )
        for part in PARTS
    }
    hashes = tensors["assigned.hashes"].numpy().tobytes().hex()
    where = tensors["assigned.parts"].tolist()
    further: dict[str, Any] = {f"{part}_groups": parts[part].groups for part in PARTS}
    for key in ("test_attributes", "holdout_attributes"):
        further[key] = None if facts[key] is None else tuple(facts[key])
    return Splits(
        parts["train"],
        parts["holdout"],
        parts["test"],
        digest=facts["digest"],
        recipe=Recipe.from_json(facts["recipe"], str(place)),
        assignment={hashes[64 * i : 64 * i + 64]: PARTS[part] for i, part in enumerate(where)},
        notes=tuple(facts["notes"]),
        name=facts["name"],
        dropped=facts["dropped"],
        private=tuple(facts["private"]),
        tree=None if facts["tree"] is None else _tree(facts["tree"]),
        **further,
    )


def _tree(found: dict[str, Any]) -> Tree:
    return Tree(
        found["name"],
        tuple((split, tuple(folders)) for split, folders in found["splits"]),
        tuple((name, tuple(counts)) for name, counts in found["counts"]),
        tuple((name, count) for name, count in found["left_out"]),
    )
