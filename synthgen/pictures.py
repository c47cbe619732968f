"""Grids of images with names beside their rows and above their columns, large enough for eyes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from itertools import takewhile
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from synthgen.images import grid, to_pil

READABLE = 56  # pixels of an image's longer side in a picture; smaller images are enlarged
TEXT = 14
MARGIN = 6
LONGEST_NAME = 24  # characters beside a row or above a column
GAP = 2  # of synthgen.images.grid
LEAST_WIDTH = 360  # of a picture with a note, so that it isn't a column of words


def named_grid(
    images: Tensor,
    rows: Sequence[str] | None = None,
    columns: Sequence[str] | None = None,
    note: str = "",
) -> Image.Image:
    """uint8 ``(R, K, C, H, W)`` as R rows of K images, with a name beside each row and above each
    column where there are any: upright if one is too long to lie above its column. ``note`` stands
    below."""
    height, width = images.shape[3:]
    factor = enlargement(height, width)
    large = images.flatten(0, 1).repeat_interleave(factor, 2).repeat_interleave(factor, 3)
    picture = to_pil(grid(large, columns=images.shape[1]))
    font = readable_font()
    rows, columns = (short_names(names or ()) for names in (rows, columns))
    left = max((_length(name, font) + 2 * MARGIN for name in rows), default=0)
    longest = max((_length(name, font) for name in columns), default=0)
    upright = longest > factor * width
    top = (longest if upright else TEXT) + 2 * MARGIN if columns else 0
    across = max(picture.width + left, LEAST_WIDTH if note else 0)
    lines = wrapped(note, across - 2 * MARGIN, font)
    below = len(lines) * (TEXT + MARGIN) + MARGIN if lines else 0
    size = (across, picture.height + top + below)
    canvas = Image.new(picture.mode, size, "white")
    canvas.paste(picture, (left, top))
    draw = ImageDraw.Draw(canvas)
    for number, name in enumerate(rows):
        middle = top + GAP + number * (factor * height + GAP) + factor * height // 2
        draw.text((MARGIN, middle), name, "black", font=font, anchor="lm")
    for number, name in enumerate(columns):
        middle = left + GAP + number * (factor * width + GAP) + factor * width // 2
        if upright:
            _write_upright(canvas, name, (middle, top - MARGIN), font)
        else:
            draw.text((middle, top // 2), name, "black", font=font, anchor="mm")
    for number, line in enumerate(lines):
        place = (MARGIN, top + picture.height + MARGIN + number * (TEXT + MARGIN))
        draw.text(place, line, "black", font=font)
    return canvas


def _write_upright(
    canvas: Image.Image, name: str, foot: tuple[int, int], font: ImageFont.FreeTypeFont
) -> None:
    """``name`` from below upwards, with its middle above ``foot``."""
    line = TEXT + MARGIN
    text = Image.new("L", (max(1, _length(name, font)), line), "white")
    ImageDraw.Draw(text).text((0, line // 2), name, "black", font=font, anchor="lm")
    turned = text.rotate(90, expand=True).convert(canvas.mode)
    canvas.paste(turned, (foot[0] - line // 2, foot[1] - turned.height))


def _length(name: str, font: ImageFont.FreeTypeFont) -> int:
    return round(font.getlength(name))


def short_names(names: Sequence[str], most: int = LONGEST_NAME) -> list[str]:
    """Names of at most ``most`` characters: long ones without their middle, or, where several would
    read the same, without the words that these begin with."""
    short = [shortened(name, most) for name in names]
    counts = Counter(short)
    for one in [one for one, count in counts.items() if count > 1]:
        places = [place for place, other in enumerate(short) if other == one]
        common = beginning([names[place] for place in places])
        start = max(common.rfind(mark) for mark in " _-./") + 1
        for place in places:
            rest = names[place][start:]
            end = "…" if len(rest) >= most else ""
            short[place] = f"…{rest[: most - 2]}{end}" if start else rest[:most]
    return short


def beginning(names: Sequence[str]) -> str:
    """What all of them begin with."""
    alike = takewhile(lambda letters: len(set(letters)) == 1, zip(*names, strict=False))
    return "".join(letters[0] for letters in alike)


def shortened(name: str, most: int = LONGEST_NAME) -> str:
    """Without its middle if it is too long."""
    if len(name) <= most:
        return name
    end = (most - 1) // 2
    return f"{name[: most - 1 - end]}…{name[-end:]}"


def wrapped(text: str, width: int, font: ImageFont.FreeTypeFont) -> list[str]:
    """Lines of at most ``width`` pixels, broken between words; none for no text."""
    lines: list[str] = []
    for word in text.split():
        if lines and font.getlength(f"{lines[-1]} {word}") <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines


@cache
def readable_font(size: int = TEXT) -> ImageFont.FreeTypeFont:
    """DejaVu Sans, which Matplotlib brings along: Pillow's own font has hardly more than ASCII."""
    found = find_spec("matplotlib")  # not imported: that takes half a second
    assert found is not None
    assert found.origin is not None
    place = Path(found.origin).parent / "mpl-data/fonts/ttf/DejaVuSans.ttf"
    return ImageFont.truetype(place, size)


def enlargement(height: int, width: int) -> int:
    """Whole, so that every pixel stays a square."""
    return max(1, -(-READABLE // max(height, width)))
