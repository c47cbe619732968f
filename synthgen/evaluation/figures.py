"""Figures made of images and of their features: classes side by side, neighbours, typical ones,
a map, spectra, copied pairs."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from PIL import Image, ImageDraw
from torch import Tensor

from synthgen.evaluation.report.charts import (
    Cloud,
    Curve,
    Point,
    Scatter,
    line_chart,
    write_figure,
)
from synthgen.evaluation.schema import CopiedPair, Figure
from synthgen.images import to_pil, top_of
from synthgen.io import write_bytes
from synthgen.pictures import readable_font, short_names
from synthgen.types import LabelledImages, positions_by_class

if TYPE_CHECKING:
    from synthgen.evaluation.report.schema import Report

MOST_CLASSES = 20
COLUMNS = 8
CELL = 48  # pixels that an image takes at least, enlarged without smoothing
GAP = 3
LETTER = 13
MARGIN = 8
ROWS, ACROSS = 6, 4  # of copied pairs

SHOWN = 5  # images of each kind in a row of the typical ones
CHUNK_TYPICAL = 1024
NAMED = 8  # classes that a caption names
NEIGHBOUR = 3  # k of the balls around real images
MOST_REAL = 2000  # of one class; more change no ranking that an eye could see

MOST_ON_MAP = 1200  # points per panel
NEIGHBOURS = 15  # UMAP's n_neighbors

CHUNK_SPECTRA = 1000
MOST_IN_SPECTRA = 5000  # images of each set
SPREAD = (0.1, 0.9)  # quantiles of single images around the mean
FINE = 0.35  # cycles per pixel from which detail counts as fine; 0.5 is the finest
NOTABLE = 0.2  # relative difference in fine detail that the caption names


def class_grid(
    real: LabelledImages, synthetic: LabelledImages, path: Path, *, reference: str
) -> str:
    """Rows = classes; real images (of the split ``reference``) left, synthetic ones right. Returns
    the caption."""
    shown = real.classes[:MOST_CLASSES]
    rows = [
        [list(first_of_class(real, label)), list(first_of_class(synthetic, label))]
        for label in range(len(shown))
    ]
    draw_rows(rows, shown, ("real", "synthetic"), (COLUMNS, COLUMNS), path)
    cut = len(real.classes) - len(shown)
    more = f" The first {len(shown)} of {len(real.classes)} classes are shown." if cut else ""
    said = f"Real {reference} images (left) and synthetic images (right), not selected."
    return f"{said}{more}{shown_as(real)}"


def shown_as(images: LabelledImages) -> str:
    """What pictures show of the images, as a sentence after a space; nothing where it is all."""
    note = images.image.picture_note()
    return f" {note[0].upper()}{note[1:]}." if note else ""


def synthetic_half(width: int, height: int, image: Sequence[int]) -> tuple[int, int] | None:
    """Where (x, y) the synthetic images begin in a :func:`class_grid` of that size in pixels, of
    images ``(H, W)``; None if it can't be one."""
    scale = max(1, -(-CELL // max(image)))
    high, wide = (side * scale + GAP for side in image)
    left, top = width - COLUMNS * wide - 2 * MARGIN, LETTER + 2 * MARGIN
    rows = height - top - MARGIN
    return (left, top) if left > COLUMNS * wide and rows > 0 and rows % high == 0 else None


def synthetic_rows(report: Report, folder: Path, out: Path) -> dict[str, Path]:
    """The synthetic images of the report's :func:`class_grid`, a PNG in ``out`` per class; empty
    when the grid is not as this module draws it. Raises OSError if it can't be read."""
    file = next((one.file for one in report.figures if one.kind == "class_grid"), None)
    if file is None or not (folder / file).is_file():
        return {}
    with Image.open(folder / file) as picture:
        size = report.provenance.data.recipe.size
        start = synthetic_half(picture.width, picture.height, size)
        if start is None:
            return {}
        (left, top), high = start, size[0] * max(1, -(-CELL // max(size))) + GAP
        names = list(report.provenance.synthetic.counts)[: (picture.height - top) // high]
        found = {name: out / f"{number}.png" for number, name in enumerate(names)}
        for number, path in enumerate(found.values()):
            box = (left, top + number * high, picture.width, top + (number + 1) * high)
            save_png(picture.crop(box), path)
    return found


def first_of_class(images: LabelledImages, label: int) -> Tensor:
    """The first few: sets have no meaningful order, so nothing is picked for its looks."""
    positions = (images.labels == label).nonzero().flatten()[:COLUMNS]
    return images.subset(positions).pictures


def neighbour_figure(
    rows: Sequence[tuple[str, Tensor, Tensor]], path: Path, *, across: int
) -> None:
    """Each entry: class name, synthetic image ``(C, H, W)``, its nearest training images
    ``(K, C, H, W)``. ``across`` such pairs of one class share a row."""
    by_class: dict[str, list[list[Tensor]]] = {}
    for name, synthetic, training in rows:
        by_class.setdefault(name, []).append([synthetic, *training])
    names = list(by_class)[:MOST_CLASSES]
    width = 1 + max(len(training) for _, _, training in rows)
    blocks = [by_class[name][:across] for name in names]
    draw_rows(blocks, names, ("synthetic | nearest",) * across, (width,) * across, path)


def draw_rows(
    rows: Sequence[Sequence[Sequence[Tensor]]],
    names: Sequence[str],
    titles: Sequence[str],
    widths: Sequence[int],
    path: Path,
) -> None:
    """A PNG with one labelled row per name; each row has one block of images per title, which
    leaves room for ``widths`` images."""
    sample = next(image for row in rows for block in row for image in block)
    scale = max(1, -(-CELL // max(sample.shape[1:])))
    height, width = (side * scale + GAP for side in sample.shape[1:])
    font = readable_font(LETTER)
    names = short_names(names)
    left = MARGIN + max(int(font.getlength(name)) for name in names) + MARGIN
    starts = [left]
    for count in widths:
        starts.append(starts[-1] + count * width + 2 * MARGIN)
    top = LETTER + 2 * MARGIN
    canvas = Image.new("RGB", (starts[-1], top + len(rows) * height + MARGIN), "white")
    pen = ImageDraw.Draw(canvas)
    for title, start in zip(titles, starts, strict=False):
        pen.text((start, MARGIN), title, fill="black", font=font)
    for number, (name, row) in enumerate(zip(names, rows, strict=True)):
        y = top + number * height
        pen.text((MARGIN, y + (height - LETTER) // 2), name, fill="black", font=font)
        for start, block in zip(starts, row, strict=False):
            for column, image in enumerate(block):
                canvas.paste(enlarged(image, scale), (start + column * width, y))
    save_png(canvas, path)


def enlarged(image: Tensor, scale: int) -> Image.Image:
    """uint8 ``(C, H, W)``, each pixel repeated."""
    return to_pil(image.repeat_interleave(scale, 1).repeat_interleave(scale, 2)).convert("RGB")


def save_png(picture: Image.Image, path: Path) -> None:
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG", optimize=True)
    write_bytes(path, buffer.getvalue())


def copy_figure(
    pairs: Sequence[CopiedPair],
    synthetic: Tensor,
    train: Tensor,
    folder: Path,
    *,
    extractor: str,
    file: str,
    note: str = "",
) -> Figure | None:
    """Write a PNG of the synthetic images that lie suspiciously near to training images, and
    return its entry for ``figures``; None without pairs.

    ``pairs`` name positions in ``synthetic`` and ``train``, uint8 ``(N, C, H, W)`` each. Beside
    each pair stands the absolute difference of its pixels: black means equal. ``note`` ends the
    caption.
    """
    shown = pairs[: ROWS * ACROSS]
    if not shown:
        return None
    blocks = [triple(synthetic[pair.synthetic], train[pair.train]) for pair in shown]
    rows = [blocks[start : start + ACROSS] for start in range(0, len(blocks), ACROSS)]
    names = [
        str(start + 1) if len(row) == 1 else f"{start + 1}-{start + len(row)}"
        for start, row in zip(range(0, len(blocks), ACROSS), rows, strict=True)
    ]
    across = min(ACROSS, len(blocks))
    draw_rows(rows, names, ("set|train|diff",) * across, (3,) * across, folder / file)
    caption = (
        f"The {len(shown)} nearest pairs of {len(pairs)} by {extractor}, nearest first: synthetic "
        "image, training image, and the difference of their pixels (black: equal)."
    )
    caption += note
    return Figure(file=file, kind="copies", label=None, extractor=extractor, caption=caption)


def triple(synthetic: Tensor, training: Tensor) -> list[Tensor]:
    difference = (synthetic.short() - training.short()).abs().to(synthetic.dtype)
    return [synthetic, training, difference]


def typical_grid(
    synthetic: LabelledImages,
    fake_features: Tensor,
    real_features: Tensor,
    real_labels: Tensor,
    folder: Path,
    *,
    extractor: str,
    file: str = "figures/typical.png",
) -> Figure | None:
    """Write a PNG with one row per class, and return its entry for the report's ``figures``.

    ``fake_features`` ``(N, D)`` belong to the N images of ``synthetic``, ``real_features``
    ``(M, D)`` with int64 ``real_labels`` ``(M,)`` to real ones that nothing was trained on. Best
    and worst are the ends of :func:`realism`, typical the images nearest to their class's mean.
    None when no class has enough images of both kinds.
    """
    rows, names = [], []
    for label, name in enumerate(synthetic.classes[:MOST_CLASSES]):
        mine = (synthetic.labels == label).nonzero().flatten()
        real = real_features[real_labels == label][:MOST_REAL]
        if len(mine) < SHOWN or len(real) <= NEIGHBOUR:
            continue
        features = fake_features[mine]
        order = realism(features, real).argsort(descending=True, stable=True)
        middle = (features.double() - features.double().mean(0)).square().sum(1)
        chosen = (order[:SHOWN], middle.argsort(stable=True)[:SHOWN], order[-SHOWN:].flip(0))
        rows.append([list(synthetic.subset(mine[positions]).pictures) for positions in chosen])
        names.append(name)
    if not rows:
        return None
    titles = ("most realistic", "most typical", "least realistic")
    draw_rows(rows, names, titles, (SHOWN,) * 3, folder / file)
    left = [name for name in synthetic.classes if name not in names]
    caption = (
        f"Per class the {SHOWN} most realistic of its synthetic images, the {SHOWN} nearest to "
        f"their mean, and the {SHOWN} least realistic, worst first. Realism is measured against "
        f"real images of the same class in the space {extractor} (Kynkäänniemi et al. 2019), so a "
        "wrong label counts as unrealistic."
    )
    if left:
        few = left[:NAMED]
        more = f" and {len(left) - NAMED} more" if len(left) > NAMED else ""
        caption += (
            f" Not shown: {', '.join(few)}{more} (of each {SHOWN} synthetic and {NEIGHBOUR + 1} "
            f"real images are needed; the first {MOST_CLASSES} classes are shown at most)."
        )
    caption += shown_as(synthetic)
    return Figure(file=file, kind="typical", label=None, extractor=extractor, caption=caption)


def realism(features: Tensor, real: Tensor, k: int = NEIGHBOUR) -> Tensor:
    """float64 ``(N,)``, higher is more realistic; at 1 an image lies on the edge of a real image's
    ball. Kynkäänniemi et al. 2019, eq. 3: the largest ratio of a ball's radius (distance to the
    k-th nearest real image) to the distance from its centre, over the half with the smaller radii.
    """
    centre = real.double().mean(0)
    real, features = real.double() - centre, features.double() - centre
    among = torch.cdist(real, real).fill_diagonal_(torch.inf)
    radii = among.topk(k, dim=1, largest=False).values[:, -1]
    kept = radii <= radii.median()
    scores = []
    for chunk in features.split(CHUNK_TYPICAL):
        distances = torch.cdist(chunk, real[kept]).clamp_min(1e-12)
        scores.append((radii[kept] / distances).max(1).values)
    return torch.cat(scores)


def embedding_map(
    real: Tensor,
    real_labels: Tensor,
    fake: Tensor,
    fake_labels: Tensor,
    classes: Sequence[str],
    folder: Path,
    *,
    extractor: str,
    seed: int = 0,
    file: str = "figures/embedding_map.svg",
) -> Figure:
    """Write an SVG of two panels, real and synthetic, and return its entry for ``figures``.

    Features are ``(N, D)``, labels int64 ``(N,)``. The map is UMAP's where umap-learn is installed,
    else the first two principal components; both are fitted to equally many real and synthetic
    images, so neither set draws the map for the other.
    """
    count = min(MOST_ON_MAP, len(real), len(fake))
    at = positions_by_class(real_labels, count)
    fake_at = positions_by_class(fake_labels, count)
    joint = torch.cat([real[at], fake[fake_at]]).double()
    by_umap = find_spec("umap") is not None and len(joint) > 2 * NEIGHBOURS
    points = umap(joint, seed) if by_umap else principal(joint)
    method = "UMAP" if by_umap else "First two principal components"
    caption = (
        f"{method} of the features of {len(at):,} real and {len(fake_at):,} synthetic images in "
        f"the space {extractor}. Grey behind each: the images of the other panel. Grey without "
        "colour on the right is what the generator misses."
    )
    clouds = (
        Cloud("real", points[: len(at)].numpy(), real_labels[at].numpy()),
        Cloud("synthetic", points[len(at) :].numpy(), fake_labels[fake_at].numpy()),
    )
    chart = Scatter(title=f"Map of {extractor}", note=method, clouds=clouds, classes=tuple(classes))
    write_figure(chart, folder, file)
    return Figure(file=file, kind="embedding_map", label=None, extractor=extractor, caption=caption)


def principal(points: Tensor) -> Tensor:
    """float64 ``(N, D)`` -> ``(N, 2)``; each axis points to where its largest loading is positive,
    so that the same features always give the same map."""
    centred = points - points.mean(0)
    _, vectors = torch.linalg.eigh(centred.T @ centred)
    axes = vectors[:, -2:].flip(1)  # ascending eigenvalues
    if axes.shape[1] < 2:
        axes = torch.cat([axes, torch.zeros_like(axes)], 1)
    signs = axes.gather(0, axes.abs().argmax(0, keepdim=True)).sign()
    return centred @ (axes * signs)


def umap(points: Tensor, seed: int) -> Tensor:
    """McInnes et al. 2018, with its usual settings."""
    from umap import UMAP

    found = UMAP(n_neighbors=NEIGHBOURS, random_state=seed, n_jobs=1).fit_transform(points.numpy())
    return torch.from_numpy(found).double()


def spectra(
    real: Tensor, synthetic: Tensor, folder: Path, *, file: str = "figures/spectra.svg"
) -> Figure | None:
    """Write an SVG of both sets' mean power spectra, which shows at which sizes synthetic images
    have more or less detail than real ones, and return its entry for ``figures``.

    Both are uint8 ``(N, C, H, W)`` of the same size. None for images too small to have a spectrum.
    """
    frequencies, ours = radial_power(real[:MOST_IN_SPECTRA])
    _, theirs = radial_power(synthetic[:MOST_IN_SPECTRA])
    if len(frequencies) < 3 or not len(ours) or not len(theirs):
        return None
    curves = [
        curve(frequencies, ours, "real", "arm-real_only"),
        curve(frequencies, theirs, "synthetic", "arm-synthetic_only"),
    ]
    chart = line_chart(
        "Mean power spectrum",
        "spatial frequency, cycles per pixel",
        curves,
        note="bands: from the 10th to the 90th of 100 images",
        y_axis="logarithmic",
    )
    if chart is None:
        return None
    write_figure(chart, folder, file)
    return Figure(file=file, kind="spectra", label=None, caption=said(frequencies, ours, theirs))


def said(frequencies: Tensor, real: Tensor, synthetic: Tensor) -> str:
    fine = frequencies >= FINE
    base = float(real[:, fine].mean())
    text = (
        f"Power by spatial frequency, mean of {len(real):,} real and {len(synthetic):,} synthetic "
        "images (brightness, 0 to 1); the bands hold 80 % of the single images."
    )
    if base <= 0 or not math.isfinite(base):
        return text
    ratio = float(synthetic[:, fine].mean()) / base
    if abs(ratio - 1) < NOTABLE:
        return f"{text} Fine detail is about as strong in both ({ratio:.2f} times the real power)."
    kind = "weaker: blur" if ratio < 1 else "stronger: noise or a grid"
    return f"{text} Fine detail is {kind} would look like this ({ratio:.2f} times the real power)."


def curve(frequencies: Tensor, power: Tensor, label: str, style: str) -> Curve:
    low, high = (power.quantile(share, dim=0).tolist() for share in SPREAD)
    mean = power.mean(0).tolist()
    return Curve(
        f"{label}, {len(power):,} images",
        style,
        [Point(*row) for row in zip(frequencies.tolist(), mean, low, high, strict=True)],
    )


def radial_power(images: Tensor) -> tuple[Tensor, Tensor]:
    """uint8 ``(N, C, H, W)`` -> frequencies ``(F,)`` in cycles per pixel, up to 0.5, and each
    image's mean power ``(N, F)`` on the ring around each, float64.

    Brightness is the channels' mean in [0, 1]; each image's own mean is taken off, and a Hann
    window hides its edges, which would otherwise draw a cross of power through the spectrum.
    """
    _, _, height, width = images.shape
    window = torch.hann_window(height, periodic=False, dtype=torch.float64)[:, None]
    window = window * torch.hann_window(width, periodic=False, dtype=torch.float64)
    radius = torch.hypot(torch.fft.fftfreq(height)[:, None], torch.fft.fftfreq(width)[None, :])
    rings = min(height, width) // 2
    ring = (radius * 2 * rings).round().long()  # 0 is the mean
    wanted = torch.arange(1, rings + 1)
    found = []
    for chunk in images.split(CHUNK_SPECTRA):
        grey = chunk.double().mean(1) / top_of(images)
        grey = (grey - grey.mean((1, 2), keepdim=True)) * window
        power = torch.fft.fft2(grey, norm="ortho").abs().square().flatten(1)
        size = int(ring.max()) + 1
        sums = torch.zeros(len(chunk), size, dtype=torch.float64)
        sums.index_add_(1, ring.flatten(), power)
        counts = torch.bincount(ring.flatten(), minlength=size)
        found.append((sums / counts.clamp_min(1))[:, wanted])
    empty = torch.zeros(0, rings, dtype=torch.float64)
    return wanted / (2 * rings), torch.cat(found) if found else empty
