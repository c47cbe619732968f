"""What one pass over a part of a stream, a tar shard or some files of a folder, finds: where each
image lies, its class, and a hash of its bytes."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import os
import tarfile
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, ClassVar

import numpy as np

from synthgen.data.assign import SPLITS
from synthgen.data.files import Listing
from synthgen.data.readers import (
    Choices,
    FileBytes,
    Header,
    ImageFile,
    ImageFileError,
    image_readers,
    read_header,
)
from synthgen.data.stream.agreement import Told, told_of
from synthgen.data.stream.storage import StoredFile, storage_of
from synthgen.data.tabular.divisions import plainly
from synthgen.data.tabular.members import missing_shards
from synthgen.data.tabular.webdataset import TEXTS, Shard, WebDataset
from synthgen.errors import SynthgenError
from synthgen.io import canonical_digest

KEPT = "synthgen-part/2"  # how what was found in a part is kept
HEADERS_KEPT = 256  # of a part, by which a size is chosen: those with the smallest hashes
FILES_PER_PART = 4096
ROW = np.dtype([("offset", "<u8"), ("size", "<u4"), ("part", "<u4")])
NO_SPLIT = -1
DIGEST = 16  # bytes of a content hash
NO_IMAGES = frozenset({*TEXTS, "txt"})  # endings of members that are none


def content_hash(content: bytes) -> bytes:
    """128 bits of BLAKE2b of an image's bytes as they are stored."""
    return hashlib.blake2b(content, digest_size=DIGEST).digest()


def group_hash(group: str | None) -> int:
    """64 bits of a group's name, 0 for none."""
    if group is None:
        return 0
    return int.from_bytes(hashlib.blake2b(group.encode(), digest_size=8).digest(), "little") | 1


@dataclass(frozen=True)
class Kind:
    """Headers of a part that differ in nothing but their size.

    Attributes:
        example: the name of one such image.
    """

    header: Header
    count: int
    example: str


@dataclass(frozen=True)
class Looked:
    """The images of a part.

    Attributes:
        rows: ``ROW`` ``(n,)``: where each lies; ``part`` is 0 here.
        labels: int32 ``(n,)``, positions in ``classes``.
        official: int8 ``(n,)``, positions in ``SPLITS``, or -1.
        hashes: uint64 ``(n, 2)``, see :func:`content_hash`.
        groups: uint64 ``(n,)``, see :func:`group_hash`.
        headers: of the ``HEADERS_KEPT`` images with the smallest hashes, with the first
            half of these, in hex.
        names: of files, one after the other, to which ``rows`` point; empty for a tar shard.
        told: what its keys were taken for.
    """

    name: str
    rows: np.ndarray
    labels: np.ndarray
    official: np.ndarray
    hashes: np.ndarray
    groups: np.ndarray
    classes: tuple[str, ...]
    kinds: tuple[Kind, ...]
    headers: tuple[tuple[str, Header], ...]
    names: bytes = b""
    notes: tuple[str, ...] = ()
    told: Told = field(default_factory=Told)

    ARRAYS: ClassVar[tuple[str, ...]] = ("rows", "labels", "official", "hashes", "groups")

    @property
    def digest(self) -> str:
        """Of the contents: other images, classes, splits or groups have another."""
        state = hashlib.blake2b(json.dumps(self.classes).encode(), digest_size=8)
        for name in ("labels", "official", "hashes", "groups"):
            state.update(getattr(self, name).tobytes())
        return state.hexdigest()

    def to_bytes(self) -> bytes:
        facts = {
            "name": self.name,
            "classes": self.classes,
            "kinds": [
                [dataclasses.asdict(one.header), one.count, one.example] for one in self.kinds
            ],
            "headers": [[key, dataclasses.asdict(header)] for key, header in self.headers],
            "notes": self.notes,
            "told": dataclasses.asdict(self.told),
        }
        buffer = io.BytesIO()
        arrays: dict[str, np.ndarray] = {name: getattr(self, name) for name in self.ARRAYS}
        texts = {"facts": json.dumps(facts).encode(), "names": self.names}
        arrays |= {name: np.frombuffer(text, np.uint8) for name, text in texts.items()}
        np.savez(buffer, allow_pickle=False, **arrays)
        return buffer.getvalue()

    @classmethod
    def read(cls, path: Path) -> Looked:
        """Raises ValueError, KeyError or OSError for what wasn't written so."""
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in cls.ARRAYS}
            facts = json.loads(file["facts"].tobytes())
            names = file["names"].tobytes()
        return cls(
            name=facts["name"],
            classes=tuple(facts["classes"]),
            kinds=tuple(Kind(header_of(h), count, name) for h, count, name in facts["kinds"]),
            headers=tuple((key, header_of(h)) for key, h in facts["headers"]),
            names=names,
            notes=tuple(facts["notes"]),
            told=Told(**facts["told"]),
            **arrays,
        )


def header_of(found: dict[str, Any]) -> Header:
    """The inverse of ``dataclasses.asdict``, after JSON."""
    return Header(**(found | {"remarks": tuple(found["remarks"])}))


@dataclass(frozen=True)
class Seen:
    """One image of a part, once looked at."""

    name: str
    offset: int
    size: int
    label: int
    split: str | None
    group: str | None
    hash: bytes
    header: Header


def looked(name: str, classes: tuple[str, ...], images: Sequence[Seen], **more: Any) -> Looked:
    """The arrays of some images."""
    hashes = np.frombuffer(b"".join(one.hash for one in images), "<u8").reshape(-1, 2)
    rows = np.array([(one.offset, one.size, 0) for one in images], ROW)
    kinds: dict[Header, tuple[int, str]] = {}
    for one in images:
        plain = dataclasses.replace(one.header, height=1, width=1, group=None)
        count, example = kinds.get(plain, (0, one.name))
        kinds[plain] = (count + 1, example)
    smallest = np.argsort(hashes[:, 0], kind="stable")[:HEADERS_KEPT].tolist()
    return Looked(
        name,
        rows,
        np.array([one.label for one in images], np.int32),
        np.array([SPLITS.index(s.split) if s.split else NO_SPLIT for s in images], np.int8),
        hashes,
        np.array([group_hash(one.group or one.header.group) for one in images], np.uint64),
        classes,
        tuple(Kind(header, count, example) for header, (count, example) in kinds.items()),
        tuple((f"{hashes[i, 0]:016x}", images[i].header) for i in smallest),
        **more,
    )


# Parts that are looked at.


@dataclass(frozen=True)
class Part(ABC):
    """Some files of a stream, to be looked at in one pass.

    Attributes:
        root: the folder or URL that was given.
        choices: see :class:`synthgen.data.FileSource`.
    """

    root: str
    choices: Choices

    @property
    @abstractmethod
    def size(self) -> int:
        """In bytes."""

    @abstractmethod
    def look(self) -> Looked:
        """Raises SynthgenError for a file that is damaged, no image or without a class."""

    @property
    def key(self) -> str:
        """Names, sizes, times and settings: what was looked at under another key is out of date."""
        return canonical_digest([KEPT, type(self).__name__, dataclasses.asdict(self)])[:32]


@dataclass(frozen=True)
class TarPart(Part):
    """A tar shard.

    Attributes:
        base: what its name is relative to; the file itself, if there is one alone.
        columns: what :class:`WebDataset` takes to find class, group and split.
    """

    base: str
    file: StoredFile
    columns: dict[str, Any]

    @property
    def size(self) -> int:
        return self.file.size

    def look(self) -> Looked:
        root, path = Path(self.base), Path(self.file.path)
        source = WebDataset(path=self.base, **self.columns)
        shard = HashedShard(path, readers=image_readers(self.choices))
        with storage_of(self.root).open(self.file) as file:
            shard.fill(file, self.file.size, source.texts)
        name = path.name if path == root else str(path.relative_to(root))
        if not shard.samples:
            return looked(name, (), (), notes=(f"{name} holds no samples.",))
        told, listing = self._listing(source, root, shard, name)
        if listing is None:
            return looked(name, (), (), told=told)
        columns = (listing.paths, listing.names, listing.labels, listing.split, listing.groups)
        images = [
            shard.seen(member, name, label, split, None if group is None else plainly(group))
            for member, name, label, split, group in zip(*columns, strict=True)
        ]
        alone = set(missing_shards([name]))  # what is said of one shard isn't so of all
        notes = tuple(
            note for note in listing.notes if note not in alone and "splits are those" not in note
        )
        return looked(name, listing.classes, images, notes=notes, told=told)

    def _listing(
        self, source: WebDataset, root: Path, shard: Shard, name: str
    ) -> tuple[Told, Listing | None]:
        """None where no sample has a label. Raises SynthgenError, which names the shard, for the
        first of its problems."""
        try:
            rows, piece = source.part(root, shard)
            told = told_of(rows)
            if rows.label.texts and not any(rows.label.cells):
                return told, None
            listing = rows.listing(piece)
            if listing.problems:
                raise listing.problems[0]
        except SynthgenError as error:
            said = str(error)
            raise SynthgenError(said if name in said else f"In {name}: {said}") from error
        return told, listing


@dataclass
class HashedShard(Shard):
    """A shard whose images are hashed, and their headers read, while it is passed over."""

    readers: tuple[Any, ...] = ()
    found: dict[int, tuple[bytes, Header]] = field(default_factory=dict)
    failed: dict[int, ImageFileError] = field(default_factory=dict)

    def _add(self, member: tarfile.TarInfo, file: BinaryIO, texts: set[str]) -> None:
        super()._add(member, file, texts)
        ending = member.name.rpartition(".")[2].casefold()
        if not member.isreg() or ending in NO_IMAGES or ending in texts:
            return
        file.seek(member.offset_data)
        content = file.read(member.size)
        image = FileBytes(f"{self.path}/{member.name}", content)
        try:
            header = read_header(image, self.readers)
        except ImageFileError as error:  # a text or a mask, or an image that is damaged
            self.failed[member.offset_data] = error
        else:
            self.found[member.offset_data] = (content_hash(content), header)

    def _member(self, name: str, place: tuple[int, int]) -> ImageFile:
        return PlacedMember(name, b"", *place)

    def seen(
        self, member: ImageFile, name: str, label: int, split: str | None, group: str | None
    ) -> Seen:
        """Raises ImageFileError for what is chosen as an image, and can't be read."""
        assert isinstance(member, PlacedMember)
        if member.offset in self.failed:
            raise self.failed[member.offset]
        hash_, header = self.found[member.offset]
        return Seen(name, member.offset, member.size, label, split, group, hash_, header)


@dataclass(frozen=True)
class PlacedMember(FileBytes):
    """An image of a shard, and where its bytes lie."""

    offset: int
    size: int


@dataclass(frozen=True)
class FilePart(Part):
    """Files of one class and split. ``files``: paths relative to ``root``, sizes and times."""

    name: str
    label: str
    split: str | None
    files: tuple[tuple[str, int, int], ...]

    @property
    def size(self) -> int:
        return sum(size for _, size, _ in self.files)

    def look(self) -> Looked:
        readers = image_readers(self.choices)
        images, names, at = [], [], 0
        for name, _, _ in self.files:
            path = os.path.join(self.root, name)
            header = read_header(Path(path), readers)
            with open(path, "rb") as file:
                content = file.read()
            encoded = os.fsencode(name)
            hash_ = content_hash(content)
            images.append(Seen(path, at, len(encoded), 0, self.split, None, hash_, header))
            names.append(encoded)
            at += len(encoded)
        return looked(self.name, (self.label,), images, names=b"".join(names))


def in_parts(
    root: str, choices: Choices, name: str, split: str | None, files: Iterable[Path]
) -> Iterable[FilePart]:
    """The files of one class in parts of a few thousand."""
    taken: list[tuple[str, int, int]] = []
    number = 0

    def part() -> FilePart:
        called = f"{split}/{name}" if split else name
        return FilePart(root, choices, f"{called} ({number})", name, split, tuple(taken))

    for path in files:
        found = path.stat()
        taken.append((os.path.relpath(path, root), found.st_size, found.st_mtime_ns))
        if len(taken) == FILES_PER_PART:
            number += 1
            yield part()
            taken = []
    if taken:
        number += 1
        yield part()
