"""Sets that a program drew: as a data source, and as what an evaluation judges."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch

from synthgen.data.files import FileSource, Listing, channels_first, scan_files, stop_at
from synthgen.data.folder import list_folders
from synthgen.data.hashing import image_hashes, lines_digest
from synthgen.data.names import require_safe_names
from synthgen.data.npz import image_array, open_npz, read_labels
from synthgen.data.source import existing
from synthgen.errors import SynthgenError
from synthgen.paths import read_json
from synthgen.types import LabelledImages

DATASET = "dataset.json"
MANIFEST = "manifest.jsonl"


@dataclass(frozen=True, kw_only=True)
class Synthetic(FileSource):
    """A set that ``synthgen synthesize`` wrote: its manifest says which files belong to it, its
    ``dataset.json`` the order of the classes."""

    root: str

    kind: ClassVar[str] = "synthetic"

    @property
    def name(self) -> str:
        return Path(self.root).expanduser().resolve().name or self.kind

    def listing(self) -> Listing:
        root = existing(self.root, "data.root")
        if not (root / DATASET).is_file():
            raise SynthgenError(
                f"{root} has no {DATASET}, so synthgen didn't write it.\n"
                f"For any other folder of images use data=image_folder data.root={root}."
            )
        classes = _class_order(root)
        return _manifest_listing(root, classes)


@dataclass(frozen=True)
class SyntheticSet:
    """Images to be judged. ``provenance`` is the content of ``dataset.json``, None for a set that
    we didn't write; ``digest`` is the same for the same images and classes in any order."""

    images: LabelledImages
    provenance: dict[str, Any] | None
    path: Path
    digest: str


def read_synthetic(
    path: str | Path, classes: tuple[str, ...], *, channels: int | None = None
) -> SyntheticSet:
    """Read our own folder, any folder with one subfolder per class, or an ``.npz``.

    Labels follow ``classes``, the names of the real classes; every one must occur and no other.
    The integer labels of an ``.npz`` without names are positions in ``classes`` unless they are
    names there. Images keep their size (the commonest one, where they differ). A set that is grey
    throughout has one channel, or with ``channels=3`` three equal ones; without ``channels`` the
    set's own ``dataset.json`` decides.
    """
    path = existing(path, "synthetic")
    provenance = None
    if path.is_file():
        pixels, names = _read_npz(path, classes)
        _require_classes(path, names, classes)
    else:
        if (path / DATASET).is_file():
            provenance = read_json(path / DATASET)
        listing = _listing(path)
        names = [listing.classes[label] for label in listing.labels]
        _require_classes(path, names, classes)  # before minutes of decoding
        pixels = scan_files(listing.paths, None, "pad", longest=None, on_error=stop_at).pixels
    if (channels or _described_channels(provenance)) == 3:
        pixels = pixels.expand(-1, 3, -1, -1).contiguous()
    number_of = {name: number for number, name in enumerate(classes)}
    labels = torch.tensor([number_of[name] for name in names], dtype=torch.int64)
    lines = (f"{h} {name}" for h, name in zip(image_hashes(pixels), names, strict=True))
    images = LabelledImages(pixels, labels, tuple(classes))
    return SyntheticSet(images, provenance, path, lines_digest(lines))


def _listing(root: Path) -> Listing:
    if (root / DATASET).is_file() and (root / MANIFEST).is_file():
        return _manifest_listing(root, _class_order(root))
    listing = list_folders(root, {None: root})
    if listing.problems:
        raise listing.problems[0]
    return listing


def _class_order(root: Path) -> tuple[str, ...]:
    described = read_json(root / DATASET)
    classes = described.get("classes") if isinstance(described, dict) else None
    if not isinstance(classes, list) or not classes:
        raise SynthgenError(f"{root / DATASET} doesn't say the class order.\nWrite the set again.")
    names = tuple(str(name) for name in classes)
    require_safe_names(names)
    return names


def _manifest_listing(root: Path, classes: tuple[str, ...]) -> Listing:
    manifest = root / MANIFEST
    paths, files, labels = [], [], []
    try:
        lines = manifest.read_text(encoding="utf-8").splitlines()
        for number, line in enumerate(lines, start=1):
            row = json.loads(line)
            file, name = str(row["file"]), str(row["class"])
            if name not in classes or file.split("/")[:-1] != [name]:
                raise ValueError(f"row {number} names {file} of class {name}")
            paths.append(root / file)
            files.append(file)
            labels.append(classes.index(name))
    except FileNotFoundError as error:
        raise SynthgenError(f"{manifest} is missing.\nWrite the set again.") from error
    except (ValueError, KeyError, TypeError) as error:
        raise SynthgenError(f"{manifest} is damaged ({error}).\nWrite the set again.") from error
    if not paths:
        raise SynthgenError(f"{manifest} lists no images.\nWrite the set again.")
    none = (None,) * len(paths)
    return Listing(tuple(paths), tuple(files), tuple(labels), classes, none, none)


def _read_npz(path: Path, classes: tuple[str, ...]) -> tuple[torch.Tensor, list[str]]:
    content = open_npz(path)
    pixels = image_array(path, content, "images")
    names = read_labels(path, content, len(pixels))
    unnamed = "classes" not in content and content["labels"].dtype.kind in "iu"
    if unnamed and not set(names) <= set(classes):
        positions = [int(name) for name in names]
        if min(positions) < 0 or max(positions) >= len(classes):
            raise SynthgenError(
                f"labels in {path} go from {min(positions)} to {max(positions)}; the real data has "
                f"{len(classes)} classes.\nLabels count from 0, or add an array 'classes'."
            )
        names = [classes[position] for position in positions]
    return channels_first(pixels)[0], names


def _require_classes(path: Path, names: list[str], classes: tuple[str, ...]) -> None:
    found = set(names)
    strangers = sorted(found - set(classes))
    missing = [name for name in classes if name not in found]
    known = ", ".join(classes[:12]) + (", …" if len(classes) > 12 else "")
    if strangers:
        raise SynthgenError(
            f"{path} has a class {strangers[0]!r} that the real data doesn't have.\n"
            f"Name its classes as the real ones: {known}."
        )
    if missing:
        raise SynthgenError(
            f"{path} has no images of the class {missing[0]!r}"
            f"{f' (nor of {len(missing) - 1} more)' if len(missing) > 1 else ''}.\n"
            "Every real class must occur in a set that is evaluated."
        )


def _described_channels(provenance: dict[str, Any] | None) -> int | None:
    """Channels of a set of ours: colour images that all came out grey still have three."""
    image = (provenance or {}).get("image")
    return image.get("channels") if isinstance(image, dict) else None
