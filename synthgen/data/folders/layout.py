"""Which folders are splits and which are classes: by structure first, then by what the names say.
Where two readings are possible, neither is taken."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from synthgen.data.assign import SPLITS
from synthgen.data.folders.walk import Folder, Walked
from synthgen.data.folders.ways import UnclearLayoutError, Way, listed, typed
from synthgen.data.folders.words import (
    OF_WORD,
    is_date,
    is_fold,
    is_mask,
    is_part,
    is_plain,
    is_unlabelled,
    split_word,
    stem,
)
from synthgen.data.source import label_names
from synthgen.errors import SynthgenError


@dataclass(frozen=True)
class Place:
    """A folder whose pictures, there and below, are of one class and one split (None: of none)."""

    split: str | None
    name: str
    folder: Folder


@dataclass
class Layout:
    """How a folder is read.

    Attributes:
        tops: the folders that hold the class folders of each split, the key None: of all.
        left_out: folders with images that belong to no split.
        problems: what the layout gets wrong.
        notes: what was decided.
    """

    walked: Walked
    places: list[Place] = field(default_factory=list)
    tops: dict[str | None, list[Folder]] = field(default_factory=dict)
    left_out: list[Folder] = field(default_factory=list)
    problems: list[SynthgenError] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def shown(self, folder: Folder) -> str:
        """Its path below the root, with a slash."""
        return f"{self.walked.relative(folder.path)}/"

    def depth(self, folder: Folder) -> int:
        return sum(1 for _ in folder.chain()) - 1


def read_layout(
    walked: Walked, splits: Mapping[str, Sequence[str]] | None, level: int | None
) -> Layout:
    """Find the classes and official splits.

    Args:
        splits: the folders, as paths below the root, of each split; None to recognise them.
        level: how deep class folders lie in a split's folder, or in the root if there are no
            splits: 1 for its subfolders; None to recognise it.

    Raises:
        SynthgenError: there are no classes, or two readings are possible.
    """
    layout = Layout(walked)
    found = _named(layout, splits) if splits else _recognised(layout, level)
    order = sorted(found, key=lambda split: SPLITS.index(split) if split else 0)
    for split in order:
        for folder in found[split]:
            _read_split(layout, split, folder, level, named=bool(splits))
    if level is not None and not layout.places:
        raise SynthgenError(
            f"{walked.folder.path} has no folders {level} deep, as data.level={level} says.\n"
            "Count from data.root, or from the split folders: 1 for the folders right in it."
        )
    layout.notes += [*_on_depth(layout, level)]
    layout.notes += [
        f"Left out {layout.shown(one)} ({one.count:,} images): not in a class folder of a split."
        for one in layout.left_out
    ]
    return layout


# Splits by setting.


def _named(layout: Layout, splits: Mapping[str, Sequence[str]]) -> dict[str | None, list[Folder]]:
    """The folders that ``data.splits`` names; all others with images are left out."""
    root = layout.walked.folder
    found: dict[str | None, list[Folder]] = {}
    for split, places in splits.items():
        for place in places:
            folder = root.at(place)
            if folder is None:
                raise SynthgenError(
                    f"data.splits names {place}, but {root.path} has no such folder.\n"
                    f"Its folders are {listed([one.name for one in root.folders], 8)}."
                )
            for other in (one for several in found.values() for one in several):
                if folder.within(other) or other.within(folder):
                    raise SynthgenError(
                        f"data.splits names {layout.shown(folder)} and {layout.shown(other)}, "
                        "of which one holds the other.\nName each folder once."
                    )
            found.setdefault(split, []).append(folder)
    chosen = [one for several in found.values() for one in several]
    layout.left_out += [] if root in chosen else list(_outside(root, chosen))
    return found


def _outside(folder: Folder, chosen: Sequence[Folder]) -> Iterator[Folder]:
    """The topmost folders with images that neither are, hold, nor lie in one of ``chosen``."""
    for one in folder.full:
        if any(one is other for other in chosen):
            continue
        if any(other.within(one) for other in chosen):
            yield from _outside(one, chosen)
        else:
            yield one


# Splits by structure and name.


def _recognised(layout: Layout, level: int | None) -> dict[str | None, list[Folder]]:
    """Split folders, under the root or a folder that is all it holds; or the folder of the classes
    under None; or nothing if the splits lie inside the classes, which are then placed."""
    node = root = layout.walked.folder
    while True:
        found = _splits(layout, node, level)
        if found:
            break
        if level is None and _splits_inside(layout, node):
            return {}
        if not _wraps(node):
            found = {None: [node if level is None else root]}
            break
        node = node.full[0]
    if node is not root and (level is None or None not in found):
        layout.notes.append(
            f"{layout.shown(node)} was taken for the data, as there is no other folder with images."
            + (f" data.level=1 takes {root.full[0].name} for a class." if None in found else "")
        )
        beside = [one for above in node.chain() if above is not node for one in above.folders]
        layout.notes += [
            f"Left out {layout.shown(one)}: no images in it." for one in beside if not one.count
        ]
    return found


def _wraps(node: Folder) -> bool:
    """Whether one folder in it holds all images, and they in folders that may be classes."""
    if node.loose or len(node.full) != 1:
        return False
    (only,) = node.full
    return bool(only.full) and not only.loose and not all(is_date(one.name) for one in only.full)


def _splits(layout: Layout, node: Folder, level: int | None) -> dict[str | None, list[Folder]]:
    """The folders in ``node`` of each split; nothing if they aren't splits."""
    named = {one: word for one in node.folders if (word := split_word(one.name)) is not None}
    deep = {one: word for one, word in named.items() if one.folders and _holds_classes(one, node)}
    others = [one for one in node.full if one not in named]
    if not deep or (level is not None and others):
        return {}
    strangers = [one for one in others if not is_unlabelled(one.name)]
    lone = len(deep) == 1 and next(iter(deep)).name.lower() not in OF_WORD  # a class "bullet train"
    if strangers and lone and all(one.full and not one.loose for one in strangers):
        return {}
    if strangers:
        given = deep if "train" in deep.values() else {**deep, strangers[0]: "train"}
        ways = _setting(layout, given), Way(level=layout.depth(node) + 1)
        raise UnclearLayoutError(
            f"{node.path} has {listed([one.name for one in strangers])} beside "
            f"{next(iter(deep)).name}/, so what is a class is unclear.\n"
            f"Say which folders are splits, the rest is left out: {ways[0]}; or {ways[1]} if all "
            "are classes.",
            ways,
        )
    found = _by_split(layout, node, deep, named)
    if "train" not in found:
        present = ", ".join(f"{one.name}/" for one in deep)
        raise SynthgenError(
            f"{node.path} has {present} but no train/ with class folders.\n"
            "Add one, or say which folder it is: 'data.splits={train: FOLDER, test: FOLDER}'."
        )
    layout.left_out += [one for one in node.full if one not in deep]
    layout.notes += [
        f"Left out {layout.shown(one)}: no images in it."
        for one in node.folders
        if not one.count and one not in deep
    ]
    for one in deep:
        if one.name.lower() not in OF_WORD:
            split = next(split for split, several in found.items() if one in several)
            layout.notes.append(f"{layout.shown(one)} was taken for the {split} split.")
    return found


def _holds_classes(folder: Folder, node: Folder) -> bool:
    """Whether a folder that is named as a split is one, though images lie in it: a class may be
    called train too. It is one if it shares names of folders with another, or all are splits."""
    if not folder.loose:
        return True
    names = {one.name for one in folder.folders}
    beside = [one for one in node.full if one is not folder]
    return all(split_word(one.name) for one in beside) or any(
        split_word(one.name) and names & {below.name for below in one.folders} for one in beside
    )


def _by_split(
    layout: Layout, node: Folder, deep: Mapping[Folder, str], named: Mapping[Folder, str]
) -> dict[str | None, list[Folder]]:
    """One folder for each split. Beside a holdout ``eval`` is the test split, and the other way
    round."""
    said = set(named.values())
    unsure = [one for one, word in deep.items() if word == "eval"]
    if unsure and (("holdout" in said) == ("test" in said)):
        known = {one: word for one, word in deep.items() if word != "eval"}
        either = [_setting(layout, known | {unsure[0]: split}) for split in ("holdout", "test")]
        raise UnclearLayoutError(
            f"{layout.shown(unsure[0])} may be the holdout (for choosing) or the test split.\n"
            f"Say which: {either[0]} or {either[1]}.",
            either,
        )
    found: dict[str | None, list[Folder]] = {}
    for one, word in deep.items():
        split = word if word != "eval" else "test" if "holdout" in said else "holdout"
        if split in found:
            first = found[split][0]
            both = f"[{typed(layout.shown(first))}, {typed(layout.shown(one))}]"
            raise SynthgenError(
                f"{node.path} has both {first.name}/ and {one.name}/ for the {split} split.\n"
                f"Keep one, or name both: 'data.splits={{…, {split}: {both}}}'."
            )
        found[split] = [one]
    return found


def _splits_inside(layout: Layout, node: Folder) -> bool:
    """Whether each folder in ``node`` holds train, test and so on: classes, divided each by
    itself, which are placed; splits with classes in them, or in some folders alone, are refused."""
    inside = [one for one in node.full if _holds_splits(one)]
    if len(node.full) < 2 or not inside:
        return False
    deep = [below for one in inside for below in one.full if below.full]
    others = [below for one in inside for below in one.full if split_word(below.name) is None]
    if len(inside) < len(node.full) or deep or others:
        what = "with folders in them" if deep else "and others don't"
        raise SynthgenError(
            f"{listed([f'{one.name}/' for one in inside])} in {node.path} hold splits "
            f"({inside[0].full[-1].name}/), {what}.\n"
            f"Read one alone, with data.root={inside[0].path}, or say which folders are splits: "
            "'data.splits={train: [A/train, B/train], test: [A/test, B/test]}'."
        )
    for one in node.full:
        words = {below: split_word(below.name) or "" for below in one.full}
        for split, folders in _by_split(layout, one, words, words).items():
            layout.places += [Place(split, one.name, folder) for folder in folders]
            layout.tops.setdefault(split, []).extend(folders)
    layout.notes.append(
        f"The splits lie inside the classes ({layout.shown(inside[0].full[0])}). "
        f"data.level={layout.depth(node) + 1} divides anew."
    )
    return True


def _holds_splits(folder: Folder) -> bool:
    """Whether there is train/ in it, and another split or nothing else."""
    words = [split_word(one.name) for one in folder.full]
    return (
        not folder.loose and "train" in words and (len(set(words) - {None}) > 1 or len(words) < 2)
    )


# Classes in a split's folder.


def _read_split(
    layout: Layout, split: str | None, folder: Folder, level: int | None, *, named: bool
) -> None:
    """Place the class folders of a split."""
    node = _unwrapped(folder) if level is None and split is not None else folder
    if level is None:
        known = {place.name for place in layout.places}
        if split not in (None, "train") and not named and _lacks_classes(node, known):
            layout.left_out.append(folder)
            return
        _refuse_doubts(layout, node, folder if split is not None else layout.walked.folder)
    layout.tops.setdefault(split, []).append(node)
    nodes = [node]
    for _ in range((level or 1) - 1):
        nodes = [below for one in nodes for below in one.folders]
    layout.places += [Place(split, one.name, one) for above in nodes for one in above.folders]


def _unwrapped(folder: Folder) -> Folder:
    """The folder itself, or what lies alone in it: seg_train/seg_train/, train/images/."""
    while not folder.loose and len(folder.full) == 1:
        (only,) = folder.full
        if not only.full or not _says_nothing(only.name, folder):
            break
        folder = only
    return folder


def _says_nothing(name: str, above: Folder) -> bool:
    """Whether the name of a folder in ``above`` is that of no class."""
    same = name.lower() == above.name.lower()
    return same or is_plain(name) or is_unlabelled(name) or split_word(name) is not None


def _lacks_classes(folder: Folder, known: set[str]) -> bool:
    """Whether the images of a split lie there without class folders (``known``: those of train)."""
    if not folder.folders:
        return True
    if len(folder.full) != 1 or folder.loose:
        return False
    (only,) = folder.full
    return not only.full and only.name not in known and _says_nothing(only.name, folder)


def _on_depth(layout: Layout, level: int | None) -> Iterator[str]:
    """A sentence if images lie deeper than the class folders, or folders of one name are one."""
    deeper = [below for place in layout.places for below in place.folder.full]
    if deeper and level is None:
        more = f" and {len(deeper) - 1:,} more" if len(deeper) > 1 else ""
        yield (
            f"Images that lie deeper than the class folders ({layout.shown(deeper[0])}{more}) "
            "belong to the class above. data.level= says how deep classes are."
        )
    names = Counter((place.split, place.name) for place in layout.places)
    several = [name for (_, name), count in names.items() if count > 1]
    if several and level is not None and level > 1:
        yield (
            f"Folders of one name are one class, wherever they lie: {listed(several)}. What they "
            "lie in (a patient, a site) is not kept in one split."
        )


def _refuse_doubts(layout: Layout, node: Folder, above: Folder) -> None:
    """Raise SynthgenError if the folders in ``node`` need not be classes; levels are counted from
    ``above``."""
    full = node.full
    level = layout.depth(node) - layout.depth(above) + 1
    flat = [one for one in full if not one.full]
    plain = [one for one in full if is_plain(one.name)]
    if not full and node.loose:
        raise no_classes(layout, node)
    if full and _says_no_class(full) and not any(_holds_folders(one) for one in plain):
        raise no_classes(layout, node, level)
    if full and len(flat) == len(full):
        return
    beside_masks = bool(plain) and all(is_plain(one.name) or is_mask(one.name) for one in full)
    classes = [one for one in flat if split_word(one.name) is None]
    if not classes and not any(one.loose for one in full if one.full) and not beside_masks:
        _refuse_two_levels(layout, node, level)
    _refuse_classes_again(node, level)
    if len(full) > 1 and any(one.full for one in plain):
        best = next(one for one in plain if one.full)
        beside = [one.name for one in full if one is not best]
        ways = Way(root=best.path), Way(level=level)
        raise UnclearLayoutError(
            f"{node.path} has {best.name}/ beside {listed(beside)}, so what is a class is "
            f"unclear.\nGive {ways[0]} to read that one, or {ways[1]} if all are classes.",
            ways,
        )


def _refuse_classes_again(node: Folder, level: int) -> None:
    """Raise SynthgenError if a folder holds the classes beside it once more, as archives that were
    packed with their copy (flowers/daisy, flowers/flowers/daisy) and folders of thumbnails do; or
    itself (tiles/tiles/tumor), or all others, for then it is no class."""
    classes = {one.name for one in node.full}
    for one in node.full:
        inner = [below.name for below in one.full]
        again = [name for name in inner if name in classes - {one.name}]
        fix = f"Remove one, or give data.root={one.path} to read that alone"
        if again and 2 * len(again) >= len(inner):
            what = f"{listed(again)}, and so does {node.path} beside it"
            way = Way(root=one.path)
        elif inner == [one.name] and len(one.full[0].full) > 1:
            alone = one.full[0]
            what = f"{one.name}/{listed([below.name for below in alone.full])}"
            way = Way(root=alone.path)
            fix = f"Give {way} to read those"
        elif len(node.full) == 1 < len(inner) and not one.loose and not all(map(is_date, inner)):
            way = Way(level=level + 1)
            what, fix = listed(inner), f"Give {way} for those"
        else:
            continue
        ways = way, Way(level=level)
        raise UnclearLayoutError(
            f"{one.path} holds {what}: what is a class is unclear.\n"
            f"{fix}, or {ways[1]} if {one.name} is a class.",
            ways,
        )


def _holds_folders(folder: Folder) -> bool:
    """Whether there are folders with images in it, but for one that is called images."""
    return any(below.full or not is_plain(below.name) for below in folder.full)


def _says_no_class(full: Sequence[Folder]) -> bool:
    """Whether folders of images are but parts of them all (train/ and val/, images_001/ …), or
    images beside masks."""
    names = [one.name for one in full]
    if all(is_plain(name) or is_mask(name) for name in names):
        return True
    if any(_holds_folders(one) for one in full):
        return False
    words = {split_word(name) for name in names}
    if None not in words and (len(words) > 1 or len(names) == 1):
        return True
    return is_part(names[0]) and len({stem(name) for name in names}) == 1


def _refuse_two_levels(layout: Layout, node: Folder, level: int) -> None:
    """Raise SynthgenError if the folders in ``node`` share the names of their subfolders, so that
    either may be the classes: then they are domains, sites, days, folds or splits."""
    inner = {one: {below.name for below in _unwrapped(one).full} for one in node.full}
    times = Counter(name for names in inner.values() for name in names)
    shared = label_names(name for name, count in times.items() if count > 1)
    outer = [one.name for one in node.full]
    pairs = sum(times.values())
    if len(times) < 2 or 2 * sum(times[name] for name in shared) < pairs:
        return
    masks = all(is_plain(name) or is_mask(name) for name in times)
    if all(is_date(name) for name in times) or (all(map(is_plain, shared)) and not masks):
        return
    what = f"{listed(outer)} in {node.path} all hold {listed(shared)}"
    if masks:
        raise SynthgenError(
            f"{what}: masks would be taken for images.\n"
            f"Move the masks away, or take both for images of the classes with data.level={level}."
        )
    paths = [layout.shown(one).rstrip("/") for one in node.full]
    if all(is_fold(name) for name in outer):
        way = Way(splits={"train": paths[:-1], "test": paths[-1:]})
        raise UnclearLayoutError(
            f"{what}: folds of a cross-validation, and which is the test split is open.\n"
            f"Say it: {way}.",
            [way, Way(splits={"train": paths[1:], "test": paths[:1]})],
        )
    deeper = level + layout.depth(_unwrapped(node.full[0])) - layout.depth(node.full[0])
    ways = (
        Way(level=level),
        Way(level=deeper + 1),
        Way(splits={"train": paths[:1], "test": paths[1:2]}),
    )
    raise UnclearLayoutError(
        f"{what}, so either may be the classes.\n"
        f"Say which: {ways[0]} ({outer[0]}), {ways[1]} ({shared[0]}), or, if the outer ones are "
        f"splits, {ways[2]}.",
        ways,
    )


def no_classes(layout: Layout, node: Folder, level: int | None = None) -> SynthgenError:
    """Nothing says of the images in ``node`` which class they are."""
    names = [f"{one.name}/" for one in node.full]
    where = f"{listed(names)} in {node.path}" if names else str(node.path)
    labels = layout.walked.without
    what = f" ({labels[0]}/ isn't read)" if labels else ""
    if not node.count:
        return SynthgenError(
            f"{node.path} holds no class folders.\n"
            "Make one folder per class in it, with the images inside."
        )
    advice = "Make one folder per class, or list each file with its class in a table (data=csv)."
    if level is not None:
        advice += f" If {names[0]} is a class itself: data.level={level}."
    return SynthgenError(
        f"{where} {'hold' if len(names) > 1 else 'holds'} images without class folders, and "
        f"nothing else says which class each is{what}.\n{advice}"
    )


def _setting(layout: Layout, deep: Mapping[Folder, str]) -> Way:
    """What ``data.splits`` would say as the names do."""
    names = {
        word: [layout.shown(one).rstrip("/") for one, of_one in deep.items() if of_one == word]
        for word in (*SPLITS, "eval")
    }
    return Way(splits={word: some for word, some in names.items() if some})
