"""What the samples of a TIFF's pixel mean: its photometric interpretation.

Tags and their values are those of TIFF 6.0 (Adobe 1992), sections 3 to 21.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from PIL import Image
from tifffile import COMPRESSION, PHOTOMETRIC, TiffPage

from synthgen.data.readers.base import ExtraBand, Sample, UnreadError
from synthgen.data.readers.samples import Meaning, as_stored, with_extra

PHOTOMETRIC_TAG, INK_SET, EXTRA_SAMPLES, REFERENCE_BLACK_WHITE = 262, 332, 338, 532
WHITE, BLACK, RGB, PALETTE, CMYK, YCBCR = 0, 1, 2, 3, 5, 6
FULL_RANGE = (0, 1, 255, 1, 128, 1, 255, 1, 128, 1, 255, 1)  # fractions: black, white of Y, Cb, Cr
TO_RGB = frozenset(
    {COMPRESSION.OJPEG, COMPRESSION.JPEG, COMPRESSION.JPEG_LOSSY, COMPRESSION.ALT_JPEG}
)  # their decoder gives RGB for YCbCr
SAMPLES: dict[int, Sample] = {1: "unsigned", 2: "signed", 3: "float", 4: "unsigned"}
SIGNED_OR_REAL = "whose white is zero, in {sample} levels, which have no white of their own"


def meaning_of(page: TiffPage, extra_band: ExtraBand) -> Meaning:
    """What the samples of ``page`` are. Raises UnreadError for what isn't read; ValueError for tags
    that contradict each other."""
    sample, bits = _kind_of_level(page)
    remarks = []
    photometric = int(page.photometric)
    if PHOTOMETRIC_TAG not in page.tags:
        photometric = RGB if page.samplesperpixel >= 3 else BLACK
        remarks.append("don't say what zero means, which was taken for black")
    if photometric not in _MEANINGS:
        name = _name(PHOTOMETRIC, photometric)
        raise UnreadError(f"is a TIFF whose pixels are of the kind {name}, which is not read")
    found = _MEANINGS[photometric](page, sample, bits)
    if page.samplesperpixel < found.colours:
        raise ValueError(f"it says {found.colours} samples per pixel, {page.samplesperpixel} exist")
    tag = page.tags.valueof(EXTRA_SAMPLES, ())
    kinds = tag if isinstance(tag, tuple) else (tag,)
    extra = dict(zip(range(found.colours, page.samplesperpixel), kinds, strict=False))
    found = replace(found, remarks=(*remarks, *found.remarks))
    return with_extra(found, page.samplesperpixel, extra, extra_band)


def _kind_of_level(page: TiffPage) -> tuple[Sample, int]:
    bits, form = page.bitspersample, page.sampleformat
    if isinstance(bits, tuple) or isinstance(form, tuple):
        listed = bits if isinstance(bits, tuple) else (bits,)
        raise UnreadError(
            f"is a TIFF whose bands differ in depth or kind ({', '.join(map(str, listed))} bits)"
        )
    if form not in SAMPLES:
        raise UnreadError("is a TIFF of complex numbers" if form in (5, 6) else _odd(form, bits))
    if page.dtype is None:
        raise UnreadError(_odd(form, bits))
    return SAMPLES[form], bits


def _odd(form: int, bits: int) -> str:
    return f"is a TIFF of {bits}-bit levels of the kind {SAMPLES.get(form, form)}, not read yet"


# What each photometric interpretation asks for.


def _black(page: TiffPage, sample: Sample, bits: int) -> Meaning:
    return Meaning(sample, bits, 1, 1, as_stored)


def _rgb(page: TiffPage, sample: Sample, bits: int) -> Meaning:
    return Meaning(sample, bits, 3, 3, as_stored)


def _white(page: TiffPage, sample: Sample, bits: int) -> Meaning:
    """tifffile gives boolean arrays this tag without turning them: those come out as written."""
    if bits == 1 and (page.is_shaped or page.software.startswith("tifffile")):
        remark = (
            "are 1-bit masks that tifffile wrote, whose tag calls white zero; they were read as "
            "they were written, not turned"
        )
        return Meaning(sample, bits, 1, 1, as_stored, remarks=(remark,))
    if sample != "unsigned":
        raise UnreadError("is a TIFF " + SIGNED_OR_REAL.format(sample=sample))
    top = 2**bits - 1

    def turn(samples: np.ndarray) -> np.ndarray:
        return top - samples

    return Meaning(sample, bits, 1, 1, turn, remarks=("call white zero and were turned",))


def _palette(page: TiffPage, sample: Sample, bits: int) -> Meaning:
    """Colour maps have 16 bits; some writers put 8-bit values into them."""
    stored = page.colormap
    if stored is None or sample != "unsigned" or stored.shape[1] < 2**bits:
        raise ValueError("its palette is missing or too short")
    deep = stored.max() > 255
    colours = stored >> 8 if deep else stored
    low = stored & 255
    lost = bool(deep and ((low != 0) & (low != colours)).any())
    said = ("have a palette of 16 bits, of which the upper 8 were kept",) if lost else ()
    table = colours.T.astype(np.uint8)

    def look_up(samples: np.ndarray) -> np.ndarray:
        return table[samples[..., 0]]

    return Meaning("unsigned", 8, 1, 3, look_up, remarks=said)


def _cmyk(page: TiffPage, sample: Sample, bits: int) -> Meaning:
    """Without a colour profile, as Pillow does: each colour is what ink and black leave of it."""
    if sample != "unsigned" or page.tags.valueof(INK_SET, 1) != 1:
        raise UnreadError("is a TIFF of inks other than CMYK")
    if page.compression in TO_RGB:
        raise UnreadError("is a TIFF of CMYK colours inside of JPEG")
    top = 2**bits - 1

    def mix(samples: np.ndarray) -> np.ndarray:
        left = top - samples.astype(np.float64)
        return np.rint(left[..., :3] * left[..., 3:] / top).astype(samples.dtype)

    return Meaning(sample, bits, 4, 3, mix, remarks=("are in CMYK and were converted to RGB",))


def _ycbcr(page: TiffPage, sample: Sample, bits: int) -> Meaning:
    if page.compression in TO_RGB:
        return _rgb(page, sample, bits)
    ends = page.tags.valueof(REFERENCE_BLACK_WHITE, FULL_RANGE)
    if (sample, bits) != ("unsigned", 8) or ends != FULL_RANGE:
        raise UnreadError("is a TIFF of YCbCr colours that are not stored as 8 full bits")
    if page.is_subsampled:
        raise UnreadError("is a TIFF of YCbCr colours that are stored coarser than their light")

    def convert(samples: np.ndarray) -> np.ndarray:
        image = Image.fromarray(np.ascontiguousarray(samples), mode="YCbCr")
        return np.asarray(image.convert("RGB"))

    remark = "are in YCbCr and were converted to RGB"
    return Meaning(sample, bits, 3, 3, convert, remarks=(remark,))


_MEANINGS = {
    WHITE: _white,
    BLACK: _black,
    RGB: _rgb,
    PALETTE: _palette,
    CMYK: _cmyk,
    YCBCR: _ycbcr,
}


def _name(names: type, value: int) -> str:
    try:
        return str(names(value).name)
    except ValueError:
        return str(value)
