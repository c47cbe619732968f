"""What all our HTML pages share: one base, its colours and style, and pictures inside the file."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import TYPE_CHECKING

from torch import Tensor

from synthgen.images import encode_png

if TYPE_CHECKING:
    from jinja2 import Environment

SHARED = Path(__file__).resolve().parent / "templates"
COMPRESSION = 9  # the same for every image; nothing but pixels goes into the file


def environment(*folders: Path) -> Environment:
    """Jinja with the shared templates and those in ``folders``; everything is escaped."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    return Environment(
        loader=FileSystemLoader([*folders, SHARED]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def picture_uri(image: Tensor) -> str:
    """uint8 ``(C, H, W)`` with 1 or 3 channels as a PNG that lies in the page itself."""
    png = encode_png(image, compress_level=COMPRESSION)
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"
