#!/usr/bin/env bash
# Versions: Pillow 13.0.0, numpy 2.4.6.
# Guess: turning or shifting a 16-bit grey image (mode I;16) with bilinear or bicubic interpolation
# gives levels between those of the image, as resizing does.
# Seen: the result keeps mode I;16 and holds nothing above 255: an X-ray becomes black. No warning.
# Nearest-neighbour, resizing, and the same image as float (mode F) are right.
set -euo pipefail

here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
python3 -m venv "$here/venv"
"$here/venv/bin/python" -m pip install --quiet --disable-pip-version-check pillow==13.0.0 numpy==2.4.6

"$here/venv/bin/python" -W error - <<'PYTHON'
import numpy as np
from PIL import Image
from PIL.Image import Resampling, Transform

column = np.linspace(20_000, 60_000, 64).astype(np.uint16)
image = Image.fromarray(np.tile(column, (64, 1)))  # smooth, from left to right
half = (1, 0, 0.5, 0, 1, 0)  # half a pixel to the left
assert image.mode == "I;16"


def centre(result):
    """The middle pixels, that no border reaches."""
    return np.asarray(result)[24:40, 24:40].astype(float)


def between(result):
    return bool((centre(result) >= 20_000).all() and (centre(result) <= 60_000).all())


for method in (Resampling.BILINEAR, Resampling.BICUBIC):
    turned = image.rotate(10, method)
    shifted = image.transform(image.size, Transform.AFFINE, half, method)
    right = image.convert("F").rotate(10, method)
    print(f"{method.name}: turned {centre(turned).max():.0f}, as float {centre(right).max():.0f}")
    assert turned.mode == shifted.mode == "I;16"
    assert centre(turned).max() <= 255
    assert centre(shifted).max() <= 255
    assert between(right)
    assert between(image.resize((50, 50), method))
assert between(image.rotate(10, Resampling.NEAREST))
PYTHON
