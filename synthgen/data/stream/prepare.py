"""From an index to splits: what is trained on stays in its files, what is held back is decoded once
and kept beside the index."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from synthgen.data.assign import SPLITS, limits_of
from synthgen.data.form import Form
from synthgen.data.images import LONGEST_SIDE
from synthgen.data.levels import Range, UnscaledImages, choose_range, range_note, require_view
from synthgen.data.readers import Choices, FileBytes
from synthgen.data.stream.contents import Contents
from synthgen.data.stream.division import (
    HOLDOUT,
    TEST,
    TRAIN,
    Division,
    Rule,
    counts_of,
    digest,
    divided,
    fingerprint,
    keep_at_most,
    require_every_class,
    some_of,
)
from synthgen.data.stream.images import (
    HASHES,
    LABELS,
    ROWS,
    SAMPLE,
    SLICE,
    Decoding,
    StreamedImages,
    decoding_to_json,
    numbered,
    opened,
)
from synthgen.data.stream.index import FACTS, Index, mapped, only_builder
from synthgen.data.stream.looked import ROW
from synthgen.errors import SynthgenError
from synthgen.images import TOP
from synthgen.io import canonical_digest, new_folder, read_json, readable_os_errors, write_json
from synthgen.progress import track
from synthgen.types import LabelledImages

CHUNK = 2**20
PLACE = np.dtype([("row", "<u8"), ("group", "<u8")])


@dataclass(frozen=True)
class Wishes:
    """The settings of a source that decide how an index is divided and decoded; see
    :class:`synthgen.data.Source` and :class:`synthgen.data.ImageStream`."""

    rule: Rule
    at_most: Any
    most_held: int
    size: tuple[int, int] | None
    fit: str
    choices: Choices
    range: Any
    bits: int
    view: tuple[int, ...] | None
    decoders: tuple[str, ...]  # their versions: another one may decode otherwise

    @property
    def key(self) -> str:
        return canonical_digest(repr(self))[:16]


@dataclass(frozen=True)
class Prepared:
    """A division that is complete: its folder, and what is known of it."""

    folder: Path
    facts: dict[str, Any]

    def train(self, window: int | None, workers: int) -> StreamedImages:
        return opened(self.folder, window, workers)

    def held(self, part: str, like: LabelledImages) -> LabelledImages:
        """The images of ``part`` that are held in memory: a map of a file, too."""
        images = torch.from_numpy(mapped(self.folder / f"{part}.npy"))
        labels = torch.from_numpy(mapped(self.folder / f"{part}-labels.npy"))
        groups = numbered(mapped(self.folder / f"{part}-groups.npy"))
        return LabelledImages(images, labels, like.classes, groups, like.levels, like.view)


def prepared(index: Index, wishes: Wishes) -> Prepared:
    """Divide an index, or find it divided so.

    Raises:
        SynthgenError: a class lacks in a split, or images are of several kinds.
    """
    folder = index.folder.with_name(
        f"split-{canonical_digest([index.folder.name, wishes.key])[:32]}"
    )
    with only_builder(folder):
        if not folder.is_dir():
            _prepare(index, wishes, folder)
    return Prepared(folder, read_json(folder / FACTS))


def _prepare(index: Index, wishes: Wishes, folder: Path) -> None:
    division = divided(index, wishes.rule)
    if wishes.at_most is not None:
        keep_at_most(index, division, limits_of(wishes.at_most, index.classes))
    require_every_class(index, division.split)
    contents = Contents(index)
    form = _form(index, wishes)
    require_view(None if wishes.view is None else list(wishes.view), form.bands)
    sample = some_of(index, division, TRAIN, wishes.most_held)
    ends, level_notes = _ends(index, contents, form, wishes, sample)
    decoding = Decoding(form, wishes.fit, wishes.choices, ends, wishes.bits)
    notes = [form.note] if form.note else []
    notes += [*level_notes, *_notes(index, division, wishes)]
    with readable_os_errors(folder, option="data.cache"), new_folder(folder) as staging:
        held = {}
        for which in (HOLDOUT, TEST):
            chosen = some_of(index, division, which, wishes.most_held)
            held[SPLITS[which]] = len(chosen)
            _write_held(staging, SPLITS[which], index, contents, decoding, chosen)
        _write_train(staging, index, division, sample)
        facts = {
            "index": index.folder.name,
            "decoding": decoding_to_json(decoding),
            "view": wishes.view,
            "fingerprint": fingerprint(index),
            "digest": digest(index, division),
            "dropped": division.dropped,
            "notes": notes,
            "held": held,
            "grouped": bool(index.array("groups").any()),
            "official": sorted({SPLITS[k] for k in np.unique(index.array("official")) if k >= 0}),
        }
        write_json(staging / FACTS, facts)


def _form(index: Index, wishes: Wishes) -> Form:
    """The form of all images, its size by a sample of headers, its bands and levels by all."""
    kinds = index.kinds
    mixed = isinstance(wishes.range, list)
    sized = Form.of_headers(index.headers, wishes.size, LONGEST_SIDE, mixed=mixed)
    most = [kind.header for kind in kinds for _ in range(min(kind.count, 1000))]
    form = Form.of_headers(most, sized.size, None, mixed=mixed)
    for kind in kinds:
        if not form.takes(kind.header):
            raise form.stranger(FileBytes(kind.example, b""), kind.header)
    if form.top == TOP[16]:
        depths = sorted({kind.header.bits for kind in kinds})
        raise SynthgenError(
            f"The images have {' and '.join(map(str, depths))} bits; how bright each is can't be "
            "told without looking at all of them.\nGive data.range=[lowest,highest]."
        )
    return Form(form.size, form.bands, form.dtype, form.scale, form.top, form.declared, sized.note)


def _ends(
    index: Index, contents: Contents, form: Form, wishes: Wishes, sample: np.ndarray
) -> tuple[Range | None, list[str]]:
    """The levels that become black and white, by the held training images, and a note."""
    if form.dtype == np.uint8 and wishes.range is None and wishes.bits == 8:
        return None, []
    plain = Decoding(form, wishes.fit, wishes.choices, None, 8)
    levels = _decoded(plain.unscaled, index, contents, sample, "Looking at levels")
    declared = (0.0, float(TOP[8])) if form.dtype == np.uint8 else form.declared
    labels = torch.zeros(len(levels), dtype=torch.int64)
    images = UnscaledImages(levels, labels, ("",), declared=declared)
    ends, why = choose_range(images, list(range(len(levels))), wishes.range)
    scaling = Decoding(form, wishes.fit, wishes.choices, ends, wishes.bits)
    found = LabelledImages(scaling.scaled(levels), labels, ("",))
    note = range_note(images, found, ends, why)
    return ends, [f"{note} (By {len(levels):,} of the training images.)"]


def _decoded(decode: Any, index: Index, contents: Contents, rows: np.ndarray, what: str) -> Tensor:
    """The images at some positions of the index."""
    places, hashes = index.array("rows")[rows], index.array("hashes")[rows, 0]
    parts = []
    with track(len(rows), what) as advance:
        for at in range(0, len(rows), SLICE):
            part = slice(at, at + SLICE)
            parts.append(decode(contents.read(places[part], hashes[part])))
            advance(len(parts[-1]))
    return torch.cat(parts)


def _write_held(
    folder: Path,
    part: str,
    index: Index,
    contents: Contents,
    decoding: Decoding,
    rows: np.ndarray,
) -> None:
    images = _decoded(decoding, index, contents, rows, f"Reading the {part} images")
    np.save(folder / f"{part}.npy", images.numpy())
    np.save(folder / f"{part}-labels.npy", index.array("labels")[rows].astype(np.int64))
    np.save(folder / f"{part}-groups.npy", index.array("groups")[rows])


def _write_train(folder: Path, index: Index, division: Division, sample: np.ndarray) -> None:
    """The training images in the order in which they lie, so that neighbours are read together."""
    count = sum(counts_of(index, division.split, TRAIN))
    rows = np.lib.format.open_memmap(folder / ROWS, "w+", ROW, (count,))
    labels = np.lib.format.open_memmap(folder / LABELS, "w+", np.int64, (count,))
    hashes = np.lib.format.open_memmap(folder / HASHES, "w+", np.uint64, (count,))
    wanted = np.sort(sample)
    chosen = np.empty(len(sample), PLACE)
    at = found = 0
    for first in range(0, len(index), CHUNK):
        part = slice(first, first + CHUNK)
        taken = np.flatnonzero(division.split[part] == TRAIN)
        rows[at : at + len(taken)] = index.array("rows")[part][taken]
        labels[at : at + len(taken)] = index.array("labels")[part][taken]
        hashes[at : at + len(taken)] = index.array("hashes")[part, 0][taken]
        here = wanted[(wanted >= first) & (wanted < first + CHUNK)]
        chosen["row"][found : found + len(here)] = at + np.searchsorted(taken, here - first)
        chosen["group"][found : found + len(here)] = index.array("groups")[here]
        at, found = at + len(taken), found + len(here)
    for array in (rows, labels, hashes):
        array.flush()
    np.save(folder / SAMPLE, chosen)


def _notes(index: Index, division: Division, wishes: Wishes) -> list[str]:
    """What a person should know of the division."""
    counts = {SPLITS[k]: sum(counts_of(index, division.split, k)) for k in (TRAIN, HOLDOUT, TEST)}
    notes = [
        f"{len(index):,} images: {counts['train']:,} to train on, which are decoded when they are "
        f"shown, {counts['holdout']:,} of the holdout and {counts['test']:,} of the test split."
    ]
    most = wishes.most_held
    if max(counts.values()) > most:
        notes.append(
            f"What needs images in memory (evaluation, densities over latents) takes {most:,} of "
            "each split, chosen by their contents with the shares of the classes; data.most_held= "
            "takes others."
        )
    if division.copies:
        notes.append(
            f"{division.copies:,} images are exact copies of others (by the bytes of their files); "
            "copies always share a split."
        )
    if division.several_classes:
        notes.append(
            f"{division.several_classes:,} images occur under more than one class; look at the "
            "labels."
        )
    if division.dropped:
        notes.append(
            f"{division.dropped:,} images were dropped from training (or holdout) because the same "
            "image (or its group) is in a split that is tested on."
        )
    return notes
