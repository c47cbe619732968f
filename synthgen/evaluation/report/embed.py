"""Figures as data URIs, so that a page is one file that can be mailed."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MEDIA = {"PNG": "image/png", "JPEG": "image/jpeg", "WEBP": "image/webp"}
COMFORTABLE_WIDTH = 560  # CSS pixels up to which small pictures are enlarged, in whole steps


@dataclass(frozen=True)
class Figure:
    """An embedded picture; ``uri`` is None when its file is missing or no picture."""

    uri: str | None
    width: int
    height: int
    kind: str
    of_class: str | None
    caption: str


def embed(figure: dict[str, Any], folder: Path) -> Figure:
    """Read ``figure["file"]`` inside ``folder``; files outside it are never opened, because a
    report may come from a stranger."""
    caption = str(figure.get("caption") or "")
    kind, of_class = str(figure.get("kind") or ""), figure.get("class")
    uri, width, height = read_picture(folder, str(figure.get("file") or ""))
    return Figure(uri, width, height, kind, None if of_class is None else str(of_class), caption)


def read_picture(folder: Path, file: str) -> tuple[str | None, int, int]:
    """The data URI of a PNG, JPEG or WebP with the width and height to show it at."""
    from PIL import Image, UnidentifiedImageError

    root = folder.resolve()
    path = (root / file).resolve()
    if not path.is_relative_to(root) or not path.is_file():
        return None, 0, 0
    content = path.read_bytes()
    try:
        with Image.open(io.BytesIO(content)) as image:
            media, (width, height) = MEDIA.get(image.format or ""), image.size
    except (UnidentifiedImageError, OSError):
        return None, 0, 0
    if media is None:
        return None, 0, 0
    zoom = max(1, min(4, COMFORTABLE_WIDTH // max(width, 1)))
    encoded = base64.b64encode(content).decode()
    return f"data:{media};base64,{encoded}", width * zoom, height * zoom
