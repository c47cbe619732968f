"""Image files with labels: one subfolder per class."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from synthgen.data.assign import SPLITS
from synthgen.data.files import Listing
from synthgen.data.folders.below import Paths, Shown
from synthgen.data.folders.layout import Layout, no_classes, read_layout
from synthgen.data.folders.tree import Tree
from synthgen.data.folders.walk import Folder, walk
from synthgen.data.folders.ways import typed
from synthgen.data.folders.words import OF_WORD
from synthgen.data.medical import MedicalFiles
from synthgen.data.source import existing, label_names, require_safe_names
from synthgen.errors import SynthgenError
from synthgen.ranges import CountOrNone, Depth

# A folder with one subfolder of images per class.

SplitFolders = str | CountOrNone | list[str | CountOrNone]  # a folder may be called 1


@dataclass(frozen=True, kw_only=True)
class ImageFolder(MedicalFiles):
    """``root/<class>/…`` or ``root/<split>/<class>/…``, where the names of the split folders say
    train, val(idation), test or the like. Images may lie deeper inside a class folder.

    Args:
        splits: the folders, below ``root``, of ``train``, ``holdout`` and ``test``, one or several
            for each; all others are left out. None: recognised, or refused if in doubt.
        level: how deep the class folders lie in ``root``, or in the split folders if there are
            some: 1 for their subfolders, 2 for those inside. None: recognised, or refused.
    """

    root: str
    splits: dict[str, SplitFolders] | None = None
    level: Depth | None = None

    kind: ClassVar[str] = "image_folder"
    reading: ClassVar[tuple[str, ...]] = (*MedicalFiles.reading, "level")

    @property
    def name(self) -> str:
        return Path(self.root).expanduser().resolve().name or self.kind

    def watched(self) -> Path | None:
        return Path(self.root).expanduser()

    def listing(self) -> Listing:
        root = existing(self.root, "data.root")
        if not root.is_dir():
            raise SynthgenError(
                f"data.root={self.root} is a file, not a folder.\n"
                "Give the folder that holds the class folders, or use data=csv or data=npz."
            )
        layout = read_layout(walk(root), split_folders(self.splits), self.level)
        return listing_of(layout, self.name)


def split_folders(splits: Mapping[str, SplitFolders] | None) -> dict[str, list[str]] | None:
    """``data.splits`` as lists of folders by split. Raises SynthgenError for another split."""
    if splits is None:
        return None
    found: dict[str, list[str]] = {}
    for key, folders in splits.items():
        split = OF_WORD.get(str(key).lower())
        if split not in SPLITS:
            raise SynthgenError(
                f"data.splits has {key!r}, which is no split.\n"
                "Name folders for train, holdout and test, as in "
                "'data.splits={train: training_set, test: test_set}'."
            )
        several = folders if isinstance(folders, list) else [folders]
        found.setdefault(split, []).extend(str(one) for one in several)
    if not found.get("train"):
        raise SynthgenError(
            "data.splits names no folder for train.\n"
            "Add it: 'data.splits={train: FOLDER, test: FOLDER}'."
        )
    return found


def class_folders(root: Path) -> Listing:
    """The folders in ``root`` as classes, whatever they are called; no splits."""
    return listing_of(read_layout(walk(root), None, 1), root.name)


def listing_of(layout: Layout, name: str) -> Listing:
    """The files of a layout, with everything that is wrong with it.

    Raises:
        SynthgenError: there are no files.
    """
    classes, problems = looked_at(layout)
    numbers = {name: number for number, name in enumerate(classes)}
    files: list[tuple[Path, list[str]]] = []
    labels: list[int] = []
    split: list[str | None] = []
    for place in layout.places:
        here = list(place.folder.files())
        count = sum(len(names) for _, names in here)
        files += here
        labels += [numbers[place.name]] * count
        split += [place.split] * count
    paths = Paths(files)
    if not paths:
        raise problems[0]
    folders = {
        one: tuple(layout.shown(top).rstrip("/") for top in tops)
        for one, tops in layout.tops.items()
    }
    left_out = [(layout.shown(one).rstrip("/"), one.count) for one in layout.left_out]
    return Listing(
        paths,
        Shown(paths, layout.walked.prefix),
        tuple(labels),
        classes,
        tuple(split),
        (None,) * len(paths),
        tuple(problems),
        (*layout.walked.notes(), *layout.notes, *_ignored(layout)),
        tree=Tree.of(name, classes, labels, split, folders, left_out),
    )


# What is beside, missing, or there twice.


def looked_at(layout: Layout) -> tuple[tuple[str, ...], list[SynthgenError]]:
    """The classes of a layout, and everything that is wrong with it. Raises SynthgenError if there
    are none."""
    problems = [*_beside(layout), *_twice(layout)]
    if not layout.places:
        raise problems[0] if problems else no_classes(layout, layout.walked.folder)
    classes = label_names(place.name for place in layout.places)
    require_safe_names(classes)
    return classes, [*problems, *_missing(layout, classes), *_empty(layout)]


def _above(layout: Layout) -> list[Folder]:
    """The folders that hold the class folders, and those that these lie in."""
    starts = [place.folder.parent for place in layout.places] or [layout.walked.folder]
    found = {one: None for start in starts if start for one in reversed(list(start.chain()))}
    return list(found)


def _beside(layout: Layout) -> Iterator[SynthgenError]:
    """Images above the class folders belong to no class; a link that is broken may have been a
    class."""
    for folder in _above(layout):
        if folder.loose:
            yield SynthgenError(
                f"{folder.path / folder.loose[0]} lies beside the class folders"
                f"{_more(folder.loose)}.\n"
                "Each image belongs into a folder named after its class."
            )
        for name in folder.broken:
            yield SynthgenError(
                f"{folder.path / name} is a link to what does not exist.\n"
                "Mend the link, or remove it."
            )


def _ignored(layout: Layout) -> Iterator[str]:
    """Files above the class folders that are no images, and folders that were read once."""
    for folder in _above(layout):
        loose = set(folder.loose)
        others = sorted([*folder.others, *(one for one in folder.pictures if one not in loose)])
        if others:
            yield f"Ignored {folder.path / others[0]}{_more(others)}: not in a class folder."
    for link, target, same in _links(layout):
        if same:
            yield f"Ignored {link}: it is {target}, which is read already."


def _twice(layout: Layout) -> Iterator[SynthgenError]:
    """Folders under two names: of two classes or splits, or instead of one."""
    for link, target, same in _links(layout):
        if not same:
            yield SynthgenError(
                f"{link} and {target} are one folder under two names.\n"
                "Remove the link, so that each image has one class and one split."
            )


def _links(layout: Layout) -> Iterator[tuple[Path, Path, bool]]:
    """Links to folders that are read under another name, these names, and whether both are of one
    class and split; less those in folders that are left out."""
    for folder in layout.walked.folder.all():
        for name, target in folder.links:
            if any(folder.within(one) for one in layout.left_out):
                continue
            here, there = _place_of(layout, folder), _place_of(layout, target)
            same = None not in (here, there) and here == there
            yield folder.path / name, target.path, same


def _place_of(layout: Layout, folder: Folder) -> tuple[str | None, str] | None:
    above = set(folder.chain())
    found = (place for place in layout.places if place.folder in above)
    return next(((place.split, place.name) for place in found), None)


def _missing(layout: Layout, classes: tuple[str, ...]) -> Iterator[SynthgenError]:
    """Classes that a split lacks."""
    present = {(place.split, place.name) for place in layout.places}
    every = [typed(layout.shown(top)) for tops in layout.tops.values() for top in tops]
    for split, tops in layout.tops.items():
        where = tops[0].path if len(tops) == 1 else f"The {split} split"
        for name in classes:
            if (split, name) not in present:
                yield SynthgenError(
                    f"{where} has no folder {name}/, though the other splits have.\n"
                    "Add images of that class to it, or remove the class everywhere; or divide all "
                    f"anew: 'data.splits={{train: [{', '.join(every)}]}}'."
                )


def _empty(layout: Layout) -> Iterator[SynthgenError]:
    """Class folders without a file, unless the class has another folder in that split."""
    files = Counter[tuple[str | None, str]]()
    for place in layout.places:
        files[place.split, place.name] += any(names for _, names in place.folder.files())
    for place in layout.places:
        if not files[place.split, place.name]:
            yield SynthgenError(
                f"The class folder {place.folder.path} holds no images.\n"
                "Add at least 5, or remove the folder."
            )


def _more(names: Sequence[object]) -> str:
    return f" (and {len(names) - 1:,} more)" if len(names) > 1 else ""
