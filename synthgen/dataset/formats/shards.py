"""Formats of other tools with many images per file: WebDataset's tar, Hugging Face's Parquet."""

from __future__ import annotations

import json
from typing import Any

from synthgen.dataset.formats.images import (
    PNG,
    Encoded,
    Format,
    Shard,
    missing_package,
    require_colours,
    sha256_of,
)
from synthgen.ranges import CompressLevel
from synthgen.types import ImageSpec

# WebDataset: tar shards with ``<row>.png`` and ``<row>.cls`` for each image.

BLOCK = 512
RECORD = 20 * BLOCK  # tar files are padded to whole records
# ustar (POSIX.1-1988): mode 0644, no owner, time 0; the checksum is counted with eight spaces
BEFORE_SIZE = b"0000644\0" + b"0000000\0" * 2
AFTER_SIZE = b"00000000000\0"
AFTER_CHECKSUM = b"0" + b"\0" * 100 + b"ustar\x0000" + b"\0" * 247


class WebDataset(Format):
    """The images are PNG files inside; times and owners are zero, so equal images give equal
    shards."""

    name = "webdataset"

    def __init__(self, compress_level: CompressLevel = 1) -> None:
        self.images = PNG(compress_level)

    def prepare(self, image: ImageSpec) -> None:
        require_colours(image, self.name, bits=(8, 16))

    def encode(self, shard: Shard) -> Encoded:
        contents = self.images.encode_images(shard.images, shard.marks)
        path = f"{shard.file}.tar"
        labels = [member_content(str(label).encode()) for label in range(len(shard.classes))]
        pieces: list[bytes] = []
        for name, label, content in zip(shard.names, shard.labels, contents, strict=True):
            cls = str(label).encode()
            pieces += (header(f"{name}.png", len(content)), member_content(content))
            pieces += (header(f"{name}.cls", len(cls)), labels[label])
        size = sum(map(len, pieces)) + 2 * BLOCK
        pieces.append(bytes(2 * BLOCK + -size % RECORD))
        archive = b"".join(pieces)
        return Encoded([(path, archive)], [path] * len(contents), sha256_of(contents))


def header(name: str, size: int) -> bytes:
    """The 512 bytes before a member; ``name`` is ASCII of at most 100 characters."""
    before = name.encode("ascii").ljust(100, b"\0") + BEFORE_SIZE + b"%011o\0" % size + AFTER_SIZE
    checksum = sum(before) + 8 * ord(" ") + sum(AFTER_CHECKSUM)
    return before + b"%06o\0 " % checksum + AFTER_CHECKSUM


def member_content(content: bytes) -> bytes:
    """Padded to whole blocks."""
    return content + bytes(-len(content) % BLOCK)


# Parquet that Hugging Face ``datasets`` opens with an Image and a ClassLabel column.


class Parquet(Format):
    """Columns ``image`` (PNG bytes and a path), ``label``, ``seed`` and ``origin``; one row group
    per shard. The PNG files are compressed already, so the columns are not.

    Needs pyarrow: pip install pyarrow.
    """

    name = "parquet"

    def __init__(self, compress_level: CompressLevel = 1) -> None:
        self.images = PNG(compress_level)

    def prepare(self, image: ImageSpec) -> None:
        require_colours(image, self.name, bits=(8, 16))
        _pyarrow()

    def encode(self, shard: Shard) -> Encoded:
        pyarrow, parquet = _pyarrow()
        contents = self.images.encode_images(shard.images, shard.marks)
        path = f"{shard.file}.parquet"
        paths = pyarrow.array([f"{name}.png" for name in shard.names], pyarrow.string())
        image = pyarrow.StructArray.from_arrays(
            [pyarrow.array(contents, pyarrow.binary()), paths], names=["bytes", "path"]
        )
        table = pyarrow.table(
            {
                "image": image,
                "label": pyarrow.array(shard.labels, pyarrow.int64()),
                "seed": pyarrow.array(shard.seeds, pyarrow.int64()),
                "origin": pyarrow.array(shard.origins, pyarrow.string()),
            }
        ).replace_schema_metadata({"huggingface": _features(shard.classes)})
        sink = pyarrow.BufferOutputStream()
        parquet.write_table(
            table,
            sink,
            compression="none",
            use_dictionary=["origin"],
            write_statistics=False,
            row_group_size=len(contents),
        )
        content = sink.getvalue().to_pybytes()
        return Encoded([(path, content)], [path] * len(contents), sha256_of(contents))


def _features(classes: tuple[str, ...]) -> str:
    """The features as ``datasets`` keeps them in the schema's metadata."""
    features = {
        "image": {"_type": "Image"},
        "label": {"names": list(classes), "_type": "ClassLabel"},
        "seed": {"dtype": "int64", "_type": "Value"},
        "origin": {"dtype": "string", "_type": "Value"},
    }
    return json.dumps({"info": {"features": features}})


def _pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise missing_package("pyarrow", "parquet") from None
    return pyarrow, parquet
