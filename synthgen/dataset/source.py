"""Sets that a program drew: as a data source, and as what an evaluation judges."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar
from unicodedata import normalize

import numpy as np
import torch

from synthgen.data.arrays import Arrays, ArraySource, image_array, open_npz, read_labels
from synthgen.data.files import FileSource, Listing, Scan, channels_first, scan_files, stop_at
from synthgen.data.folders.folder import class_folders
from synthgen.data.levels import UnscaledImages, scale
from synthgen.data.readers import ImageFile, ImageFileError
from synthgen.data.source import Records, existing, label_names
from synthgen.dataset import DESCRIPTION, MANIFEST
from synthgen.dataset.manifest import SetRows, read_rows
from synthgen.dataset.schema import Dataset, PublicDataset, described
from synthgen.errors import SynthgenError
from synthgen.images import TOP, from_255, image_hashes, lines_digest, to_255
from synthgen.schema import read_bytes
from synthgen.types import ImageSpec, LabelledImages

FULL_SCALE = (0.0, float(TOP[16]))
JOB = ".synthgen/job.json"  # of a set that is not finished


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
        rows = self._rows()
        if rows.in_shards:
            raise SynthgenError(
                f"{self.root} keeps its images in shards, so there are no single files to look at."
                f"\nTo check the set: synthgen verify {self.root}"
            )
        return rows.listing()

    def read(self) -> Records:
        if not self._rows().in_shards:
            return super().read()
        records = _Shards(root=self.root, size=self.size, fit=self.fit).read()
        images = records.images
        if not isinstance(images, UnscaledImages):
            return records
        return replace(
            records,
            images=replace(images, declared=FULL_SCALE),
            notes=(*records.notes, *self._scale_note()),
        )

    def scan(self, listing: Listing, on_error: Callable[[ImageFileError], None]) -> Scan:
        """16 bits of a set that synthgen wrote are on a scale of their own already."""
        scan = super().scan(listing, on_error)
        if scan.pixels.dtype == torch.uint8:
            return scan
        return replace(scan, declared=FULL_SCALE, notes=(*scan.notes, *self._scale_note()))

    def _scale_note(self) -> Iterator[str]:
        levels = _described(Path(self.root).expanduser()).image.levels
        if levels is not None:
            yield (
                f"In this set level 0 stands for {levels[0]:g}, and {TOP[16]:,} for {levels[1]:g}, "
                "of the images that it was made after."
            )

    def require_sound(self, listing: Listing) -> None:
        super().require_sound(listing)
        self._rows().require_hashes()

    def _rows(self) -> SetRows:
        root = existing(self.root, "data.root")
        _refuse_unfinished(root)
        if not (root / DESCRIPTION).is_file():
            raise SynthgenError(
                f"{root} has no {DESCRIPTION}, so synthgen didn't write it or never finished.\n"
                f"For any other folder of images use data=image_folder data.root={root}."
            )
        return read_rows(root, _described(root).classes)


@dataclass(frozen=True, kw_only=True)
class _Shards(ArraySource):
    """The images of a set that keeps them in shards."""

    root: str

    kind: ClassVar[str] = "synthetic"

    def arrays(self) -> Arrays:
        root = Path(self.root).expanduser()
        rows = read_rows(root, _described(root).classes)
        return Arrays(
            rows.pixels(), np.array(rows.labels), rows.classes, (None,) * len(rows.labels)
        )


@dataclass(frozen=True)
class SyntheticSet:
    """Images to be judged. ``described`` is the content of ``dataset.json``, None for a set that
    we didn't write; ``digest`` is the same for the same images and classes in any order."""

    images: LabelledImages
    described: Dataset | PublicDataset | None
    path: Path
    digest: str
    notes: tuple[str, ...] = ()  # plain sentences: what was converted


def read_synthetic(
    path: str | Path, classes: tuple[str, ...], *, like: ImageSpec | None = None
) -> SyntheticSet:
    """Read our own folder, any folder with one subfolder per class, or an ``.npz``.

    Labels follow ``classes``, the names of the real classes; every one must occur and no other.
    The integer labels of an ``.npz`` without names are positions in ``classes`` unless they are
    names there. Images keep their size (the commonest one, where they differ). A set that is grey
    throughout has one channel, or three equal ones if those that it is to be ``like`` have three;
    without ``like`` the set's own ``dataset.json`` decides. Levels are brought to the bits of
    ``like``.
    """
    path = existing(path, "synthetic")
    about = None if path.is_file() else description_of(path)
    notes: list[str] = []
    if path.is_file():
        pixels, names = _read_npz(path, classes)
        _refuse_strangers(path, names, classes)
    else:
        names, pixels, notes = _read_folder(path, classes, about)
    told = None if about is None else about.image.channels  # though all may have come out grey
    if (like.channels if like else told) == 3 and pixels.shape[1] == 1:
        notes.append("The synthetic images are grey; each was given three equal channels.")
        pixels = pixels.expand(-1, 3, -1, -1).contiguous()
    if about is None or like is None or pixels.dtype != like.dtype:
        pixels, said = _in_levels_of(pixels, like, path, ours=about is not None)
        notes += said
    number_of = {name: number for number, name in enumerate(classes)}
    labels = torch.tensor([number_of[name] for name in names], dtype=torch.int64)
    lines = (f"{h} {name}" for h, name in zip(image_hashes(pixels), names, strict=True))
    kind = like or (ImageSpec.from_json(about.image.to_json()) if about else None)
    images = LabelledImages(pixels, labels, tuple(classes))
    if kind is not None:
        images = replace(images, levels=kind.levels, view=kind.view, shown=kind.shown)
    return SyntheticSet(images, about, path, lines_digest(lines), tuple(notes))


def _in_levels_of(
    pixels: torch.Tensor, like: ImageSpec | None, path: Path, *, ours: bool
) -> tuple[torch.Tensor, list[str]]:
    """uint8 or uint16 of the bits of ``like``, and a sentence if that changed anything. A set that
    another program wrote has the levels of the real images' files."""
    ends = (like.levels.low, like.levels.high) if like and like.levels else None
    if not ours and ends is not None and pixels.dtype != torch.uint8:
        labels = torch.zeros(len(pixels), dtype=torch.int64)
        found = UnscaledImages(pixels, labels, ("",))
        said = f"Levels of the synthetic images were scaled as the real ones: {ends}."
        return scale(found, ends, like.bits if like else 8).images, [said]
    if pixels.dtype not in LabelledImages.DTYPES:
        raise SynthgenError(
            f"{path} holds levels without a known range.\nSave its images with 8 or 16 bits."
        )
    if like is None or pixels.dtype == like.dtype:
        return pixels, []
    said = f"The synthetic images were brought to the {like.bits} bits of the real ones."
    return from_255(to_255(pixels), like.dtype), [said]


def description_of(folder: Path) -> Dataset | PublicDataset | None:
    """What the set in ``folder`` says about itself; None if synthgen didn't write it. Raises
    SynthgenError for a damaged description."""
    path = folder / DESCRIPTION
    if not path.is_file():
        return None
    content = read_bytes(path, Dataset.LARGEST)
    ours = (folder / MANIFEST).exists() or b'"synthgen-' in content
    return described(content, str(path)) if ours else None  # another program's file of that name


def _described(root: Path) -> Dataset | PublicDataset:
    return described(read_bytes(root / DESCRIPTION, Dataset.LARGEST), str(root / DESCRIPTION))


def _read_folder(
    root: Path, classes: tuple[str, ...], about: Dataset | PublicDataset | None
) -> tuple[list[str], torch.Tensor, list[str]]:
    """Class names, pixels, and what to say of them. Of our own sets, only what was drawn: real
    images that lie beside it are no part of what is judged."""
    _refuse_unfinished(root)
    if about is not None and (root / MANIFEST).is_file():
        rows = read_rows(root, about.classes).synthetic()
        names = [rows.classes[label] for label in rows.labels]
        _refuse_strangers(root, names, classes)  # before minutes of decoding
        if rows.in_shards:
            return names, channels_first(rows.pixels())[0], []
        rows.require_hashes()
        return names, _scanned(rows.listing().paths), []
    listing = class_folders(root)
    if listing.problems:
        raise listing.problems[0]
    names = [listing.classes[label] for label in listing.labels]
    _refuse_strangers(root, names, classes)
    return names, _scanned(listing.paths), list(listing.notes)


def _refuse_unfinished(root: Path) -> None:
    if (root / JOB).exists() and not (root / DESCRIPTION).exists():
        raise SynthgenError(
            f"{root} is an unfinished set: images are missing.\n"
            "Run the command that began it again; it goes on where it stopped."
        )


def _scanned(paths: Iterable[ImageFile]) -> torch.Tensor:
    return scan_files(tuple(paths), None, "pad", longest=None, on_error=stop_at).pixels


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
        if sorted(classes) != list(classes) == list(label_names(classes)):
            raise SynthgenError(
                f"labels in {path} are numbers, and whether 1 is {classes[1]!r} or "
                f"{sorted(classes)[1]!r} depends on how classes were sorted.\n"
                "Save an array 'classes' in it: their names in the order of the labels."
            )
        names = [classes[position] for position in positions]
    return channels_first(pixels)[0], names


def _refuse_strangers(path: Path, names: list[str], classes: tuple[str, ...]) -> None:
    strangers = sorted(set(names) - set(classes))
    known = ", ".join(classes[:12]) + (", …" if len(classes) > 12 else "")
    spelt = {normalize("NFC", name): name for name in classes}
    for name in strangers:
        if (other := spelt.get(normalize("NFC", name))) is not None:
            raise SynthgenError(
                f"{path} has a class {name!a} that the real data spells {other!a}.\n"
                "Rename it: both look alike, but their characters differ."
            )
    if strangers:
        raise SynthgenError(
            f"{path} has a class {strangers[0]!r} that the real data doesn't have.\n"
            f"Name its classes as the real ones: {known}."
        )
