"""TIFF and BigTIFF: levels as the file holds them, by tifffile."""

from __future__ import annotations

import logging
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from math import prod
from typing import BinaryIO, ClassVar

import numpy as np
import tifffile
from tifffile import COMPRESSION, TiffFile, TiffPage, TiffPages, TiffPageSeries

from synthgen.data.readers.base import (
    BROKEN,
    Header,
    Raster,
    Reader,
    UnreadError,
    upright,
)
from synthgen.data.readers.photometric import Meaning, meaning_of

MAGIC = (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+")
CANON_RAW = b"CR\x02"
REDUCED, MASK = 1, 4  # bits of NewSubfileType
ORIENTATION, NODATA = 274, 42113
LOOKED_AT = 64  # pages whose tags are read to tell pictures from their thumbnails
PICTURE_AXES = frozenset("YXS")
AXES = {"C": "channels", "Z": "depth", "T": "time", "Q": "unnamed", "I": "pages"}
UNDESCRIBED = frozenset({"generic", "uniform"})  # kinds of series
WRITERS = {"shaped": "tifffile", "imagej": "ImageJ", "ome": "OME", "lsm": "Zeiss LSM"}
WAYS_OUT = "data.pages=first takes the first, data.pages=bands takes each as a band"
DAMAGED = (*BROKEN, RuntimeError, ArithmeticError, AttributeError, AssertionError, MemoryError)


class TiffReader(Reader):
    """TIFF of 1 to 64 bits, whole or real numbers, any number of bands, in every compression that
    imagecodecs knows.

    Of several pages the first is read that is neither a thumbnail nor a mask. Pages that a
    description (OME, ImageJ, tifffile) calls channels are bands; what it calls anything else
    (depth, time) is refused until ``data.pages`` decides.
    """

    name: ClassVar[str] = "tifffile"
    extensions: ClassVar[frozenset[str]] = frozenset({".tif", ".tiff", ".btf"})
    broken: ClassVar[tuple[type[Exception], ...]] = DAMAGED

    def begins(self, head: bytes, name: str) -> bool:
        return head.startswith(MAGIC)

    def header(self, stream: BinaryIO) -> Header:
        with _opened(stream) as tiff:
            return self._look(tiff).header

    def read(self, stream: BinaryIO, target: tuple[int, int] | None) -> Raster:
        with _opened(stream) as tiff:
            found = self._look(tiff)
            _require_whole(found, tiff.filehandle.size)
            samples = _samples(found)
            meaning = found.meaning
            levels = meaning.convert(samples) if found.series else meaning.levels(samples)
            levels = np.ascontiguousarray(upright(levels, found.orientation))
            header = found.header
            if header.bands == 1:
                levels = levels[..., 0]
            return Raster(_with_gaps(header, found.page, levels), levels)

    def _look(self, tiff: TiffFile) -> _Found:
        first = tiff.pages[0]
        if not isinstance(first, TiffPage):
            raise ValueError("its first page has no description")
        tiff.filehandle.seek(8)
        if tiff.filehandle.read(3) == CANON_RAW:
            raise UnreadError("is a camera's raw file")
        page, series, frames = self._picture(tiff, first)
        meaning = meaning_of(page, self.choices.extra_band)
        stacked = _stacked(series) if series else 1
        if series and (page.samplesperpixel, meaning.bands) != (1, 1):
            raise UnreadError("is a TIFF stack of colour pictures", "data.pages=first takes one")
        bands = meaning.bands * stacked
        self.sized(page.imagelength, page.imagewidth, max(bands, page.samplesperpixel * stacked))
        if page.is_tiled:
            self.sized(page.tilelength, page.tilewidth, page.samplesperpixel)
        _require_readable(page)
        orientation = page.tags.valueof(ORIENTATION, 1)
        orientation = orientation if orientation in range(1, 9) else 1
        height, width = page.imagelength, page.imagewidth
        if orientation > 4:
            height, width = width, height
        remarks = meaning.remarks
        if series is not None:
            remarks += ("hold their bands as pages",)
        header = Header(
            "TIFF",
            height,
            width,
            bands=bands,
            sample=meaning.sample,
            bits=meaning.bits,
            alpha=meaning.alpha is not None,
            turned=orientation > 1,
            frames=frames,
            remarks=remarks,
        )
        return _Found(page, series, meaning, orientation, header)

    def _picture(
        self, tiff: TiffFile, first: TiffPage
    ) -> tuple[TiffPage, TiffPageSeries | None, int]:
        """The page to read; or the series whose pages are bands; and how many pictures there are.
        Raises UnreadError if that is unclear."""
        count = len(tiff.pages)
        if count == 1 and not (first.is_imagej or first.is_stk or first.subfiletype & REDUCED):
            return first, None, 1
        wanted = self.choices.pages
        series = None if wanted == "first" else tiff.series[0]
        axes = _further_axes(series) if series else {}
        if series and axes and (wanted == "bands" or series.kind not in UNDESCRIBED):
            if len(axes) == 1 and (wanted == "bands" or "C" in axes):
                return series.keyframe, series, 1
            said = " × ".join(f"{n:,} ({AXES.get(axis, axis)})" for axis, n in axes.items())
            raise UnreadError(
                f"is a stack of {said} pictures, as {WRITERS.get(series.kind, series.kind)} "
                "describes it; which one is meant is unclear",
                WAYS_OUT if len(axes) == 1 else "data.pages=first takes the first",
            )
        page, pictures = _first_full(tiff, first, count)
        return page, None, pictures


@dataclass(frozen=True)
class _Found:
    """A page to read, or with ``series`` all of its pages as bands, and what it is."""

    page: TiffPage
    series: TiffPageSeries | None
    meaning: Meaning
    orientation: int
    header: Header


def _first_full(tiff: TiffFile, first: TiffPage, count: int) -> tuple[TiffPage, int]:
    """The first page that is neither a thumbnail nor a mask, perhaps below the first one; and how
    many such pages there are."""
    looked_at = min(count, LOOKED_AT)
    full = _full(tiff.pages, looked_at)
    if not full and first.pages is not None:
        full = _full(first.pages, min(len(first.pages), LOOKED_AT))
    if not full:
        return first, count
    return full[0], len(full) + count - looked_at


def _full(pages: TiffPages, count: int) -> list[TiffPage]:
    """Those of the first ``count`` that are neither thumbnails nor masks."""
    known = [pages[at] for at in range(count)]
    return [
        page
        for page in known
        if isinstance(page, TiffPage) and not page.subfiletype & (REDUCED | MASK)
    ]


def _further_axes(series: TiffPageSeries) -> dict[str, int]:
    """Axes that aren't those of one picture, and their lengths."""
    pairs = zip(series.axes, series.shape, strict=True)
    return {axis: size for axis, size in pairs if axis not in PICTURE_AXES and size > 1}


def _stacked(series: TiffPageSeries) -> int:
    return prod(_further_axes(series).values())


def _require_readable(page: TiffPage) -> None:
    """Raises UnreadError for what no decoder reads."""
    if page.imagedepth > 1:
        raise UnreadError(f"is a TIFF volume of {page.imagedepth:,} slices")
    try:
        tifffile.TIFF.DECOMPRESSORS[page.compression]
    except KeyError:
        known = COMPRESSION._value2member_map_.get(int(page.compression))
        name = known.name if isinstance(known, COMPRESSION) else f"number {page.compression}"
        raise UnreadError(f"is a TIFF compressed by {name}, which is not read") from None


def _require_whole(found: _Found, size: int) -> None:
    """Raises ValueError if a strip or tile lies beyond the end of the file of ``size`` bytes, which
    tifffile would fill."""
    pages = found.series.pages if found.series is not None else [found.page]
    for page in pages:
        if page is None:
            raise UnreadError("is one file of a picture that is kept in several")
        offsets, counts = np.array(page.dataoffsets), np.array(page.databytecounts)
        if len(offsets) != len(counts) or len(offsets) < prod(found.page.chunked):
            raise ValueError("strips or tiles are missing from its list")
        if (offsets + counts).max(initial=0) > size:
            raise ValueError("the file is cut short")


def _samples(found: _Found) -> np.ndarray:
    """``(H, W, samples)`` in native byte order; of a series, the samples of all pages."""
    page = found.page
    try:
        if found.series is None:
            stored = page.asarray(squeeze=False, maxworkers=1)[:, 0]
        else:
            planes = found.series.asarray(maxworkers=1)
            stored = planes.reshape(-1, page.imagelength, page.imagewidth, 1)
    except NotImplementedError as error:
        raise UnreadError(f"is a TIFF of a kind that is not read ({error})") from error
    samples = np.moveaxis(stored, 0, -2).reshape(*stored.shape[1:3], -1)
    if samples.dtype == bool:
        return samples.view(np.uint8)
    return samples.astype(samples.dtype.newbyteorder("="), copy=False)


def _with_gaps(header: Header, page: TiffPage, levels: np.ndarray) -> Header:
    """The header, with a remark if there are pixels without data: of a level that GDAL's tag names,
    or in blocks that were never written."""
    said: tuple[str, ...] = ()
    gap = page.nodata
    if NODATA in page.tags and (np.isnan(levels) if gap != gap else levels == gap).any():
        said = ("have pixels that GDAL's tag calls without data, which were taken as they are",)
    if 0 in page.databytecounts:
        said += (f"leave out parts of the picture, which were taken as level {gap}",)
    return replace(header, remarks=header.remarks + said) if said else header


# tifffile goes on where a file breaks off in its list of pages, or in the description of one.

TYPE_SIZES = {2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8} | {
    1: 1, 13: 4, 16: 8, 17: 8, 18: 8
}  # fmt: skip
PRIVATE = 32_768  # tags from here on are their writers' own


def _require_pages(stream: BinaryIO) -> None:
    """Walk through the directories of pages (TIFF 6.0, section 2; BigTIFF has wider numbers).
    Raises ValueError if one, or the value of a tag, lies beyond the end of the file."""
    stream.seek(0, 2)
    size = stream.tell()
    stream.seek(0)
    head = stream.read(16)
    order = "<" if head[:2] == b"II" else ">"
    wide = head[2:4] in (b"+\x00", b"\x00+")
    number, offset_of, entry = ("Q", "Q", "HHQQ") if wide else ("H", "I", "HHII")
    (offset,) = struct.unpack_from(order + offset_of, head, 8 if wide else 4)
    seen = set()
    while offset:
        if offset in seen or offset >= size:
            raise ValueError("its list of pages leads nowhere; perhaps the file is cut short")
        seen.add(offset)
        stream.seek(offset)
        (count,) = struct.unpack(order + number, stream.read(struct.calcsize(number)))
        length = count * struct.calcsize(order + entry)
        if length > size:
            raise ValueError(f"a page claims to have {count:,} tags")
        listed = stream.read(length)
        (offset,) = struct.unpack(order + offset_of, stream.read(struct.calcsize(offset_of)))
        for tag, typ, values, at in struct.iter_unpack(order + entry, listed):
            needed = values * TYPE_SIZES.get(typ, 0)
            if tag < PRIVATE and needed > struct.calcsize(offset_of) and at + needed > size:
                raise ValueError(f"tag {tag} lies beyond its end; perhaps the file is cut short")
    stream.seek(0)


# tifffile logs what it finds odd in a file. What matters of it ends in an error or a remark here.

_READING = ContextVar("reading", default=False)


def _unheard(record: logging.LogRecord) -> bool:
    return not _READING.get()


@contextmanager
def _opened(stream: BinaryIO) -> Iterator[TiffFile]:
    _require_pages(stream)
    tifffile.logger().addFilter(_unheard)  # which is there once however often it is added
    before = _READING.set(True)
    try:
        with TiffFile(stream) as tiff:
            yield tiff
    finally:
        _READING.reset(before)
