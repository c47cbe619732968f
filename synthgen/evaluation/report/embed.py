"""Figures as data URIs, so that a page is one file that can be mailed."""

from __future__ import annotations

import base64
import io
import re
from dataclasses import dataclass
from pathlib import Path

from synthgen.evaluation.report.schema import Figure as Drawn

MEDIA = {"PNG": "image/png", "JPEG": "image/jpeg", "WEBP": "image/webp"}
CHARTS = "charts"  # folder of the PDFs, beside the page
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
    file: str = ""
    vector: bool = False


def embed(figure: Drawn, folder: Path) -> Figure:
    """Read ``figure.file`` inside ``folder``; files outside it are never opened, because a report
    may come from a stranger."""
    uri, width, height = read_picture(folder, figure.file)
    vector = figure.file.lower().endswith(".svg")
    pdf = f"{CHARTS}/{Path(figure.file).stem}.pdf"
    files = [figure.file, *([pdf] if vector and (folder / pdf).is_file() else [])]
    file = " · ".join(files) if uri else ""
    return Figure(uri, width, height, figure.kind, figure.label, figure.caption, file, vector)


def read_picture(folder: Path, file: str) -> tuple[str | None, int, int]:
    """The data URI of a PNG, JPEG, WebP or SVG with the width and height to show it at."""
    from PIL import Image, UnidentifiedImageError

    root = folder.resolve()
    path = (root / file).resolve()
    if not path.is_relative_to(root) or not path.is_file():
        return None, 0, 0
    content = path.read_bytes()
    if path.suffix.lower() == ".svg":
        return read_drawing(content)
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


def read_drawing(content: bytes) -> tuple[str | None, int, int]:
    """The data URI of an SVG. As the source of an ``<img>`` it can neither run scripts nor load
    anything (SVG Integration, secure static mode); without a plain size on its root it is refused.
    """
    root = re.match(rb"\s*<svg\s[^>]*>", content)
    size = root and [
        re.search(rb'\s%s="(\d{1,5})"' % key, root[0]) for key in (b"width", b"height")
    ]
    if not size or size[0] is None or size[1] is None:
        return None, 0, 0
    encoded = base64.b64encode(content).decode()
    return f"data:image/svg+xml;base64,{encoded}", int(size[0][1]), int(size[1][1])
