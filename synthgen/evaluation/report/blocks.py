"""The page's smaller parts: embedded figures, headline tiles, confusion matrices, neighbours,
provenance."""

from __future__ import annotations

import base64
import io
import json
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from synthgen.evaluation.report.formatting import (
    ARMS,
    direction,
    plain,
    reference_split,
    show,
    show_share,
)
from synthgen.evaluation.report.schema import Report
from synthgen.evaluation.report.slices import surely_worst
from synthgen.evaluation.report.tables import (
    Cell,
    Column,
    Row,
    Table,
    overall,
    protocol_of,
)
from synthgen.evaluation.schema import Confusion, NeighbourRow
from synthgen.evaluation.schema import Figure as Drawn
from synthgen.masking import flatten, masked

# Figures as data URIs, so that a page is one file that can be mailed.

MEDIA = {"PNG": "image/png", "JPEG": "image/jpeg", "WEBP": "image/webp"}
CHARTS = "charts"  # folder of the PDFs, beside the page
COMFORTABLE_WIDTH = 560  # CSS pixels up to which small pictures are enlarged, in whole steps


@dataclass(frozen=True)
class Figure:
    """An embedded picture; ``uri`` is None when its file is missing or no picture."""

    uri: str | None
    width: int
    height: int
    kind: str
    of_class: str | None
    caption: str
    file: str = ""
    vector: bool = False


def embed(figure: Drawn, folder: Path) -> Figure:
    """Read ``figure.file`` inside ``folder``; files outside it are never opened, because a report
    may come from a stranger."""
    uri, width, height = read_picture(folder, figure.file)
    vector = figure.file.lower().endswith(".svg")
    pdf = f"{CHARTS}/{Path(figure.file).stem}.pdf"
    files = [figure.file, *([pdf] if vector and (folder / pdf).is_file() else [])]
    file = " · ".join(files) if uri else ""
    return Figure(uri, width, height, figure.kind, figure.label, figure.caption, file, vector)


def read_picture(folder: Path, file: str) -> tuple[str | None, int, int]:
    """The data URI of a PNG, JPEG, WebP or SVG with the width and height to show it at."""
    from PIL import Image, UnidentifiedImageError

    root = folder.resolve()
    path = (root / file).resolve()
    if not path.is_relative_to(root) or not path.is_file():
        return None, 0, 0
    content = path.read_bytes()
    if path.suffix.lower() == ".svg":
        return read_drawing(content)
    try:
        with Image.open(io.BytesIO(content)) as image:
            media, (width, height) = MEDIA.get(image.format or ""), image.size
    except (UnidentifiedImageError, OSError):
        return None, 0, 0
    if media is None:
        return None, 0, 0
    zoom = max(1, min(4, COMFORTABLE_WIDTH // max(width, 1)))
    encoded = base64.b64encode(content).decode()
    return f"data:{media};base64,{encoded}", width * zoom, height * zoom


def read_drawing(content: bytes) -> tuple[str | None, int, int]:
    """The data URI of an SVG. As the source of an ``<img>`` it can neither run scripts nor load
    anything (SVG Integration, secure static mode); without a plain size on its root it is refused.
    """
    root = re.match(rb"\s*<svg\s[^>]*>", content)
    size = root and [
        re.search(rb'\s%s="(\d{1,5})"' % key, root[0]) for key in (b"width", b"height")
    ]
    if not size or size[0] is None or size[1] is None:
        return None, 0, 0
    encoded = base64.b64encode(content).decode()
    return f"data:image/svg+xml;base64,{encoded}", int(size[0][1]), int(size[1][1])


MISTAKES = 20  # shown of each arm where there is no matrix
NARROW_NAME = 3  # characters of a class name that still fit above a column of a matrix


@dataclass(frozen=True)
class Tile:
    label: str
    value: str
    under: str
    style: str = ""
    words: bool = False  # the value is a name or a sentence and is set smaller
    tip: str = ""  # how the number was come by


@dataclass(frozen=True)
class Entry:
    text: str
    share: float  # of the row, 0..1
    style: str


@dataclass(frozen=True)
class MatrixRow:
    label: str
    entries: list[Entry]


@dataclass(frozen=True)
class Matrix:
    title: str
    classes: list[str]
    rows: list[MatrixRow]
    tall: bool  # class names stand upright above the columns


@dataclass(frozen=True)
class Neighbours:
    figure: Figure | None
    extractor: str
    table: Table


@dataclass(frozen=True)
class Details:
    title: str
    rows: list[tuple[str, str]]


def tested_sentence(report: Report) -> str:
    """Which set was held against which data."""
    provenance = report.provenance
    counts, made = provenance.synthetic.counts, provenance.synthetic.dataset or {}
    model = (made.get("provenance") or {}).get("model")
    origin = f"drawn by {model}" if model else "of unknown origin"
    digest = str((made.get("sampler") or {}).get("sha256") or "")[:12]
    return (
        f"Tested: {sum(counts.values()):,} synthetic images in {len(counts):,} "
        f"{'class' if len(counts) == 1 else 'classes'}, {origin}"
        f"{f' (SHA-256 {digest}…)' if digest else ''}, "
        f"against real images of {quoted(provenance.data.name)}."
    )


def quoted(name: str) -> str:
    """A data set's name is often that of a file and no word of a sentence."""
    return f"“{name}”" if name else "unnamed data"


def tiles(report: Report) -> list[Tile]:
    """The half-dozen numbers to read first. The worst class is that of the fairness table: by
    recall with the synthetic images, and only if it is surely worse than the others."""
    found: list[Tile] = []
    for arm, label in ARMS.items():
        for result in overall(report.results, f"transfer/{arm}/accuracy")[:1]:
            text, interval = show(result, result.name)
            tested = f"real {reference_split(report)} images"
            under = f"{interval}\naccuracy of {result.classifier}, {tested}"
            tile = _tile(f"Trained on {label.lower()}", text, under.strip(), f"arm-{arm}")
            found.append(replace(tile, tip=protocol_of(result)))
    beside = {(r.reference, r.name, r.extractor): r for r in report.references}
    for result in overall(report.results, "fidelity/frechet_distance"):
        key = (result.name, result.extractor)
        floor, same = beside.get(("floor", *key)), beside.get(("model_at_floor_n", *key))
        lines = [str(result.extractor), direction(result.higher_is_better)]
        if floor is not None:
            lines.append(f"real against real with {floor.n_fake:,} images: {show(floor)[0]}")
            if same is not None:
                lines.append(f"this set with as many: {show(same)[0]}")
        tile = _tile("Fréchet distance", show(result)[0], "\n".join(lines))
        found.append(replace(tile, tip=protocol_of(result)))
    if report.fairness and surely_worst(worst := report.fairness.worst_class):
        value, interval = show_share(worst.together or worst.after)
        under = f"{value} ({interval}) recognised with the synthetic images"
        others = "" if worst.others is None else f", {100 * worst.others:.0f} % of the others'"
        found.append(Tile("Worst class", worst.name, under + others, words=len(worst.name) > 8))
    copies = report.provenance.exact_copies.get("train")
    if copies is not None:
        found.append(_tile("Exact copies", f"{copies:,}", "of training images in the set"))
    return found


def _tile(label: str, value: str, under: str, style: str = "") -> Tile:
    return Tile(label, value, under, style, words=len(value) > 12)


def matrices(confusion: Mapping[str, Confusion]) -> list[Matrix]:
    """One table per arm, in the order in which the arms are always shown."""
    made = []
    for arm in arms_in_order(confusion):
        classes, matrix = confusion[arm].classes, confusion[arm].matrix
        if matrix is None:
            continue
        rows = [
            MatrixRow(name, [_entry(count, sum(counts), i == j) for j, count in enumerate(counts)])
            for i, (name, counts) in enumerate(zip(classes, matrix, strict=True))
        ]
        tall = any(len(name) > NARROW_NAME for name in classes)
        made.append(Matrix(ARMS.get(arm, arm), classes, rows, tall))
    return made


def frequent_mistakes(confusion: Mapping[str, Confusion]) -> list[Table]:
    """Where there are too many classes for a matrix: the commonest mistakes of each arm."""
    made = []
    for arm in arms_in_order(confusion):
        names, cells = confusion[arm].classes, confusion[arm].cells or []
        wrong = [cell for cell in cells if cell[0] != cell[1]]
        if not wrong:
            continue
        wrong.sort(key=lambda cell: (-cell[2], cell[0], cell[1]))
        own = Counter[int]()
        for true, _, count in cells:
            own[true] += count
        rows = [
            Row(f"{names[true]} taken for {names[said]}", f"of {own[true]:,}", [Cell(f"{count:,}")])
            for true, said, count in wrong[:MISTAKES]
        ]
        title = f"{ARMS.get(arm, arm)}: the {len(rows)} commonest of {len(wrong):,} mistakes"
        made.append(Table(title, [Column("Images", "summed over seeds", "count")], rows))
    return made


def arms_in_order(found: Mapping[str, object]) -> list[str]:
    return [*(a for a in ARMS if a in found), *(a for a in found if a not in ARMS)]


def _entry(count: int, total: int, right: bool) -> Entry:
    share = round(count / total, 3) if total else 0.0
    styles = ["right" if right else "", "dark" if share > 0.5 else "", "" if count else "none"]
    return Entry(f"{count:,}" if count else "0", share, " ".join(filter(None, styles)))


def neighbour_blocks(report: Report, folder: Path) -> list[Neighbours]:
    """Each neighbour figure with its distances and what is usual among real images."""
    figures = {figure.file: figure for figure in report.figures}
    blocks = []
    for block in report.neighbours:
        columns = [
            Column("Distance", "to the nearest training image", "distance"),
            Column("Usual distance", "median among real images", "median"),
            Column("Ratio", "below 1: these are the nearest", "ratio"),
        ]
        rows = [Row(row.label, "", _distances(row)) for row in block.rows]
        figure = figures.get(str(block.figure))
        shown = embed(figure, folder) if figure else None
        blocks.append(Neighbours(shown, block.extractor, Table("Neighbours", columns, rows)))
    return blocks


def _distances(row: NeighbourRow) -> list[Cell | None]:
    distance, usual = row.distance, row.median_real_distance
    ratio = plain(distance / usual) if usual else "–"
    return [Cell(plain(distance)), Cell(plain(usual)), Cell(ratio)]


def detail_blocks(report: Report) -> list[Details]:
    """Protocol, provenance and configuration as flat lists of masked settings."""
    whole = report.to_json()
    provenance = whole["provenance"]
    sources = [
        ("Protocol", whole["protocol"]),
        ("Real data", provenance.pop("data")),
        ("Synthetic set", provenance.pop("synthetic")),
        ("Configuration", provenance.pop("config", None)),
        ("Everything else", provenance),
    ]
    blocks = []
    for title, value in sources:
        flat = flatten(masked(value)) if value else {}
        if flat:
            blocks.append(Details(title, [(key, text_of(item)) for key, item in flat.items()]))
    return blocks


def text_of(value: Any) -> str:
    """A setting's value as one line; JSON for everything that isn't text."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
