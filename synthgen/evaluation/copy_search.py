"""Which training image is nearest to a synthetic one, also when it was mirrored, shifted or
noisy; and copies planted to see which a search finds."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from synthgen.evaluation.schema import NeighbourRow
from synthgen.images import eight_bits, to_pil
from synthgen.neighbors import CHUNK
from synthgen.progress import track
from synthgen.seeds import Stream, step_generator
from synthgen.types import LabelledImages, positions_by_class, spread_by_class

LONGEST = 32  # larger images are averaged down first
PART_OF_SIDE = 12  # a shift is at most 1 / 12 of the side
LEAST_SIDE = 4  # of the part that all views have in common
COMPONENTS = 64
FITTED_ON = 1000  # training images; their products are few, where pixels are many
SPARE_ALIGNED = 4
CHUNK_ALIGNED = 64  # images at a time: 64 × training images distances, 64 × views × pixels
FLAT = 2.0  # grey levels: an image that varies less is as good as constant

SEARCHED_FROM = 5000  # synthetic images, in proportion to the classes
CALIBRATED_ON = 2000  # real reference images
PER_CLASS = 3
NEAREST = 3
SPARE_NEIGHBOURS = 8  # candidates measured exactly beyond those asked for

PLANTED = 60  # training images, each in every way
NOISE = 8.0  # grey levels
QUALITY = 75


class AlignedSpace:
    """Nearest training images, uint8 ``(M, C, H, W)``, under the best view of each query: by
    distances that forgive what leaves a copy a copy.

    Each image is compared in all its views: mirrored or not, shifted by up to a twelfth of its
    side, always cut to the part that all shifts have in common. Pixels are centred and scaled to
    length 1 within the cut, so that brightness and contrast fall away and a squared distance is
    2 - 2ρ for their correlation ρ; 0 is the same, √2 unrelated. Noise and re-encoding change ρ
    little.

    Cost: views × images × training images × 64 multiplications on principal components pick the
    candidates, on every other shift; all views of these are then compared in full. On one core
    10,000 images of 28 × 28 against 20,000 take about a minute, against 60,000 less than three.
    """

    def __init__(self, train: Tensor) -> None:
        self.train = small(train)
        height, width = self.train.shape[2:]
        self.margins = (margin(height), margin(width))
        self.name = "aligned-pixels"
        self.mean, self.axes = self._components()
        self.points = torch.cat([self._project(self._centre(p)) for p in self.train.split(1024)])
        self.norms = self.points.square().sum(1)

    def nearest(self, images: Tensor, count: int, description: str) -> tuple[Tensor, Tensor]:
        """uint8 ``(N, C, H, W)`` -> distances float64 and positions int64 ``(N, count)``."""
        count = min(count, len(self.train))
        distances = [torch.empty(0, count, dtype=torch.float64)]
        positions = [torch.empty(0, count, dtype=torch.int64)]
        with track(len(images), description) as advance:
            for part in images.split(CHUNK_ALIGNED):
                found = self._candidates(small(part), min(count + SPARE_ALIGNED, len(self.train)))
                exact = self._compare(small(part), found)
                closest = exact.topk(count, dim=1, largest=False)
                distances.append(closest.values.double())
                positions.append(found.gather(1, closest.indices))
                advance(len(part))
        return torch.cat(distances), torch.cat(positions)

    def _components(self) -> tuple[Tensor, Tensor]:
        count = min(FITTED_ON, len(self.train))
        rows = self._centre(self.train[torch.arange(count) * len(self.train) // count]).double()
        mean = rows.mean(0)
        rows = rows - mean
        values, vectors = torch.linalg.eigh(rows @ rows.T)
        kept = values > 1e-9 * values[-1].clamp_min(1e-9)
        axes = rows.T @ (vectors[:, kept] / values[kept].sqrt())
        return mean.float(), axes[:, -COMPONENTS:].float()

    def _project(self, rows: Tensor) -> Tensor:
        return (rows - self.mean) @ self.axes

    def _centre(self, images: Tensor) -> Tensor:
        return unit_rows(cut(images, self.margins, (0, 0)))

    def _views(self, images: Tensor, step: int) -> list[Tensor]:
        """Rows ``(N, P)`` of each view; shifts in multiples of ``step``."""
        down, right = (
            [shift for shift in range(-most, most + 1) if shift % step == 0]
            for most in self.margins
        )
        return [
            unit_rows(cut(turned, self.margins, (dy, dx)))
            for turned in (images, images.flip(3))
            for dy in down
            for dx in right
        ]

    def _candidates(self, images: Tensor, count: int) -> Tensor:
        """Positions ``(N, count)`` of the nearest, roughly."""
        step = 2 if min(self.margins) > 1 else 1
        best: Tensor | None = None
        for view in self._views(images, step):
            point = self._project(view)
            found = torch.addmm(self.norms, point, self.points.T, alpha=-2)
            found += point.square().sum(1)[:, None]
            best = found if best is None else torch.minimum(best, found, out=best)
        if best is None:
            raise RuntimeError("an image has one view at least")
        return best.topk(count, dim=1, largest=False).indices

    def _compare(self, images: Tensor, found: Tensor) -> Tensor:
        """Distances ``(N, K)`` to the training images ``found``, each by the best view."""
        others = self._centre(self.train[found.flatten()]).view(*found.shape, -1)
        views = torch.stack(self._views(images, 1), dim=1)
        products = torch.bmm(views, others.transpose(1, 2))
        lengths = views.square().sum(2)[:, :, None] + others.square().sum(2)[:, None]
        return (lengths - 2 * products).amin(1).clamp_min(0).sqrt()


def margin(side: int) -> int:
    """The largest shift, in pixels."""
    return max(0, min(max(1, round(side / PART_OF_SIDE)), (side - LEAST_SIDE) // 2))


def small(images: Tensor) -> Tensor:
    """uint8 or uint16 ``(N, C, H, W)`` -> uint8, longer side at most 32."""
    images = eight_bits(images)
    height, width = images.shape[2:]
    factor = LONGEST / max(height, width)
    if factor >= 1:
        return images
    size = (max(1, round(height * factor)), max(1, round(width * factor)))
    parts = [F.interpolate(part.float(), size=size, mode="area") for part in images.split(1024)]
    return torch.cat(parts).round().to(torch.uint8)


def cut(images: Tensor, margins: tuple[int, int], shift: tuple[int, int]) -> Tensor:
    """The part of ``(N, C, H, W)`` inside the margins, moved by (down, right) pixels."""
    (top, left), (down, right) = margins, shift
    height, width = images.shape[2:]
    return images[:, :, top + down : height - top + down, left + right : width - left + right]


def unit_rows(images: Tensor) -> Tensor:
    """float32 ``(N, P)``, centred and of length 1, shorter where an image is nearly constant."""
    rows = images.flatten(1).float()
    rows = rows - rows.mean(1, keepdim=True)
    return rows / rows.norm(dim=1, keepdim=True).clamp_min(FLAT * rows.shape[1] ** 0.5)


@dataclass(frozen=True)
class Pair:
    """A synthetic image, its nearest training images (nearest first), and distances."""

    label: int
    synthetic: int  # position in the synthetic features
    training: list[int]  # positions in the training features
    distance: float
    median_real_distance: float  # of real ones of the class to their nearest training image


@dataclass(frozen=True)
class Search:
    """The pairs shown, and how many images were searched."""

    pairs: list[Pair]
    searched: int
    training: int
    closer: (
        float  # share of them nearer than the median of the real reference images of their class
    )


def closest_pairs(
    *,
    train: Tensor,
    synthetic: Tensor,
    synthetic_labels: Tensor,
    test: Tensor,
    test_labels: Tensor,
) -> Search:
    """For each class the synthetic images that lie closest to any training image: if anything was
    copied, it is among these. All tensors are features ``(N, D)`` or labels ``(N,)``."""
    asked = positions_by_class(synthetic_labels, SEARCHED_FROM)
    distances, found = nearest(synthetic[asked], train, NEAREST)
    calibration = positions_by_class(test_labels, CALIBRATED_ON)
    usual, _ = nearest(test[calibration], train, 1)
    pairs, closer = [], 0
    for label in synthetic_labels[asked].unique().tolist():
        of_class = (synthetic_labels[asked] == label).nonzero().flatten()
        real = usual[test_labels[calibration] == label, 0]
        median = float(real.median()) if len(real) else float(usual.median())
        closer += int((distances[of_class, 0] < median).sum())
        for row in of_class[distances[of_class, 0].argsort(stable=True)][:PER_CLASS].tolist():
            pairs.append(
                Pair(label, int(asked[row]), found[row].tolist(), float(distances[row, 0]), median)
            )
    return Search(pairs, len(asked), len(train), closer / len(asked))


def nearest(queries: Tensor, train: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Euclidean distances (float64) and positions ``(N, count)`` of the nearest rows of ``train``.

    float32 products pick a few more candidates than asked; these are measured exactly, so that a
    copy has distance 0.
    """
    count = min(count, len(train))
    centre = train.double().mean(0)
    columns = (train.double() - centre).float()
    norms = columns.square().sum(1)
    distances, found = [], []
    for chunk in queries.split(CHUNK):
        # |x|² is the same for all candidates of a query, so the order does not need it.
        order = torch.addmm(norms, (chunk.double() - centre).float(), columns.T, alpha=-2)
        candidates = order.topk(
            min(count + SPARE_NEIGHBOURS, len(train)), dim=1, largest=False
        ).indices
        exact = (train[candidates].double() - chunk[:, None].double()).square().sum(2)
        closest = exact.topk(count, dim=1, largest=False)
        distances.append(closest.values.sqrt())
        found.append(candidates.gather(1, closest.indices))
    return torch.cat(distances), torch.cat(found)


def rows(search: Search, classes: tuple[str, ...]) -> tuple[NeighbourRow, ...]:
    """For the report."""
    return tuple(
        NeighbourRow(
            label=classes[pair.label],
            distance=pair.distance,
            median_real_distance=pair.median_real_distance,
        )
        for pair in search.pairs
    )


def plant(train: LabelledImages) -> dict[str, LabelledImages]:
    """At most 60 training images as generators and files leave copies, in each of :data:`KINDS`,
    spread over the classes: to see which a check finds."""
    some = spread_by_class(train, PLANTED)
    images = eight_bits(some.images)
    return {
        kind: LabelledImages(change(images), some.labels, some.classes, view=some.view)
        for kind, change in KINDS.items()
    }


def noisy(images: Tensor) -> Tensor:
    noise = torch.randn(images.shape, generator=step_generator(0, Stream.PLANTED))
    return whole(images.float() + NOISE * noise)


def brightened(images: Tensor) -> Tensor:
    """Less contrast and more light."""
    return whole(0.85 * images.float() + 25)


def shifted(images: Tensor) -> Tensor:
    """To the right and down by a sixteenth of the side, edges repeated."""
    height, width = images.shape[2:]
    down, right = max(1, round(height / 16)), max(1, round(width / 16))
    padded = F.pad(images.float(), (right, 0, down, 0), mode="replicate")
    return whole(padded[:, :, :height, :width])


def mirrored(images: Tensor) -> Tensor:
    return images.flip(3)


def as_jpeg(images: Tensor) -> Tensor:
    """Written as JPEG and read again."""
    return torch.stack([_jpeg(image) for image in images]) if len(images) else images


def whole(pixels: Tensor) -> Tensor:
    return pixels.clamp(0, 255).round().to(torch.uint8)


def _jpeg(image: Tensor) -> Tensor:
    """Colours as one picture, other bands each as a grey one."""
    if image.shape[0] not in (1, 3):
        return torch.cat([_jpeg(band[None]) for band in image])
    file = io.BytesIO()
    to_pil(image).save(file, "JPEG", quality=QUALITY)
    read = np.array(Image.open(io.BytesIO(file.getvalue())))
    return torch.from_numpy(read).view(*image.shape[1:], -1).permute(2, 0, 1)


KINDS: dict[str, Callable[[Tensor], Tensor]] = {
    "noise": noisy,
    "brightness": brightened,
    "shift": shifted,
    "mirror": mirrored,
    "JPEG": as_jpeg,
}
