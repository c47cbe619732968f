"""The first screen of a page as a small PNG, for the documentation.

    python scripts/page_picture.py REPORT/report.html docs/images/report.png
    python scripts/page_picture.py OUT/comparison.html docs/images/comparison.png --height 1180

Needs a Chromium on the PATH (Debian: apt-get install chromium).
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import tempfile
from pathlib import Path

from PIL import Image

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
COLOURS = 128  # of the palette: a page has few


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("page", type=Path)
    parser.add_argument("picture", type=Path)
    parser.add_argument("--width", type=int, default=1300)
    parser.add_argument("--height", type=int, default=880)
    arguments = parser.parse_args()
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        raise SystemExit("No Chromium on the PATH. Install one: apt-get install chromium")
    with tempfile.TemporaryDirectory() as folder:
        shot = Path(folder) / "shot.png"
        size = f"--window-size={arguments.width},{arguments.height}"
        options = ["--headless", "--no-sandbox", "--hide-scrollbars", size, f"--screenshot={shot}"]
        page = arguments.page.resolve().as_uri()
        subprocess.run([browser, *options, page], check=True, stderr=subprocess.DEVNULL)
        with Image.open(shot) as picture:
            picture.convert("RGB").quantize(COLOURS).save(arguments.picture, optimize=True)


if __name__ == "__main__":
    main()
