"""``synthgen data check``: everything that is wrong or odd about a source, file by file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch

from synthgen.data.arrays import CIFAR10
from synthgen.data.assign import SPLITS, connected_units
from synthgen.data.checks.confident_learning import LabelReview, review_labels
from synthgen.data.checks.fit_examples import FitExample, fit_examples
from synthgen.data.checks.histogram import Histogram
from synthgen.data.checks.looks import Looks
from synthgen.data.divide import FEWEST_PER_CLASS, divide
from synthgen.data.files import FileSource, Listing, Scan, go_on, groups_of, records_of
from synthgen.data.folders.tree import MOST_LINES, Tree
from synthgen.data.images import padding_share
from synthgen.data.keep import keep_splits, place_of
from synthgen.data.levels import preview
from synthgen.data.near_duplicates import NearDuplicates
from synthgen.data.source import Records, Source
from synthgen.data.splits import Splits
from synthgen.errors import SynthgenError, printable
from synthgen.images import image_hashes
from synthgen.types import LabelledImages

if TYPE_CHECKING:
    from rich.table import Table


HARD_BELOW = 25  # a class this small can be trained on, but hardly learned
SHOWN_PER_KIND = 10
MOST_FINDINGS = 1000  # of a kind, in check.json
MEANING = {
    "layout": "in the wrong place",
    "corrupt": "can't be decoded",
    "not_image": "no image",
    "unread_format": "in a format that synthgen does not read",
    "too_large": "larger than data.max_pixels allows",
    "other_kind": "of another kind than most",
    "duplicate": "same picture as another file",
    "two_classes": "same picture under another class",
    "near_duplicate": "same picture, saved again",
    "odd_size": "not the commonest size; will be fitted",
    "mixed_mode": "not the commonest kind; will be converted",
    "rare_class": "too rare to learn",
    "suspicious_label": "perhaps another class",
}


@dataclass(frozen=True)
class Finding:
    """One thing to look at. ``kind`` is a key of ``MEANING``; ``file`` a class for rare_class;
    ``other`` the file that it is like, for pictures that come twice."""

    kind: str
    file: str
    detail: str
    other: str | None = None


@dataclass(frozen=True)
class CheckResult:
    """What a source holds (readable images only) and every finding about it.

    Attributes:
        images: in 8 bits, to compare.
        looks: the same as pictures.
        sizes: how many images have which (height, width) as stored; empty for sources that aren't
            image files.
        modes: likewise of kinds, by bands and depth.
        refusal: what training would say; None if it accepts the source.
        splits: what training would learn from and be tested on; None if it refuses.
        official: images of each class in each split that the source itself has.
        levels: of the pixels as stored; None without any image.
        padding: share of the pixels that pads images of other shapes; 0 if none is padded.
        labels: what is to be said against the labels; None if nobody asked, or classes are small.
        examples: some images of odd shapes, fitted in each way.
        tree: how folders were read; None for what isn't folders.
    """

    source: Source
    images: LabelledImages
    looks: Looks
    files: Sequence[str]
    sizes: Counter[tuple[int, int]]
    modes: Counter[str]
    findings: tuple[Finding, ...]
    notes: tuple[str, ...] = field(default=())
    refusal: str | None = None
    splits: Splits | None = None
    official: tuple[tuple[str, tuple[int, ...]], ...] = ()
    levels: Histogram | None = None
    padding: float = 0.0
    labels: LabelReview | None = None
    examples: tuple[FitExample, ...] = ()
    tree: Tree | None = None

    @property
    def name(self) -> str:
        return self.source.name

    @property
    def usable(self) -> bool:
        return self.refusal is None

    @property
    def parts(self) -> tuple[tuple[str, tuple[int, ...]], ...]:
        """Images of each class in each split: as training would divide them, else as they came."""
        if self.splits is None:
            return self.official
        return tuple((part, tuple(getattr(self.splits, part).counts)) for part in SPLITS)

    def of_kind(self, kind: str) -> list[Finding]:
        return [finding for finding in self.findings if finding.kind == kind]


def check(source: Source, labels: int | None = None) -> CheckResult:
    """Look at every file and go on after problems.

    Args:
        labels: to doubt the labels too, by classifiers that learn from at most so many images; see
            :func:`synthgen.data.checks.confident_learning.review_labels`.

    Raises:
        SynthgenError: there is nothing to look at (a missing folder, a damaged archive).
    """
    place = place_of(source)
    result = _checked(source, labels)
    if result.splits is not None:
        keep_splits(place, result.splits)  # training starts from here
    return result


def _checked(source: Source, labels: int | None) -> CheckResult:
    folder = source.as_folder() if isinstance(source, CIFAR10) else None
    files = folder or source
    if isinstance(files, FileSource):
        return _check_files(source, files, labels)
    records = source.read()
    found = Found(source, records.images, records.files, records.groups, labels)
    notes, refusal, splits = _training_says(source, lambda: records, found.near, records.notes)
    return CheckResult(
        source,
        found.images,
        Looks.of(records.images, found.images, source.view, splits),
        records.files,
        Counter(),
        Counter(),
        found.findings(),
        notes,
        refusal,
        splits,
        _official(records.images, records.split),
        Histogram.of(records.images.images),
        labels=found.labels,
    )


def _check_files(source: Source, files: FileSource, learned_from: int | None) -> CheckResult:
    listing = files.listing()
    scan = files.scan(listing, on_error=go_on)
    good = [index for index, error in enumerate(scan.errors) if error is None]
    everything = torch.tensor(listing.labels, dtype=torch.int64)
    stored = scan.images(everything, listing.classes)
    if len(good) < len(stored):  # else they needn't be there twice
        stored = stored.subset(good)
    names = tuple(listing.names[index] for index in good)
    known = groups_of(listing, scan)
    groups = tuple(known[index] for index in good)
    headers = [header for header in (scan.headers[index] for index in good) if header]
    sizes = Counter((header.height, header.width) for header in headers)
    found = Found(source, stored, names, groups, learned_from)
    findings = (
        *_layout(listing.problems),
        *_unreadable(listing, scan),
        *_odd(names, [f"{h.height} × {h.width}" for h in headers], "odd_size"),
        *_odd(names, [h.kind for h in headers], "mixed_mode"),
        *found.findings(),
    )

    def read() -> Records:
        files.require_sound(listing)
        return records_of(listing, scan)

    said = _training_says(source, read, found.near, listing.notes + scan.notes)
    looks = Looks.of(stored, found.images, source.view, said[-1])
    size = stored.image.height, stored.image.width
    paths = [listing.paths[index] for index in good]
    return CheckResult(
        source,
        found.images,
        looks,
        names,
        sizes,
        Counter(header.kind for header in headers),
        findings,
        *said,
        _official(stored, [listing.split[index] for index in good]),
        Histogram.of(stored.images) if good else None,
        padding_share(sizes, size) if source.fit == "pad" else 0.0,
        found.labels,
        fit_examples(paths, names, headers, looks.image, files.readers()),
        listing.tree,
    )


def _training_says(
    source: Source, read: Callable[[], Records], near: NearDuplicates, notes: tuple[str, ...]
) -> tuple[tuple[str, ...], str | None, Splits | None]:
    """What training would note of these records and how it would divide them, or why it would
    refuse them: by dividing them."""
    try:
        splits = divide(source, read(), near)
    except SynthgenError as error:
        return notes, str(error), None
    return splits.notes, None, splits


def _official(
    images: LabelledImages, split: Sequence[str | None]
) -> tuple[tuple[str, tuple[int, ...]], ...]:
    parts = [part for part in SPLITS if part in split]
    return tuple(
        (part, tuple(images.subset(torch.tensor([one == part for one in split])).counts))
        for part in parts
    )


class Found:
    """What is to be said about pictures and labels, however they were stored.

    Attributes:
        near: which pictures were saved again.
        labels: see :class:`CheckResult`.
    """

    def __init__(
        self,
        source: Source,
        images: LabelledImages,
        files: Sequence[str],
        groups: Sequence[str | None],
        learned_from: int | None,
    ) -> None:
        self.hashes = image_hashes(images.images)  # of all levels, as training has them
        images = preview(images)
        self.images, self.files = images, files
        names = [images.classes[label] for label in images.labels.tolist()]
        self.near = NearDuplicates.among(source.near_duplicates, images.images, names, self.hashes)
        self.labels = None
        if learned_from is not None:
            units = connected_units(self.hashes, groups, self.near.keys)
            self.labels = review_labels(images, units, learned_from)

    def findings(self) -> tuple[Finding, ...]:
        return (
            *self.copies(),
            *self.near_duplicates(),
            *_rare(self.images),
            *self.suspicious_labels(),
        )

    def copies(self) -> Iterator[Finding]:
        """Every copy beside the first: of the same class, or (worse) of another."""
        labels, classes = self.images.labels.tolist(), self.images.classes
        first: dict[str, int] = {}
        for index, digest in enumerate(self.hashes):
            original = first.setdefault(digest, index)
            if original == index:
                continue
            file, other = self.files[index], self.files[original]
            detail = f"same picture as {other}"
            if labels[index] == labels[original]:
                yield Finding("duplicate", file, detail, other)
            else:
                detail += f" of class {classes[labels[original]]}"
                yield Finding("two_classes", file, detail, other)

    def near_duplicates(self) -> Iterator[Finding]:
        """Every near duplicate beside the first; exact copies are told elsewhere."""
        labels, classes = self.images.labels.tolist(), self.images.classes
        first: dict[str, int] = {}
        told = set()
        for index, (key, digest) in enumerate(zip(self.near.keys, self.hashes, strict=True)):
            if key is None or digest in told:
                continue
            told.add(digest)
            original = first.setdefault(key, index)
            if original != index:
                detail = f"nearly the same as {self.files[original]}"
                if labels[original] != labels[index]:
                    detail += f" of class {classes[labels[original]]}"
                yield Finding("near_duplicate", self.files[index], detail, self.files[original])

    def suspicious_labels(self) -> Iterator[Finding]:
        if self.labels is None:
            return
        for doubt in self.labels.shown:
            given = self.images.classes[self.images.labels[doubt.position]]
            detail = f"labelled {given}, looks like {self.images.classes[doubt.suggested]}"
            yield Finding("suspicious_label", self.files[doubt.position], detail)


def _layout(problems: Sequence[SynthgenError]) -> Iterator[Finding]:
    for problem in problems:
        what, _, advice = str(problem).partition("\n")
        yield Finding("layout", what, advice)


def _unreadable(listing: Listing, scan: Scan) -> Iterator[Finding]:
    for name, error in zip(listing.names, scan.errors, strict=True):
        if error is not None:
            way_out = f"; {error.advice}" if error.advice else ""
            yield Finding(error.kind, name, error.problem + way_out)


def _odd(files: Sequence[str], values: Sequence[str], kind: str) -> Iterator[Finding]:
    """Files whose value isn't the commonest one."""
    counts = Counter(values).most_common(1)
    for file, value in zip(files, values, strict=True):
        if value != counts[0][0]:
            yield Finding(kind, file, f"{value}; the commonest is {counts[0][0]}")


def _rare(images: LabelledImages) -> Iterator[Finding]:
    for name, count in zip(images.classes, images.counts, strict=True):
        if count < FEWEST_PER_CLASS:
            detail = f"{count} usable images; fewer than {FEWEST_PER_CLASS} are refused"
            yield Finding("rare_class", name, detail)
        elif count < HARD_BELOW:
            yield Finding("rare_class", name, f"{count} images are hardly enough to learn from")


def heading(result: CheckResult) -> str:
    """What stands above the tables; no title of a table, which would be broken at its width."""
    image = result.images.image
    return printable(
        f"{result.name}: {len(result.images):,} images, brought to {image.height} × {image.width}, "
        f"{image.channels} channel{'s' if image.channels > 1 else ''}"
    )


def tables(result: CheckResult) -> list[Table]:
    """For the terminal: one table of classes where no tree shows them, and one of findings if there
    are any."""
    from rich.table import Table
    from rich.text import Text

    image = result.images.image
    classes = Table()
    classes.add_column("class")
    classes.add_column("images", justify="right")
    counts = list(zip(image.classes, result.images.counts, strict=True))
    shown = counts if len(counts) <= MOST_LINES else counts[: MOST_LINES - 1]
    for name, count in shown:
        classes.add_row(Text(printable(name)), f"{count:,}")
    if rest := counts[len(shown) :]:
        few, many = min(count for _, count in rest), max(count for _, count in rest)
        each = f"{few:,}" if few == many else f"{few:,} to {many:,}"
        classes.add_row(f"… and {len(rest):,} more, see check.html", f"{each} each")
    told = [classes] if result.tree is None else []  # the tree counts them too
    if not result.findings:
        return told
    found = Table(title="Findings", title_justify="left")
    for column in ("what", "file or class", "detail"):
        found.add_column(column, overflow="fold")
    for kind, meaning in MEANING.items():
        of_kind = together(result, kind)
        for finding in of_kind[:SHOWN_PER_KIND]:
            said = (printable(finding.file), printable(finding.detail))
            found.add_row(meaning, *map(Text, said))
        if len(of_kind) > SHOWN_PER_KIND:
            found.add_row(
                meaning, f"… and {len(of_kind) - SHOWN_PER_KIND:,} more", "see check.json"
            )
    return [*told, found]


def together(result: CheckResult, kind: str) -> list[Finding]:
    """The findings of a kind; those of many files that differ in size or mode alone as one."""
    found = result.of_kind(kind)
    if len(found) < 2 or kind not in ("odd_size", "mixed_mode"):
        return found
    most = found[0].detail.rpartition("; ")[2]
    values = ", ".join(dict.fromkeys(finding.detail.rpartition("; ")[0] for finding in found))
    if kind == "odd_size":
        common = max(result.sizes, key=lambda size: result.sizes[size])
        heights, widths = zip(*(size for size in result.sizes if size != common), strict=True)
        low, high = f"{min(heights)} × {min(widths)}", f"{max(heights)} × {max(widths)}"
        values = low if low == high else f"{low} to {high}"
    named = "each" if len(found) <= MOST_FINDINGS else f"the first {MOST_FINDINGS:,}"
    files = f"{len(found):,} files: {found[0].file}, …"
    return [Finding(kind, files, f"{values}; {most}; check.json names {named}")]
