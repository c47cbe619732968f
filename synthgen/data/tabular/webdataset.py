"""WebDataset's tar shards: samples of files that share a name up to its first dot."""

import json
import re
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, ClassVar

from synthgen.data.files import Listing
from synthgen.data.readers import ImageFile, extensions
from synthgen.data.source import existing
from synthgen.data.tabular import columns
from synthgen.data.tabular.files import table_of_rows
from synthgen.data.tabular.members import Member, Piece, joined
from synthgen.data.tabular.table import PartOfRows, TableSource
from synthgen.errors import SynthgenError

TEXTS = ("cls", "json")  # members that say something of an image
LARGEST = 2**20  # bytes of such a member
MOST_IMAGES = 8  # of one sample, a picture in several views and forms
PACKED = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ": "xz", b"\x28\xb5\x2f\xfd": "zstd"}


@dataclass(frozen=True, kw_only=True)
class WebDataset(TableSource):
    """Tar shards, or a folder of them. The class is in ``.cls``, or in a key of ``.json``; splits
    are told by the shards' names (train-000.tar). Nothing is unpacked.

    ``image`` is the ending of the images (``jpg``), needed where a sample has several; ``label`` an
    ending or a key of the JSON.
    """

    path: str

    kind: ClassVar[str] = "webdataset"

    @property
    def name(self) -> str:
        return Path(self.path).expanduser().resolve().stem or self.kind

    def listing(self) -> Listing:
        path = existing(self.path, "data.path")
        shards = [path] if path.is_file() else sorted(path.rglob("*.tar"))
        if not shards:
            packed = next((one for one in sorted(path.rglob("*.tar.*")) if one.is_file()), None)
            if packed is not None:
                with packed.open("rb") as file:
                    require_tar(packed, file)
            raise SynthgenError(f"{path} holds no tar files.\nGive the folder of the shards.")
        read = [Shard.of(shard, self.texts) for shard in shards]
        whole, problems = self._joined(path, read)
        return self.rows(whole.table).listing(whole, *problems)

    def part(self, path: Path, shard: "Shard") -> tuple[PartOfRows, Piece]:
        """The samples of one of the shards that lie below ``path`` (or are it).

        Raises:
            SynthgenError: the first thing that is wrong with them.
        """
        whole, problems = self._joined(path, [shard])
        if problems:
            raise problems[0]
        return self.rows_of_part(whole.table), whole

    @property
    def texts(self) -> set[str]:
        """The endings of the members that say something of an image."""
        named = (self.label, self.group, self.split, self.attribute)
        lists = ([one] if isinstance(one, str) else one or [] for one in named)
        return {*TEXTS, *(name for names in lists for name in names)}

    def _joined(self, path: Path, read: Sequence["Shard"]) -> tuple[Piece, list[SynthgenError]]:
        """The samples of all shards, and what is wrong with them."""
        found = [problem for shard in read for problem in shard.problems]
        image = self._image(path, read)
        pieces = [shard.piece(path, image) for shard in read]
        whole = joined(path, pieces)
        without = [k for k, one in zip(whole.names, whole.images, strict=True) if one is None]
        if len(without) == len(whole.images):
            raise found[0] if found else _no_images(path, read)
        found += [_lacking(path, without, image)] if without else []
        return whole, found

    def _image(self, path: Path, shards: Sequence["Shard"]) -> frozenset[str]:
        """The endings of the images. Raises SynthgenError where a sample has several."""
        if self.image is not None:
            return frozenset({self.image.lstrip(".").casefold()})
        known = {ending.lstrip(".") for ending in extensions()}
        for shard in shards:
            for key, sample in shard.samples.items():
                found = [ending for ending in sample if ending.rpartition(".")[2] in known]
                if len(found) > MOST_IMAGES:
                    raise SynthgenError(
                        f"The sample {key} of {shard.path} has {len(found):,} images: a name "
                        "counts up to its first dot.\nWrite the shards again, with no dot in keys."
                    )
                if len(found) > 1:
                    raise SynthgenError(
                        f"The sample {key} of {shard.path} has images in {' and '.join(found)}.\n"
                        f"Say which: {' or '.join(f'data.image={one}' for one in found)}."
                    )
        every = {
            ending for shard in shards for sample in shard.samples.values() for ending in sample
        }
        return frozenset(ending for ending in every if ending.rpartition(".")[2] in known)


@dataclass
class Shard:
    """What lies where in a tar file.

    Attributes:
        samples: key -> ending -> (offset, size) of the content.
        said: key -> what its ``.cls`` and ``.json`` say, by name.
    """

    path: Path
    samples: dict[str, dict[str, tuple[int, int]]] = field(default_factory=dict)
    said: dict[str, dict[str, Any]] = field(default_factory=dict)
    problems: list[SynthgenError] = field(default_factory=list)
    left_out: int = 0

    @classmethod
    def of(cls, path: Path, texts: set[str]) -> "Shard":
        """Raises SynthgenError for a file that is no tar, is cut off, or has ways out of itself."""
        shard = cls(path)
        with path.open("rb") as file:
            shard.fill(file, path.stat().st_size, texts)
        return shard

    def fill(self, file: BinaryIO, size: int, texts: set[str]) -> None:
        """Look at all of ``file``, of ``size`` bytes. Raises SynthgenError likewise."""
        require_tar(self.path, file)
        file.seek(0)
        last = ""
        try:
            with tarfile.open(fileobj=file, mode="r:") as archive:
                while (member := archive.next()) is not None:
                    archive.members = []  # type: ignore[attr-defined]  # else all of them are kept
                    if member.offset_data + member.size > size:
                        raise tarfile.ReadError(f"{member.name} is cut off")
                    self._add(member, file, texts)
                    last = f" after {member.name}"
                _require_end(file, archive.offset)
        except (tarfile.TarError, OSError, ValueError) as error:
            raise SynthgenError(
                f"{self.path} is damaged or no tar file ({error}{last}).\nGet or write it again."
            ) from error

    def _add(self, member: tarfile.TarInfo, file: Any, texts: set[str]) -> None:
        _require_inside(self.path, member.name)
        name = PurePosixPath(member.name)
        stem, _, ending = name.name.partition(".")
        if member.isdir():
            return
        if not member.isreg() or member.issparse() or not stem or "__MACOSX" in name.parts:
            self.left_out += 1
            return
        key, ending = str(name.parent / stem), ending.casefold()
        sample = self.samples.setdefault(key, {})
        if ending in sample:
            self.problems.append(
                SynthgenError(
                    f"{self.path} holds {member.name} twice.\nWrite the shard again, with one key "
                    "per sample."
                )
            )
        sample[ending] = (member.offset_data, member.size)
        if ending in texts and member.size <= LARGEST:
            file.seek(member.offset_data)
            self._say(key, ending, member.name, file.read(member.size))

    def _say(self, key: str, ending: str, name: str, content: bytes) -> None:
        said = self.said.setdefault(key, {})
        if ending != "json":
            said[ending] = content.decode("utf-8", "replace").strip()
            return
        try:
            value = json.loads(content)
        except (ValueError, RecursionError):
            self.problems.append(
                SynthgenError(f"{name} in {self.path} is not JSON.\nWrite it again.")
            )
            return
        said |= value if isinstance(value, Mapping) else {"json": value}

    def piece(self, root: Path, image: frozenset[str]) -> Piece:
        """The samples as rows."""
        file = self.path.name if self.path == root else str(self.path.relative_to(root))
        names, images = [], []
        for key, sample in self.samples.items():
            ending = next((one for one in sample if one in image), None)
            names.append(f"{file}/{key}" + (f".{ending}" if ending else ""))
            images.append(self._member(names[-1], sample[ending]) if ending else None)
        rows = [self.said.get(key, {}) for key in self.samples]
        notes = tuple(self._notes(file, image))
        table = table_of_rows(str(self.path), rows, notes)
        return Piece(file.removesuffix(".tar"), table, tuple(images), tuple(names))

    def _member(self, name: str, place: tuple[int, int]) -> ImageFile:
        offset, size = place

        def read() -> bytes:
            with self.path.open("rb") as file:
                file.seek(offset)
                return file.read(size)

        return Member(name, read)

    def _notes(self, file: str, image: frozenset[str]) -> Iterator[str]:
        if self.left_out:
            yield (f"Left out {self.left_out:,} links, hidden files and the like in {file}.")
        every = {ending for sample in self.samples.values() for ending in sample}
        if rest := sorted(every - image - {*TEXTS}):
            yield f"Ignored the files .{', .'.join(rest)} in the samples."


def require_tar(path: Path, file: BinaryIO) -> None:
    """Refuse a compressed archive, in which nothing can be found without unpacking it."""
    head = file.read(8)
    for start, name in PACKED.items():
        if head.startswith(start):
            raise SynthgenError(
                f"{path} is compressed ({name}); tar shards are read as they are.\n"
                "Unpack it to a .tar; images don't shrink anyway."
            )


def _require_end(file: BinaryIO, offset: int) -> None:
    """Refuse a tar whose members end without its mark of the end, or before its last ones: tarfile
    takes a header that is cut off or damaged for the end, and what follows a first archive in one
    file for padding.

    Raises:
        tarfile.ReadError: such a file.
    """
    file.seek(offset)
    mark = file.read(tarfile.BLOCKSIZE)
    if len(mark) < tarfile.BLOCKSIZE:
        raise tarfile.ReadError("it is cut off")
    if any(mark):
        raise tarfile.ReadError("a header is damaged")
    if any(file.read(2 * tarfile.RECORDSIZE)):
        raise tarfile.ReadError("something follows its end: two archives in one file?")


def _require_inside(path: Path, name: str) -> None:
    if name.startswith(("/", "\\")) or ".." in re.split(r"[/\\]", name) or "\0" in name:
        raise SynthgenError(
            f"{path} holds a member {name[:60]!r}, which would lie outside of it.\n"
            "Don't use it, or write the shard again from files that you know."
        )


def _lacking(path: Path, without: Sequence[str], image: frozenset[str]) -> SynthgenError:
    return SynthgenError(
        f"{path} has {len(without):,} samples without an image (.{', .'.join(sorted(image))}); the "
        f"first is {without[0]}.\nWrite the shards again, or name the ending: data.image=ENDING."
    )


def _no_images(path: Path, shards: Sequence[Shard]) -> SynthgenError:
    every = {ending for shard in shards for sample in shard.samples.values() for ending in sample}
    return SynthgenError(
        f"The shards in {path} hold no images: {columns.listed(sorted(every))}.\n"
        "Name their ending: data.image=ENDING."
    )
