"""One picture as a NumPy array in an npy file: any number of bands, whole or real numbers."""

from __future__ import annotations

from tokenize import TokenError
from typing import BinaryIO, ClassVar

import numpy as np
from numpy.lib import format as npy

from synthgen.data.readers.base import BROKEN, Header, Raster, Reader, Sample, UnreadError

KINDS: dict[str, Sample] = {"b": "unsigned", "u": "unsigned", "i": "signed", "f": "float"}
VERSIONS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
MOST_BANDS_FIRST = 16  # more may be slices or time


class NpyReader(Reader):
    """``(H, W)``, ``(H, W, bands)``, or ``(bands, H, W)`` with at most 16 bands. Bands are the
    shortest axis; where that leaves it open, the file isn't read."""

    name: ClassVar[str] = "NumPy"
    # No extensions: an npy file beside the class folders is rather a list of labels than a picture.
    broken: ClassVar[tuple[type[Exception], ...]] = (*BROKEN, TokenError)

    def begins(self, head: bytes, name: str) -> bool:
        return head.startswith(npy.MAGIC_PREFIX)

    def header(self, stream: BinaryIO) -> Header:
        return self._look(stream)[0]

    def read(self, stream: BinaryIO, target: tuple[int, int] | None) -> Raster:
        header, first = self._look(stream)
        stream.seek(0)
        levels = npy.read_array(stream, allow_pickle=False)
        if levels.ndim == 3:
            levels = np.moveaxis(levels, 0, -1) if first else levels
            levels = levels[..., 0] if header.bands == 1 else levels
        if levels.dtype == bool:
            levels = levels.astype(np.uint8)
        native = levels.astype(levels.dtype.newbyteorder("="), copy=False)
        return Raster(header, np.ascontiguousarray(native))

    def _look(self, stream: BinaryIO) -> tuple[Header, bool]:
        """The header, and whether bands are the first axis."""
        version = npy.read_magic(stream)
        if version not in VERSIONS:
            raise UnreadError(f"is a NumPy file of version {version[0]}.{version[1]}")
        shape, _, dtype = VERSIONS[version](stream)
        if dtype.kind not in KINDS or dtype.itemsize > 8:
            raise UnreadError(f"is a NumPy array of the type {dtype}")
        if len(shape) not in (2, 3):
            raise UnreadError(
                f"is a NumPy array of {len(shape)} axes ({' × '.join(map(str, shape))})",
                "One picture has (H, W), (H, W, bands) or (bands, H, W)",
            )
        first = len(shape) == 3 and shape[0] < min(shape[1:]) and shape[0] <= MOST_BANDS_FIRST
        last = len(shape) == 3 and shape[2] < min(shape[:2])
        if len(shape) == 3 and not first and not last:
            raise UnreadError(
                f"is a NumPy array of {' × '.join(map(str, shape))}, whose bands may be any axis",
                "Save it as (H, W, bands) with fewer bands than rows and columns, or as TIFF",
            )
        bands = shape[0] if first else shape[2] if last else 1
        height, width = shape[1:] if first else shape[:2]
        self.sized(height, width, bands)
        bits = 1 if dtype.kind == "b" else 8 * dtype.itemsize
        remarks = ("have their bands as the first axis",) if first else ()
        header = Header(
            "NumPy", height, width, bands, sample=KINDS[dtype.kind], bits=bits, remarks=remarks
        )
        return header, first
