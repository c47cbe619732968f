"""The manifest of a set that synthgen wrote: which image is where, and whether it still is."""

import hashlib
from dataclasses import dataclass, replace
from itertools import compress, groupby
from pathlib import Path
from typing import Self

import numpy as np

from synthgen.data.files import Listing
from synthgen.data.images import for_each
from synthgen.data.source import require_safe_names
from synthgen.dataset import MANIFEST
from synthgen.dataset.formats.read import read_stored
from synthgen.dataset.schema import ADVICE, REAL, PublicRow
from synthgen.errors import SynthgenError
from synthgen.io import lines_of, require_plain_file
from synthgen.schema import damaged, shown

SHARDS = "shards"


@dataclass(frozen=True)
class SetRows:
    """The rows of a manifest: file, label, and what else is known of each image."""

    root: Path
    classes: tuple[str, ...]
    files: tuple[str, ...]
    labels: tuple[int, ...]
    indices: tuple[int | None, ...]  # of the image within its file; None: the file is the image
    digests: tuple[str, ...]
    real: tuple[bool, ...]

    @property
    def in_shards(self) -> bool:
        return bool(self.indices) and self.indices[0] is not None

    def synthetic(self) -> Self:
        """Only the rows that a sampler drew."""
        keep = [not real for real in self.real]
        if all(keep):
            return self
        return replace(
            self,
            files=tuple(compress(self.files, keep)),
            labels=tuple(compress(self.labels, keep)),
            indices=tuple(compress(self.indices, keep)),
            digests=tuple(compress(self.digests, keep)),
            real=tuple(compress(self.real, keep)),
        )

    def listing(self) -> Listing:
        """The rows of a set with one file per image."""
        none = (None,) * len(self.files)
        paths = tuple(self.root / file for file in self.files)
        return Listing(paths, self.files, self.labels, self.classes, none, none)

    def require_hashes(self) -> None:
        """Raise SynthgenError if the file of an image is not the one that was written. A missing
        one is left to whoever reads it."""

        def check(row: int) -> None:
            path = self.root / self.files[row]
            if (
                path.is_file()
                and hashlib.sha256(path.read_bytes()).hexdigest() != self.digests[row]
            ):
                raise _changed(path, self.root)

        for_each(check, range(len(self.files)), "Checking files")

    def pixels(self) -> np.ndarray:
        """The images of a set in shards, uint8 ``(N, H, W)`` or ``(N, H, W, 3)``, checked."""
        rows = iter(zip(self.indices, self.digests, strict=True))
        parts = []
        for file, group in groupby(self.files):
            count = sum(1 for _ in group)
            wanted = [next(rows) for _ in range(count)]
            images, digests = self._stored(file)
            index = [place or 0 for place, _ in wanted]
            if max(index) >= len(images) or any(
                digests[place] != digest for place, (_, digest) in zip(index, wanted, strict=True)
            ):
                raise _changed(self.root / file, self.root)
            parts.append(images[index])
        return np.concatenate(_alike(parts))

    def _stored(self, file: str) -> tuple[np.ndarray, list[str]]:
        require_plain_file(self.root / file)
        try:
            return read_stored(str(self.root / file), (self.root / file).read_bytes())
        except FileNotFoundError:
            raise SynthgenError(
                f"{self.root / file} does not exist, but belongs to the set.\nGet the set again."
            ) from None


def _changed(path: Path, root: Path) -> SynthgenError:
    return SynthgenError(
        f"{path} was changed or cut short since it was written (its SHA-256 differs).\n"
        f"What else is wrong with the set: synthgen verify {root}"
    )


def _alike(parts: list[np.ndarray]) -> list[np.ndarray]:
    """Grey shards of a set whose other shards are in colour get three equal channels."""
    if len({part.ndim for part in parts}) == 1:
        return parts
    return [part if part.ndim == 4 else np.repeat(part[..., None], 3, axis=3) for part in parts]


def read_rows(root: Path, classes: tuple[str, ...]) -> SetRows:
    """Read and check the manifest in ``root``; raises SynthgenError if it is missing or damaged."""
    require_safe_names(classes)
    manifest = root / MANIFEST
    require_plain_file(manifest)
    label_of = {name: label for label, name in enumerate(classes)}
    try:
        with manifest.open("rb") as file:
            rows: list[tuple[str, int, int | None, str, bool]] = []
            for row in PublicRow.read_lines(lines_of(file), str(manifest), ADVICE):
                _require_place(row, label_of, manifest, len(rows) + 1)
                rows.append((row.file, row.label, row.index, row.sha256, row.origin == REAL))
    except FileNotFoundError:
        raise SynthgenError(f"{manifest} is missing.\n{ADVICE}") from None
    if not rows:
        raise SynthgenError(f"{manifest} lists no images.\n{ADVICE}")
    files, labels, indices, digests, real = zip(*rows, strict=True)
    if any((index is None) != (indices[0] is None) for index in indices):
        raise SynthgenError(
            f"{manifest} is damaged: some rows lie in shards, others don't.\n{ADVICE}"
        )
    return SetRows(root, classes, files, labels, indices, digests, real)


def _require_place(row: PublicRow, label_of: dict[str, int], manifest: Path, number: int) -> None:
    """Raises SynthgenError for a row that lies or is labelled where no such row can be."""
    folder = SHARDS if row.index is not None else row.class_
    if label_of.get(row.class_) != row.label or row.file.rpartition("/")[0] != folder:
        raise damaged(
            str(manifest),
            f"line {number} names {shown(row.file)} of class {row.class_!r}, label {row.label}",
            ADVICE,
        )
    if "\\" in row.file:
        raise damaged(str(manifest), f"line {number} names {shown(row.file)}", ADVICE)
