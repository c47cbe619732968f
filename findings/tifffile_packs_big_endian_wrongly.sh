#!/usr/bin/env bash
# Versions: tifffile 2026.3.3, imagecodecs 2026.3.6, rasterio 1.4.4 (GDAL 3.10.3), numpy 2.4.6.
# Guess: tifffile.imwrite(levels, bitspersample=12) stores the levels in either byte order, as it
# does 8 and 16 bits.
# Seen: with byteorder=">" and 9 to 15 bits, other levels are in the file, without a warning:
# tifffile itself and GDAL read the same wrong ones. Reading is right: a big-endian 12-bit file of
# GDAL's comes out as written. Packed bits have no byte order, but are packed after a swap.
set -euo pipefail

here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
python3 -m venv "$here/venv"
"$here/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  tifffile==2026.3.3 imagecodecs==2026.3.6 rasterio==1.4.4 numpy==2.4.6

cd "$here"
"$here/venv/bin/python" - <<'PYTHON'
import warnings

import numpy as np
import rasterio
import tifffile

warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
levels = np.arange(20 * 24, dtype=np.uint16).reshape(20, 24) * 8  # 12 bits: 0 to 3832


def read_by_gdal(path):
    with rasterio.open(path) as file:
        return file.read(1)


right = {}
for bits in (8, 9, 12, 15, 16):
    fitting = (levels >> max(0, 12 - bits)).astype(np.uint8 if bits == 8 else np.uint16)
    for order in "<>":
        tifffile.imwrite("image.tif", fitting, bitspersample=bits, byteorder=order)
        by_gdal = read_by_gdal("image.tif")
        assert np.array_equal(by_gdal, tifffile.imread("image.tif"))  # who agree on what is there
        right[bits, order] = float((by_gdal == fitting).mean())
        print(f"{bits} bits, {order}: {right[bits, order]:.1%} of the pixels are those written")

size = {"height": 20, "width": 24, "count": 1, "dtype": "uint16"}
with rasterio.open("gdal.tif", "w", driver="GTiff", NBITS=12, ENDIANNESS="BIG", **size) as file:
    file.write(levels, 1)
with open("gdal.tif", "rb") as file:
    assert file.read(2) == b"MM"
assert np.array_equal(tifffile.imread("gdal.tif"), levels)  # reading is right

assert all(share == 1 for (bits, order), share in right.items() if order == "<" or bits in (8, 16))
assert all(right[bits, ">"] < 0.2 for bits in (9, 12, 15))
PYTHON
