#!/usr/bin/env bash
# Versions: Pillow 13.0.0, imagecodecs 2026.3.6, numpy 2.4.6.
# Guess: a lossless 16-bit colour JPEG 2000 opens in Pillow as 8-bit RGB, 0 black and 255 white.
# Seen: the topmost 128 of the 65,536 levels come out as 0: white, and all that is saturated, is
# black. Grey images keep their 16 bits and are right.
set -euo pipefail

here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
python3 -m venv "$here/venv"
"$here/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  pillow==13.0.0 imagecodecs==2026.3.6 numpy==2.4.6

cd "$here"
"$here/venv/bin/python" -W error - <<'PYTHON'
import io

import imagecodecs
import numpy as np
from PIL import Image

levels = np.arange(65536, dtype=np.uint16).reshape(256, 256)  # each level once


def by_pillow(pixels):
    content = imagecodecs.jpeg2k_encode(pixels, level=0, reversible=True)
    assert np.array_equal(imagecodecs.jpeg2k_decode(content), pixels)  # the file is right
    with Image.open(io.BytesIO(content)) as image:
        return np.asarray(image)


colour = by_pillow(np.stack([levels] * 3, axis=-1))
assert colour.dtype == np.uint8
assert (colour == colour[..., :1]).all()
found = colour[..., 0].ravel().astype(int)
black = np.flatnonzero(found == 0)
print(f"level 32768 -> {found[32768]}, 65407 -> {found[65407]}, 65535 -> {found[65535]}")
print(f"{(black > 60000).sum()} bright levels are black, from {black[black > 60000].min()} up")
assert (found[32768], found[65407], found[65535]) == (128, 255, 0)
assert black[black > 60000].tolist() == list(range(65408, 65536))
assert np.array_equal(by_pillow(levels), levels)
PYTHON
