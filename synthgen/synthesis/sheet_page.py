"""The contact sheet as a page: a person opens it in a browser, and no image reader takes it for an
image of the set. (A picture beside the class folders costs a set all its labels in `datasets`,
is one image more for clean-fid, and for torch-fidelity the only one.)"""

from __future__ import annotations

import base64
import html
import re
from collections.abc import Sequence
from pathlib import Path

CONTACT_SHEET = "contact_sheet.html"
PICTURE_OF_OLD_SETS = "contact_sheet.png"
LEAST_LINE = 24  # CSS pixels between two rows of the sheet, so that a name fits
PADDING = 2  # of synthgen.images.grid
EMBEDDED = re.compile(r'src="data:image/png;base64,([A-Za-z0-9+/=]+)"')
PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>First images of each class</title>
<style>
body {{ display: flex; gap: 1em; font: 14px sans-serif; background: #fff; color: #000 }}
ol {{ list-style: none; margin: 0; padding: {top}px 0; line-height: {line}px }}
li {{ white-space: pre }} /* of the list it would make lines of the breaks between the names */
img {{ width: {width}px; height: {height}px; image-rendering: pixelated }}
</style>
<ol>
{names}
</ol>
<img alt="First images of each class, a row per class" src="data:image/png;base64,{picture}">
</html>
"""


def sheet_page(png: bytes, names: Sequence[str]) -> str:
    """HTML that needs no other file.

    Args:
        png: the picture, a row of images per name, as :func:`synthgen.images.grid` lays them out.
        names: of the classes, one per row.
    """
    width, height = (int.from_bytes(png[place : place + 4]) for place in (16, 20))  # of its header
    row = max(1, (height - PADDING) // max(1, len(names)))
    factor = -(-LEAST_LINE // row)  # whole, so that every pixel stays a square
    return PAGE.format(
        top=factor * PADDING // 2,
        line=factor * row,
        width=factor * width,
        height=factor * height,
        names="\n".join(f"<li>{html.escape(name)}</li>" for name in names),
        picture=base64.b64encode(png).decode(),
    )


def sheet_picture(folder: Path) -> bytes | None:
    """The contact sheet of the set in ``folder`` as PNG; None where it has none."""
    page, picture = folder / CONTACT_SHEET, folder / PICTURE_OF_OLD_SETS
    if page.is_file():
        found = EMBEDDED.search(page.read_text(encoding="utf-8", errors="replace"))
        return base64.b64decode(found[1]) if found else None
    return picture.read_bytes() if picture.is_file() else None
