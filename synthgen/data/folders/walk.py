"""What lies in a folder of images: files that may be pictures, and what systems, cameras and tools
leave beside them, which is counted and never taken for an image or a class."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from synthgen.data.folders.words import words_of
from synthgen.data.readers import extensions
from synthgen.data.readers.foreign import ENDINGS
from synthgen.data.source import SET_FILES
from synthgen.errors import SynthgenError

TEXTS = {  # names without an ending
    "readme", "license", "licence", "copying", "notice", "authors", "citation", "version",
    "changelog", "makefile",
}  # fmt: skip
LEFT_FOLDERS = {
    "__macosx", "@eadir", "$recycle.bin", "recycler", "#recycle", "@recycle", "#snapshot", "@tmp",
    "system volume information", "lost+found", "__pycache__",
}  # fmt: skip
LEFT_FILES = {
    "thumbs.db", "ehthumbs.db", "ehthumbs_vista.db", "desktop.ini", "icon\r", "picasa.ini",
    "pspbrwse.jbf", "zbthumbnail.info", "dicomdir",
}  # fmt: skip
SIDECARS = {  # of cameras, editors and maps; labels, tables, texts and code
    ".xml", ".txt", ".json", ".jsonl", ".xmp", ".aae", ".thm", ".tfw", ".tifw", ".jgw", ".jpgw",
    ".pgw", ".pngw", ".wld", ".prj", ".aux", ".csv", ".tsv", ".xls", ".xlsx", ".ods", ".md", ".rst",
    ".html", ".htm", ".log", ".yaml", ".yml", ".toml", ".ini", ".cfg", ".doc", ".docx", ".odt",
    ".rtf", ".url", ".py", ".ipynb", ".sh", ".bat", ".dvc", ".md5", ".sha1", ".sha256",
}  # fmt: skip
OTHER_PICTURES = {
    ".jp2", ".j2k", ".jpx", ".jxl", ".avif", ".heic", ".heif", ".dicom", ".ima", ".nii", ".nii.gz",
    ".nrrd", ".exr", ".hdr", ".fits", ".fit",
}  # fmt: skip
DRAWN_OR_RAW = {".svg", ".img", ".raw", ".npy"}  # as often a logo, a dump or a table of anything
PICTURES = (extensions() | set(ENDINGS) | OTHER_PICTURES) - DRAWN_OR_RAW
MASK = (
    re.compile(  # of the picture that is called as the first group says: "a (1)_mask_2" of "a (1)"
        r"(.+?)[-_. ]+(masks?|seg|segmentation|superpixels?|labels?|gt|ground_?truth)([-_ ]?\d+)?$",
        re.IGNORECASE,
    )
)
ANNOTATIONS = {"annotation", "annotations", "label", "labels", "bbox", "bboxes", "meta", "metadata"}
Identity = tuple[int, int]  # of a folder, by whatever name: its device and its number there


@dataclass(eq=False)
class Folder:
    """A folder without what was skipped.

    Attributes:
        pictures: files that may be images: by their ending, or without one, as in hospitals.
        others: files of an unknown kind.
        broken: links that lead nowhere and aren't named like a picture.
        links: links to folders that are read under another name, with those.
        sidecars: how many files were skipped here that stand beside images.
    """

    path: Path
    identity: Identity
    parent: "Folder | None" = None
    pictures: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)
    folders: list["Folder"] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    links: list[tuple[str, "Folder"]] = field(default_factory=list)
    sidecars: int = 0

    @property
    def name(self) -> str:
        return self.path.name

    @cached_property
    def count(self) -> int:
        """Pictures here and below."""
        return len(self.pictures) + sum(one.count for one in self.folders)

    @cached_property
    def full(self) -> list["Folder"]:
        """The folders that hold pictures, here or below."""
        return [one for one in self.folders if one.count]

    @property
    def loose(self) -> list[str]:
        """The pictures right here, by their ending."""
        return [name for name in self.pictures if ending_of(name) in PICTURES]

    @property
    def bare(self) -> bool:
        """Whether there is nothing at all in it."""
        return not (self.pictures or self.others or self.folders or self.broken or self.links)

    def files(self) -> Iterator[tuple[Path, list[str]]]:
        """What has to be an image, here and below: folders with the sorted names of their files."""
        yield self.path, sorted((*self.pictures, *self.others, *self.broken))
        for folder in self.folders:
            yield from folder.files()

    def all(self) -> Iterator["Folder"]:
        """This folder and every one below."""
        yield self
        for folder in self.folders:
            yield from folder.all()

    def within(self, other: "Folder") -> bool:
        """Whether it is ``other`` or lies below it."""
        return any(one is other for one in self.chain())

    def chain(self) -> Iterator["Folder"]:
        """This folder, and those that it lies in up to the root."""
        here: Folder | None = self
        while here is not None:
            yield here
            here = here.parent

    def at(self, place: str) -> "Folder | None":
        """The folder at a relative path, under a link's name too."""
        here: Folder | None = self
        for name in Path(place).parts:
            if here is None:
                return None
            known = {one.name: one for one in here.folders} | dict(here.links)
            here = known.get(name)
        return here


@dataclass
class Tally:
    """How many files or folders of a kind were skipped, and the first of them."""

    first: str
    count: int = 0


@dataclass
class Walked:
    """A root folder, and what was skipped: ``leftovers`` of systems and ``sidecars`` by kind, and
    folders ``without`` images but for sidecars; ``loops`` are links that lead back."""

    folder: Folder
    leftovers: dict[str, Tally] = field(default_factory=dict)
    sidecars: dict[str, Tally] = field(default_factory=dict)
    without: list[str] = field(default_factory=list)
    loops: list[str] = field(default_factory=list)

    def relative(self, path: Path | str) -> str:
        """A path as people should see it (Path.relative_to is slow for many files)."""
        return str(path)[self.prefix :]

    @cached_property
    def prefix(self) -> int:
        root = str(self.folder.path)
        return 0 if root == "." else len(root.rstrip(os.sep)) + 1

    def skip(self, tallies: dict[str, Tally], kind: str, path: Path) -> None:
        if kind not in tallies:
            tallies[kind] = Tally(self.relative(path))
        tallies[kind].count += 1

    def notes(self) -> list[str]:
        """One sentence for each way of leaving something out."""
        notes = [
            f"Ignored {link}: the link leads back to a folder that it lies in."
            for link in sorted(self.loops)
        ]
        if self.leftovers:
            kinds = [f"{one.count:,} {kind}" for kind, one in self.leftovers.items()]
            notes.append(f"Skipped what systems and tools leave behind: {', '.join(kinds)}.")
        if self.sidecars:
            kinds = [
                f"{one.count:,} {kind} ({one.first}{', …' if one.count > 1 else ''})"
                for kind, one in self.sidecars.items()
            ]
            notes.append(f"Skipped files that are no images: {', '.join(kinds)}.")
        if self.without:
            shown = ", ".join(f"{name}/" for name in self.without[:5])
            more = f" and {len(self.without) - 5:,} more" if len(self.without) > 5 else ""
            notes.append(f"Skipped folders without images: {shown}{more}.")
        return notes


def walk(root: Path) -> Walked:
    """Read the names of all files below ``root``, each real folder once: real folders first, then
    links to others. Nothing is opened. Raises SynthgenError for a folder that can't be looked
    into."""
    found = Walked(Folder(root, _identity(root)))
    above = {_identity(one) for one in (root, *root.resolve().parents)}
    seen: dict[Identity, Folder] = {}
    links: list[tuple[Folder, str]] = []
    _enter(found.folder, found, seen, links)
    while links:
        parent, name = links.pop(0)
        path = parent.path / name
        identity = _identity(path)
        if identity in above or identity in {one.identity for one in parent.chain()}:
            found.loops.append(str(path))
        elif identity in seen:
            parent.links.append((name, seen[identity]))
        else:
            folder = Folder(path, identity, parent)
            _enter(folder, found, seen, links)
            parent.folders.append(folder)
            parent.folders.sort(key=lambda one: one.name)
    _prune(found.folder, found, named=_named_pictures(found.folder))
    if not any(one.pictures for one in found.folder.all()):  # images under endings of their own
        for one in found.folder.all():
            one.pictures, one.others = one.others, []
    return found


def _enter(
    folder: Folder, found: Walked, seen: dict[Identity, Folder], links: list[tuple[Folder, str]]
) -> None:
    """Fill ``folder``; its links to folders are put aside."""
    seen[folder.identity] = folder
    for entry in _entries(folder.path):
        if entry.is_file(follow_symlinks=False):
            _place_file(entry.name, folder, found)
        elif not entry.is_dir():
            _place_file(entry.name, folder, found, broken=_is_broken(entry))
        elif (kind := _leftover(entry.name)) is not None:
            kind = "hidden folders" if kind == "hidden files" else f"{kind}/"
            found.skip(found.leftovers, kind, folder.path / entry.name)
        elif entry.is_symlink():
            links.append((folder, entry.name))
        else:
            _enter_below(folder.path / entry.name, folder, found, seen, links)
    _skip_masks(folder, found)


def _skip_masks(folder: Folder, found: Walked) -> None:
    """Take out drawn masks that lie beside their pictures: 1_mask.png where there is 1.png."""
    masks = {name: match for name in folder.pictures if (match := MASK.match(_stem(name)))}
    stems = {_stem(name) for name in folder.pictures} if masks else set()
    beside = {name for name, match in masks.items() if match[1] in stems}
    folder.pictures = [name for name in folder.pictures if name not in beside]
    folder.sidecars += len(beside)
    for name in sorted(beside):
        found.skip(found.sidecars, "masks", folder.path / name)


def _stem(name: str) -> str:
    ending = ending_of(name)
    return name[: -len(ending)] if ending else name


def _enter_below(
    path: Path,
    folder: Folder,
    found: Walked,
    seen: dict[Identity, Folder],
    links: list[tuple[Folder, str]],
) -> None:
    identity = _identity(path)
    if identity in {one.identity for one in folder.chain()}:  # mounted inside itself
        found.loops.append(str(path))
        return
    below = Folder(path, identity, folder)
    _enter(below, found, seen, links)
    folder.folders.append(below)


def _place_file(name: str, folder: Folder, found: Walked, *, broken: bool = False) -> None:
    ending = ending_of(name)
    lower = name.lower()
    if folder.parent is None and lower in SET_FILES:  # of a set that synthgen wrote
        return
    if (kind := _leftover(name)) is not None:
        found.skip(found.leftovers, kind, folder.path / name)
    elif ending in SIDECARS or lower in TEXTS:
        folder.sidecars += 1
        found.skip(found.sidecars, ending or "texts", folder.path / name)
    elif ending in PICTURES:
        folder.pictures.append(name)
    elif broken:
        folder.broken.append(name)
    elif not ending or ending[1:].isdigit():
        folder.pictures.append(name)
    else:
        folder.others.append(name)


def _is_broken(entry: os.DirEntry[str]) -> bool:
    return entry.is_symlink() and not Path(entry.path).exists()


def ending_of(name: str) -> str:
    """The ending in small letters, with its dot; empty if there is none. That of ``a.nii.gz`` is
    ``.nii.gz``."""
    lower = name.lower()
    dot = lower.rfind(".")
    if lower[dot:] == ".gz":
        dot = max(lower.rfind(".", 0, dot), 0)
    return lower[dot:] if dot > 0 else ""


def _leftover(name: str) -> str | None:
    """The kind of thing that a system or tool left behind; None for anything else."""
    lower = name.lower()
    if lower in LEFT_FILES or lower in LEFT_FOLDERS:
        return name.strip()
    if name.startswith("._"):
        return "._ files of macOS"
    if name.startswith("."):
        return name if lower in (".ds_store", ".ipynb_checkpoints", ".git") else "hidden files"
    if name.startswith("~$") or name.endswith("~") or lower.endswith((":zone.identifier", ".lnk")):
        return "temporary files and shortcuts"
    return None


def _prune(folder: Folder, found: Walked, *, named: bool) -> None:
    """Take out folders that hold labels instead of images, and nothing else. Files without an
    ending may be either: they are labels if the folder says so, and images are ``named`` so."""
    kept = []
    for one in folder.folders:
        _prune(one, found, named=named)
        sidecars_only = one.bare and one.sidecars > 0
        says_so = named and not one.bare and not ANNOTATIONS.isdisjoint(words_of(one.name))
        annotations = says_so and not _named_pictures(one)
        if sidecars_only or annotations:
            name = found.relative(one.path)
            inside = [below for below in found.without if below.startswith(name + os.sep)]
            found.without = [*(one for one in found.without if one not in inside), name]
            folder.sidecars += max(one.sidecars, 1)
        else:
            kept.append(one)
    folder.folders = kept


def _named_pictures(folder: Folder) -> bool:
    """Whether a picture here or below has the ending of one."""
    return any(ending_of(name) in PICTURES for one in folder.all() for name in one.pictures)


def _identity(folder: Path) -> Identity:
    found = folder.stat()
    return found.st_dev, found.st_ino


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda one: one.name)
    except PermissionError:
        raise SynthgenError(
            f"{folder} can't be read: you have no permission.\nAsk its owner."
        ) from None
