"""One picture with a labelled row of thumbnails for each class and each kind of finding."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from synthgen.images import to_pil

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
