"""What a file format does, and the formats with one file per image in a folder per class."""

from __future__ import annotations

import hashlib
import io
import struct
import zlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from torch import Tensor

from synthgen.errors import SynthgenError
from synthgen.images import to_pil
from synthgen.ranges import CompressLevel, Quality
from synthgen.serialization import Rebuildable
from synthgen.types import ImageSpec

# What a file format does: turn the images of one shard into files, the same bytes every time.

SHARDS = "shards"  # the folder of formats that keep many images in one file


@dataclass(frozen=True)
class Shard:
    """The images of some consecutive rows and what is stored beside them, one entry per image."""

    number: int
    images: Tensor  # uint8 or uint16 (N, C, H, W)
    labels: Sequence[int]
    seeds: Sequence[int | None]  # None: a real image
    origins: Sequence[str]  # "synthetic" or "real"
    names: Sequence[str]  # the row's number with leading zeros
    marks: Sequence[str]  # what the image says about itself, ASCII; empty for real images
    classes: tuple[str, ...]

    @property
    def file(self) -> str:
        """The path of the shard's file without its ending."""
        return f"{SHARDS}/{self.number:06d}"


@dataclass(frozen=True)
class Encoded:
    """``files`` are (path in the set, content); each image lies in ``paths[i]``, and ``digests[i]``
    is the SHA-256 of its bytes there."""

    files: Sequence[tuple[str, bytes]]
    paths: Sequence[str]
    digests: Sequence[str]


class Format(Rebuildable, ABC):
    """Encodes shards. Encoding runs in threads, several shards at a time."""

    name: ClassVar[str]
    in_shards: ClassVar[bool] = True  # False: one file per image, in a folder per class

    def prepare(self, image: ImageSpec) -> None:
        """Raise SynthgenError if such images can't be written here, before anything is drawn."""

    @abstractmethod
    def encode(self, shard: Shard) -> Encoded:
        """The shard's files."""


class ImageFiles(Format):
    """One image file per row, ``<class>/<row>.<ending>``: what ``ImageFolder`` reads."""

    in_shards = False
    ending: ClassVar[str]

    @abstractmethod
    def encode_images(self, images: Tensor, marks: Sequence[str]) -> list[bytes]:
        """``(N, C, H, W)`` that :meth:`prepare` accepts -> N image files carrying ``marks``."""

    def encode(self, shard: Shard) -> Encoded:
        contents = self.encode_images(shard.images, shard.marks)
        paths = [
            f"{shard.classes[label]}/{name}.{self.ending}"
            for label, name in zip(shard.labels, shard.names, strict=True)
        ]
        return Encoded(list(zip(paths, contents, strict=True)), paths, sha256_of(contents))


def sha256_of(contents: Sequence[bytes]) -> list[str]:
    return [hashlib.sha256(content).hexdigest() for content in contents]


def channels_last(images: Tensor) -> np.ndarray:
    """``(N, C, H, W)`` -> contiguous ``(N, H, W)`` for one channel, else ``(N, H, W, C)``."""
    if images.shape[1] == 1:
        return np.ascontiguousarray(images[:, 0].numpy())
    return np.ascontiguousarray(images.permute(0, 2, 3, 1).numpy())


def pixel_digests(pixels: np.ndarray) -> list[str]:
    """SHA-256 of each image's bytes in an array, as they are stored."""
    return [hashlib.sha256(image.data).hexdigest() for image in pixels]


def missing_package(name: str, format_name: str) -> SynthgenError:
    return SynthgenError(
        f"format={format_name} needs the package {name}, which is not installed.\n"
        f"Install it: pip install {name}"
    )


# PNG for many small images of one shape, several times faster than one library call per image.

SIGNATURE = b"\x89PNG\r\n\x1a\n"
COLOUR_TYPE = {1: 0, 3: 2}  # channels -> grey, RGB
NO_FILTER, SUB_FILTER = 0, 1


def encode_pngs(
    images: Tensor, compress_level: int = 1, marks: Sequence[str] | None = None
) -> list[bytes]:
    """uint8 or uint16 ``(N, C, H, W)`` with 1 or 3 channels -> the bytes of N PNG files (W3C PNG).
    ``marks``, ASCII, become the text chunk "Source" of each; an empty one none.

    One filter for all rows is chosen by channels: differences of neighbours (Sub) take 14 % off
    photographs, while drawings in grey are smaller without.
    """
    count, channels, height, width = images.shape
    levels = images.permute(0, 2, 3, 1).reshape(count, height, width * channels).numpy()
    pixels = levels.astype(levels.dtype.newbyteorder(">")).view(np.uint8)
    depth = levels.dtype.itemsize  # bytes
    apart = depth * channels  # a byte and that of the pixel before it
    scanlines = np.empty((count, height, 1 + width * apart), dtype=np.uint8)
    scanlines[:, :, 0] = NO_FILTER if channels == 1 else SUB_FILTER
    scanlines[:, :, 1:] = pixels
    if channels > 1:
        scanlines[:, :, 1 + apart :] -= pixels[:, :, :-apart]  # wraps, as the format wants
    header = struct.pack(">IIBBBBB", width, height, 8 * depth, COLOUR_TYPE[channels], 0, 0, 0)
    before, after = SIGNATURE + _chunk(b"IHDR", header), _chunk(b"IEND", b"")
    texts = [b""] * count if marks is None else [_text(mark) for mark in marks]
    return [
        b"".join((before, text, _chunk(b"IDAT", zlib.compress(lines.data, compress_level)), after))
        for lines, text in zip(scanlines, texts, strict=True)
    ]


def _text(mark: str) -> bytes:
    return _chunk(b"tEXt", b"Source\0" + mark.encode("ascii")) if mark else b""


def _chunk(kind: bytes, content: bytes) -> bytes:
    checksum = zlib.crc32(content, zlib.crc32(kind))
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)


# The smallest EXIF block that says one thing: ImageDescription.

IMAGE_DESCRIPTION, ASCII = 0x010E, 2


def description_exif(text: str) -> bytes:
    """ASCII ``text`` as EXIF (TIFF 6.0, little-endian, one entry), or nothing for no text."""
    if not text:
        return b""
    content = text.encode("ascii") + b"\0"
    content += b"\0" * max(0, 5 - len(content))  # four bytes or less would lie in the entry itself
    header = struct.pack("<2sHI", b"II", 42, 8)
    entry = struct.pack("<HHHII", 1, IMAGE_DESCRIPTION, ASCII, len(content), 8 + 2 + 12 + 4)
    return b"Exif\0\0" + header + entry + struct.pack("<I", 0) + content


def checked_quality(quality: int) -> int:
    if isinstance(quality, bool) or not 1 <= quality <= 100:
        raise SynthgenError(f"format.quality is {quality}, but must be from 1 to 100.")
    return quality


def require_colours(image: ImageSpec, format_name: str, *, bits: Sequence[int]) -> None:
    """Raises SynthgenError for images that aren't grey or RGB, or have other ``bits``."""
    if image.channels not in (1, 3):
        raise SynthgenError(
            f"format={format_name} holds grey or RGB images, not {image.channels} bands.\n"
            "Use format=tiff, npy, npz or hdf5."
        )
    if image.bits not in bits:
        raise SynthgenError(
            f"format={format_name} holds 8 bits, and would lose levels of 16.\n"
            "Use format=png or tiff, or npy, npz or hdf5."
        )


class PNG(ImageFiles):
    """Lossless; grey or RGB of 8 or 16 bits. ``compress_level`` is zlib's: 0 (none) to 9; above 1
    small images hardly shrink."""

    name = "png"
    ending = "png"

    def __init__(self, compress_level: CompressLevel = 1) -> None:
        if not 0 <= compress_level <= 9:
            raise SynthgenError(
                f"format.compress_level is {compress_level}, but must be from 0 to 9."
            )
        self.compress_level = compress_level

    def prepare(self, image: ImageSpec) -> None:
        require_colours(image, self.name, bits=(8, 16))

    def encode_images(self, images: Tensor, marks: Sequence[str]) -> list[bytes]:
        return encode_pngs(images, self.compress_level, marks)


class TIFF(ImageFiles):
    """Lossless (deflate); any number of bands, of 8 or 16 bits, pixel by pixel. Bands beyond grey
    or RGB are marked as unspecified, so that no reader takes one for transparency."""

    name = "tiff"
    ending = "tif"

    def encode_images(self, images: Tensor, marks: Sequence[str]) -> list[bytes]:
        import tifffile  # slow to import

        channels = images.shape[1]
        colours = 3 if channels == 3 else 1
        contents = []
        for pixels, mark in zip(channels_last(images), marks, strict=True):
            buffer = io.BytesIO()
            tifffile.imwrite(
                buffer,
                pixels,
                photometric="rgb" if colours == 3 else "minisblack",
                planarconfig="contig" if channels > 1 else None,
                extrasamples=["unspecified"] * (channels - colours),
                compression="zlib",
                description=mark or None,
                metadata=None,
                software=False,
            )
            contents.append(buffer.getvalue())
        return contents


class JPEG(ImageFiles):
    """Lossy: pixels come back changed. Colour keeps its full resolution (4:4:4)."""

    name = "jpeg"
    ending = "jpg"

    def __init__(self, quality: Quality = 95) -> None:
        self.quality = checked_quality(quality)

    def prepare(self, image: ImageSpec) -> None:
        require_colours(image, self.name, bits=(8,))

    def encode_images(self, images: Tensor, marks: Sequence[str]) -> list[bytes]:
        contents = []
        for image, mark in zip(images, marks, strict=True):
            buffer = io.BytesIO()
            to_pil(image).save(
                buffer,
                format="JPEG",
                quality=self.quality,
                subsampling=0,
                exif=description_exif(mark),
            )
            contents.append(buffer.getvalue())
        return contents


class WebP(ImageFiles):
    """``quality`` null: lossless; 1 to 100: lossy, smaller. WebP has no grey images: they come back
    as colour ones with equal channels."""

    name = "webp"
    ending = "webp"

    def __init__(self, quality: Quality | None = None) -> None:
        self.quality = None if quality is None else checked_quality(quality)

    def prepare(self, image: ImageSpec) -> None:
        require_colours(image, self.name, bits=(8,))

    def encode_images(self, images: Tensor, marks: Sequence[str]) -> list[bytes]:
        lossless = self.quality is None
        quality = 50 if self.quality is None else self.quality  # lossless: effort, not loss
        return [
            self._encode(image, mark, lossless=lossless, quality=quality)
            for image, mark in zip(images, marks, strict=True)
        ]

    def _encode(self, image: Tensor, mark: str, *, lossless: bool, quality: int) -> bytes:
        buffer = io.BytesIO()
        to_pil(image).convert("RGB").save(
            buffer,
            format="WEBP",
            lossless=lossless,
            quality=quality,
            method=1,
            exif=description_exif(mark),
        )
        return buffer.getvalue()
