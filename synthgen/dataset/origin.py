"""Where a sampler comes from: its training images, how they were divided, and its training."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from annotated_types import Interval, Len
from pydantic import Field

from synthgen.ranges import MOST, Band, Count, Inner, NonNegative, Share, Side
from synthgen.schema import (
    ClassNames,
    Counts,
    Digest,
    Document,
    Schema,
    Sha256,
    Word,
)

Setting = Annotated[str, Len(max_length=1000)] | int | float | bool | None
Reading = Annotated[dict[Word, Setting | tuple[Setting, ...]], Len(max_length=64)]
Part = Literal["train", "holdout", "test"]
Natural = Annotated[int, Interval(ge=0, le=MOST)]


class Recipe(Schema):
    """How a source is divided again in the same way; nothing about single images."""

    format: Literal["synthgen-split/1"]
    source: Word
    name: str
    fingerprint: Sha256
    images: Count
    channels: Annotated[int, Interval(ge=1, le=1024)]
    size: tuple[Side, Side]  # height, width
    classes: ClassNames
    fit: Literal["pad", "stretch", "crop"]
    holdout: Inner
    test: Inner
    split_seed: Annotated[int, Interval(ge=-(2**63), lt=2**63)]
    at_most: Count | tuple[Count, ...] | dict[str, Count] | None = None
    near_duplicates: Literal["group", "warn", "ignore"] = "ignore"  # before there was a choice
    official: tuple[Part, ...] = ()
    grouped: bool = False
    range: tuple[float, float] | Literal["percentile"] | None = None
    bits: Literal[8, 16] = 8
    view: tuple[Band, ...] | None = None
    clipped: tuple[Share, Share] | None = None  # of the training levels: to black, to white
    most_held: Count | None = None  # images of a split in memory, of a set that doesn't fit there
    reading: Reading | None = None  # the settings of reading that aren't the usual ones


class TrainingData(Schema):
    """The training split. ``digest`` is the same for the same division of the same images."""

    name: str | None = None
    digest: Digest | None = None
    recipe: Recipe | None = None
    class_counts: Counts | None = None


class Start(Schema):
    """The sampler that a training began from."""

    sampler_sha256: Sha256 | None = None
    checkpoint_sha256: Sha256 | None = None
    images_seen: Natural | None = None
    new_classes: tuple[str, ...] = ()
    dropped_classes: tuple[str, ...] = ()
    images_known: bool = False  # whether all images that it knew are known


class Training(Schema):
    """What the training took."""

    images_seen: Natural | None = None
    seconds: NonNegative | None = None
    images_per_second: NonNegative | None = None
    batch_size: Count | None = None
    parameters: Natural | None = None
    compute_dtype: Word | None = None
    device: Word | None = None
    threads: Count | None = None
    processes: Count | None = None  # that trained it together, if several
    start: Start | None = None
    distance: NonNegative | None = None  # to the holdout, of the best so far
    seed: Annotated[int, Interval(ge=0, lt=2**63)] | None = None
    torch: Word | None = None
    machine: Word | None = None


class Provenance(Schema):
    """What travels with everything that a sampler draws; empty where nothing is known."""

    data: TrainingData | None = None
    training: Training | None = None
    model: Word | None = None
    exposes_real: bool | None = None
    synthgen: Word | None = None

    @property
    def split_digest(self) -> str | None:
        """Of the split that was trained on."""
        return None if self.data is None else self.data.digest


class SplitFile(Document):
    """``split.json`` of a run: which image was in which part. It is never shared."""

    FORM: ClassVar[str] = "synthgen-split/1"
    ADVICE: ClassVar[str] = "Restore it from a copy, or train again."
    LARGEST: ClassVar[int] = 2**31

    format: Literal["synthgen-split/1"]
    digest: Digest
    recipe: Recipe
    assignment: dict[Sha256, Part]  # by the SHA-256 of an image
    seen: tuple[Sha256, ...] = ()  # images of another run that this one began from
    # Of a set that doesn't fit in memory, whose ``assignment`` has held-back images only: digests.
    files: dict[str, Word] = Field(default_factory=dict)
