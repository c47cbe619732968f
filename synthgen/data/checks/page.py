"""What a check found, as files: ``check.html``, ``check.json`` and ``thumbnails.png``."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor

from synthgen.data.checks.check import (
    MEANING,
    MOST_FINDINGS,
    SHOWN_PER_KIND,
    CheckResult,
    Finding,
    heading,
    together,
)
from synthgen.data.checks.file import CheckFile
from synthgen.errors import printable
from synthgen.images import encode_png, to_pil
from synthgen.io import new_folder, write_bytes, write_json, write_text
from synthgen.pages import environment, picture_uri
from synthgen.pictures import readable_font, short_names

TEMPLATES = Path(__file__).resolve().parent / "templates"
PAGE = "check.html"
MOST_PAIRS, MOST_DOUBTS, MOST_BY_CHANCE = 24, 48, 12
MOST_CLASSES = 40  # beyond, the table of classes goes on folded, and without pictures
PER_CLASS = 6  # pictures beside a class
MOST_SIZES = 12
TWICE = ("two_classes", "near_duplicate")  # kinds that are shown side by side
PICTURE_SIDE = 80  # pixels, to which small pictures are enlarged by whole factors


# One picture with a labelled row of thumbnails for each class and each kind of finding.

COLUMNS = 12
MOST_ROWS = 60
SMALLEST_SIDE = 40  # tiny images are enlarged by whole factors to about this
GAP = 4
LETTER = 12
LONGEST_LABEL = 30


def contact_sheet(images: Tensor, rows: Sequence[tuple[str, Sequence[int]]]) -> Tensor:
    """uint8 ``(N, 1 or 3, H, W)`` and (label, positions) per row -> uint8 ``(3, H', W')``. Shows
    the first 12 images of each row and the first 60 rows."""
    _, _, height, width = images.shape
    factor = max(1, math.ceil(SMALLEST_SIDE / max(height, width)))
    tile_height, tile_width = height * factor + GAP, width * factor + GAP
    line_height = max(tile_height, 14)
    font = readable_font(LETTER)
    labels = short_names([label for label, _ in rows], LONGEST_LABEL)
    texts = [f"{label} ({len(found):,})" for label, (_, found) in zip(labels, rows, strict=True)]
    left = max((round(font.getlength(text)) for text in texts[:MOST_ROWS]), default=0) + 3 * GAP
    size = (left + COLUMNS * tile_width + GAP, min(len(rows), MOST_ROWS) * line_height + GAP)
    canvas = Image.new("RGB", size, (128, 128, 128))
    draw = ImageDraw.Draw(canvas)
    for line, (_, positions) in enumerate(rows[:MOST_ROWS]):
        top = GAP + line * line_height
        middle = top + (line_height - GAP) // 2
        draw.text((GAP, middle), texts[line], fill="white", font=font, anchor="lm")
        for column, position in enumerate(positions[:COLUMNS]):
            tile = to_pil(images[position]).resize(
                (width * factor, height * factor), Image.Resampling.NEAREST
            )
            canvas.paste(tile, (left + column * tile_width, top))
    return torch.from_numpy(np.array(canvas)).permute(2, 0, 1)


def write_check(result: CheckResult, out: Path) -> Path:
    """Write ``check.html``, ``check.json`` (at most a thousand findings of each kind) and
    ``thumbnails.png`` into the new folder ``out``."""
    position = {file: index for index, file in enumerate(result.files)}
    rows = [
        (name, torch.nonzero(result.images.labels == label).flatten().tolist())
        for label, name in enumerate(result.images.classes)
    ]
    for kind in ("duplicate", "two_classes", "near_duplicate", "odd_size", "mixed_mode"):
        found = [position[finding.file] for finding in result.of_kind(kind)]
        rows += [(MEANING[kind].split(";")[0], found)] if found else []
    with new_folder(Path(out)) as staging:
        write_json(staging / "check.json", record(result).to_json())
        write_bytes(
            staging / "thumbnails.png", encode_png(contact_sheet(result.looks.pictures, rows))
        )
        write_text(staging / PAGE, page(result))
    return Path(out)


def record(result: CheckResult) -> CheckFile:
    """What ``check.json`` holds."""
    image, levels, labels = result.images.image, result.levels, result.labels
    classes = image.classes
    content: dict[str, Any] = {
        "format": CheckFile.FORM,
        "name": result.name,
        "usable": result.usable,
        "refusal": result.refusal,
        "images": len(result.images),
        "size": [image.height, image.width],
        "channels": image.channels,
        "classes": dict(zip(classes, result.images.counts, strict=True)),
        "stored_sizes": [[h, w, count] for (h, w), count in result.sizes.most_common()],
        "stored_modes": dict(result.modes.most_common()),
        "findings": [
            {key: value for key, value in vars(finding).items() if value is not None}
            for finding in first_of_kinds(result)
        ],
        "findings_in_all": dict(Counter(finding.kind for finding in result.findings)),
        "notes": list(result.notes),
        "splits": {part: dict(zip(classes, counts, strict=True)) for part, counts in result.parts},
        "padding": round(result.padding, 6),
    }
    if result.looks.image.shown is not None:
        content["shown"] = list(result.looks.image.levels_shown)
    if result.looks.image.view is not None:
        content["view"] = list(result.looks.image.view)
    if result.splits is not None and result.splits.recipe.clipped is not None:
        content["clipped"] = list(result.splits.recipe.clipped)
    if levels is not None:
        content["levels"] = {
            "low": levels.low,
            "high": levels.high,
            "distinct": levels.distinct,
            "counts": list(levels.counts),
        }
    if labels is not None:
        content["labels"] = {
            "judged": labels.judged,
            "agreement": labels.accuracy,
            "flagged": labels.flagged,
            "if_all_right": list(labels.chance),
            "listed": len(labels.shown),
            "classes_left_out": list(labels.left_out),
        }
    return CheckFile.from_json(content, "The check")


def first_of_kinds(result: CheckResult) -> Iterator[Finding]:
    """At most a thousand findings of each kind, in their order."""
    told: Counter[str] = Counter()
    for finding in result.findings:
        told[finding.kind] += 1
        if told[finding.kind] <= MOST_FINDINGS:
            yield finding


# The page.


@dataclass(frozen=True)
class Picture:
    """A picture inside the page, with the size that it is shown at and what it shows."""

    uri: str
    width: int
    height: int
    text: str

    @classmethod
    def of(cls, image: Tensor, text: str, side: int = PICTURE_SIDE) -> Picture:
        """Of uint8 ``(1 or 3, H, W)``."""
        _, height, width = image.shape
        factor = max(1, round(side / max(height, width)))
        return cls(picture_uri(image), width * factor, height * factor, text)


@dataclass(frozen=True)
class ClassRow:
    """A class: its name, images in each split and in all, and some pictures."""

    name: str
    counts: tuple[int, ...]
    total: int
    pictures: tuple[Picture, ...]


def page(result: CheckResult) -> str:
    """One file that needs nothing but a browser. All names in it are text from strangers: they are
    escaped."""
    return environment(TEMPLATES).get_template("check.html.j2").render(context(result))


def context(result: CheckResult) -> dict[str, Any]:
    """Everything that the template shows."""
    images = result.looks.pictures
    classes = class_rows(result, images)
    refusal, _, fix = (result.refusal or "").partition("\n")
    return {
        "title": f"{printable(result.name)}: data check",
        "name": printable(result.name),
        "refusal": refusal,
        "fix": fix,
        "heading": heading(result).removeprefix(f"{printable(result.name)}: "),
        "worth": worth_a_look(result),
        "labels": result.labels,
        "parts": [part for part, _ in result.parts],
        "tree": "" if result.tree is None else str(result.tree),
        "classes": classes[:MOST_CLASSES],
        "further": classes[MOST_CLASSES:],
        "totals": [sum(counts) for _, counts in result.parts],
        "total": len(result.images),
        "training": training(result),
        "pictures_show": result.looks.image.picture_note(),
        "clipping": clipping(result),
        "not_judged": not_judged(result),
        "notes": result.notes,
        "sizes": result.sizes.most_common(MOST_SIZES),
        "more_sizes": len(result.sizes) - MOST_SIZES,
        "modes": result.modes.most_common(),
        "levels": result.levels,
        "bars": bars(result.levels.counts) if result.levels else [],
        "examples": [
            (f"{one.height} × {one.width}", one.file,
             [(fit, Picture.of(picture, fit, 96)) for fit, picture in one.pictures])
            for one in result.examples
        ],
        "fit": result.source.fit,
        "pairs": pairs(result, images),
        "pairs_in_all": sum(len(result.of_kind(kind)) for kind in TWICE),
        "doubts": doubts(result, images),
        "findings": list(found_rows(result)),
    }  # fmt: skip


def worth_a_look(result: CheckResult) -> str:
    """How many findings of each kind there are, in one line."""
    counts = ((MEANING[kind].split(";")[0], len(result.of_kind(kind))) for kind in MEANING)
    return "; ".join(f"{meaning}: {count:,}" for meaning, count in counts if count)


def clipping(result: CheckResult) -> str:
    """How much a given range or window clips if it is much; else nothing."""
    splits = result.splits
    return (splits.clipping or "") if splits is not None and splits.clips_much else ""


def not_judged(result: CheckResult) -> str:
    """Which labels were not judged and why, in a sentence; nothing if all were."""
    return "" if result.labels is None else result.labels.left_out_sentence(len(result.images))


def class_rows(result: CheckResult, images: Tensor) -> list[ClassRow]:
    """All classes in order; pictures beside the first of them."""
    rows = []
    for label, (name, total) in enumerate(
        zip(result.images.classes, result.images.counts, strict=True)
    ):
        places = torch.nonzero(result.images.labels == label).flatten()
        some = places[:PER_CLASS] if label < MOST_CLASSES else places[:0]
        rows.append(
            ClassRow(
                printable(name),
                tuple(counts[label] for _, counts in result.parts),
                total,
                tuple(Picture.of(images[i], result.files[i], 44) for i in some.tolist()),
            )
        )
    return rows


def training(result: CheckResult) -> list[tuple[str, str]]:
    """What training would make of the source: what is asked, and the answer."""
    image, source = result.images.image, result.source
    said = [
        ("size", f"{image.height} × {image.width} pixels (height × width)"),
        ("channels", f"{image.channels}"),
        ("fit", f"{source.fit}; padding fills {result.padding:.1%} of all pixels"),
    ]
    if result.splits is None:
        return said
    learned = result.splits.train
    said.append(("levels", levels_said(learned.image.bits, learned.image.levels)))
    if result.splits.clipping is not None:
        said.append(("clipped", result.splits.clipping))
    said += [
        (part, f"{sum(counts):,} images; the smallest class has {min(counts):,}")
        for part, counts in result.parts
    ]
    left = len(result.images) - sum(sum(counts) for _, counts in result.parts)
    said.append(("left out", f"{left:,} images"))
    said.append(("data.at_most", "no limit" if source.at_most is None else f"{source.at_most}"))
    said.append(("data.near_duplicates", source.near_duplicates))
    return said


def levels_said(bits: int, ends: Any) -> str:
    if ends is None:
        return f"{bits} bits, as stored"
    return f"{bits} bits; the lowest stands for {ends.low:g}, the highest for {ends.high:g}"


def bars(counts: Sequence[int]) -> list[tuple[float, float, float]]:
    """Left, top and height of each bar of a histogram, in a picture of 640 by 100."""
    highest = max(counts)
    step = 640 / len(counts)
    heights = [100 * (count / highest) ** 0.5 for count in counts]  # small ones are seen too
    return [(round(i * step, 2), round(100 - h, 2), round(h, 2)) for i, h in enumerate(heights)]


def pairs(result: CheckResult, images: Tensor) -> list[tuple[str, Picture, Picture]]:
    """Pictures that come twice, side by side with what is said of them: those of two classes
    first."""
    position = {file: index for index, file in enumerate(result.files)}
    labels = result.images.labels.tolist()

    def classes(finding: Finding) -> tuple[int, int]:
        return labels[position[finding.file]], labels[position[str(finding.other)]]

    found = [finding for kind in TWICE for finding in result.of_kind(kind)]
    found.sort(key=lambda finding: len(set(classes(finding))) == 1)
    made = []
    for finding in found[:MOST_PAIRS]:
        names = (finding.file, str(finding.other))
        sides = [
            Picture.of(images[position[name]], f"{name} ({result.images.classes[label]})")
            for name, label in zip(names, classes(finding), strict=True)
        ]
        made.append((MEANING[finding.kind], sides[0], sides[1]))
    return made


def doubts(result: CheckResult, images: Tensor) -> list[tuple[Picture, str, str]]:
    """Pictures with their label and the one that they look like."""
    if result.labels is None:
        return []
    review, classes = result.labels, result.images.classes
    chosen = review.shown[:MOST_DOUBTS] if review.beyond_chance else review.doubts[:MOST_BY_CHANCE]
    return [
        (
            Picture.of(images[doubt.position], result.files[doubt.position]),
            classes[int(result.images.labels[doubt.position])],
            classes[doubt.suggested],
        )
        for doubt in chosen
    ]


def found_rows(result: CheckResult) -> Iterator[tuple[str, str, str]]:
    """Findings in words, at most ten of a kind: what, which file, detail."""
    for kind, meaning in MEANING.items():
        found = together(result, kind)
        for one in found[:SHOWN_PER_KIND]:
            yield meaning, one.file, one.detail
        if len(found) > SHOWN_PER_KIND:
            yield meaning, f"… and {len(found) - SHOWN_PER_KIND:,} more", "see check.json"
