"""Distances between images that forgive what leaves a copy a copy: mirrored, shifted by a few
pixels, brighter or darker, of more or less contrast.

Each image is compared in all its views: mirrored or not, shifted by up to a twelfth of its side,
always cut to the part that all shifts have in common. Pixels are centred and scaled to length 1
within the cut, so that brightness and contrast fall away and a squared distance is 2 - 2ρ for their
correlation ρ; 0 is the same, √2 unrelated. Noise and re-encoding change ρ little.

Cost: views × images × training images × 64 multiplications on principal components pick the
candidates, on every other shift; all views of these are then compared in full. On one core 10,000
images of 28 × 28 against 20,000 take about a minute, against 60,000 less than three.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from synthgen.progress import track

LONGEST = 32  # larger images are averaged down first
PART_OF_SIDE = 12  # a shift is at most 1 / 12 of the side
LEAST_SIDE = 4  # of the part that all views have in common
COMPONENTS = 64
FITTED_ON = 1000  # training images; their products are few, where pixels are many
SPARE = 4
CHUNK = 64  # images at a time: 64 × training images distances, 64 × views × pixels
FLAT = 2.0  # grey levels: an image that varies less is as good as constant


class AlignedSpace:
    """Nearest training images, uint8 ``(M, C, H, W)``, under the best view of each query."""

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
            for part in images.split(CHUNK):
                found = self._candidates(small(part), min(count + SPARE, len(self.train)))
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
    """uint8 or float ``(N, C, H, W)`` -> the same, longer side at most 32; uint8 if it fits."""
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
