"""``synthgen data check``: everything that is wrong or odd about a source, file by file."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from synthgen.data.arrays import CIFAR10
from synthgen.data.files import FileSource, Listing, Scan, go_on, records_of
from synthgen.data.levels import preview
from synthgen.data.near_duplicates import NearDuplicates
from synthgen.data.source import Records, Source
from synthgen.data.splits import FEWEST_PER_CLASS, divide
from synthgen.data.tree import Tree
from synthgen.errors import SynthgenError, printable
from synthgen.images import encode_png, image_hashes, to_pil
from synthgen.io import new_folder, write_bytes, write_json
from synthgen.types import LabelledImages

if TYPE_CHECKING:
    from rich.table import Table


# One picture with a labelled row of thumbnails for each class and each kind of finding.

COLUMNS = 12
MOST_ROWS = 60
SMALLEST_SIDE = 40  # tiny images are enlarged by whole factors to about this
GAP = 4
TEXT_WIDTH = 190


def contact_sheet(images: Tensor, rows: Sequence[tuple[str, Sequence[int]]]) -> Tensor:
    """uint8 ``(N, C, H, W)`` and (label, positions) per row -> uint8 ``(3, H', W')``. Shows the
    first 12 images of each row and the first 60 rows."""
    _, _, height, width = images.shape
    factor = max(1, math.ceil(SMALLEST_SIDE / max(height, width)))
    tile_height, tile_width = height * factor + GAP, width * factor + GAP
    line_height = max(tile_height, 14)
    size = (TEXT_WIDTH + COLUMNS * tile_width + GAP, min(len(rows), MOST_ROWS) * line_height + GAP)
    canvas = Image.new("RGB", size, (128, 128, 128))
    draw = ImageDraw.Draw(canvas)
    font = ImageFont.load_default()
    for line, (label, positions) in enumerate(rows[:MOST_ROWS]):
        top = GAP + line * line_height
        text = f"{label[:26]} ({len(positions):,})".encode("latin-1", "replace").decode("latin-1")
        draw.text((GAP, top + line_height // 2 - 8), text, fill="white", font=font)
        for column, position in enumerate(positions[:COLUMNS]):
            tile = to_pil(images[position]).resize(
                (width * factor, height * factor), Image.Resampling.NEAREST
            )
            canvas.paste(tile, (TEXT_WIDTH + column * tile_width, top))
    return torch.from_numpy(np.array(canvas)).permute(2, 0, 1)


HARD_BELOW = 25  # a class this small can be trained on, but hardly learned
SHOWN_PER_KIND = 10
MEANING = {
    "layout": "in the wrong place",
    "corrupt": "can't be decoded",
    "not_image": "no image",
    "unread_format": "in a format that synthgen does not read",
    "too_large": "larger than data.max_pixels allows",
    "other_kind": "of another kind than most",
    "duplicate": "same picture as another file",
    "two_classes": "same picture under another class",
    "near_duplicate": "same picture, saved again",
    "odd_size": "not the commonest size; will be fitted",
    "mixed_mode": "not the commonest mode; will be converted",
    "rare_class": "too rare to learn",
}


@dataclass(frozen=True)
class Finding:
    """One thing to look at. ``kind`` is a key of ``MEANING``; ``file`` a class for rare_class."""

    kind: str
    file: str
    detail: str


@dataclass(frozen=True)
class CheckResult:
    """What a source holds (readable images only) and every finding about it.

    Attributes:
        sizes: how many images have which (height, width) as stored; empty for sources that aren't
            image files.
        modes: likewise of kinds, by bands and depth.
        refusal: what training would say; None if it accepts the source.
        tree: how folders were read; None for what isn't folders.
    """

    name: str
    images: LabelledImages
    files: tuple[str, ...]
    sizes: Counter[tuple[int, int]]
    modes: Counter[str]
    findings: tuple[Finding, ...]
    notes: tuple[str, ...] = field(default=())
    refusal: str | None = None
    tree: Tree | None = None

    @property
    def usable(self) -> bool:
        return self.refusal is None

    def of_kind(self, kind: str) -> list[Finding]:
        return [finding for finding in self.findings if finding.kind == kind]

    def to_json(self) -> dict[str, object]:
        image = self.images.image
        return {
            "format": "synthgen-check/1",
            "name": self.name,
            "usable": self.usable,
            "refusal": self.refusal,
            "images": len(self.images),
            "size": [image.height, image.width],
            "channels": image.channels,
            "classes": dict(zip(image.classes, self.images.counts, strict=True)),
            "stored_sizes": [[h, w, count] for (h, w), count in self.sizes.most_common()],
            "stored_modes": dict(self.modes.most_common()),
            "findings": [vars(finding) for finding in self.findings],
            "notes": list(self.notes),
        }


def check(source: Source) -> CheckResult:
    """Look at every file and go on after problems.

    Raises:
        SynthgenError: there is nothing to look at (a missing folder, a damaged archive).
    """
    folder = source.as_folder() if isinstance(source, CIFAR10) else None
    files = folder or source
    if isinstance(files, FileSource):
        return _check_files(source, files)
    records = source.read()
    images = preview(records.images)
    near = _near(source, images)
    findings = (
        *_copies(images, records.files),
        *_near_duplicates(images, records.files, near),
        *_rare(images),
    )
    notes, refusal = _training_says(source, lambda: records, near, records.notes)
    return CheckResult(
        source.name,
        images,
        records.files,
        Counter(),
        Counter(),
        findings,
        notes,
        refusal,
    )


def _check_files(source: Source, files: FileSource) -> CheckResult:
    listing = files.listing()
    scan = files.scan(listing, on_error=go_on)
    good = [index for index, error in enumerate(scan.errors) if error is None]
    everything = torch.tensor(listing.labels, dtype=torch.int64)
    images = preview(scan.images(everything, listing.classes).subset(good))
    names = tuple(listing.names[index] for index in good)
    headers = [header for header in (scan.headers[index] for index in good) if header]
    sizes = Counter((header.height, header.width) for header in headers)
    modes = Counter(header.kind for header in headers)
    near = _near(source, images)
    findings = (
        *_layout(listing.problems),
        *_unreadable(listing, scan),
        *_copies(images, names),
        *_near_duplicates(images, names, near),
        *_odd(names, [f"{h.height} × {h.width}" for h in headers], "odd_size"),
        *_odd(names, [h.kind for h in headers], "mixed_mode"),
        *_rare(images),
    )

    def read() -> Records:
        files.require_sound(listing)
        return records_of(listing, scan)

    notes, refusal = _training_says(source, read, near, listing.notes + scan.notes)
    return CheckResult(
        source.name, images, names, sizes, modes, findings, notes, refusal, listing.tree
    )


def _training_says(
    source: Source, read: Callable[[], Records], near: NearDuplicates, notes: tuple[str, ...]
) -> tuple[tuple[str, ...], str | None]:
    """What training would note of these records, or why it would refuse them: by dividing them."""
    try:
        return divide(source, read(), near).notes, None
    except SynthgenError as error:
        return notes, str(error)


def _near(source: Source, images: LabelledImages) -> NearDuplicates:
    names = [images.classes[label] for label in images.labels.tolist()]
    hashes = image_hashes(images.images)
    return NearDuplicates.among(source.near_duplicates, images.images, names, hashes)


def _layout(problems: Sequence[SynthgenError]) -> Iterator[Finding]:
    for problem in problems:
        what, _, advice = str(problem).partition("\n")
        yield Finding("layout", what, advice)


def _unreadable(listing: Listing, scan: Scan) -> Iterator[Finding]:
    for name, error in zip(listing.names, scan.errors, strict=True):
        if error is not None:
            yield Finding(error.kind, name, error.problem)


def _copies(images: LabelledImages, files: Sequence[str]) -> Iterator[Finding]:
    """Every copy beside the first: of the same class, or (worse) of another."""
    places = defaultdict(list)
    for index, digest in enumerate(image_hashes(images.images)):
        places[digest].append(index)
    for first, *others in places.values():
        for other in others:
            label, original = int(images.labels[other]), int(images.labels[first])
            detail = f"same picture as {files[first]}"
            if label != original:
                detail += f" of class {images.classes[original]}"
            yield Finding("duplicate" if label == original else "two_classes", files[other], detail)


def _near_duplicates(
    images: LabelledImages, files: Sequence[str], near: NearDuplicates
) -> Iterator[Finding]:
    """Every near duplicate beside the first; exact copies are told elsewhere."""
    first: dict[str, int] = {}
    told = set()
    for index, (key, digest) in enumerate(zip(near.keys, image_hashes(images.images), strict=True)):
        if key is None or digest in told:
            continue
        told.add(digest)
        original = first.setdefault(key, index)
        if original != index:
            detail = f"nearly the same as {files[original]}"
            if images.labels[original] != images.labels[index]:
                detail += f" of class {images.classes[images.labels[original]]}"
            yield Finding("near_duplicate", files[index], detail)


def _odd(files: Sequence[str], values: Sequence[str], kind: str) -> Iterator[Finding]:
    """Files whose value isn't the commonest one."""
    counts = Counter(values).most_common(1)
    for file, value in zip(files, values, strict=True):
        if value != counts[0][0]:
            yield Finding(kind, file, f"{value}, most are {counts[0][0]}")


def _rare(images: LabelledImages) -> Iterator[Finding]:
    for name, count in zip(images.classes, images.counts, strict=True):
        if count < FEWEST_PER_CLASS:
            detail = f"{count} usable images; fewer than {FEWEST_PER_CLASS} are refused"
            yield Finding("rare_class", name, detail)
        elif count < HARD_BELOW:
            yield Finding("rare_class", name, f"{count} images are hardly enough to learn from")


def heading(result: CheckResult) -> str:
    """What stands above the tables; no title of a table, which would be broken at its width."""
    image = result.images.image
    return printable(
        f"{result.name}: {len(result.images):,} images, brought to {image.height} × {image.width}, "
        f"{image.channels} channel{'s' if image.channels > 1 else ''}"
    )


def tables(result: CheckResult) -> list[Table]:
    """For the terminal: one table of classes, and one of findings if there are any."""
    from rich.table import Table
    from rich.text import Text

    image = result.images.image
    classes = Table()
    classes.add_column("class")
    classes.add_column("images", justify="right")
    for name, count in zip(image.classes, result.images.counts, strict=True):
        classes.add_row(Text(printable(name)), f"{count:,}")
    if not result.findings:
        return [classes]
    found = Table(title="Findings", title_justify="left")
    for column in ("what", "file or class", "detail"):
        found.add_column(column, overflow="fold")
    for kind, meaning in MEANING.items():
        of_kind = together(result, kind)
        for finding in of_kind[:SHOWN_PER_KIND]:
            said = (printable(finding.file), printable(finding.detail))
            found.add_row(meaning, *map(Text, said))
        if len(of_kind) > SHOWN_PER_KIND:
            found.add_row(
                meaning, f"… and {len(of_kind) - SHOWN_PER_KIND:,} more", "see check.json"
            )
    return [classes, found]


def together(result: CheckResult, kind: str) -> list[Finding]:
    """The findings of a kind; those of many files that differ in size or mode alone as one."""
    found = result.of_kind(kind)
    if len(found) < 2 or kind not in ("odd_size", "mixed_mode"):
        return found
    most = found[0].detail.rpartition(", ")[2]
    values = ", ".join(dict.fromkeys(finding.detail.rpartition(", ")[0] for finding in found))
    if kind == "odd_size":
        common = max(result.sizes, key=lambda size: result.sizes[size])
        heights, widths = zip(*(size for size in result.sizes if size != common), strict=True)
        low, high = f"{min(heights)} × {min(widths)}", f"{max(heights)} × {max(widths)}"
        values = low if low == high else f"{low} to {high}"
    files = f"{len(found):,} files: {found[0].file}, …"
    return [Finding(kind, files, f"{values}, {most}; check.json names each")]


def write_check(result: CheckResult, out: Path) -> Path:
    """Write ``check.json`` (all findings) and ``thumbnails.png`` into the new folder ``out``."""
    position = {file: index for index, file in enumerate(result.files)}
    rows = [
        (name, torch.nonzero(result.images.labels == label).flatten().tolist())
        for label, name in enumerate(result.images.classes)
    ]
    for kind in ("duplicate", "two_classes", "near_duplicate", "odd_size", "mixed_mode"):
        shown = [position[finding.file] for finding in result.of_kind(kind)]
        rows += [(MEANING[kind].split(";")[0], shown)] if shown else []
    with new_folder(Path(out)) as staging:
        write_json(staging / "check.json", result.to_json())
        write_bytes(
            staging / "thumbnails.png", encode_png(contact_sheet(result.images.images, rows))
        )
    return Path(out)
