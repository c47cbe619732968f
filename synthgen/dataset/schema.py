"""What the files of a drawn set hold, ``dataset.json`` and the rows of its manifest and index."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Any, ClassVar, Literal, Self

from annotated_types import Interval, Len
from pydantic import Field, model_validator

from synthgen.dataset import DESCRIPTION, MANIFEST, README
from synthgen.dataset.origin import Natural, Provenance
from synthgen.errors import SynthgenError
from synthgen.io import canonical_digest
from synthgen.ranges import (
    MOST,
    ROWS_PER_PLAN,
    Few,
    Seed,
    Share,
)
from synthgen.schema import (
    ClassName,
    ClassNames,
    Counts,
    Digest,
    Document,
    Image,
    Row,
    Schema,
    Sha256,
    Spec,
    Word,
    require_form,
    table_of,
)

FORM, PUBLIC_FORM = "synthgen-dataset/1", "synthgen-public/1"
ADVICE = "Get the set again, or write it again."
Origin = Literal["synthetic", "real"]
SYNTHETIC: Origin = "synthetic"
REAL: Origin = "real"
Number = int | Annotated[float, Interval(ge=-1e30, le=1e30)]  # written as it was given
Tally = dict[str, Natural]
RowCount = Annotated[int, Interval(ge=0, le=ROWS_PER_PLAN)]
ShardSize = Annotated[int, Interval(ge=1, le=65_536)]
FilePath = Word


class ManifestRow(Row):
    """An image: what it is, how to draw it again, and the hash of its bytes as they are stored."""

    file: FilePath
    index: Natural | None = None  # within its file; None: the file is the image
    label: Annotated[int, Interval(ge=0, le=65_535)]
    class_: ClassName = Field(alias="class")
    seed: Annotated[int, Interval(ge=0, lt=2**63)] | None  # None: a real image
    sampler: Sha256 | None = None
    origin: Origin = SYNTHETIC
    source: str | None = None  # the sampler's class, or the name of the real data
    attributes: dict[str, str] | None = None
    sha256: Sha256
    attempt: Natural | None = None  # draws that filters rejected before this one
    scores: dict[str, float | None] | None = None  # by filter


class PublicRow(Row):
    """What anyone may know of an image; all that reading a set needs."""

    file: FilePath
    index: Natural | None = None
    label: Annotated[int, Interval(ge=0, le=65_535)]
    class_: ClassName = Field(alias="class")
    origin: Origin = SYNTHETIC
    attributes: dict[str, str] | None = None
    sha256: Sha256

    @classmethod
    def of(cls, row: ManifestRow) -> Self:
        """The part of ``row`` that is public."""
        given = row.model_fields_set & cls.model_fields.keys()
        return cls.model_construct(given, **{name: getattr(row, name) for name in given})


class IndexRow(Row):
    """A file that holds the images of ``count`` rows from number ``first`` on."""

    file: FilePath
    bytes: Natural
    sha256: Sha256
    first: RowCount
    count: RowCount


class SamplerMark(Schema):
    """Which sampler; ``sha256`` of several is that of their hashes, and is not public."""

    sha256: Sha256 | None = None
    target: Word


class FileFormat(Schema):
    name: Word
    spec: Spec


class Latents(Schema):
    """How far latents were spread; None: as in training."""

    temperature: Number | None
    truncation: Number | None


class Fact(Schema):
    """What a filter says of itself: measured on held-out real images."""

    keeps: str | None = None
    thresholds: dict[str, float] | None = None
    asked_to_keep_of_real: Share | None = None
    held_out_real_images: Natural | None = None
    keeps_of_real: Share | None = None
    keeps_of_real_95: tuple[Share, Share] | None = None
    keeps_of_real_per_class: dict[str, Share] | None = None
    too_few_to_promise: bool | None = None
    misses: str | None = None  # what the filter doesn't see
    accuracy_on_held_out_real: Share | None = None  # of a filter that is a classifier


class Acceptance(Schema):
    """Draws of one class, images kept of them, their share, and draws rejected by each filter."""

    drawn: Natural
    kept: Natural | None = None
    share: Share
    rejected: Tally


class PartSource(Schema):
    """Where rows come from; a real source has no ``sha256``."""

    name: str
    sha256: Sha256 | None
    target: str
    attributes: dict[str, str] = Field(default_factory=dict)


class Request(Schema):
    """What rows were ordered with: it decides every pixel."""

    plan: Spec
    seed: Seed
    mode: Literal["synthetic", "augment"]
    samplers: Annotated[tuple[PartSource, ...], Len(1)]
    shares: dict[str, Natural] | None
    latents: Latents
    filters: tuple[Spec, ...]
    attempts: Annotated[int, Interval(ge=1, le=MOST)] | None


class Numbers(Schema):
    """Where rows that were ordered at once stand in their set: from number ``first`` on."""

    id: Annotated[Word, Len(0, 64)]
    first: RowCount
    count: RowCount
    first_shard: RowCount
    digits: Annotated[int, Interval(ge=1, le=20)]  # of a row's number in a file's name
    quotas: Counts
    real_counts: Counts
    data_digest: Digest | None = None


class SetPart(Request, Numbers):  # pydantic puts the fields of the last base first
    """The rows that were ordered at once."""

    facts: dict[str, Fact]
    acceptance: dict[ClassName, Acceptance] | None = None


class Execution(Schema):
    """What the bytes may depend on beside the seeds."""

    chunk: Few
    threads: Few | None
    device: Literal["cpu", "cuda"]
    torch: Word
    zlib: Word | None = None
    cpu: Word


class CardAnswers(Schema):
    """What only the person knows, see :class:`synthgen.dataset.Papers`."""

    title: str | None = None
    source: str | None = None
    licence: str | None = None
    legal_basis: str | None = None
    intended_use: str | None = None


class Described(Document):
    """What a set and its public papers have in common."""

    ADVICE: ClassVar[str] = ADVICE


def require_same_classes(classes: ClassNames, image: Image, quotas: Counts) -> None:
    """Raises ValueError where the fields of a set say different things."""
    if classes != image.classes:
        raise ValueError("has other classes than image.classes")
    if set(quotas) != set(classes):
        raise ValueError("has quotas for other classes than it names")


class Dataset(Described):
    """``dataset.json``. It is written last: a folder without it is no finished set."""

    FORM: ClassVar[str] = FORM

    format: Literal["synthgen-dataset/1"]
    classes: ClassNames
    image: Image
    plan: Spec
    seed: Seed
    mode: Literal["synthetic", "augment"]
    quotas: Counts  # synthetic images by class
    count: RowCount  # of all images
    real_count: RowCount
    sampler: SamplerMark
    exposes_real: bool
    provenance: Provenance
    execution: Execution
    versions: dict[Word, Word]
    file_format: FileFormat
    shard_size: ShardSize
    parts: Annotated[tuple[SetPart, ...], Len(1)]
    acceptance: dict[ClassName, Acceptance] | None = None  # of the last part
    index_lines: RowCount
    papers: CardAnswers
    digest: Sha256  # of the manifest, which holds the hash of every image
    files: dict[FilePath, Sha256 | None]  # all but the images; None: of a set that didn't say
    sha256: Sha256 | None = None  # of this file without it

    @model_validator(mode="after")
    def _adds_up(self) -> Self:
        """The parts are the set: raises ValueError where they are not."""
        require_same_classes(self.classes, self.image, self.quotas)
        ends = [0, *(part.first + part.count for part in self.parts)]
        if [part.first for part in self.parts] != ends[:-1] or ends[-1] != self.count:
            raise ValueError(f"counts {self.count:,} images, its parts are others")
        if any(one.first_shard >= other.first_shard for one, other in pairwise(self.parts)):
            raise ValueError("numbers the shards of its parts otherwise than they follow")
        for name in self.classes:
            if sum(part.quotas.get(name, 0) for part in self.parts) != self.quotas[name]:
                raise ValueError(f"has another quota of {name!r} than its parts")
        real = sum(sum(part.real_counts.values()) for part in self.parts)
        if real != self.real_count or sum(self.quotas.values()) + real != self.count:
            raise ValueError(f"counts {self.count:,} images, its quotas are others")
        return self


class JobFile(Document):
    """``job.json`` of a set under way: everything that decides a byte of it."""

    FORM: ClassVar[str] = "synthgen-job/1"
    ADVICE: ClassVar[str] = "Remove the folder of the unfinished set, and draw it again."

    format: Literal["synthgen-job/1"]
    request: Request
    first: RowCount
    count: RowCount
    quotas: Counts
    file_format: Spec
    shard_size: ShardSize
    execution: Execution
    base: Sha256 | None  # of the description of the set that is appended to


class ShardFile(Schema):
    file: FilePath
    bytes: Natural
    sha256: Sha256


class ShardHeader(Row):
    """First line of a finished shard's record, in a set under way: its files, and what was rejected
    while it was drawn, by filter and label."""

    shard: Natural
    first: RowCount
    count: RowCount
    files: tuple[ShardFile, ...]
    rejected: dict[str, Tally]


class PublicSampler(Schema):
    target: Word


class PublicPart(Schema):
    facts: dict[str, Fact]


class PublicDataset(Described):
    """``dataset.json`` of papers that anyone may see: nothing in it points to a real image."""

    FORM: ClassVar[str] = PUBLIC_FORM

    format: Literal["synthgen-public/1"]
    classes: ClassNames
    image: Image
    file_format: FileFormat
    shard_size: ShardSize
    versions: dict[Word, Word]
    count: RowCount
    quotas: Counts
    exposes_real: Literal[False]
    sampler: PublicSampler
    acceptance: dict[ClassName, Acceptance]
    parts: tuple[PublicPart, ...]
    papers: CardAnswers
    digest: Sha256
    sha256: Sha256 | None = None

    @model_validator(mode="after")
    def _adds_up(self) -> Self:
        require_same_classes(self.classes, self.image, self.quotas)
        if sum(self.quotas.values()) != self.count:
            raise ValueError(f"counts {self.count:,} images, its quotas are others")
        return self


def _from_before_parts(table: dict[str, object]) -> dict[str, object]:
    """Sets of the first synthgen: one part, of PNG files, by one sampler."""
    if "parts" in table:
        return table
    part = {
        "id": "", "first": 0, "count": table.get("count"), "first_shard": 0, "digits": 6,
        "quotas": table.get("quotas"), "real_counts": {}, "plan": table.get("plan"),
        "seed": table.get("seed"), "mode": SYNTHETIC,
        "samplers": [{"name": "sampler", **_table(table.get("sampler"))}], "shares": None,
        "latents": {"temperature": None, "truncation": None}, "filters": [], "attempts": None,
        "facts": {},
    }  # fmt: skip
    png = {"_target_": "synthgen.dataset.formats.PNG"}
    added = {
        "mode": SYNTHETIC, "real_count": 0, "file_format": {"name": "png", "spec": png},
        "shard_size": 64, "parts": [part], "index_lines": 0, "papers": {},
        "files": {MANIFEST: table.get("digest"), README: None, "contact_sheet.png": None},
    }  # fmt: skip
    return {**added, **table}


def _table(value: Any) -> dict[str, object]:
    return value if isinstance(value, dict) else {}


Dataset.UPGRADES = (_from_before_parts,)


def described(content: bytes, place: str) -> Dataset | PublicDataset:
    """``dataset.json``, of a set or of public papers. Raises SynthgenError."""
    table = table_of(content, place, ADVICE)
    if str(table.get("format")).startswith("synthgen-public/"):
        return PublicDataset.of_table(table, place)
    require_form(table, FORM, place)
    return Dataset.of_table(table, place)


def own_digest(content: bytes, place: str) -> str:
    """The SHA-256 that a description in ``content`` is to state of itself."""
    table = table_of(content, place, ADVICE)
    return canonical_digest({key: value for key, value in table.items() if key != "sha256"})


def signed(table: dict[str, object]) -> dict[str, object]:
    """``table`` with its own SHA-256, as the last entry."""
    return {**table, "sha256": canonical_digest(table)}


def require_dataset(one: Dataset | PublicDataset, place: str) -> Dataset:
    """Raises SynthgenError for public papers: they don't say how a set was drawn."""
    if isinstance(one, PublicDataset):
        raise SynthgenError(
            f"{place} holds public papers, which don't say how the images were drawn.\n"
            "Give the set itself."
        )
    return one


__all__ = [
    "ADVICE", "DESCRIPTION", "MANIFEST", "REAL", "SYNTHETIC", "Acceptance", "CardAnswers",
    "Dataset", "Execution", "Fact", "FileFormat", "IndexRow", "JobFile", "Latents", "ManifestRow",
    "PartSource", "PublicDataset", "PublicPart", "PublicRow", "PublicSampler", "Request",
    "SamplerMark", "SetPart", "ShardFile", "ShardHeader", "described", "own_digest",
    "require_dataset", "signed",
]  # fmt: skip
