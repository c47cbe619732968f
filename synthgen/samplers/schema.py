"""What ``sampler.json`` holds: how a saved sampler is rebuilt, and where it comes from."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, Self

from annotated_types import Interval

from synthgen.dataset.provenance import Provenance
from synthgen.errors import SynthgenError
from synthgen.io import canonical_digest
from synthgen.ranges import Few
from synthgen.schema import Document, Image, Schema, Sha256, Spec, Word

AGAIN = "Copy the sampler again, or export it again from its run."
Threads = Annotated[int, Interval(ge=1, le=4096)]


class Drawing(Schema):
    """What the bytes of an image depend on beside label and seed."""

    chunk: Few
    threads: Threads


class SamplerDescription(Document):
    """``sampler.json``; the numbers lie beside it, in ``weights.safetensors``."""

    FORM: ClassVar[str] = "synthgen-sampler/2"  # 1 named classes by their module
    OLDER: ClassVar[tuple[str, ...]] = ("synthgen-sampler/1",)
    ADVICE: ClassVar[str] = AGAIN

    format: Literal["synthgen-sampler/1", "synthgen-sampler/2"]
    sampler: Spec
    image: Image
    exposes_real: bool
    weights_sha256: Sha256
    execution: Drawing
    versions: dict[Word, Word]
    provenance: Provenance
    sha256: Sha256  # of this file without it

    @classmethod
    def of_table(cls, table: dict[str, Any], place: str) -> Self:
        """Raises SynthgenError too if the file is not the one that was saved."""
        cls.require_known(table, place)
        body = {key: value for key, value in table.items() if key != "sha256"}
        if canonical_digest(body) != table.get("sha256"):
            raise SynthgenError(
                f"{place} was changed since it was saved (its SHA-256 differs).\n{AGAIN}"
            )
        return super().of_table(table, place)
