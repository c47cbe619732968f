"""From a file to levels: a reader per family of formats, found by how a file begins."""

from collections.abc import Callable, Sequence
from typing import BinaryIO, TypeVar

from PIL import UnidentifiedImageError

from synthgen.data.readers.base import (
    HEAD,
    Choices,
    FileBytes,
    Header,
    ImageFile,
    ImageFileError,
    Raster,
    Reader,
    UnreadError,
    corrupt,
    name_of,
    opened,
)
from synthgen.data.readers.dicom import DicomReader
from synthgen.data.readers.foreign import foreign_format
from synthgen.data.readers.heif import AvifReader, HeicReader
from synthgen.data.readers.jpeg import JpegReader
from synthgen.data.readers.jpeg2000 import Jpeg2000Reader
from synthgen.data.readers.jpegxl import JpegXlReader
from synthgen.data.readers.netpbm import NetpbmReader
from synthgen.data.readers.nifti import NiftiReader
from synthgen.data.readers.npy import NpyReader
from synthgen.data.readers.pillow import PillowReader
from synthgen.data.readers.png import DeepPngReader, PlainPngReader
from synthgen.data.readers.qoi import QoiReader
from synthgen.data.readers.tiff import TiffReader


def image_readers(choices: Choices | None = None) -> tuple[Reader, ...]:
    """All of them, in the order in which they are asked."""
    return (
        DicomReader(choices=choices),
        NiftiReader(choices=choices),
        DeepPngReader(choices),
        PlainPngReader(choices),
        PillowReader(choices),
        JpegReader(choices),
        TiffReader(choices),
        Jpeg2000Reader(choices),
        JpegXlReader(choices),
        AvifReader(choices),
        HeicReader(choices),
        NetpbmReader(choices),
        NpyReader(choices),
        QoiReader(choices),
    )


READERS = image_readers()

Value = TypeVar("Value")


def extensions(readers: Sequence[Reader] = READERS) -> frozenset[str]:
    """The endings of the files that are read, in lower case."""
    return frozenset[str]().union(*(reader.extensions for reader in readers))


def read_header(file: ImageFile, readers: Sequence[Reader] = READERS) -> Header:
    """Raises ImageFileError for what isn't an image, or is of a format that isn't read."""
    return _with_reader(file, readers, lambda reader, stream: reader.header(stream))


def read_levels(
    file: ImageFile, target: tuple[int, int] | None = None, readers: Sequence[Reader] = READERS
) -> Raster:
    """Decode a file; see :meth:`Reader.read` for ``target``. Raises ImageFileError likewise."""
    return _with_reader(file, readers, lambda reader, stream: reader.read(stream, target))


def _with_reader(
    file: ImageFile, readers: Sequence[Reader], ask: Callable[[Reader, BinaryIO], Value]
) -> Value:
    with opened(file) as stream:
        try:
            head = stream.read(HEAD)
        except OSError as error:
            raise corrupt(file, error) from error
        reader = next((one for one in readers if one.begins(head, name_of(file))), None)
        if reader is None:
            raise _unknown(file, head)
        stream.seek(0)
        try:
            return ask(reader, stream)
        except UnreadError as error:
            what = " ".join(str(error).split())  # in one line, whatever a damaged file says
            raise ImageFileError(file, error.kind, what, error.advice) from error
        except UnidentifiedImageError as error:
            raise _unknown(file, head) from error
        except reader.broken as error:
            raise corrupt(file, error) from error


def _unknown(file: ImageFile, head: bytes) -> ImageFileError:
    if not head:
        return ImageFileError(file, "corrupt", "is an empty file")
    if head.startswith(b"version https://git-lfs"):
        return ImageFileError(file, "not_image", "is a pointer of Git LFS", "Get it: git lfs pull")
    known = foreign_format(head, name_of(file))
    if known is None:
        return ImageFileError(file, "not_image", "is not an image")
    problem = f"is a file of the format {known}, which synthgen does not read"
    return ImageFileError(file, "unread_format", problem)


__all__ = [
    "READERS",
    "Choices",
    "DicomReader",
    "FileBytes",
    "Header",
    "ImageFile",
    "ImageFileError",
    "NiftiReader",
    "Raster",
    "Reader",
    "UnreadError",
    "extensions",
    "image_readers",
    "name_of",
    "read_header",
    "read_levels",
]
