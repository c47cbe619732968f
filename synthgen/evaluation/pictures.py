"""Figures made of images: classes side by side, and synthetic images with their neighbours."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from synthgen.images import to_pil
from synthgen.paths import write_bytes
from synthgen.types import LabelledImages

MOST_CLASSES = 20
COLUMNS = 8
CELL = 48  # pixels that an image takes at least, enlarged without smoothing
GAP = 3
LETTER = 13
MARGIN = 8


def class_grid(
    real: LabelledImages, synthetic: LabelledImages, path: Path, *, reference: str
) -> str:
    """Rows = classes; real images (of the split ``reference``) left, synthetic ones right. Returns
    the caption."""
    shown = real.classes[:MOST_CLASSES]
    rows = [
        [list(first_of_class(real, label)), list(first_of_class(synthetic, label))]
        for label in range(len(shown))
    ]
    draw_rows(rows, shown, ("real", "synthetic"), (COLUMNS, COLUMNS), path)
    cut = len(real.classes) - len(shown)
    more = f" The first {len(shown)} of {len(real.classes)} classes are shown." if cut else ""
    return f"Real {reference} images (left) and synthetic images (right), not selected.{more}"


def first_of_class(images: LabelledImages, label: int) -> Tensor:
    """The first few: sets have no meaningful order, so nothing is picked for its looks."""
    positions = (images.labels == label).nonzero().flatten()[:COLUMNS]
    return images.images[positions]


def neighbour_figure(
    rows: Sequence[tuple[str, Tensor, Tensor]], path: Path, *, across: int
) -> None:
    """Each entry: class name, synthetic image ``(C, H, W)``, its nearest training images
    ``(K, C, H, W)``. ``across`` such pairs of one class share a row."""
    by_class: dict[str, list[list[Tensor]]] = {}
    for name, synthetic, training in rows:
        by_class.setdefault(name, []).append([synthetic, *training])
    names = list(by_class)[:MOST_CLASSES]
    width = 1 + max(len(training) for _, _, training in rows)
    blocks = [by_class[name][:across] for name in names]
    draw_rows(blocks, names, ("synthetic | nearest",) * across, (width,) * across, path)


def draw_rows(
    rows: Sequence[Sequence[Sequence[Tensor]]],
    names: Sequence[str],
    titles: Sequence[str],
    widths: Sequence[int],
    path: Path,
) -> None:
    """A PNG with one labelled row per name; each row has one block of images per title, which
    leaves room for ``widths`` images."""
    sample = next(image for row in rows for block in row for image in block)
    scale = max(1, -(-CELL // max(sample.shape[1:])))
    height, width = (side * scale + GAP for side in sample.shape[1:])
    font = ImageFont.load_default(LETTER)
    left = MARGIN + max(int(font.getlength(shorten(name))) for name in names) + MARGIN
    starts = [left]
    for count in widths:
        starts.append(starts[-1] + count * width + 2 * MARGIN)
    top = LETTER + 2 * MARGIN
    canvas = Image.new("RGB", (starts[-1], top + len(rows) * height + MARGIN), "white")
    pen = ImageDraw.Draw(canvas)
    for title, start in zip(titles, starts, strict=False):
        pen.text((start, MARGIN), title, fill="black", font=font)
    for number, (name, row) in enumerate(zip(names, rows, strict=True)):
        y = top + number * height
        pen.text((MARGIN, y + (height - LETTER) // 2), shorten(name), fill="black", font=font)
        for start, block in zip(starts, row, strict=False):
            for column, image in enumerate(block):
                canvas.paste(enlarged(image, scale), (start + column * width, y))
    save_png(canvas, path)


def enlarged(image: Tensor, scale: int) -> Image.Image:
    """uint8 ``(C, H, W)``, each pixel repeated."""
    return to_pil(image.repeat_interleave(scale, 1).repeat_interleave(scale, 2)).convert("RGB")


def shorten(name: str, at_most: int = 16) -> str:
    return name if len(name) <= at_most else name[: at_most - 1] + "…"


def save_png(picture: Image.Image, path: Path) -> None:
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG", optimize=True)
    write_bytes(path, buffer.getvalue())
