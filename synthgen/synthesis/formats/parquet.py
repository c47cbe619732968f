"""Parquet that Hugging Face ``datasets`` opens with an Image and a ClassLabel column."""

from __future__ import annotations

import json
from typing import Any

from synthgen.ranges import CompressLevel
from synthgen.synthesis.formats.base import (
    Encoded,
    Format,
    Shard,
    missing_package,
    sha256_of,
)
from synthgen.synthesis.formats.png import PNG
from synthgen.types import ImageSpec


class Parquet(Format):
    """Columns ``image`` (PNG bytes and a path), ``label``, ``seed`` and ``origin``; one row group
    per shard. The PNG files are compressed already, so the columns are not."""

    name = "parquet"

    def __init__(self, compress_level: CompressLevel = 1) -> None:
        self.images = PNG(compress_level)

    def prepare(self, image: ImageSpec) -> None:
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
