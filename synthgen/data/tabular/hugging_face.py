"""Sets of Hugging Face's ``datasets``: a folder with metadata, one saved to disk, Parquet shards.

Files are read with pyarrow alone: no script of a set is run, no pickle opened, nothing downloaded.
"""

import dataclasses
import json
import os
import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from synthgen.data.files import Listing
from synthgen.data.folders.words import is_part
from synthgen.data.readers import ImageFile
from synthgen.data.source import existing
from synthgen.data.tabular import columns
from synthgen.data.tabular.files import (
    PARQUET,
    arrow_table,
    features_of,
    plain_names,
    pyarrow_for,
    read_table,
)
from synthgen.data.tabular.members import Member, Piece, joined, split_word
from synthgen.data.tabular.table import TableSource, located, with_notes
from synthgen.errors import SynthgenError

METADATA = ("metadata.csv", "metadata.jsonl", "metadata.parquet")
DEPTH = 2  # folders below the given one in which files of the set lie
KEPT = 2  # row groups of Parquet files in memory
POINTER = b"version https://git-lfs"


@dataclass(frozen=True, kw_only=True)
class HuggingFace(TableSource):
    """A set as ``datasets`` keeps it: ``metadata.csv`` (or jsonl) beside its images, what
    ``save_to_disk`` wrote, or Parquet files; or one Parquet or Arrow file.

    ``image`` is the column of the images, needed where there are several. Splits are told by the
    names of files and folders, class names by the features.
    """

    path: str

    kind: ClassVar[str] = "hugging_face"

    @property
    def name(self) -> str:
        return Path(self.path).expanduser().resolve().stem or self.kind

    def listing(self) -> Listing:
        path = existing(self.path, "data.path")
        tables = [] if path.is_file() else sorted(_below(path, METADATA))
        if tables:
            return self._with_metadata(path, tables)
        pieces = [_piece(file, name, path, self.image) for file, name in arrow_files(path)]
        whole = joined(path, pieces)
        return self.rows(whole.table).listing(whole)

    def _with_metadata(self, path: Path, tables: Sequence[Path]) -> Listing:
        """Images beside their tables, one table for all or one for each split."""
        found = [located(read_table(file), self.image, file.parent, None) for file in tables]
        pieces = []
        for file, one in zip(tables, found, strict=True):
            place = "" if file.parent == path else str(file.parent.relative_to(path))
            names = tuple(os.path.join(place, name) for name in one.piece.names)
            pieces.append(dataclasses.replace(one.piece, file=place, names=names))
        whole = joined(path, pieces)
        problems = [problem for one in found for problem in one.problems]
        listing = self.rows(whole.table).listing(whole, *problems)
        return with_notes(listing, [note for one in found for note in one.notes])


def _below(folder: Path, endings: Sequence[str], depth: int = DEPTH) -> Iterator[Path]:
    """Files whose names end so, in the folder and a few below it, less hidden ones."""
    for one in sorted(folder.iterdir()):
        if one.name.startswith("."):
            continue
        if one.is_dir() and depth:
            yield from _below(one, endings, depth - 1)
        elif one.is_file() and one.name.endswith(tuple(endings)):
            yield one


def arrow_files(path: Path) -> list[tuple[Path, str]]:
    """The files of a set with images inside, and the names that may tell their splits.

    Raises:
        SynthgenError: there are none; the message says what lies there instead.
    """
    if path.is_file():
        return [(path, path.stem)]
    saved = path / "dataset_dict.json"
    if saved.is_file():
        splits = _json(saved).get("splits")
        names = [str(one) for one in splits] if isinstance(splits, list) else []
        return [(file, name) for name in names for file in _saved(path / _plain(name, saved))]
    if (path / "state.json").is_file():
        return [(file, "") for file in _saved(path)]
    found = sorted(_below(path, (".parquet",))) or sorted(_below(path, (".arrow",)))
    if not found:
        raise _nothing(path)
    _require_one_set(path, found)
    return [(file, str(file.relative_to(path).with_suffix(""))) for file in found]


def _require_one_set(path: Path, files: Sequence[Path]) -> None:
    """Refuse folders side by side that each have files of the same splits: configurations of a
    set, which may share their images."""
    homes: dict[Path, set[str]] = {}
    for file in files:
        home = file.parent
        while home != path and split_word(home.name) in columns.CALLED:
            home = home.parent
        homes.setdefault(home, set()).add(split_word(str(file.relative_to(home).with_suffix(""))))
    said = [words for words in homes.values() if words]
    if all(is_part(home.name) for home in homes):
        return
    if len(homes) > 1 and len(set().union(*said)) < sum(map(len, said)):
        names = [str(home.relative_to(path)) for home in homes]
        raise SynthgenError(
            f"{path} holds several sets, {columns.listed(names)}, perhaps of the same images.\n"
            f"Give one: data.path={path / names[0]}."
        )


def _saved(folder: Path) -> list[Path]:
    """The Arrow files that ``save_to_disk`` listed, in their order."""
    state = _json(existing(folder / "state.json", "data.path"))
    if state.get("_indices_data_files"):
        raise SynthgenError(
            f"{folder} holds a selection of rows of a larger set.\n"
            "Save it anew: dataset.flatten_indices().save_to_disk(FOLDER)."
        )
    listed = state.get("_data_files")
    names = [one.get("filename") for one in listed] if isinstance(listed, list) else []
    return [existing(folder / _plain(name, folder), "data.path") for name in names]


def _plain(name: object, place: Path) -> str:
    """A file's name without a way out of its folder."""
    if not isinstance(name, str) or Path(name).name != name or name in ("", ".."):
        raise SynthgenError(f"{place} names a file {name!r} outside of it.\nGet the set again.")
    return name


def _json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise SynthgenError(f"{path} is damaged ({error}).\nGet the set again.") from error
    return content if isinstance(content, dict) else {}


def _nothing(path: Path) -> SynthgenError:
    advice = "Give what save_to_disk wrote, Parquet files, or images with a metadata.csv."
    if any(_below(path, (".tar",))):
        advice = f"It holds tar files: data=webdataset data.path={path}."
    elif any(one.is_dir() for one in path.iterdir()):
        advice += f" For class folders: data=image_folder data.root={path}."
    return SynthgenError(f"{path} holds no set of Hugging Face's datasets.\n{advice}")


# One file: its table, and its images to be read one by one.


def _piece(file: Path, name: str, root: Path, wanted: str | None) -> Piece:
    """The rows of a Parquet or Arrow file; ``wanted`` names the column of images."""
    with file.open("rb") as stream:
        head = stream.read(len(POINTER))
    if head == POINTER:
        raise SynthgenError(f"{file} is a pointer of Git LFS, not the file.\nGet it: git lfs pull")
    pyarrow = pyarrow_for(file)
    shown = file.name if root == file else str(file.relative_to(root))
    try:
        if head.startswith(PARQUET):
            return _parquet_piece(pyarrow, file, name, shown, wanted)
        return _arrow_piece(pyarrow, file, name, shown, wanted)
    except (pyarrow.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0]
        raise SynthgenError(f"{file} is damaged ({reason}).\nGet or write it again.") from error


def _arrow_piece(pyarrow: Any, file: Path, name: str, shown: str, wanted: str | None) -> Piece:
    mapped = pyarrow.memory_map(str(file))
    try:
        content = pyarrow.ipc.open_stream(mapped).read_all()
    except pyarrow.ArrowInvalid:
        content = pyarrow.ipc.open_file(pyarrow.memory_map(str(file))).read_all()
    column = content.column(image_column(file, content.schema, wanted))
    table = arrow_table(str(file), content.schema, content.select(plain_names(content.schema)))
    paths = _paths(column)

    names = tuple(_shown(shown, row, path) for row, path in enumerate(paths))
    images = tuple(Member(one, partial(_content, column, row)) for row, one in enumerate(names))
    return Piece(name, table, images, names)


def _content(column: Any, row: int) -> bytes:
    """An image file: the cell itself, or the field of Hugging Face's structure."""
    entry = column[row]
    content = (entry["bytes"] if hasattr(entry, "keys") else entry) if entry.is_valid else entry
    if not content.is_valid:
        raise ValueError("its row holds no image, or only a path")
    return bytes(content.as_py())


def _paths(column: Any) -> list[str]:
    """The names that the files had; "" where they aren't known."""
    from pyarrow import compute, types

    if not types.is_struct(column.type) or column.type.get_field_index("path") < 0:
        return [""] * len(column)
    paths = compute.struct_field(column, "path").to_pylist()
    return [Path(path).name if isinstance(path, str) else "" for path in paths]


def _shown(file: str, row: int, path: str) -> str:
    return f"{file}[{row}]" + (f"/{path}" if path else "")


def _parquet_piece(pyarrow: Any, file: Path, name: str, shown: str, wanted: str | None) -> Piece:
    opened = pyarrow.parquet.ParquetFile(file)
    schema = opened.schema_arrow
    column = image_column(file, schema, wanted)
    table = arrow_table(str(file), schema, opened.read(columns=plain_names(schema)))
    groups = RowGroups(pyarrow, file, column)
    images: list[ImageFile | None] = []
    names: list[str] = []
    for group in range(opened.num_row_groups):
        for place, path in enumerate(groups.paths(opened, group)):
            names.append(_shown(shown, len(names), path))
            images.append(Member(names[-1], partial(groups.content, group, place)))
    return Piece(name, table, tuple(images), tuple(names))


class RowGroups:
    """The images of a Parquet file, of which a few row groups are in memory at a time."""

    def __init__(self, pyarrow: Any, file: Path, column: str) -> None:
        self._pyarrow = pyarrow
        self._file = file
        self._column = column
        self._kept: OrderedDict[int, Any] = OrderedDict()
        self._lock = threading.Lock()

    def paths(self, opened: Any, group: int) -> list[str]:
        """The name that each image of a row group had, without reading the images."""
        if f"{self._column}.path" not in (
            opened.schema.column(i).path for i in range(len(opened.schema))
        ):
            return [""] * opened.metadata.row_group(group).num_rows
        return _paths(opened.read_row_group(group, columns=[f"{self._column}.path"]).column(0))

    def content(self, group: int, place: int) -> bytes:
        with self._lock:
            if group not in self._kept:
                opened = self._pyarrow.parquet.ParquetFile(self._file)
                self._kept[group] = opened.read_row_group(group, columns=[self._column]).column(0)
                while len(self._kept) > KEPT:
                    self._kept.popitem(last=False)
                    self._pyarrow.default_memory_pool().release_unused()
            column = self._kept[group]
        return _content(column, place)


def image_column(file: Path, schema: Any, wanted: str | None) -> str:
    """The column of a file that holds images.

    Raises:
        SynthgenError: none does, or several do.
    """
    from pyarrow import types

    def holds_files(kind: Any) -> bool:
        if types.is_struct(kind):
            return kind.get_field_index("bytes") >= 0
        return bool(types.is_binary(kind) or types.is_large_binary(kind))

    features = features_of(schema.metadata)
    found = [one.name for one in schema if holds_files(one.type)]
    if wanted is not None:
        if wanted in found:
            return wanted
        raise SynthgenError(
            f"{file} has no column {wanted!r} of image files, which data.image names.\n"
            f"Its columns are {columns.listed(f'{one.name} ({one.type})' for one in schema)}."
        )
    declared = [name for name in found if features.get(name, {}).get("_type") == "Image"]
    best = declared or [name for name in found if columns.plain(name) in columns.IMAGE] or found
    if len(best) == 1:
        return best[0]
    if best:
        raise SynthgenError(
            f"{file} has several columns of images: {' and '.join(best)}.\n"
            f"Say which: {' or '.join(f'data.image={name}' for name in best)}."
        )
    raise SynthgenError(
        f"{file} has no column of image files; it has "
        f"{columns.listed(f'{one.name} ({one.type})' for one in schema)}.\n"
        f"For a table of paths: data=csv data.path={file}."
    )
