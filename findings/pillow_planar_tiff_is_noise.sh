#!/usr/bin/env bash
# Versions: Pillow 13.0.0, tifffile 2026.3.3, numpy 2.4.6.
# Guess: a 16-bit RGB TIFF is read, or refused; how its channels are laid out in the file doesn't
# matter, as it doesn't at 8 bits.
# Seen: stored plane by plane and uncompressed (what tifffile writes for an array (3, H, W)) it opens
# as 8-bit RGB with other pixels, far from the image and without a warning. Compressed, pixel by
# pixel, or with 8 bits, it is right.
set -euo pipefail

here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
python3 -m venv "$here/venv"
"$here/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  pillow==13.0.0 tifffile==2026.3.3 numpy==2.4.6

cd "$here"
"$here/venv/bin/python" -W error - <<'PYTHON'
import numpy as np
import tifffile
from PIL import Image

ramp = np.linspace(0, 65535, 48 * 64).reshape(48, 64)
deep = np.stack([ramp, ramp[::-1], ramp[:, ::-1]]).astype(np.uint16)  # (3, H, W): smooth colours


def error_of_pillow(planes, *, by_plane, compression=None):
    """Mean distance to the image, in levels of 255; tifffile itself reads it back exactly."""
    stored = planes if by_plane else np.moveaxis(planes, 0, -1)
    layout = {"planarconfig": "separate"} if by_plane else {}
    tifffile.imwrite("image.tif", stored, photometric="rgb", compression=compression, **layout)
    assert np.array_equal(tifffile.imread("image.tif"), stored)
    with Image.open("image.tif") as image:
        assert (image.mode, image.size) == ("RGB", (64, 48))
        found = np.asarray(image).astype(float)
    scale = 257 if planes.dtype == np.uint16 else 1
    return float(np.abs(found - np.moveaxis(planes, 0, -1) / scale).mean())


errors = {
    (bits, by_plane): error_of_pillow(planes, by_plane=by_plane)
    for bits, planes in ((16, deep), (8, (deep // 257).astype(np.uint8)))
    for by_plane in (False, True)
}
for (bits, by_plane), error in errors.items():
    print(f"{bits} bits, {'by plane' if by_plane else 'by pixel'}: mean error {error:.1f} of 255")
compressed = error_of_pillow(deep, by_plane=True, compression="zlib")
print(f"16 bits, by plane, compressed: mean error {compressed:.1f} of 255")
assert compressed < 1
assert errors[16, True] > 40
assert errors[16, False] < 1
assert errors[8, True] == errors[8, False] == 0
PYTHON
