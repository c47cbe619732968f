"""The one form that all images of a set are brought to: size, bands, and type of their levels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from synthgen.data.images import choose_size
from synthgen.data.levels import MOST_BITS, Range, stored_type, widened
from synthgen.data.readers import Header, ImageFile, ImageFileError, Raster
from synthgen.images import TOP


@dataclass(frozen=True)
class Form:
    """What every file becomes.

    Attributes:
        size: (height, width).
        bands: 1, 3, or those that the files have; grey files have a place among colours.
        dtype: uint8 if every file has at most 8 bits, else what holds the levels of all.
        scale: the kind of level that is taken, see :func:`scale_of`; None: any.
        top: the highest level that each file's own highest becomes, 255 or 65535; None: levels stay
            as they are.
        declared: see :class:`synthgen.data.levels.UnscaledImages`.
    """

    size: tuple[int, int]
    bands: int
    dtype: np.dtype
    scale: str | None
    top: int | None
    declared: Range | None
    note: str = field(default="", compare=False)

    @classmethod
    def of_headers(
        cls,
        headers: Sequence[Header],
        size: tuple[int, int] | None,
        longest: int | None,
        *,
        mixed: bool,
    ) -> Form:
        """The form for such files. ``mixed``: see :func:`synthgen.data.files.scan_files`."""
        note = ""
        if size is None:
            sizes = Counter((header.height, header.width) for header in headers)
            size, note = choose_size(sizes, longest) if sizes else ((1, 1), "")
        bands = Counter(header.bands for header in headers)
        most = 3 if set(bands) == {1, 3} else max(bands, key=bands.__getitem__, default=1)
        return cls(size, most, *_levels(headers, mixed=mixed), note)

    def takes(self, header: Header) -> bool:
        """Whether a file can be brought to this form without guessing what its levels mean."""
        fits = header.bands == self.bands or (header.bands == 1 and self.bands == 3)
        if self.dtype == np.uint8:
            return fits and header.shallow
        return fits and self.scale in (None, scale_of(header))

    def stranger(self, file: ImageFile, header: Header) -> ImageFileError:
        """The error for a file that it doesn't take."""
        if self.scale not in (None, scale_of(header)):
            problem = f"has {scale_of(header)} levels, most others {self.scale} ones"
            if header.format == "DICOM":
                problem += " (data.window=full or [center,width] treats all DICOM files alike)"
        else:
            problem = f"has {header.bands} bands, most others {self.bands}"
        return ImageFileError(file, "other_kind", problem)

    def convert(self, file: ImageFile, raster: Raster) -> np.ndarray:
        """Its levels, ``(H, W)`` or ``(H, W, bands)``, as the type of this form. Raises
        ImageFileError for levels that are no numbers."""
        levels = raster.levels
        if self.top is not None and raster.header.sample == "unsigned":
            return widened(levels, raster.header.bits, self.top)
        if levels.dtype.kind == "f" and not np.isfinite(levels).all():
            raise ImageFileError(file, "corrupt", "holds levels that are not finite numbers")
        return levels.astype(self.dtype, copy=False)


def scale_of(header: Header) -> str:
    """In a word, what files must have in common for one scale to hold for all their levels.
    Unsigned ones of up to 16 bits do, whatever their depth: each goes from black to white, unless
    they are values in units."""
    if header.sample != "unsigned":
        return header.sample
    if header.measured and not header.shallow:
        return "measured"
    return "unsigned" if header.bits <= MOST_BITS else f"{header.bits}-bit"


def _levels(
    headers: Sequence[Header], *, mixed: bool
) -> tuple[np.dtype, str | None, int | None, Range | None]:
    """``dtype``, ``scale``, ``top`` and ``declared`` of the form for such files."""
    if all(header.shallow for header in headers):
        return np.dtype(np.uint8), None, TOP[8], None
    kinds = {(header.sample, header.bits) for header in headers}
    if mixed:
        types = {stored_type(*kind) for kind in kinds}
        return types.pop() if len(types) == 1 else np.dtype(np.float32), None, None, None
    scales = Counter(map(scale_of, headers))
    scale = max(scales, key=scales.__getitem__)
    taken = [header for header in headers if scale_of(header) == scale]
    bits = {header.bits for header in taken}
    if taken[0].sample != "unsigned" or max(bits) > MOST_BITS:
        return stored_type(taken[0].sample, max(bits)), scale, None, None
    if len(bits) > 1 and scale != "measured":
        return np.dtype(np.uint16), scale, TOP[16], (0.0, float(TOP[16]))
    told = len(bits) == 1 and max(bits) < MOST_BITS
    return np.dtype(np.uint16), scale, None, (0.0, 2.0 ** max(bits) - 1) if told else None
