"""The files that sets are kept in, read back: pixels, and the hashes that a manifest holds."""

from __future__ import annotations

import hashlib
import io
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from synthgen.data.readers import FileBytes, ImageFileError, read_levels
from synthgen.errors import SynthgenError

MOST_COMPRESSED = 1100  # times; deflate shrinks by at most 1,032
Stored = tuple[np.ndarray, list[str]]  # (N, H, W) or (N, H, W, C), 8 or 16 bits; their SHA-256


def read_stored(file: str, content: bytes) -> Stored:
    """The images of one file of a set, in row order, and the SHA-256 of each as it is stored.

    ``file`` is the name that says the format. Raises SynthgenError if the content is damaged or
    the package that reads it is missing.
    """
    ending = file.rpartition(".")[2].lower()
    reader = READERS.get(ending)
    if reader is None:
        raise SynthgenError(f"{file} is in no format that synthgen writes.\nWrite the set again.")
    try:
        return _checked(reader(content))
    except ImportError as error:
        package = str(error.name).partition(".")[0]
        raise SynthgenError(
            f"Reading {file} needs the package {package}, which is not installed.\n"
            f"Install it: pip install {package}"
        ) from None
    except ImageFileError as error:
        raise SynthgenError(f"{file} {error.problem}.\nWrite the set again.") from error
    except _damages() as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise SynthgenError(f"{file} is damaged ({reason}).\nWrite the set again.") from error


def _checked(stored: Stored) -> Stored:
    images, digests = stored
    if (
        images.dtype not in (np.uint8, np.uint16)
        or images.ndim not in (3, 4)
        or len(images) != len(digests)
    ):
        raise ValueError(f"it holds {images.dtype} of shape {images.shape}, no images")
    return stored


def decode_images(contents: Sequence[bytes]) -> np.ndarray:
    """Image files of one size -> uint8 or uint16 ``(N, H, W)`` if all are grey, else
    ``(N, H, W, C)``. Raises SynthgenError for what is no image."""
    pictures = [read_levels(FileBytes("it", content)).levels for content in contents]
    if len({picture.ndim for picture in pictures}) > 1:
        pictures = [one if one.ndim == 3 else one[..., None].repeat(3, axis=2) for one in pictures]
    return np.stack(pictures)


def digests_of(contents: Iterable[Any]) -> list[str]:
    return [hashlib.sha256(content).hexdigest() for content in contents]


def _image_file(content: bytes) -> Stored:
    return decode_images([content]), digests_of([content])


def _npz(content: bytes) -> Stored:
    with np.load(io.BytesIO(content), allow_pickle=False) as archive:
        images = archive["images"]
    return images, digests_of(np.ascontiguousarray(images))


def _npy(content: bytes) -> Stored:
    images = np.load(io.BytesIO(content), allow_pickle=False)
    return images, digests_of(np.ascontiguousarray(images))


def _tar(content: bytes) -> Stored:
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        found = [archive.extractfile(one) for one in archive if one.name.endswith(".png")]
        contents = [file.read() for file in found if file is not None]
    return decode_images(contents), digests_of(contents)


def _parquet(content: bytes) -> Stored:
    from pyarrow import BufferReader
    from pyarrow.parquet import read_table

    column = read_table(BufferReader(content), columns=["image"]).column("image")
    contents = [entry["bytes"] for entry in column.to_pylist()]
    return decode_images(contents), digests_of(contents)


def _hdf5(content: bytes) -> Stored:
    import h5py

    with h5py.File(io.BytesIO(content), "r") as file:
        if not isinstance(file.get("images", getlink=True), h5py.HardLink):
            raise ValueError("its images are a link, or missing")
        images = file["images"]
        if not isinstance(images, h5py.Dataset):
            raise ValueError("its images are no dataset")
        if images.external or images.is_virtual:
            raise ValueError("its images lie in other files, which are not opened")
        if images.nbytes > MOST_COMPRESSED * len(content):
            raise ValueError("it claims more pixels than it can hold")
        pixels = images[...]
    return pixels, digests_of(pixels)


def _damages() -> tuple[type[Exception], ...]:
    """What readers raise for damaged files; pyarrow's own errors are ValueErrors and OSErrors."""
    return (
        ValueError, TypeError, OSError, EOFError, KeyError, RuntimeError, tarfile.TarError,
        zipfile.BadZipFile, zlib.error, SyntaxError,
    )  # fmt: skip


READERS: dict[str, Callable[[bytes], Stored]] = {
    "png": _image_file,
    "webp": _image_file,
    "jpg": _image_file,
    "tif": _image_file,
    "npz": _npz,
    "npy": _npy,
    "tar": _tar,
    "parquet": _parquet,
    "h5": _hdf5,
}
