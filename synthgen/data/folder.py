"""Image files with labels: one subfolder per class, or a CSV file that lists them."""

import csv
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from synthgen.data.files import FileSource, Listing
from synthgen.data.readers import extensions
from synthgen.data.source import SET_FILES, existing, label_names, require_safe_names
from synthgen.errors import SynthgenError

# A folder with one subfolder of images per class.

SPLIT_FOLDERS = {
    "train": "train",
    "training": "train",
    "holdout": "holdout",
    "val": "holdout",
    "valid": "holdout",
    "validation": "holdout",
    "test": "test",
    "testing": "test",
}
JUNK = frozenset({"thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r", "__macosx"})
KNOWN_FILES = SET_FILES | {"license", "license.txt"}
Identity = tuple[int, int]  # of a folder, by whatever name: its device and its number there


@dataclass(frozen=True, kw_only=True)
class ImageFolder(FileSource):
    """``root/<class>/…`` or ``root/{train,holdout|val,test}/<class>/…``; classes in alphabetical
    order. Images may lie deeper inside a class folder."""

    root: str

    kind: ClassVar[str] = "image_folder"

    @property
    def name(self) -> str:
        return Path(self.root).expanduser().resolve().name or self.kind

    def listing(self) -> Listing:
        root = existing(self.root, "data.root")
        if not root.is_dir():
            raise SynthgenError(
                f"data.root={self.root} is a file, not a folder.\n"
                "Give the folder that holds the class folders, or use data=csv or data=npz."
            )
        splits = split_folders(root)
        return list_folders(root, splits or {None: root})


def split_folders(root: Path) -> dict[str | None, Path]:
    """The official split folders of ``root`` by split name; empty if its folders are classes."""
    folders = _subfolders(root)
    found: dict[str | None, Path] = {}
    for folder in folders:
        split = SPLIT_FOLDERS.get(folder.name.lower())
        # A class may be called "train" too; but then it holds images, not folders.
        if split is None or not _subfolders(folder) or _images(folder):
            continue
        if split in found:
            raise SynthgenError(
                f"{root} has both {found[split].name}/ and {folder.name}/ for the {split} split.\n"
                "Keep one of the two."
            )
        found[split] = folder
    if not found:
        return {}
    if "train" not in found:
        present = "/, ".join(folder.name for folder in found.values())
        raise SynthgenError(f"{root} has {present}/ but no train/.\nAdd train/ with the classes.")
    others = [folder.name for folder in folders if folder not in found.values()]
    if others:
        raise SynthgenError(
            f"{root} has {', '.join(others[:3])} beside train/, so what is a class is unclear.\n"
            "Keep only train/, holdout/ (or val/) and test/ there."
        )
    return found


def list_folders(root: Path, splits: dict[str | None, Path]) -> Listing:
    """List the class folders inside each split folder (the key None: no official split)."""
    problems: list[SynthgenError] = []
    notes: list[str] = []
    above = {_identity(one) for one in (root, *root.resolve().parents, *splits.values())}
    folders = {split: _class_folders(folder, above, notes) for split, folder in splits.items()}
    classes = tuple(sorted({folder.name for found in folders.values() for folder in found}))
    for place in dict.fromkeys((root, *splits.values())):
        _look_at_loose_files(place, problems, notes)
    if not classes:
        raise problems[0] if problems else _no_classes(root)
    require_safe_names(classes)
    paths: list[Path] = []
    labels: list[int] = []
    split_of: list[str | None] = []
    numbers = {name: number for number, name in enumerate(classes)}
    for split, found in folders.items():
        problems += _missing_classes(splits[split], found, classes)
        for folder in found:
            files = image_files(folder, above, notes)
            if not files:
                problems.append(_empty_class(folder))
            paths += files
            labels += [numbers[folder.name]] * len(files)
            split_of += [split] * len(files)
    if not paths:
        raise problems[0]
    prefix = len(str(root).rstrip(os.sep)) + 1 if str(root) != "." else 0
    return Listing(
        tuple(paths),
        tuple(str(path)[prefix:] for path in paths),  # relative_to is slow for many files
        tuple(labels),
        classes,
        tuple(split_of),
        (None,) * len(paths),
        tuple(problems),
        tuple(notes),
    )


def image_files(folder: Path, above: set[Identity], notes: list[str]) -> list[Path]:
    """All files in ``folder`` and below, sorted, less hidden files and what systems leave behind.
    Whether they are images shows when they are opened. Links to folders are followed, but for those
    that lead back to a folder that they lie in, those ``above`` among them: each gets a sentence in
    ``notes``."""
    return list(_files_below(folder, above | {_identity(folder)}, notes))


def _files_below(folder: Path, above: set[Identity], notes: list[str]) -> Iterator[Path]:
    yield from (folder / name for name in _names(folder, lambda entry: not entry.is_dir()))
    for name in _names(folder, lambda entry: entry.is_dir()):
        identity = _identity(folder / name)
        if identity in above:
            notes.append(_loop(folder / name))
        else:
            yield from _files_below(folder / name, above | {identity}, notes)


def _class_folders(folder: Path, above: set[Identity], notes: list[str]) -> list[Path]:
    """The folders in ``folder``, less links to those ``above``."""
    found = []
    for one in _subfolders(folder):
        if _identity(one) in above:
            notes.append(_loop(one))
        else:
            found.append(one)
    return found


def _loop(link: Path) -> str:
    return f"Ignored {link}: the link leads back to a folder that it lies in."


def _identity(folder: Path) -> Identity:
    found = folder.stat()
    return found.st_dev, found.st_ino


def _names(folder: Path, wanted: Callable[[os.DirEntry[str]], bool]) -> list[str]:
    """Names in ``folder``, sorted; raises SynthgenError if it can't be looked into."""
    try:
        with os.scandir(folder) as entries:
            return sorted(one.name for one in entries if wanted(one) and not _is_junk(one.name))
    except PermissionError:
        raise SynthgenError(
            f"{folder} can't be read: you have no permission.\nAsk its owner."
        ) from None


def _is_junk(name: str) -> bool:
    return name.startswith(".") or name.lower() in JUNK


def _subfolders(folder: Path) -> list[Path]:
    return [folder / name for name in _names(folder, lambda entry: entry.is_dir())]


def _files(folder: Path) -> list[str]:
    return _names(folder, lambda entry: entry.is_file())


def _images(folder: Path) -> list[str]:
    return [name for name in _files(folder) if Path(name).suffix.lower() in extensions()]


def _look_at_loose_files(folder: Path, problems: list[SynthgenError], notes: list[str]) -> None:
    """Images beside the class folders belong to no class: a problem. Other files: a note."""
    images = [name for name in _images(folder) if name.lower() not in KNOWN_FILES]
    if images:
        problems.append(
            SynthgenError(
                f"{folder / images[0]} lies beside the class folders{_more(images)}.\n"
                "Each image belongs into a folder named after its class."
            )
        )
    others = [name for name in _files(folder) if name not in images]
    others = [name for name in others if name.lower() not in KNOWN_FILES]
    if others:
        notes.append(f"Ignored {folder / others[0]}{_more(others)}: not in a class folder.")


def _more(names: list[str]) -> str:
    return f" (and {len(names) - 1:,} more)" if len(names) > 1 else ""


def _missing_classes(
    place: Path, found: Iterable[Path], classes: tuple[str, ...]
) -> list[SynthgenError]:
    present = {folder.name for folder in found}
    return [
        SynthgenError(
            f"{place} has no folder {name}/, though the other splits have.\n"
            "Add images of that class to it, or remove the class everywhere."
        )
        for name in classes
        if name not in present
    ]


def _no_classes(root: Path) -> SynthgenError:
    return SynthgenError(
        f"{root} holds no class folders.\nMake one folder per class in it, with the images inside."
    )


def _empty_class(folder: Path) -> SynthgenError:
    return SynthgenError(
        f"The class folder {folder} holds no images.\nAdd at least 5, or remove the folder."
    )


# A CSV file that lists images, their labels and, if wanted, what belongs together.

COLUMNS = ("path", "label", "group")


@dataclass(frozen=True, kw_only=True)
class CSV(FileSource):
    """A CSV file with the columns ``path``, ``label`` and optionally ``group``, in any order.

    Paths are relative to the CSV file. Images of one group (a patient, a camera, a film) always
    stay in the same split; an empty group is no group.

    Args:
        attribute: a further column (scanner, site, sex) by whose values a trial's report compares
            recall; it changes nothing else. Images with an empty value are left out there.
    """

    path: str
    attribute: str | None = None

    kind: ClassVar[str] = "csv"

    @property
    def name(self) -> str:
        return Path(self.path).stem

    def listing(self) -> Listing:
        path = existing(self.path, "data.path")
        attribute = self.attribute.strip().lower() if self.attribute else None
        rows, notes = _rows(path, attribute)
        wrong = {number: said for number, row in enumerate(rows) if (said := _wrong_with(row))}
        problems = [
            SynthgenError(f"{path} has {said} in data row {number + 1}.\n{_FIX[said]}")
            for number, said in wrong.items()
        ]
        rows = [row for number, row in enumerate(rows) if number not in wrong]
        if not rows:
            raise problems[0] if problems else SynthgenError(f"{path} lists no images.\nAdd rows.")
        classes = label_names([row["label"] for row in rows])
        require_safe_names(classes)
        number_of = {name: number for number, name in enumerate(classes)}
        return Listing(
            tuple(path.parent / row["path"] for row in rows),
            tuple(row["path"] for row in rows),
            tuple(number_of[row["label"]] for row in rows),
            classes,
            (None,) * len(rows),
            tuple(row["group"] or None for row in rows),
            tuple(problems),
            notes,
            tuple(row[attribute] or None for row in rows) if attribute else (),
        )


_EMPTY, _NUL, _LONG = (
    "an empty path or label", "a NUL character", "more cells than the first line"
)  # fmt: skip
_FIX = {
    _EMPTY: "Complete the row or remove it.",
    _NUL: "Write the row again; the file may be damaged.",
    _LONG: "Quote cells that hold a comma, or name the further column.",
}


def _wrong_with(row: dict[str, str]) -> str | None:
    """What makes a row of ``_rows`` unusable."""
    if row[_LONG]:
        return _LONG
    if any("\0" in cell for cell in row.values()):
        return _NUL
    return None if row["path"] and row["label"] else _EMPTY


def _rows(path: Path, attribute: str | None) -> tuple[list[dict[str, str]], tuple[str, ...]]:
    """The rows with the known columns and ``attribute``, stripped, and a note on columns left out.
    A cell ``_LONG`` holds what stands beyond the last column."""
    wanted = tuple(dict.fromkeys((*COLUMNS, attribute or COLUMNS[0])))
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, restkey=_LONG)
            header = [(name or "").strip().lower() for name in reader.fieldnames or ()]
            reader.fieldnames = header
            table = [
                {name: (row.get(name) or "").strip() for name in wanted}
                | {_LONG: "".join(row.get(_LONG) or ()).strip()}
                for row in reader
            ]
    except IsADirectoryError as error:
        raise SynthgenError(
            f"data.path={path} is a folder, not a CSV file.\n"
            "Give the file itself, or use data=image_folder for a folder of class folders."
        ) from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise SynthgenError(f"{path} is not a CSV file in UTF-8 ({error}).\nSave it so.") from error
    missing = [name for name in ("path", "label") if name not in header]
    if missing:
        raise SynthgenError(
            f"{path} has no column {' and '.join(missing)}; its first line has "
            f"{', '.join(filter(None, header)) or 'nothing'}.\n"
            "The first line must name the columns: path,label or path,label,group."
        )
    twice = [name for name in wanted if header.count(name) > 1]
    if twice:
        raise SynthgenError(
            f"{path} has more than one column {' and '.join(twice)}.\n"
            "Keep one of them, or give the others other names."
        )
    if attribute is not None and attribute not in header:
        raise SynthgenError(
            f"{path} has no column {attribute!r}, which data.attribute names.\n"
            f"Its columns are {', '.join(filter(None, header))}."
        )
    ignored = [name for name in header if name not in wanted]
    notes = (f"Ignored the columns {', '.join(ignored)} of {path.name}.",) if ignored else ()
    return table, notes
