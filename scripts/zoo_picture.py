"""One picture of what every row of the zoo draws, to look at beside the table."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

ACROSS = 8  # rows of the zoo side by side
SAMPLES = 5  # of each class; a sheet has ten in a line
GAP = 8  # pixels
CAPTION = 16  # pixels


def overview(sheets: Mapping[str, Path]) -> bytes:
    """The left half of each sheet under its name, as PNG. Sheets are of one size."""
    tiles = {name: left_half(Image.open(file)) for name, file in sheets.items()}
    width, height = next(iter(tiles.values())).size
    across = min(ACROSS, len(tiles))
    down = -(-len(tiles) // across)
    size = (across * (width + GAP) - GAP, down * (height + CAPTION + GAP) - GAP)
    canvas = Image.new("RGB", size, "white")
    draw, font = ImageDraw.Draw(canvas), ImageFont.load_default(12)
    for number, (name, tile) in enumerate(tiles.items()):
        left = number % across * (width + GAP)
        top = number // across * (height + CAPTION + GAP)
        draw.text((left + width // 2, top), name, "black", font, anchor="ma")
        canvas.paste(tile, (left, top + CAPTION))
    return png(canvas, grey=all(tile.mode == "L" for tile in tiles.values()))


def left_half(sheet: Image.Image) -> Image.Image:
    return sheet.crop((0, 0, sheet.width * SAMPLES // 10, sheet.height))


def png(canvas: Image.Image, *, grey: bool) -> bytes:
    """Sixteen shades are enough for grey samples, at a quarter of the bytes."""
    if grey:
        canvas = canvas.convert("L").quantize(16)
    stream = io.BytesIO()
    canvas.save(stream, "PNG", optimize=True)
    return stream.getvalue()


def sheets_of(folder: Path, names: Sequence[str]) -> dict[str, Path]:
    """Those of the rows that have one, in the order of ``names``."""
    files = {name: folder / f"{name}.png" for name in names}
    return {name: file for name, file in files.items() if file.is_file()}
